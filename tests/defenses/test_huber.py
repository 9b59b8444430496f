"""Huber: what it minimises, its scale and its threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import (
    HuberRegressor,
)
from sklearn.linear_model import Lasso as SklearnLasso

from poisonbench.defenses import (
    HuberDefense,
)
from poisonbench.defenses.huber import huber_scale
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]


@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize("epsilon", [1.1, 1.35, 2.0])
def test_huber_with_ridge_is_scikit_learns(noisy: Rows, alpha: float, epsilon: float) -> None:
    X, y, _ = noisy(200, 5)
    ours = HuberDefense(Ridge(alpha=alpha), epsilon=epsilon, tol=1e-9, max_iter=5000).fit(X, y)
    theirs = HuberRegressor(
        epsilon=epsilon, alpha=alpha / ours.scale_, max_iter=5000, tol=1e-9
    ).fit(X, y)
    assert ours.scale_ == pytest.approx(theirs.scale_, rel=1e-3)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-4)


def test_huber_with_ols_is_scikit_learns(noisy: Rows) -> None:
    X, y, _ = noisy(200, 5)
    ours = HuberDefense(OLS(), epsilon=1.35, tol=1e-9, max_iter=5000).fit(X, y)
    theirs = HuberRegressor(epsilon=1.35, alpha=0.0, max_iter=5000, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-2), Lasso(1e-2), ElasticNet(1e-2)], ids=str)
def test_huber_with_a_large_threshold_is_the_learner(noisy: Rows, model: Any) -> None:
    X, y, _ = noisy(100, 5)
    huber = HuberDefense(model, epsilon=1e6).fit(X, y)
    np.testing.assert_allclose(huber.coef_, model.fit(X, y).coef_, atol=1e-6)


def test_huber_says_what_came_of_its_iteration(noisy: Rows) -> None:
    X, y, _ = noisy(100, 5)
    assert HuberDefense(epsilon=1.35).fit(X, y).note_ is None
    short = HuberDefense(epsilon=1.35, max_iter=2, tol=1e-12).fit(X, y)
    assert short.note_ == "not converged after 2 rounds of reweighting"
    assert short.n_iter_ == 3
    for seed in range(20):  # in any order of rows, whatever is left of the residuals by rounding
        exact = HuberDefense(OLS(), epsilon=1.35, random_state=seed)
        exact.fit(np.eye(5), np.arange(5.0))
        assert exact.note_ == "scale 0: most rows are fitted exactly"


@pytest.mark.parametrize("model", [Lasso(0.02), ElasticNet(0.02, rho=0.4)], ids=str)
def test_huber_meets_the_optimality_conditions(noisy: Rows, model: Any) -> None:
    X, y, _ = noisy(150, 6)
    huber = HuberDefense(model, epsilon=1.35, tol=1e-9, max_iter=5000).fit(X, y)
    cut = huber.epsilon_ * huber.scale_
    pull = np.clip(y - huber.predict(X), -cut, cut)
    w, lam, rho = huber.coef_, model.lambda_for(150), model.l1_ratio()
    gradient = 2 * X.T @ pull / 150 - lam * (1 - rho) * w
    active = w != 0
    np.testing.assert_allclose(gradient[active], lam * rho * np.sign(w[active]), atol=1e-5)
    assert (np.abs(gradient[~active]) <= lam * rho + 1e-5).all()
    assert abs(pull.mean()) < 1e-5


def test_huber_agrees_for_learners_with_and_without_weights(noisy: Rows) -> None:
    X, y, _ = noisy(100, 5)
    ours, theirs = (
        HuberDefense(model, epsilon=1.35, tol=1e-8, max_iter=5000).fit(X, y)
        for model in (Lasso(alpha=1e-2), SklearnLasso(alpha=1e-2, tol=1e-10))
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@given(seed=st.integers(0, 1000), epsilon=st.floats(1.01, 4.0), scale=st.floats(1e-3, 1e3))
def test_the_scale_solves_its_equation(seed: int, epsilon: float, scale: float) -> None:
    residual = np.random.default_rng(seed).standard_t(2, 50) * scale
    s = huber_scale(residual, epsilon)
    assert np.mean(np.minimum((residual / s) ** 2, epsilon**2)) == pytest.approx(1.0)
    assert huber_scale(3 * residual, epsilon) == pytest.approx(3 * s)


def test_the_scale_of_an_exact_fit_is_zero() -> None:
    assert huber_scale(np.r_[np.zeros(30), np.ones(5)], 1.35) == 0.0
    assert huber_scale(np.zeros(10), np.inf) == 0.0


def test_huber_chooses_a_small_threshold_under_attack(noisy: Rows) -> None:
    X, y, mask = noisy(200, 5)
    attacked = HuberDefense(random_state=0).fit(X, y)
    assert attacked.epsilon_ == min(attacked.errors_, key=attacked.errors_.__getitem__)
    assert attacked.epsilon_ < 1.5
    clean = Ridge().fit(X[~mask], y[~mask])
    assert np.abs(attacked.coef_ - clean.coef_).max() < 0.15
    assert np.abs(Ridge().fit(X, y).coef_ - clean.coef_).max() > 0.15
