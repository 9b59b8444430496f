"""The attacks that break trimming even where it knows p: what they copy, and that they break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from poisonbench import pipeline
from poisonbench.attacks import sever
from poisonbench.attacks.engines import trimming
from poisonbench.attacks.engines.trimming import damage
from poisonbench.attacks.sever import Sever
from poisonbench.attacks.subpopulation import FEWER, Subpopulation
from poisonbench.defenses import TRIMRegressor
from poisonbench.models import OLS, ElasticNet, Lasso, LinearModel, Ridge
from poisonbench.problem import AttackProblem, PoisonSet, Sample

Make = Callable[..., AttackProblem]

MODELS = [OLS(), Ridge(0.01), Lasso(0.002), ElasticNet(0.002)]


def sources(problem: AttackProblem, poison: PoisonSet) -> list[np.ndarray]:
    """Return, for each poison row, which training rows have its features."""
    return [np.flatnonzero((x == problem.train.X).all(axis=1)) for x in poison.X]


def trimmed(problem: AttackProblem, poison: PoisonSet) -> tuple[float, float]:
    """Return the share of poison that TRIM keeps, told p, and its validation MSE over clean."""
    X = np.vstack([problem.train.X, poison.X])
    y = np.append(problem.train.y, poison.y)
    model = TRIMRegressor(problem.model, n_poison=len(poison.y), random_state=0).fit(X, y)
    validation = problem.validation
    errors = [
        np.mean((one.predict(validation.X) - validation.y) ** 2) for one in (model, problem.model)
    ]
    return float(model.support_[len(problem.train) :].mean()), float(errors[0] / errors[1])


@given(
    shift=st.floats(0.01, 1.0),
    p=st.integers(1, 15),
    groups=st.sampled_from([(), (12,), (9, 3)]),
    seed=st.integers(0, 5),
)
@settings(max_examples=12, deadline=None)
def test_subpopulation_copies_rows_of_one_group_and_moves_them_one_way(
    make_problem: Make, shift: float, p: int, groups: tuple[int, ...], seed: int
) -> None:
    problem = make_problem(numeric=2, groups=groups, n_poison=p, seed=seed)
    poison = Subpopulation(shift=shift, candidates=3).generate(problem)
    rows = sources(problem, poison)
    copied = np.unique(np.concatenate(rows))
    assert all(len(found) == 1 for found in rows)  # the numeric features tell rows apart
    clean = problem.train.y[[found[0] for found in rows]]
    sides = [np.clip(clean + sign * shift, 0, 1) for sign in (-1, 1)]
    assert any(np.array_equal(poison.y, side) for side in sides)
    times = np.unique([found[0] for found in rows], return_counts=True)[1]
    assert times.max() - times.min() <= 1
    assert len(copied) == 1 or len(copied) < FEWER * p
    levels = [problem.train.X[:, column] == 1 for column in range(2, problem.space.n_features)]
    if any(0 < level.sum() < FEWER * p for level in levels):
        assert any(np.array_equal(np.flatnonzero(level), copied) for level in levels)
    else:  # one end of a numeric feature
        ranks = problem.train.X[:, :2].argsort(axis=0).argsort(axis=0)[copied]
        k, n = len(copied), len(problem.train)
        assert any(set(r) in (set(range(k)), set(range(n - k, n))) for r in ranks.T)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_subpopulation_fools_a_trim_that_knows_p(make_problem: Make, model: LinearModel) -> None:
    problem = make_problem(model, n=80, numeric=2, groups=(8,), n_poison=16, n_validation=80)
    poison = Subpopulation(shift=0.9).generate(problem)
    kept, ratio = trimmed(problem, poison)
    assert kept > 0.5
    assert ratio > 3


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_sever_copies_one_or_two_rows_with_responses_at_the_boundary(
    make_problem: Make, model: LinearModel
) -> None:
    for p in (1, 2, 9):
        problem = make_problem(model, n_poison=p)
        poison = Sever(candidates=3).generate(problem)
        points, times = np.unique(np.column_stack([poison.X, poison.y]), axis=0, return_counts=True)
        assert 1 <= len(points) <= min(2, p)
        assert times.max() - times.min() <= 1
        assert set(points[:, -1]) <= {0.0, 1.0}
        assert all(len(found) for found in sources(problem, poison))


def test_sever_fools_a_trim_that_knows_p(make_problem: Make) -> None:
    problem = make_problem(Ridge(0.001), n=80, numeric=2, groups=(16, 16), n_poison=16)
    kept, ratio = trimmed(problem, Sever().generate(problem))
    assert kept > 0.5
    assert ratio > 1.5


@pytest.mark.parametrize("model", MODELS[:2], ids=lambda model: model.name)
def test_the_effect_of_copies_is_scored_without_a_refit(
    make_problem: Make, model: LinearModel
) -> None:
    problem = make_problem(model, groups=(), numeric=4, n_poison=6)
    if model.name == "ridge":  # the score holds alpha fixed
        problem = replace(problem, model=Ridge(alpha=0.1).fit(problem.train.X, problem.train.y))
    X, y = problem.train.X[:2], np.array([0.0, 1.0])
    scored = sever._CleanFit(problem).moved(X[None], y[None], 3)
    poison = PoisonSet(np.repeat(X, 3, axis=0), np.repeat(y, 3))
    nobody = np.zeros(len(problem.train), dtype=bool)
    everything = trimming.damage(problem, poison, nobody)
    assert not everything.fools
    assert scored[0] == pytest.approx(everything.error, rel=1e-9)


@pytest.mark.parametrize(
    "attack", [Subpopulation(candidates=4), Sever(candidates=4)], ids=lambda attack: attack.name
)
def test_the_validation_rows_decide(make_problem: Make, attack: Subpopulation | Sever) -> None:
    problem = make_problem(groups=(8,), n=80, n_validation=80, n_poison=16)
    made = attack.generate(problem)
    # Rows like those that were copied no longer matter to the attacker.
    copied = (problem.validation.X[:, None, 3:] == made.X[None, :, 3:]).all(axis=2).any(axis=1)
    assert copied.any()
    rest = Sample(problem.validation.X[~copied], problem.validation.y[~copied])
    other = attack.generate(replace(problem, validation=rest))
    assert not np.array_equal(made.X, other.X)


@pytest.mark.parametrize(
    "attack", [Subpopulation(candidates=4), Sever(candidates=4)], ids=lambda attack: attack.name
)
def test_no_budget_gives_no_rows(make_problem: Make, attack: Subpopulation | Sever) -> None:
    poison = attack.generate(make_problem(n_poison=0))
    assert poison.X.shape == (0, 6)
    assert poison.y.shape == (0,)


def test_rows_that_do_not_differ_can_still_be_copied(make_problem: Make) -> None:
    problem = make_problem(numeric=2, groups=(), n_poison=5)
    alike = np.full_like(problem.train.X, 0.5)
    problem = replace(
        problem,
        train=Sample(alike, problem.train.y),
        model=Ridge(0.01).fit(alike, problem.train.y),
    )
    for attack in (Subpopulation(), Sever()):
        poison = attack.generate(problem)
        pipeline.check(poison, 5, problem.space)
        assert (poison.X == 0.5).all()


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-14), ElasticNet(1e-18)], ids=lambda m: m.name)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_columns_that_depend_on_each_other_are_no_obstacle(
    make_problem: Make, model: LinearModel
) -> None:
    problem = make_problem(model, n=10, numeric=4, duplicates=3, groups=(5,), n_poison=3)
    assert len(sever._points(problem, 2)) == 4


def test_many_rows_are_thinned_out(make_problem: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sever, "SCREENED", 7)
    problem = make_problem(n_poison=4)
    rows = np.concatenate(sources(problem, Sever(candidates=2).generate(problem)))
    assert not (rows % 6).any()  # 40 rows: every sixth


@pytest.mark.slow
def test_health(bench: Any, health_csv: Path) -> None:
    """Every one of them multiplies the error of a TRIM that knows p, in the median."""
    dataset = {
        "name": "csv",
        "path": str(health_csv),
        "target": "TherapeuticDoseofWarfarin",
        "scaling": "none",
    }
    attacks = [{"name": "subpopulation", "shift": shift} for shift in (0.9, 0.4, 0.2)]
    results = bench.results(
        {
            **{"dataset": dataset, "split": {"train": 300, "validation": 250, "test": 500}},
            **{"model": {"name": "ridge", "alpha": 0.1}, "attack": [*attacks, "sever"]},
            **{"poisoning_rate": 0.2, "defense": "trim", "seeds": 5},
        }
    )
    results["attack"] += results["attack_parameters"].fillna("")
    ratios = results.groupby("attack")["ratio_to_clean"].median()
    assert len(ratios) == 4
    assert ratios["subpopulationshift=0.2"] > 2
    assert ratios["subpopulationshift=0.4"] > 5
    assert ratios["subpopulation"] > 10
    assert ratios["sever"] > 10


def descended(model: LinearModel, X: Any, y: Any, kept: Any) -> tuple[LinearModel, float]:
    """Return the last fit of C-steps from the rows `kept` that lowers the loss, and its loss."""
    fits = []
    while len(fits) < 2 or fits[-1][1] < fits[-2][1]:
        fitted = clone(model).fit(X[kept], y[kept])
        fits.append((fitted, fitted.objective(X[kept], y[kept])))
        kept = np.argsort(np.abs(fitted.predict(X) - y), kind="stable")[: len(kept)]
    return fits[-2]


@pytest.mark.parametrize("model", [Ridge(0.05), Lasso(0.002)], ids=lambda model: model.name)
def test_the_damage_by_its_definition(make_problem: Make, model: LinearModel) -> None:
    """All poison and the clean rows that contradict it least, against all clean rows."""
    fooled = 0
    for seed in range(12):
        problem = make_problem(model, n_poison=10, numeric=2, groups=(6,), seed=seed)
        train, validation, rng = problem.train, problem.validation, np.random.default_rng(seed)
        doubted = train.X[:, 2] == 1
        rows = np.resize(np.flatnonzero(doubted), 10)
        shifted = np.clip(train.y[rows] + rng.choice([0.05, 0.3, 0.9]), 0, 1)
        poison = PoisonSet(train.X[rows], shifted)
        X, y, n = np.vstack([train.X, poison.X]), np.append(train.y, poison.y), len(train)
        believed = np.append(~doubted, np.ones(10, dtype=bool))
        misled = clone(model).fit(X[believed], y[believed])
        nearest = np.argsort(np.abs(misled.predict(train.X) - train.y), kind="stable")[: n - 10]
        wrong, loss = descended(model, X, y, np.append(nearest, np.arange(n, n + 10)))
        right = min(descended(model, X, y, np.arange(n))[1],
                    problem.model.objective(train.X, train.y))  # fmt: skip
        fitted = wrong if loss < right else clone(model).fit(X, y)
        error = np.mean((fitted.predict(validation.X) - validation.y) ** 2)
        found = damage(problem, poison, doubted)
        assert found.fools == (loss < right)
        assert found.error == pytest.approx(error, rel=1e-6)
        fooled += found.fools
    assert 0 < fooled < 12
