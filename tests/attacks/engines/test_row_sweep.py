"""Exact coordinate ascent on row losses: its gains are real, and both engines agree."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench import metrics, registry
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.attacks.engines import climb, quadratic_sweep, row_sweep
from poisonbench.attacks.engines.functions import (
    ClippedError,
    Quadratic,
    RowLosses,
    moments,
    with_intercept,
)
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import State
from poisonbench.attacks.engines.row_sweep import RowState
from poisonbench.attacks.initialization import BFlip
from poisonbench.attacks.objectives import Validation
from poisonbench.attacks.optp import OptP
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge
from poisonbench.problem import AttackProblem, Sample

ALPHA = 0.1
SHAPES = {
    "seed": st.integers(0, 10_000),
    "n": st.integers(4, 30),
    "numeric": st.integers(1, 4),
    "duplicates": st.integers(0, 1),
    "constants": st.integers(0, 1),
    "groups": st.lists(st.integers(2, 4), max_size=2),
    "all_zero": st.booleans(),
}


@dataclass(frozen=True)
class AbsoluteError(RowLosses):
    """Row losses that no engine knows."""

    def losses(self, predicted: Any) -> Any:
        return np.abs(predicted - self.y)

    def slopes(self, predicted: Any) -> Any:
        return np.sign(predicted - self.y)


def losses(problem: AttackProblem, kind: type[Any] = ClippedError, **parameters: Any) -> Any:
    return kind(with_intercept(problem.validation.X), problem.validation.y, **parameters)


def state_of(problem: AttackProblem, W: Any, m: Any) -> Any:
    """The state trained on the first starting rows, as often as `m` says."""
    rows = BFlip().rows(replace(problem, n_poison=len(m)))
    made = RowState if isinstance(W, RowLosses) else State
    penalty = np.full(problem.space.n_features, ALPHA)
    return made.trained(*moments(problem.train), rows, np.array(m, dtype=float), penalty, W)


def fresh_objective(problem: AttackProblem, W: Any, X: Any, y: Any) -> float:
    """W of scikit-learn's Ridge on the clean rows and these."""
    fitted = SklearnRidge(alpha=ALPHA, solver="svd").fit(
        np.vstack([problem.train.X, X]), np.append(problem.train.y, y)
    )
    return float(W.value(np.append(fitted.coef_, fitted.intercept_)))


def expanded(state: Any) -> tuple[Any, Any]:
    index = np.repeat(np.arange(len(state.m)), state.m.astype(int))
    return state.X[index], state.y[index]


@settings(max_examples=30, deadline=None)
@given(
    shape=st.fixed_dictionaries(SHAPES),
    m=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    margin=st.sampled_from([0.0, 0.5]),
)
def test_every_visit_gains_what_it_predicts(make_problem, shape, m, margin):
    problem = make_problem(Ridge(alpha=ALPHA), **shape)
    W = losses(problem, margin=margin)
    state = state_of(problem, W, m)
    moves = Moves.within(problem.space, (0.0, 0.5, 1.0))
    for c in (*range(len(m)), 0):
        before = state.W
        changed = row_sweep._visit(state, moves, c)
        assert before < state.W or (not changed and before == state.W)
        expected = fresh_objective(problem, W, *expanded(state))
        assert pytest.approx(expected, rel=1e-8, abs=1e-12) == state.W
        np.testing.assert_allclose(state.F, W.Z @ state.theta, atol=1e-8)
        assert problem.space.violations(state.X) == []


def test_a_visit_ends_where_no_single_change_helps(make_problem):
    problem = make_problem(Ridge(alpha=ALPHA), numeric=2, groups=(3, 2), all_zero=True)
    W = losses(problem)
    state = state_of(problem, W, [3, 3])
    row_sweep._visit(state, Moves.within(problem.space, (0.0, 1.0)), 0)
    reached, x = state.W, state.X[0].copy()
    for j, value, response in product(range(problem.space.n_features), (0.0, 1.0), (0.0, 1.0)):
        other = x.copy()
        for group in problem.space.choices:
            if j in group.columns:
                other[list(group.columns)] = 0.0
        other[j] = value
        state.X[0], state.y[0] = other, response
        assert fresh_objective(problem, W, *expanded(state)) <= reached * (1 + 1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_in_a_wide_enough_box_it_is_the_quadratic_ascent(make_problem, seed):
    problem = make_problem(Ridge(alpha=ALPHA), seed=seed, groups=(4, 3), all_zero=True)
    moves, everyone = Moves.within(problem.space, (0.0, 1.0)), np.arange(5)
    plain = state_of(problem, Validation().function(problem), [1, 2, 1, 1, 3])
    rows = state_of(problem, losses(problem, margin=1e6), [1, 2, 1, 1, 3])
    for _ in range(3):
        changed = quadratic_sweep.sweep(plain, moves, everyone)
        np.testing.assert_array_equal(row_sweep.sweep(rows, moves, everyone), changed)
    np.testing.assert_array_equal(rows.X, plain.X)
    np.testing.assert_array_equal(rows.y, plain.y)
    assert pytest.approx(plain.W, rel=1e-9) == rows.W


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("margin", "levels"), [(0.0, (0.0, 1.0)), (0.5, (0.0, 0.3, 1.0))])
def test_machine_code_gives_the_same_rows(make_problem, seed, margin, levels):
    compiled = pytest.importorskip(
        "poisonbench.attacks.engines.sweeps_compiled", reason="needs the extra 'fast'"
    )
    problem = make_problem(
        Ridge(alpha=ALPHA), seed=seed, numeric=4, groups=(4, 3, 3), all_zero=bool(seed % 2)
    )
    W, moves = losses(problem, margin=margin), Moves.within(problem.space, levels)
    states = [state_of(problem, W, [1] * 8 + [3]) for _ in range(2)]
    for visited in (np.arange(9), np.array([3, 1, 8]), np.arange(9), np.arange(9)):
        changed = [
            sweep(state, moves, visited)
            for sweep, state in zip((row_sweep.sweep, compiled.row_sweep), states, strict=True)
        ]
        np.testing.assert_array_equal(*changed)
    np.testing.assert_array_equal(states[0].X, states[1].X)
    np.testing.assert_array_equal(states[0].y, states[1].y)
    assert pytest.approx(states[0].W, rel=1e-10) == states[1].W
    for name in ("K", "R", "theta", "F"):
        values = [getattr(state, name) for state in states]
        np.testing.assert_allclose(*values, rtol=1e-7, atol=1e-9)


def test_any_row_losses_can_be_climbed(make_problem):
    problem = make_problem(Ridge(alpha=ALPHA))
    W = losses(problem, AbsoluteError)
    state = state_of(problem, W, [1, 1, 1])
    before = state.W
    assert len(climb.sweep(state, Moves.within(problem.space, (0.0, 1.0)), np.arange(3)))
    assert before < state.W
    assert pytest.approx(fresh_objective(problem, W, *expanded(state)), rel=1e-8) == state.W


def test_the_gradient_is_that_of_rows_inside_the_box(make_problem):
    problem = make_problem()
    validation, d = problem.validation, problem.space.n_features
    theta = np.append(np.linspace(-1.0, 2.0, d), 0.0)
    predicted = validation.X @ theta[:-1] + theta[-1]
    inside = (predicted > 0) & (predicted < 1)
    assert 0 < inside.sum() < len(inside)
    plain = Quadratic.mean_squared_error(
        Sample(validation.X[inside], validation.y[inside]), problem.model
    )
    expected = plain.gradient(theta) * inside.mean()
    np.testing.assert_allclose(losses(problem).gradient(theta), expected, atol=1e-12)
    assert not losses(problem).gradient(np.append(np.zeros(d), 7.0)).any()


@settings(max_examples=15, deadline=None)
@given(
    shape=st.fixed_dictionaries(SHAPES),
    objective=st.sampled_from(sorted(registry.components("outer_objective"))),
    preset=st.sampled_from(["fast", "standard"]),
)
def test_what_is_reported_is_the_objective_of_a_fresh_fit(make_problem, shape, objective, preset):
    problem = make_problem(Ridge(alpha=ALPHA), n_validation=12, n_poison=5, **shape)
    W = registry.components("outer_objective")[objective]().function(problem)
    poison = Coordinate(outer_objective=objective, preset=preset).generate(problem)
    start = BFlip().rows(problem)
    near = {"rel": 1e-8, "abs": 1e-12}
    assert poison.objective_initial == pytest.approx(
        fresh_objective(problem, W, start.X, start.y), **near
    )
    assert poison.objective_final == pytest.approx(
        fresh_objective(problem, W, poison.X, poison.y), **near
    )
    assert poison.trace[0] == pytest.approx(poison.objective_initial, **near)
    assert poison.trace[-1] == pytest.approx(poison.objective_final, **near)
    assert poison.objective_final >= poison.objective_initial
    assert len(poison.trace) == poison.rounds + 1
    assert problem.space.violations(poison.X) == []


@pytest.mark.parametrize(
    "model", [OLS(), Ridge(alpha=0.1), Lasso(lam=1e-3), ElasticNet(lam=1e-3)]
)  # fmt: skip
@pytest.mark.parametrize("side", [0.0, 1.0])
def test_it_pulls_the_predictions_of_every_learner_to_the_far_side(make_problem, model, side):
    problem = make_problem(model, n=60, n_validation=40, groups=(12, 10), n_poison=12)
    parts = (problem.train, problem.validation)
    train, validation = (Sample(part.X, (1 - side + part.y) / 2) for part in parts)
    problem = replace(problem, train=train, validation=validation)
    poison = Coordinate(outer_objective="clipped").generate(problem)
    fitted = type(model)(**model.get_params()).fit(
        np.vstack([train.X, poison.X]), np.append(train.y, poison.y)
    )
    errors = metrics.errors(validation.y, fitted.predict(validation.X))
    assert poison.objective_final == pytest.approx(errors["test_mse_clipped"], rel=1e-6)
    assert poison.objective_final > 3 * poison.objective_initial
    assert abs(poison.y.mean() - side) < 0.2


def test_more_search_never_ends_lower(make_problem):
    problem = make_problem(Ridge(alpha=ALPHA), numeric=4, groups=(4, 3), n_poison=8)
    W = {
        name: Coordinate(outer_objective="clipped", **parameters).generate(problem).objective_final
        for name, parameters in {
            "standard": {},
            "restarts": {"restarts": 3},
            "perturbations": {"perturbations": 4},
            "warm": {"warm_start": "optp"},
        }.items()
    }
    assert W["restarts"] >= W["standard"]
    assert W["perturbations"] >= W["standard"]
    optp = OptP(outer_objective="clipped").generate(problem)
    assert optp.objective_final > optp.objective_initial
    assert W["warm"] >= optp.objective_final


@pytest.mark.parametrize("objective", ["validation", "training"])
def test_the_trace_never_falls_where_nothing_else_is_climbed(make_problem, objective):
    poison = Coordinate(outer_objective=objective, anneal=()).generate(make_problem(numeric=6))
    assert list(poison.trace) == sorted(poison.trace)
    assert len(poison.trace) > 2


def test_kappa_is_not_reported(make_problem):
    problem = make_problem(Ridge(alpha=ALPHA), groups=(4, 3))
    poison = Coordinate(kappa=5.0).generate(problem)
    W = Validation().function(problem)
    expected = fresh_objective(problem, W, poison.X, poison.y)
    assert poison.objective_final == pytest.approx(expected, rel=1e-8)
    assert poison.trace[-1] == pytest.approx(expected, rel=1e-8)


def test_kappa_needs_a_quadratic(bench):
    attack = {"name": "coordinate", "kappa": 0.1}
    config = {"dataset": "diabetes", "attack": attack, "outer_objective": "clipped"}
    result = bench.invoke({**config, "poisoning_rate": 0.1}, code=2)
    assert "x.yaml:" in result.stderr
    assert "kappa is 0.1" in result.stderr
    assert "expected 0 with clipped" in result.stderr
    assert not (bench.folder / "results").exists()


def test_large_data_are_not_copied(make_problem):
    problem = make_problem(Ridge(alpha=ALPHA), n=20_000, n_validation=5_000, n_poison=3_000)
    data = problem.train.X.nbytes + problem.validation.X.nbytes
    attack = Coordinate(preset="fast", max_distinct=4)
    attack.generate(problem)  # machine code is compiled, or loaded
    tracemalloc.start()
    try:
        poison = attack.generate(problem)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - poison.X.nbytes < 0.5 * data
