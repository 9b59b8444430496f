"""The rules for every attack; the registry finds new ones.

The rules are written in CONTRIBUTING.md; a test that fails shows the one that it enforces.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poisonbench import pipeline, registry
from poisonbench.attacks.base import AXES
from poisonbench.config import load
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge
from poisonbench.plan.make import make_plan
from poisonbench.problem import AttackProblem, PoisonSet, Sample

Make = Callable[..., AttackProblem]
Build = Callable[..., PoisonSet]

COMPONENTS = registry.components("attack")
EVERY = pytest.mark.parametrize("attack", COMPONENTS.values(), ids=COMPONENTS)
TAKES_RATE = pytest.mark.parametrize(
    "attack",
    [cls for cls in COMPONENTS.values() if cls.takes_rate],
    ids=[name for name, cls in COMPONENTS.items() if cls.takes_rate],
)
rule = pytest.mark.rule
MODELS = {"ols": OLS(), "ridge": Ridge(0.01), "lasso": Lasso(0.002), "elastic-net": ElasticNet()}
FEW = {"iterations": 2, "candidates": 2, "refinements": 1}
"""Values of parameters that only say how long an attack may take."""

SWITCHES = [
    pytest.param(cls, {parameter.argument: not parameter.default}, id=f"{name}-{parameter.name}")
    for name, cls in COMPONENTS.items()
    for parameter in registry.parameters(cls)
    if isinstance(parameter.default, bool)
]
"""Every attack with each of its switches turned."""


@pytest.fixture
def generate(tmp_path: Path) -> Build:
    """Runs an attack, after making up the file that it needs, and checks what it returns."""

    def run(attack: Any, problem: AttackProblem, **given: Any) -> PoisonSet:
        poison: PoisonSet = build(attack, problem, tmp_path, **given).generate(problem)
        assert isinstance(poison, PoisonSet)
        for array in (poison.X, poison.y):
            assert array.dtype == np.float64
        pipeline.check(poison, problem.n_poison, problem.space)
        assert np.all((poison.y >= 0) & (poison.y <= 1))
        return poison

    return run


def build(attack: Any, problem: AttackProblem, folder: Path, **given: Any) -> Any:
    """Return the attack with what it must be given."""
    for name, value in FEW.items():
        if registry.accepts(attack, name):
            given.setdefault(name, value)
    for parameter in registry.parameters(attack):
        if parameter.required:
            assert parameter.annotation is Path, f"no value is made up for '{parameter.name}'"
            rng = np.random.default_rng(0)
            X = problem.space.project(rng.random((problem.n_poison, problem.space.n_features)))
            given[parameter.argument] = folder / "poison.npz"
            np.savez(given[parameter.argument], X=X, y=rng.random(len(X)))
    return attack(**given)


def budget(attack: Any, p: int) -> int:
    """Return how many rows an attack that brings none of its own is asked for: all it can."""
    return p if attack.takes_rate or registry.accepts(attack, "path") else 0


def as_bytes(poison: PoisonSet) -> bytes:
    return poison.X.tobytes() + poison.y.tobytes()


@rule("Legal rows")
@EVERY
@pytest.mark.parametrize("p", [1, 4, 9])
@pytest.mark.parametrize("all_zero", [False, True])
def test_returns_as_many_legal_rows_as_asked_for(
    make_problem: Make, generate: Build, attack: Any, p: int, all_zero: bool
) -> None:
    problem = make_problem(
        n=8, numeric=2, n_poison=budget(attack, p), groups=(3, 2), all_zero=all_zero, constants=1
    )
    poison = generate(attack, problem)
    assert len(poison.X) == problem.n_poison


@rule("Every learner")
@EVERY
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_works_for_every_model(
    make_problem: Make, generate: Build, attack: Any, model: Any
) -> None:
    poison = generate(attack, make_problem(model, n_poison=budget(attack, 5), numeric=5))
    if poison.objective_initial is not None:
        assert poison.objective_final is not None
        assert poison.objective_final >= poison.objective_initial
        assert np.isfinite(poison.trace).all()


@rule("Any shape")
@EVERY
def test_works_with_more_columns_than_rows(
    make_problem: Make, generate: Build, attack: Any
) -> None:
    generate(attack, make_problem(n=6, n_poison=budget(attack, 3), numeric=8, groups=(4,)))


@rule("Any shape")
@EVERY
@pytest.mark.parametrize("columns", [{"numeric": 1, "groups": ()}, {"numeric": 0, "groups": (3,)}])
def test_works_with_one_feature(
    make_problem: Make, generate: Build, attack: Any, columns: dict[str, Any]
) -> None:
    generate(attack, make_problem(n_poison=budget(attack, 4), **columns))


@rule("Parameters")
@pytest.mark.parametrize(("attack", "switch"), SWITCHES)
def test_works_with_its_switches_turned(
    make_problem: Make, generate: Build, attack: Any, switch: dict[str, Any]
) -> None:
    generate(attack, make_problem(n_poison=budget(attack, 4)), **switch)


@rule("Parameters")
@EVERY
def test_works_along_every_axis(make_problem: Make, generate: Build, attack: Any) -> None:
    problem = make_problem(n_poison=budget(attack, 3))
    for axis in attack.axes({}):
        assert axis in AXES
        values = registry.components(axis) if axis in registry.KINDS else ("x", "xy")
        for value in values:
            generate(attack, problem, **{axis: value})
    assert set(attack.fixed_axes) <= set(AXES) - set(attack.axes({}))


@rule("Random numbers")
@EVERY
def test_the_entropy_alone_decides(
    make_problem: Make, generate: Build, attack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    generator = AttackProblem.generator
    monkeypatch.setattr(
        AttackProblem,
        "generator",
        lambda problem, *given: (asked.append(problem.entropy), generator(problem, *given))[1],
    )
    problem = make_problem(n=20, numeric=5, n_poison=budget(attack, 6))
    np.random.seed(1)  # noqa: NPY002
    one = generate(attack, problem)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert as_bytes(generate(attack, problem)) == as_bytes(one)
    others = [generate(attack, replace(problem, entropy=problem.entropy + k)) for k in (1, 2, 3)]
    np.random.seed(1)  # noqa: NPY002
    assert np.array_equal(np.random.get_state()[1], state), "the global stream was used"  # noqa: NPY002
    # The best candidate of an attack that tries many may be the same for two streams.
    assert any(as_bytes(other) != as_bytes(one) for other in others) == bool(asked)


@rule("Nothing changed")
@EVERY
def test_what_it_is_given_stays_as_it_is(make_problem: Make, generate: Build, attack: Any) -> None:
    problem = make_problem(n_poison=budget(attack, 5))  # arrays that cannot be written to
    parts = (problem.train.X, problem.train.y, problem.validation.X, problem.validation.y)
    before = [array.copy() for array in parts]
    weights, intercept = problem.model.coef_.copy(), problem.model.intercept_
    parameters = problem.model.get_params()
    poison = generate(attack, problem)
    assert all(np.array_equal(*pair) for pair in zip(parts, before, strict=True))
    assert np.array_equal(problem.model.coef_, weights)
    assert problem.model.intercept_ == intercept
    assert problem.model.get_params() == parameters
    assert not any(np.shares_memory(made, part) for made in (poison.X, poison.y) for part in parts)


@rule("Validation rows")
@EVERY
def test_validation_rows_are_needed_only_where_it_says_so(
    make_problem: Make, generate: Build, attack: Any
) -> None:
    problem = make_problem(n_poison=budget(attack, 4))
    d = problem.space.n_features
    without = replace(problem, validation=Sample(np.empty((0, d)), np.empty(0)))
    if "outer_objective" not in attack.axes({}):
        cases: list[dict[str, Any]] = [{}]
    else:
        cases = [{"outer_objective": name} for name in registry.components("outer_objective")]
    for given in cases:
        if not attack.needs_validation(given):
            assert as_bytes(generate(attack, without, **given)) == as_bytes(
                generate(attack, problem, **given)
            )


@rule("Test rows")
@TAKES_RATE
def test_no_attack_sees_the_test_rows(tmp_path: Path, attack: Any) -> None:
    few = {name: value for name, value in FEW.items() if registry.accepts(attack, name)}
    data = {"name": "synthetic", "n": 90, "d": 4, "informative": 3}
    config = {"dataset": data, "attack": {"name": attack.name, **few}}
    (tmp_path / "x.yaml").write_text(json.dumps(config | {"poisoning_rate": 0.2, "seeds": 1}))
    work = make_plan(load(tmp_path / "x.yaml"))
    [group], [dataset] = work.groups, work.datasets.values()
    setting = pipeline.prepare(group, dataset)
    model = pipeline.learner(group.model, setting.train, setting, group.seed)
    nothing = Sample(np.full((3, 4), np.nan), np.full(3, np.nan))
    made = [
        pipeline.attack(group, given, model, dataset).poison
        for given in (setting, replace(setting, test=nothing))
    ]
    assert len(made[0].y) == 6
    assert as_bytes(made[0]) == as_bytes(made[1])


@rule("Own rows")
@TAKES_RATE
def test_brings_no_rows_of_its_own(make_problem: Make, tmp_path: Path, attack: Any) -> None:
    problem = make_problem()
    assert build(attack, problem, tmp_path).own_rows(problem.space, problem.target) is None


@rule("Described")
@EVERY
def test_is_documented(attack: Any) -> None:
    assert registry.summary(attack).endswith(".")
    assert attack.reference.strip()
    assert importlib.import_module(attack.__module__).__doc__
    for parameter in registry.parameters(attack):
        assert parameter.description, parameter.name


def test_every_kind_is_there() -> None:
    assert {"optp", "bgd", "statp", "subpopulation", "sever", "file", "none"} <= set(COMPONENTS)


def test_statp_draws_corners_with_responses_opposite_to_the_model(
    make_problem: Make, generate: Build
) -> None:
    problem = make_problem(n_poison=200, numeric=4, groups=(3,), all_zero=True)
    poison = generate(COMPONENTS["statp"], problem)
    assert set(np.unique(poison.X)) <= {0.0, 1.0}
    predicted = np.clip(problem.model.predict(poison.X), 0, 1)
    assert np.array_equal(poison.y, np.round(1 - predicted))
    # A column far from 1/2 in the training rows is far from it in the poison too.
    skewed = replace(problem, train=Sample(problem.train.X**6, problem.train.y))
    low = generate(COMPONENTS["statp"], skewed).X[:, problem.space.numeric].mean()
    assert low < 0.35 < poison.X[:, problem.space.numeric].mean() < 0.65


def test_bgd_is_a_corner_of_optp(make_problem: Make, generate: Build) -> None:
    problem = make_problem(n_poison=5)
    bgd = generate(COMPONENTS["bgd"], problem, iterations=4)
    optp = generate(COMPONENTS["optp"], problem, iterations=4, **COMPONENTS["bgd"].fixed_axes)
    assert as_bytes(bgd) == as_bytes(optp)


def test_best_of_is_the_best_of_eight_on_the_validation_rows(
    make_problem: Make, generate: Build
) -> None:
    problem = make_problem(n_poison=5, numeric=5)
    optp, made = COMPONENTS["optp"], {}

    def error(poison: PoisonSet) -> float:
        X, y = np.vstack([problem.train.X, poison.X]), np.append(problem.train.y, poison.y)
        fitted = Ridge(problem.model.lam).fit(X, y)
        residuals: NDArray[Any] = fitted.predict(problem.validation.X) - problem.validation.y
        return float(np.mean(residuals**2))

    for variables in ("x", "xy"):
        for initialization in ("invflip", "bflip"):
            for objective in ("training", "validation"):
                variant = dict(zip(AXES, (variables, initialization, objective), strict=True))
                made[tuple(variant.values())] = generate(optp, problem, **variant)
    best = generate(optp, problem, best_of=True)
    chosen = max(made, key=lambda variant: error(made[variant]))
    assert len(made) == 8
    assert len({round(error(poison), 12) for poison in made.values()}) > 4
    assert tuple(best.variant[axis] for axis in AXES) == chosen
    assert as_bytes(best) == as_bytes(made[chosen])
    assert optp.axes({"best_of": True}) == ()
    assert optp.needs_validation({"best_of": True})
    assert made[chosen].variant == {}
