"""Retraining by updates against training afresh, and the climb that is built on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import linear_model

from poisonbench import registry
from poisonbench.attacks.engines.functions import with_intercept
from poisonbench.attacks.engines.gradient_ascent import gradient_ascent
from poisonbench.attacks.engines.retraining import (
    ElasticNetRetraining,
    Retraining,
    RidgeRetraining,
    retraining,
)
from poisonbench.attacks.engines.surrogate import trained_value, working_alpha
from poisonbench.attacks.initialization import BFlip, InvFlip
from poisonbench.attacks.objectives import Training, Validation
from poisonbench.attacks.optp import OptP
from poisonbench.models import OLS, ElasticNet, Lasso, LinearModel, Ridge
from poisonbench.problem import AttackProblem, PoisonSet, Sample

Make = Callable[..., AttackProblem]
MODELS = {
    "ols": OLS(),
    "ridge": Ridge(alpha=0.1),
    "lasso": Lasso(0.002),
    "elastic-net": ElasticNet(0.004, rho=0.3),
}
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
OBJECTIVES = registry.components("outer_objective")


def deficient(train):
    """Whether a surrogate stands in for OLS on these rows."""
    return working_alpha(OLS(), train, len(train)) > 0


def fresh(model: LinearModel, problem: AttackProblem, poison: Sample | PoisonSet) -> Any:
    """Return theta of scikit-learn's own fit on the clean rows and `poison`."""
    X = np.vstack([problem.train.X, poison.X])
    y = np.append(problem.train.y, poison.y)
    alpha, exact = model.alpha_for(len(y)), {"tol": 1e-13, "max_iter": 1_000_000}
    if isinstance(model, OLS):
        fitted = linear_model.LinearRegression(tol=1e-6)
    elif isinstance(model, Ridge):
        fitted = linear_model.Ridge(alpha=alpha)
    else:
        fitted = linear_model.ElasticNet(alpha=alpha, l1_ratio=model.l1_ratio(), **exact)
    fitted.fit(X, y)
    return np.append(fitted.coef_, fitted.intercept_)


def present(learner: Retraining) -> Sample:
    return Sample(learner.Z[:, :-1].copy(), learner.y.copy())


def climb(problem: AttackProblem, objective: Any = None, **changes: Any) -> PoisonSet:
    given = {"variables": "xy", "iterations": 5, "tol": 1e-4} | changes
    return gradient_ascent(problem, BFlip().rows(problem), objective or Training(), **given)


@EVERY_MODEL
def test_hundreds_of_replacements_leave_it_exact(make_problem: Make, model: LinearModel) -> None:
    problem = make_problem(model, groups=(3, 4), all_zero=True, n_poison=9)
    learner = retraining(model, problem.train, BFlip().rows(problem))
    expected = RidgeRetraining if model.l1_ratio() == 0 else ElasticNetRetraining
    assert isinstance(learner, expected)
    rng = np.random.default_rng(0)
    for step in range(490):  # below REFIT_EVERY: nothing but updates
        row = problem.space.project(rng.random((1, problem.space.n_features)))
        learner.replace(step % 9, with_intercept(row)[0], float(rng.integers(0, 2)))
    theta = fresh(model, problem, present(learner))
    np.testing.assert_allclose(learner.theta, theta, rtol=0, atol=1e-8)


def test_the_inverse_is_computed_anew_now_and_then(
    make_problem: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(n_poison=2)
    refits = []
    refit = Retraining._refit
    monkeypatch.setattr(Retraining, "_refit", lambda learner: (refits.append(1), refit(learner))[1])
    monkeypatch.setattr(RidgeRetraining, "REFIT_EVERY", 10)
    learner = retraining(problem.model, problem.train, BFlip().rows(problem))
    for step in range(25):
        learner.replace(0, learner.Z[1], step / 25)
    assert len(refits) == 3  # the first, after 10, after 20


@EVERY_MODEL
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_improvement_is_one_after_true_retraining(
    make_problem: Make, model: LinearModel, seed: int
) -> None:
    problem = make_problem(model, groups=(3,), all_zero=True, seed=seed, entropy=seed)
    rng = np.random.default_rng(seed)
    W = Validation().function(problem)
    learner = retraining(model, problem.train, BFlip().rows(problem))
    before, rows = W.value(learner.theta), present(learner)
    for step in range(12):
        c = step % problem.n_poison
        candidates = problem.space.project(rng.random((5, problem.space.n_features)))
        responses = rng.integers(0, 2, 5).astype(float)
        improved = learner.improve(c, with_intercept(candidates), responses, W)
        after, now = W.value(learner.theta), present(learner)
        assert after == pytest.approx(W.value(fresh(model, problem, now)), rel=1e-8)
        moved = not (np.array_equal(now.X, rows.X) and np.array_equal(now.y, rows.y))
        if abs(after - before) > 1e-12 * before:
            assert improved == moved == (after > before)
        else:  # a candidate may be the row that is there, and gain by rounding
            assert improved or not moved
        if model.l1_ratio() == 0:  # then the best candidate is known exactly
            values = [
                W.value(fresh(model, problem, swapped(rows, c, x, y)))
                for x, y in zip(candidates, responses, strict=True)
            ]
            assert after == pytest.approx(max(before, *values), rel=1e-8)
        before, rows = after, now


@pytest.mark.parametrize("model", [MODELS["lasso"], MODELS["elastic-net"]], ids=repr)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_of_rows_that_change_the_weights_little_the_best_is_taken(
    make_problem: Make, model: LinearModel, seed: int
) -> None:
    # So little that the same weights stay zero: then the models of all candidates are foreseen
    # exactly.  The directions are different, so that another model to start from gives other ranks.
    problem = make_problem(model, seed=seed, entropy=seed)
    W = Validation().function(problem)
    learner = retraining(model, problem.train, BFlip().rows(problem))
    rows, theta = present(learner), learner.theta.copy()
    rng = np.random.default_rng(seed)
    X = np.clip(rows.X[0] + 1e-3 * rng.standard_normal((12, rows.X.shape[1])), 0, 1)
    y = np.clip(rows.y[0] + 1e-3 * rng.standard_normal(12), 0, 1)
    thetas = [fresh(model, problem, swapped(rows, 0, *each)) for each in zip(X, y, strict=True)]
    assume(all(np.array_equal(each != 0, theta != 0) for each in thetas))
    values = [W.value(each) for each in thetas]
    assume(max(values) > W.value(theta) * (1 + 1e-6))
    assert learner.improve(0, with_intercept(X), y, W)
    assert W.value(learner.theta) == pytest.approx(max(values), rel=1e-9)


def swapped(rows: Sample, c: int, x: Any, y: float) -> Sample:
    """Return `rows` with row c replaced."""
    X, responses = rows.X.copy(), rows.y.copy()
    X[c], responses[c] = x, y
    return Sample(X, responses)


SHAPES = {
    "seed": st.integers(0, 10_000),
    "n": st.integers(4, 30),
    "n_poison": st.integers(1, 8),
    "numeric": st.integers(1, 6),
    "duplicates": st.integers(0, 2),
    "constants": st.integers(0, 2),
    "groups": st.lists(st.integers(2, 4), max_size=3),
    "all_zero": st.booleans(),
}


@settings(max_examples=40, deadline=None)
@given(
    objective=st.sampled_from(list(OBJECTIVES.values())),
    variables=st.sampled_from(["x", "xy"]),
    strength=st.sampled_from([1e-4, 1e-2, 1.0]),
    shape=st.fixed_dictionaries(SHAPES),
)
def test_the_final_objective_is_that_of_a_fresh_fit(
    make_problem: Make, objective: Any, variables: str, strength: float, shape: Any
) -> None:
    problem = make_problem(Ridge(strength), n_validation=12, **shape)
    start = BFlip().rows(problem)
    W = objective().function(problem)
    made = climb(problem, objective(), variables=variables)
    assert made.objective_initial == pytest.approx(
        W.value(fresh(problem.model, problem, start)), rel=1e-8
    )
    assert made.objective_final == pytest.approx(
        W.value(fresh(problem.model, problem, made)), rel=1e-8, abs=1e-12
    )
    assert problem.space.violations(made.X) == []
    assert np.all((made.y >= 0) & (made.y <= 1))
    if variables == "x":
        assert np.array_equal(made.y, start.y)
    assert len(made.trace) == made.rounds + 1
    assert made.trace[0] == pytest.approx(made.objective_initial, rel=1e-8, abs=1e-12)
    assert made.trace[-1] == pytest.approx(made.objective_final, rel=1e-6, abs=1e-12)
    assert np.all(np.diff(made.trace) >= -1e-9)


@EVERY_MODEL
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("variables", ["x", "xy"])
def test_it_climbs(make_problem: Make, model: LinearModel, objective: Any, variables: str) -> None:
    problem = make_problem(model, numeric=6, groups=(3,), all_zero=True)
    made = climb(problem, objective(), variables=variables)
    assert made.objective_initial is not None
    assert made.objective_final is not None
    assert made.objective_final > 1.2 * made.objective_initial
    assert 1 <= made.rounds <= 5
    W = objective().function(problem)
    assert made.objective_final == pytest.approx(W.value(fresh(model, problem, made)), rel=1e-8)


@EVERY_MODEL
@pytest.mark.parametrize("initialization", [BFlip, InvFlip])
def test_no_iterations_return_the_initialization(
    make_problem: Make, model: LinearModel, initialization: Any
) -> None:
    problem = make_problem(model)
    start = initialization().rows(problem)
    made = OptP(initialization=initialization.name, iterations=0).generate(problem)
    assert np.array_equal(made.X, start.X)
    assert np.array_equal(made.y, start.y)
    assert made.objective_initial == made.objective_final
    assert made.rounds == 0
    assert len(made.trace) == 1


def test_it_stops_when_a_round_changes_little(make_problem: Make) -> None:
    problem = make_problem(numeric=6)
    patient, hasty = climb(problem, iterations=40, tol=0.0), climb(problem, iterations=40, tol=0.5)
    assert hasty.rounds < patient.rounds
    assert patient.trace[: len(hasty.trace)] == hasty.trace
    last, previous = hasty.trace[-1], hasty.trace[-2]
    assert abs(last - previous) <= 0.5 * previous


def test_more_rounds_do_not_lose(make_problem: Make) -> None:
    problem = make_problem(numeric=6)
    made = [climb(problem, iterations=rounds, tol=0.0) for rounds in range(5)]
    finals = [poison.objective_final or 0.0 for poison in made]
    assert finals == sorted(finals)


def test_no_rows_to_move(make_problem: Make) -> None:
    made = climb(make_problem(n_poison=0))
    assert made.X.shape == (0, 6)
    assert made.objective_initial == made.objective_final
    assert made.rounds == 0


def test_initial_rows_are_training_rows_with_flipped_responses(make_problem: Make) -> None:
    problem = make_problem(n=10, n_poison=25)
    inverted, binary = InvFlip().rows(problem), BFlip().rows(problem)
    assert np.array_equal(inverted.X, binary.X)
    which = [np.flatnonzero((x == problem.train.X).all(axis=1))[0] for x in inverted.X]
    assert sorted(which[:10]) == list(range(10))  # every row once before any twice
    assert which[10:20] == which[:10]
    np.testing.assert_array_equal(inverted.y, 1 - problem.train.y[which])
    np.testing.assert_array_equal(binary.y, np.round(1 - problem.train.y[which]))
    fewer = InvFlip().rows(make_problem(n=10, n_poison=4))
    assert np.array_equal(fewer.X, inverted.X[:4])


def test_flipped_responses_stay_in_the_box() -> None:
    outside = np.array([-0.3, 0.0, 0.4, 1.0, 1.7])
    assert InvFlip().responses(outside).tolist() == [1.0, 1.0, 0.6, 0.0, 0.0]
    assert BFlip().responses(outside).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(5, 25),
    constants=st.integers(0, 2),
    duplicates=st.integers(0, 1),
    objective=st.sampled_from(list(OBJECTIVES.values())),
)
def test_deficient_ols_is_never_made_better(
    make_problem: Make, seed: int, n: int, constants: int, duplicates: int, objective: Any
) -> None:
    problem = make_problem(
        OLS(), n=n, seed=seed, constants=constants, duplicates=duplicates, groups=(3, 2)
    )
    assert deficient(problem.train)  # exactly-one groups and the intercept
    start, made = BFlip().rows(problem), climb(problem, objective())
    W = objective().function(problem)
    constant = np.ptp(problem.train.X, axis=0) == 0
    assert constant.sum() >= constants
    assert np.array_equal(made.X[:, constant], start.X[:, constant])
    assert made.objective_initial is not None
    assert made.objective_final is not None
    assert made.objective_final >= made.objective_initial
    assert made.objective_final == pytest.approx(trained_value(problem, made, W), rel=1e-12)


@EVERY_MODEL
def test_the_final_objective_is_the_learners_where_minimisers_are_many(
    make_problem: Make, model: LinearModel
) -> None:
    # A copy of a column in training that is none in validation: LASSO may share the weight
    # between the two as it likes, and W depends on how.
    problem = make_problem(model, numeric=4, duplicates=1)
    X = problem.validation.X.copy()
    X[:, 4] = X[::-1, 4]
    problem = replace(problem, validation=Sample(X, problem.validation.y))
    made = climb(problem, Validation())
    W = Validation().function(problem)
    assert made.objective_initial is not None
    assert made.objective_final is not None
    assert made.objective_final == trained_value(problem, made, W)
    assert made.objective_final >= made.objective_initial


def test_rank(make_problem: Make) -> None:
    assert not deficient(make_problem(groups=()).train)
    assert not deficient(make_problem(groups=(3,), all_zero=True).train)
    assert deficient(make_problem(groups=(3,)).train)  # its ones add up to the intercept
    assert deficient(make_problem(groups=(), duplicates=1).train)
    assert deficient(make_problem(groups=(), constants=1).train)
    assert deficient(make_problem(groups=(), n=3, numeric=5).train)
