"""The attack on a known defense: what it tries, and that it keeps what hurts the defense most."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench import pipeline, registry
from poisonbench.attacks import adaptive
from poisonbench.attacks.adaptive import Adaptive
from poisonbench.config import ConfigError, load
from poisonbench.models import Lasso, Ridge
from poisonbench.plan.make import make_plan
from poisonbench.problem import AttackProblem, PoisonSet

Make = Callable[..., AttackProblem]


def left(problem: AttackProblem, name: str, poison: PoisonSet) -> float:
    """Return the validation error of a defense that draws what the attacker's own copy draws."""
    cls = registry.components("defense")[name]
    state = int(problem.generator().integers(2**31))
    arguments = cls.init_arguments(problem.model, problem.space, problem.n_poison, state)
    X = np.vstack([problem.train.X, poison.X])
    fitted = cls(**arguments).fit(X, np.append(problem.train.y, poison.y))
    residuals = fitted.predict(problem.validation.X) - problem.validation.y
    return float(np.mean(residuals**2))


@pytest.fixture(scope="module")
def small(make_problem: Make) -> tuple[AttackProblem, list[PoisonSet]]:
    """A small problem, and the poison of some attacks that do not know the defense."""
    problem = make_problem(n=25, n_poison=5)
    return problem, list(islice(adaptive._unaware(problem), 3))


def once(monkeypatch: pytest.MonkeyPatch, unaware: list[PoisonSet]) -> None:
    """Let `adaptive` begin from poison that was made before: it is the same each time, and slow."""
    monkeypatch.setattr(adaptive, "_unaware", lambda problem: iter(unaware))


@pytest.mark.parametrize("defense", ["trim", "mm"])
def test_it_is_never_weaker_on_its_defense_than_attacks_that_do_not_know_it(
    make_problem: Make, defense: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(n=40, numeric=2, groups=(4, 3), n_poison=8)
    poisons = list(adaptive._unaware(problem))
    once(monkeypatch, poisons)
    unaware = [left(problem, defense, poison) for poison in poisons]
    few = left(problem, defense, Adaptive(defense=defense, candidates=1, refinements=0)
               .generate(problem))  # fmt: skip
    many = left(problem, defense, Adaptive(defense=defense, candidates=30, refinements=10)
                .generate(problem))  # fmt: skip
    assert max(unaware) <= few <= many
    assert many > 1.05 * max(unaware)


def test_it_is_told_what_the_pipeline_tells(
    make_problem: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The true p where rows are poisoned, none where they are clean, and the groups."""
    cls, seen = registry.components("defense")["trim"], []
    fit = cls.fit
    monkeypatch.setattr(
        cls, "fit", lambda self, X, y: (seen.append((self.n_poison, len(y))), fit(self, X, y))[1]
    )
    problem = make_problem(n=30, n_poison=6)
    Adaptive(defense="trim", candidates=2, refinements=1).generate(problem)
    assert seen[0] == (0, 30)
    assert len(seen) > 3
    assert set(seen[1:]) == {(6, 36)}


@pytest.mark.parametrize("defense", registry.components("defense"))
def test_every_defense_can_be_attacked(
    small: tuple[AttackProblem, list[PoisonSet]], defense: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, unaware = small
    once(monkeypatch, unaware)
    attack = Adaptive(defense=defense, candidates=1, refinements=1)
    poison = attack.generate(problem)
    assert len(poison.y) == 5
    assert problem.space.violations(poison.X) == []
    # It is the defense's own error that chose.
    assert left(problem, defense, poison) >= max(left(problem, defense, other) for other in unaware)


def test_a_set_on_which_the_defense_fails_is_left_aside(
    small: tuple[AttackProblem, list[PoisonSet]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, failed = registry.components("defense")["trim"], []
    fit = cls.fit
    problem, unaware = small
    once(monkeypatch, unaware)
    n_clean = len(problem.train)
    attack = Adaptive(defense="trim", candidates=3, refinements=2)

    def fails_as_before(self: Any, X: Any, y: Any) -> Any:
        if (X[n_clean:].tobytes(), y[n_clean:].tobytes()) in failed:
            raise ValueError("no consensus")
        return fit(self, X, y)

    monkeypatch.setattr(cls, "fit", fails_as_before)
    for _ in range(3):
        best = attack.generate(problem)
        assert (best.X.tobytes(), best.y.tobytes()) not in failed
        failed.append((best.X.tobytes(), best.y.tobytes()))


@given(seed=st.integers(0, 10**6), p=st.integers(1, 12), model=st.sampled_from([Ridge, Lasso]))
@settings(max_examples=25, deadline=None)
def test_turns_climb_the_validation_error_of_the_shift(
    make_problem: Make, seed: int, p: int, model: Any
) -> None:
    problem = make_problem(model(0.01), n=25, n_poison=p, numeric=3, groups=(3,))
    form, nothing = adaptive._Form(problem), np.array([], dtype=int)
    K = form.inverses[seed % 2]

    def value(turns: int) -> float:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adaptive, "TURNS", turns)
            pull = form.pull(K, nothing, np.random.default_rng(seed))
        shift = K @ (adaptive.with_intercept(pull.X).T @ pull.signs)
        return float(shift @ form.A @ shift)

    values = [value(turns) for turns in range(1, 6)]
    assert all(late >= early * (1 - 1e-12) for early, late in pairwise(values))


def test_rows_that_are_pushed_stay_legal_and_pull_their_way(make_problem: Make) -> None:
    problem = make_problem(n=40, numeric=4, groups=(3,), n_poison=8, constants=1)
    rng = np.random.default_rng(0)
    pulls = [pull for pull, _ in zip(adaptive._pulls(problem, rng), range(40), strict=False)]
    assert all(not problem.space.violations(pull.X) for pull in pulls)
    assert all(set(pull.signs) <= {-1.0, 1.0} for pull in pulls)
    training = {row.tobytes() for row in problem.train.X}
    copied = [all(row.tobytes() in training for row in pull.X) for pull in pulls]
    assert any(copied)
    assert not all(copied)


def test_a_defense_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "dataset: diabetes\nattack: {name: adaptive, defense: trimm}\npoisoning_rate: 0.1\n"
    )
    with pytest.raises(ConfigError, match=r"(?s)x\.yaml:2.*'trimm'.*trim"):
        load(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["house", "health"])
def test_on_real_data_it_reaches_what_no_other_attack_does(
    tmp_path: Path, house_csv: Path, health_csv: Path, name: str
) -> None:
    (tmp_path / "x.yaml").write_text(
        f"dataset: {name}\nmodel: {{name: ridge, alpha: 0.1}}\npoisoning_rate: 0.2\ndefense: mm\n"
        "attack: [adaptive, subpopulation, sever, statp, coordinate]\nseeds: {start: 120, count: 3}"
        "\nsplit: {train: 300, validation: 250, test: 500}\n"
    )
    work = make_plan(
        load(tmp_path / "x.yaml"), {"house": house_csv, "health": health_csv}[name].parent
    )
    errors: dict[str, list[float]] = {}
    for group in work.groups:
        row, _ = pipeline.measure(pipeline.stage(group, work.datasets[group.data]), group.tasks[0])
        errors.setdefault(group.attack.name, []).append(row.test_mse)
    medians = {attack: float(np.median(found)) for attack, found in errors.items()}
    assert medians.pop("adaptive") > 1.15 * max(medians.values())
