"""CRR: the paper's algorithm, written out a second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from poisonbench.defenses import (
    CRRDefense,
    TORRENTDefense,
)
from poisonbench.defenses.crr import smoother
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
MODELS = [OLS(), Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.4)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)
SEEDS = st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, p=st.integers(0, 12))
def test_crr_with_ols_is_the_papers_algorithm(shifted: Rows, seed: int, p: int) -> None:
    X, y, _ = shifted(40, 3, 8, seed)
    crr = CRRDefense(OLS(), n_poison=p, random_state=0).fit(X, y)
    Z = np.c_[X, np.ones(40)]
    P = Z @ np.linalg.pinv(Z)
    b = np.zeros(40)
    for _ in range(crr.n_iter_):
        b = P @ b + (np.eye(40) - P) @ y
        b[np.argsort(np.abs(b))[: 40 - p]] = 0.0
    np.testing.assert_allclose(crr.corruption_, b, atol=1e-8)
    theta = np.linalg.lstsq(Z, y - b)[0]
    np.testing.assert_allclose(np.r_[crr.coef_, crr.intercept_], theta, atol=1e-8)
    assert np.array_equal(crr.support_, b == 0)


@EVERY_MODEL
def test_crr_learners_predict_what_they_are_given(shifted: Rows, model: Any) -> None:
    X, y, _ = shifted(40, 50, 0)
    fitted_to = smoother(model, X, 1e-12)
    for responses in (y, y**2, y):
        expected = clone(model).fit(X, responses).predict(X)
        np.testing.assert_allclose(fitted_to(responses), expected, atol=1e-5)


@EVERY_MODEL
def test_crr_ends_where_corruptions_are_residuals(shifted: Rows, model: Any) -> None:
    X, y, mask = shifted(100, 4, 20)
    crr = CRRDefense(model, n_poison=20, tol=1e-12, max_iter=5000).fit(X, y)
    assert np.array_equal(crr.support_, ~mask)
    residual = y - crr.predict(X)
    np.testing.assert_allclose(crr.corruption_[mask], residual[mask], atol=1e-6)
    assert (crr.corruption_[~mask] == 0).all()


@pytest.mark.parametrize(
    ("defense", "unit"), [(CRRDefense, "iterations"), (TORRENTDefense, "gradient steps")]
)
def test_iterations_that_are_cut_short_are_told(shifted: Rows, defense: Any, unit: str) -> None:
    X, y, _ = shifted(100, 4, 20)
    assert defense(n_poison=20, max_iter=100_000).fit(X, y).note_ is None
    short = defense(n_poison=20, max_iter=2).fit(X, y)
    assert short.note_ == f"not converged after 2 {unit}"
    assert short.n_iter_ == 2


def test_crr_recovers_oblivious_corruptions_exactly(shifted: Rows) -> None:
    X, y, mask = shifted(200, 4, 30, noise=0.0)
    crr = CRRDefense(OLS(), n_poison=40, tol=1e-10).fit(X, y)
    clean = OLS().fit(X[~mask], y[~mask])
    np.testing.assert_allclose(crr.coef_, clean.coef_, atol=1e-6)


def test_crr_with_ols_changes_nothing_where_all_is_interpolated(shifted: Rows) -> None:
    X, y, _ = shifted(10, 20, 3)
    np.testing.assert_allclose(
        CRRDefense(OLS(), n_poison=3).fit(X, y).coef_, OLS().fit(X, y).coef_, atol=1e-9
    )
