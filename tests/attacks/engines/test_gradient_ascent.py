"""Outer objectives and hypergradients against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as SklearnElasticNet

from poisonbench import registry
from poisonbench.attacks import OptP
from poisonbench.attacks.engines.functions import Quadratic
from poisonbench.attacks.engines.retraining import retraining
from poisonbench.attacks.initialization import InvFlip
from poisonbench.attacks.objectives import PredictionShift, Training, Validation
from poisonbench.models import OLS, ElasticNet, Lasso, LinearModel, Ridge
from poisonbench.problem import AttackProblem, Sample

MODELS = {
    "ols": OLS(),
    "ridge": Ridge(0.02),
    "ridge, strong": Ridge(alpha=3.0),
    "lasso": Lasso(0.008),
    "elastic-net": ElasticNet(0.02),
    "elastic-net, mostly l1": ElasticNet(0.01, rho=0.9),
}
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
OBJECTIVES = registry.components("outer_objective")
EVERY_OBJECTIVE = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
STEP = 1e-5
Make = Callable[..., AttackProblem]


def solved(model: LinearModel, X: Any, y: Any, active: Any, sign: Any) -> Any:
    """Return theta from the optimality conditions on a given active set, and assert them.

    Independent of the solvers under test: dense equations with an explicit intercept.
    """
    n, d = X.shape
    lam, rho = model.lambda_for(n), model.l1_ratio()
    Z = np.column_stack([X[:, active], np.ones(n)])
    k = len(active)
    H = 2 / n * Z.T @ Z + lam * (1 - rho) * np.diag(np.append(np.ones(k), 0))
    solution = np.linalg.solve(H, 2 / n * Z.T @ y - lam * rho * np.append(sign, 0))
    theta = np.zeros(d + 1)
    theta[active], theta[-1] = solution[:-1], solution[-1]
    slope = 2 / n * X.T @ (X @ theta[:-1] + theta[-1] - y)
    if rho:
        others = np.setdiff1d(np.arange(d), active)
        assert np.array_equal(np.sign(theta[active]), sign), "a weight changed its sign"
        assert np.all(np.abs(slope[others]) < lam * rho), "a weight became active"
    return theta


def active_set(model: LinearModel, X: Any, y: Any) -> tuple[Any, Any]:
    """Return the active weights and their signs, from scikit-learn."""
    d = X.shape[1]
    if not model.l1_ratio():
        return np.arange(d), np.zeros(d)
    fitted = SklearnElasticNet(
        alpha=model.alpha_for(len(y)), l1_ratio=model.l1_ratio(), tol=1e-13, max_iter=1_000_000
    ).fit(X, y)
    active = np.flatnonzero(fitted.coef_)
    assert 0 < len(active) < d, "the case should have both kinds of weights"
    return active, np.sign(fitted.coef_[active])


def definition(name: str, problem: AttackProblem, theta: Any) -> float:
    """Return W(theta) from its formula."""
    model, w, b = problem.model, theta[:-1], theta[-1]
    train, validation = problem.train, problem.validation
    if name == "training":
        lam = model.lambda_for(len(train) + problem.n_poison)
        return float(np.mean((train.X @ w + b - train.y) ** 2)) + lam * model.penalty(w)
    if name == "validation":
        return float(np.mean((validation.X @ w + b - validation.y) ** 2))
    if name == "clipped":
        clipped = np.minimum(np.maximum(validation.X @ w + b, 0.0), 1.0)
        return float(np.mean((clipped - validation.y) ** 2))
    assert name == "prediction-shift", f"no formula for '{name}' in this test"
    return float(np.mean((train.X @ w + b - model.predict(train.X)) ** 2))


@EVERY_MODEL
@EVERY_OBJECTIVE
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_objective_is_its_formula(
    make_problem: Make, model: LinearModel, objective: Any, seed: int
) -> None:
    problem = make_problem(model, seed=seed, all_zero=True)
    thetas = np.random.default_rng(seed).standard_normal((4, problem.space.n_features + 1))
    W = objective().function(problem)
    expected = [definition(objective.name, problem, theta) for theta in thetas]
    np.testing.assert_allclose(W.values(thetas), expected, rtol=1e-10)
    np.testing.assert_allclose([W.value(theta) for theta in thetas], expected, rtol=1e-10)
    for theta in thetas:
        # At a kink a difference quotient is no slope.
        assume(np.abs(theta[:-1]).min() > 10 * STEP)
        if objective.name == "clipped":
            predicted = problem.validation.X @ theta[:-1] + theta[-1]
            assume(np.abs(predicted[:, None] - [0.0, 1.0]).min() > 10 * STEP)
        step = STEP * np.eye(len(theta))
        numeric = [(W.value(theta + e) - W.value(theta - e)) / (2 * STEP) for e in step]
        np.testing.assert_allclose(W.gradient(theta), numeric, rtol=1e-6, atol=1e-7)


@EVERY_MODEL
@EVERY_OBJECTIVE
@pytest.mark.parametrize("seed", [3, 4])
def test_the_hypergradient_is_the_slope_of_true_retraining(
    make_problem: Make, model: LinearModel, objective: Any, seed: int
) -> None:
    problem = make_problem(model, n=60, numeric=6, groups=(3,), all_zero=True, seed=seed)
    W = objective().function(problem)
    start = InvFlip().rows(problem)
    X = np.vstack([problem.train.X, start.X])
    y = np.append(problem.train.y, start.y)
    active, sign = active_set(model, X, y)
    learner = retraining(model, problem.train, start)
    np.testing.assert_allclose(learner.theta, solved(model, X, y, active, sign), atol=1e-9)
    n, d = len(problem.train), X.shape[1]

    def retrained(c: int, j: int, step: float) -> float:
        """Return W after a step of coordinate j of poison row c; j = d is the response."""
        moved, responses = X.copy(), y.copy()
        if j < d:
            moved[n + c, j] += step
        else:
            responses[n + c] += step
        theta = solved(model, moved, responses, active, sign)
        return definition(objective.name, problem, theta)

    for c in range(problem.n_poison):
        dx, dy = learner.hypergradient(c, W.gradient(learner.theta))
        numeric = np.array(
            [(retrained(c, j, STEP) - retrained(c, j, -STEP)) / (2 * STEP) for j in range(d + 1)]
        )
        assert dx.shape == (d,)
        assert np.linalg.norm(dx - numeric[:d]) < 1e-5 * np.linalg.norm(numeric[:d])
        assert abs(dy - numeric[d]) < 1e-5 * abs(numeric[d]) + 1e-12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_ols_loses_what_its_predictions_shift(make_problem: Make, seed: int) -> None:
    problem = make_problem(OLS(), numeric=4, groups=(), seed=seed)
    rng = np.random.default_rng(seed)
    theta_0 = np.append(problem.model.coef_, problem.model.intercept_)
    theta = theta_0 + rng.standard_normal(len(theta_0))
    error = Training().function(problem)
    shift = PredictionShift().function(problem)
    assert shift.value(theta_0) == pytest.approx(0, abs=1e-12)
    assert error.value(theta) == pytest.approx(error.value(theta_0) + shift.value(theta), rel=1e-10)


def test_only_the_training_objective_has_a_penalty_and_only_validation_needs_its_rows(
    make_problem: Make,
) -> None:
    problem = make_problem(Ridge(alpha=0.3), n=40, n_poison=10)
    gammas = {cls: cls().function(problem).gamma for cls in (Training, Validation, PredictionShift)}
    # The lambda of the fit on all n + p rows.
    assert gammas == {Training: pytest.approx(2 * 0.3 / 50), Validation: 0, PredictionShift: 0}
    assert [cls.needs_validation for cls in gammas] == [False, True, False]


def test_the_attacker_has_no_test_rows() -> None:
    assert {field.name for field in fields(AttackProblem)} == {
        "train", "validation", "model", "space", "target", "scaling", "n_poison", "entropy",
    }  # fmt: skip


def test_a_mean_squared_error_is_one() -> None:
    rng = np.random.default_rng(0)
    sample = Sample(rng.random((7, 2)), rng.random(7))
    W = Quadratic.mean_squared_error(sample, OLS())
    theta = np.array([0.3, -1.0, 0.2])
    predicted = sample.X @ theta[:-1] + theta[-1]
    assert W.value(theta) == pytest.approx(np.mean((predicted - sample.y) ** 2))


def test_the_climb_ends_with_the_first_round_that_gains_little(make_problem: Make) -> None:
    """A gain of at most half of W ends it, which comes before W stops rising altogether."""
    problem = make_problem(n_poison=4)
    long = OptP(iterations=15, tol=1e-9).generate(problem).trace
    gains = np.diff(long) / long[:-1]
    expected = 1 + int(np.flatnonzero(gains <= 0.5)[0])
    assert expected < len(gains)
    assert OptP(iterations=15, tol=0.5).generate(problem).trace == long[: expected + 1]
