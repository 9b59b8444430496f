"""Exact coordinate ascent: its W is the learner's, its gains are real, both engines agree."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench import registry
from poisonbench.attacks.coordinate import PRESETS, Coordinate, Preset
from poisonbench.attacks.engines import climb, quadratic_sweep
from poisonbench.attacks.engines.functions import with_intercept
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import State
from poisonbench.attacks.objectives import PredictionShift, Training, Validation
from poisonbench.certificates.ceiling import ceiling
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge
from poisonbench.problem import AttackProblem, Sample

SIZES = st.tuples(st.integers(1, 4), st.lists(st.integers(1, 4), max_size=3))


def random_problem(seed, n_numeric=3, groups=(3, 2), n=30, m=25, p=6, model=None):
    """A problem with numeric columns, one-hot groups, duplicated and constant columns."""
    rng = np.random.default_rng(seed)
    total = n + m
    numeric = rng.uniform(size=(total, n_numeric))
    if n_numeric > 2:
        numeric[:, 1] = numeric[:, 0]  # a duplicate
        numeric[:, 2] = 0.25  # constant
    blocks, spaces, column = [numeric], [], n_numeric
    for g, width in enumerate(groups):
        all_zero = bool(g % 2)
        choice = rng.integers(-1 if all_zero else 0, width, size=total)
        blocks.append((choice[:, None] == np.arange(width)).astype(float))
        columns = tuple(range(column, column + width))
        spaces.append(OneHotGroup(f"g{g}", columns, all_zero, one_of_k=g != 2))
        column += width
    X = np.hstack(blocks)
    y = np.clip(X @ rng.uniform(-0.5, 0.5, size=column) + rng.normal(0.5, 0.1, size=total), 0, 1)
    space = FeatureSpace(tuple(f"c{j}" for j in range(column)), tuple(spaces))
    train, validation = Sample(X[:n], y[:n]), Sample(X[n:], y[n:])
    model = (model or Ridge(alpha=0.1)).fit(train.X, train.y)
    scaling = Scaling(np.zeros(column), np.ones(column), 0.0, 1.0)
    return AttackProblem(train, validation, model, space, "y", scaling, p, seed)


def state_of(problem, W, rows, m, alpha=0.1):
    Z = with_intercept(problem.train.X)
    penalty = np.full(problem.space.n_features, alpha)
    return State.trained(Z.T @ Z, Z.T @ problem.train.y, rows, m, penalty, W)


def fresh_objective(problem, W, state, alpha=0.1):
    """W of scikit-learn's Ridge on the rows, repeated as often as their multiplicity says."""
    index = np.repeat(np.arange(len(state.m)), state.m.astype(int))
    fitted = SklearnRidge(alpha=alpha, solver="svd").fit(
        np.vstack([problem.train.X, state.X[index]]),
        np.append(problem.train.y, state.y[index]),
    )
    return W.value(np.append(fitted.coef_, fitted.intercept_))


def start(problem, n_distinct):
    rng = np.random.default_rng(problem.entropy)
    drawn = rng.integers(len(problem.train), size=n_distinct)
    return Sample(problem.train.X[drawn], np.round(1 - problem.train.y[drawn]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=SIZES,
    n=st.integers(4, 30),
    m=st.lists(st.integers(1, 4), min_size=1, max_size=5),
)
def test_every_visit_gains_what_it_predicts(seed, sizes, n, m):
    problem = random_problem(seed, sizes[0], sizes[1], n=n)
    W = Validation().function(problem)
    state = state_of(problem, W, start(problem, len(m)), np.array(m, dtype=float))
    moves = Moves.within(problem.space, (0.0, 0.5, 1.0))
    for c in (*range(len(m)), 0):
        before = state.W
        changed = quadratic_sweep._visit(state, moves, c)
        assert before < state.W or (not changed and before == state.W)
        assert pytest.approx(fresh_objective(problem, W, state), rel=1e-8, abs=1e-12) == state.W
        assert problem.space.violations(state.X) == []


def test_a_visit_ends_where_no_single_change_helps():
    problem = random_problem(3, n_numeric=2, groups=(3, 2))
    W = Validation().function(problem)
    state = state_of(problem, W, start(problem, 2), np.array([3.0, 3.0]))
    moves = Moves.within(problem.space, (0.0, 1.0))
    quadratic_sweep._visit(state, moves, 0)
    reached, x = state.W, state.X[0].copy()
    for j, value, response in product(range(problem.space.n_features), (0.0, 1.0), (0.0, 1.0)):
        other = x.copy()
        for group in problem.space.choices:
            if j in group.columns:
                other[list(group.columns)] = 0.0
        other[j] = value
        if problem.space.violations(other[None, :]):
            continue
        state.X[0], state.y[0] = other, response
        assert fresh_objective(problem, W, state) <= reached * (1 + 1e-8)


def test_the_state_does_not_drift_over_thousands_of_updates():
    problem = random_problem(5, n_numeric=4, groups=(4, 3), n=40, p=10)
    W = Validation().function(problem)
    rng = np.random.default_rng(0)
    state = state_of(problem, W, start(problem, 10), np.ones(10))
    moves = Moves.within(problem.space, (0.0, 1.0))
    n_updates = 0
    while n_updates < 2000:
        n_updates += len(quadratic_sweep.sweep(state, moves, np.arange(10)))
        # Push the ascent away from where it is: other rows come in by the same updates.
        target = rng.normal(size=len(state.theta))
        W = type(W)(W.A, W.A @ target, W.k, 0.0, W.model)
        state.a[:] = state.KQ[0] @ W.gradient(state.theta)
        state.W = W.value(state.theta)
    again = state_of(problem, W, Sample(state.X, state.y), state.m)
    assert np.abs(again.theta - state.theta).max() < 1e-7
    for matrix, drifted in zip(again.KQ, state.KQ, strict=True):
        assert np.abs(matrix - drifted).max() < 1e-7 * np.abs(matrix).max()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("levels", [(0.0, 1.0), (0.0, 0.3, 1.0)])
def test_machine_code_gives_the_same_rows(seed, levels):
    compiled = pytest.importorskip(
        "poisonbench.attacks.engines.sweeps_compiled", reason="needs the extra 'fast'"
    )
    problem = random_problem(seed, n_numeric=4, groups=(4, 3, 3), p=9)
    W = Validation().function(problem)
    moves = Moves.within(problem.space, levels)
    states = [state_of(problem, W, start(problem, 9), np.ones(9)) for _ in range(2)]
    for _ in range(4):
        changed = [
            sweep(state, moves, np.arange(9))
            for sweep, state in zip(
                (quadratic_sweep.sweep, compiled.quadratic_sweep), states, strict=True
            )
        ]
        np.testing.assert_array_equal(*changed)
    np.testing.assert_array_equal(states[0].X, states[1].X)
    np.testing.assert_array_equal(states[0].y, states[1].y)
    assert pytest.approx(states[1].W, rel=1e-10) == states[0].W


@pytest.mark.parametrize("model", [OLS(), Ridge(alpha=0.1), Lasso(lam=1e-3)])
@pytest.mark.parametrize(
    ("preset", "n_numeric", "groups", "p", "max_distinct"),
    [
        ("fast", 2, (4, 3), 20, 6),
        ("standard", 2, (4, 3), 20, 6),
        ("strong", 2, (4, 3), 20, 6),
        pytest.param("standard", 4, (9, 8, 7), 40, None, marks=pytest.mark.slow),
    ],
)
def test_both_engines_give_the_same_poison(
    model, preset, n_numeric, groups, p, max_distinct, monkeypatch
):
    compiled = pytest.importorskip(
        "poisonbench.attacks.engines.sweeps_compiled", reason="needs the extra 'fast'"
    )
    problem = random_problem(2, n_numeric, groups, n=60, m=50, p=p, model=model)
    made = []
    for sweep in (quadratic_sweep.sweep, compiled.quadratic_sweep):
        used = climb.engine()._replace(quadratic_sweep=sweep)
        with monkeypatch.context() as patch:
            patch.setattr(climb, "engine", lambda used=used: used)
            made.append(Coordinate(preset=preset, max_distinct=max_distinct).generate(problem))
    np.testing.assert_array_equal(made[0].X, made[1].X)
    np.testing.assert_array_equal(made[0].y, made[1].y)
    np.testing.assert_allclose(made[0].trace, made[1].trace, rtol=1e-8)


@pytest.mark.parametrize("objective", [Training, Validation, PredictionShift])
def test_reports_the_objective_of_the_learner(objective):
    problem = random_problem(7, p=8)
    poison = Coordinate(outer_objective=objective.name).generate(problem)
    W = objective().function(problem)
    fitted = SklearnRidge(alpha=0.1, solver="svd").fit(
        np.vstack([problem.train.X, poison.X]), np.append(problem.train.y, poison.y)
    )
    expected = W.value(np.append(fitted.coef_, fitted.intercept_))
    assert poison.objective_final == pytest.approx(expected, rel=1e-8)
    assert poison.trace[-1] == pytest.approx(expected, rel=1e-8)
    assert poison.objective_final > poison.objective_initial


@pytest.mark.parametrize("model", [OLS(), Ridge(lam=1e-3), Lasso(lam=1e-3), ElasticNet(lam=1e-3)])
@pytest.mark.parametrize("p", [1, 7, 45])
def test_returns_p_legal_rows_for_every_learner(model, p):
    problem = random_problem(11, p=p, model=model)
    poison = Coordinate(max_distinct=5).generate(problem)
    assert poison.X.shape == (p, problem.space.n_features)
    assert problem.space.violations(poison.X) == []
    assert set(np.unique(poison.y)) <= {0.0, 1.0}
    assert poison.objective_final >= poison.objective_initial
    assert len(np.unique(np.column_stack([poison.X, poison.y]), axis=0)) <= 5


def test_one_distinct_row_is_repeated():
    poison = Coordinate(max_distinct=1).generate(random_problem(3, p=5))
    assert np.array_equal(poison.X, np.repeat(poison.X[:1], 5, axis=0))
    assert np.array_equal(poison.y, np.repeat(poison.y[:1], 5))


@pytest.mark.parametrize("parameters", [{}, {"preset": "strong"}, {"outer_objective": "clipped"}])
@pytest.mark.parametrize("model", [Ridge(alpha=0.1), OLS(), Lasso(lam=1e-3)])
def test_no_poison_is_the_clean_model(model, parameters):
    problem = random_problem(4, p=0, model=model)
    poison = Coordinate(**parameters).generate(problem)
    assert poison.X.shape == (0, problem.space.n_features)
    assert poison.rounds == 0
    assert poison.objective_final == poison.objective_initial
    errors = model.predict(problem.validation.X) - problem.validation.y
    if parameters.get("outer_objective") != "clipped":
        assert poison.objective_final == pytest.approx(np.mean(errors**2), rel=1e-8)


def test_the_help_says_what_each_preset_means():
    plain = Preset()
    says = Coordinate.__doc__.split("preset :")[1].split("restarts :")[0]
    in_general, *each = says.replace("\n       ", "").split("`")
    for field in Preset.__dataclass_fields__:
        value = getattr(plain, field)
        assert f"{field} {written(value)}" in in_general
    for name, preset in PRESETS.items():
        own = each[each.index(name) + 1]
        for field in Preset.__dataclass_fields__:
            value = getattr(preset, field)
            assert (f"{field} {written(value)}" in own) == (value != getattr(plain, field))


def written(value):
    """A preset's value as the help has it."""
    if value is None:
        return "p"
    return str(
        [float(f"{v:g}") if v % 1 else int(v) for v in value] if isinstance(value, tuple) else value
    )


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("levels", [0, 1.5], "a list (each a number with 0 <= item <= 1) or null"),
        ("levels", [-0.1], "a list (each a number with 0 <= item <= 1) or null"),
        ("anneal", [-3], "a list (each a number > 0) or null"),
        ("anneal", [0], "a list (each a number > 0) or null"),
        ("max_distinct", 0, "an integer >= 1 or null"),
        ("sweeps", 0, "an integer >= 1 or null"),
        ("restarts", 0, "an integer >= 1 or null"),
        ("perturbations", -1, "an integer >= 0 or null"),
        ("tol", -1, "a number >= 0 or null"),
        ("kappa", -1, "a number >= 0"),
        ("preset", "fats", "did you mean 'fast'? expected fast, standard or strong"),
        ("warm_start", "bgd", "expected none or optp"),
    ],
)
def test_parameters_are_checked_before_anything_runs(bench, parameter, value, expected):
    attack = {"name": "coordinate", parameter: value}
    result = bench.invoke({"dataset": "diabetes", "attack": attack}, code=2)
    assert f"attack.{parameter}: " in result.stderr
    assert expected in result.stderr
    assert not (bench.folder / "results").exists()


def test_the_surrogate_for_deficient_ols_leaves_constant_columns_alone():
    problem = random_problem(13, n_numeric=3, model=OLS())
    poison = Coordinate().generate(problem)
    assert np.all(poison.X[:, 2] == 0.25)


def test_more_search_never_ends_lower():
    problem = random_problem(17, n_numeric=4, groups=(4, 4, 3), p=6)
    W = {
        name: Coordinate(**parameters).generate(problem).objective_final
        for name, parameters in {
            "fast": {"preset": "fast"},
            "standard": {},
            "restarts": {"restarts": 2},
            "perturbations": {"perturbations": 2},
            "warm": {"warm_start": "optp", "restarts": 2},
        }.items()
    }
    assert W["standard"] >= W["fast"]
    assert W["restarts"] >= W["standard"]
    assert W["perturbations"] >= W["standard"]


def test_restarts_come_close_to_the_optimum_of_a_small_instance():
    ratios = []
    for seed in range(4):
        problem = random_problem(seed, n_numeric=1, groups=(3,), n=12, p=2)
        W = Validation().function(problem)
        rows = [
            (np.array([x, *np.eye(3)[g]]), y)
            for x, g, y in product((0.0, 1.0), range(3), (0.0, 1.0))
        ]
        best = max(
            fresh_objective(
                problem,
                W,
                state_of(problem, W, Sample(np.array([a[0], b[0]]), np.array([a[1], b[1]])),
                         np.ones(2)),
            )
            for a, b in product(rows, rows)
        )  # fmt: skip
        reached = Coordinate(restarts=8).generate(problem).objective_final
        ratios.append(reached / best)
    # Starting features may stay at real values, so the ascent may pass the corners' optimum.
    assert min(ratios) > 0.75
    assert np.mean(ratios) > 0.95


def test_training_anew_on_the_way_holds_the_drift(monkeypatch):
    model = Ridge(alpha=1e-4)  # badly conditioned, and thousands of changed rows
    problem = random_problem(2, n_numeric=4, groups=(9, 8, 7), n=60, m=50, p=400, model=model)
    drifts = []
    for every in (50, 10**9):
        monkeypatch.setattr(climb, "REFRESH", every)
        poison = Coordinate(anneal=(), tol=0, sweeps=20).generate(problem)
        drifts.append(abs(poison.trace[-1] / poison.objective_final - 1))
    assert drifts[0] < 1e-9
    assert drifts[0] < drifts[1] / 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (None, {"kappa": 1000.0}),  # climbs the weights of one-hot columns, at W's cost
        (None, {"anneal": (1e6,), "sweeps": 1}),  # climbs another learner's W
        (OLS(), {}),  # a ridge stands in for it where it is not determined
        (Lasso(0.02), {}),
        (None, {"outer_objective": "clipped"}),
    ],
)
def test_it_never_ends_below_its_start(seed, model, parameters):
    problem = random_problem(seed, model=model, n=20)
    poison = Coordinate(sweeps=parameters.pop("sweeps", 2), **parameters).generate(problem)
    assert poison.objective_final >= poison.objective_initial
    objective = parameters.get("outer_objective", "validation")
    W = registry.components("outer_objective")[objective]().function(problem)
    fitted = clone(problem.model).fit(
        np.vstack([problem.train.X, poison.X]), np.append(problem.train.y, poison.y)
    )
    reached = W.value(np.append(fitted.coef_, fitted.intercept_))
    assert poison.objective_final == pytest.approx(reached, rel=1e-5)


@pytest.mark.slow
def test_small_perturbations_bring_strong_closer_to_the_proved_ceiling():
    shares = []
    for seed in range(4):
        problem = random_problem(seed, 0, (12, 9, 8, 7, 6, 5), n=60, m=50, p=20)
        proof = Poisoning.of(problem.train, problem.model, 20, problem.space)
        bound = ceiling(proof, Loss.mean_squared_error(problem.validation)).bound
        shares.append(Coordinate(preset="strong").generate(problem).objective_final / bound)
    # With a quarter of the rows redrawn, 25 and 300 perturbations reach .806 and .815.
    assert np.mean(shares) > 0.822
