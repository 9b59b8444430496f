"""Theorem 2 on problems small enough to enumerate."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.certificates.theorem2 import Certificate, certificate
from poisonbench.models import OLS, Lasso, Ridge


def enumerated(model: Any, X: Any, y: Any, h: int) -> list[tuple[float, Any, Any]]:
    """Return objective, fit and rows of every set of h rows."""
    found = []
    for rows in map(list, itertools.combinations(range(len(y)), h)):
        fitted = type(model)(**model.get_params()).fit(X[rows], y[rows])
        found.append((fitted.objective(X[rows], y[rows]), fitted, np.isin(np.arange(len(y)), rows)))
    return found


def certified(fitted: Any, X: Any, y: Any, kept: Any, is_poison: Any) -> Certificate:
    clean = type(fitted)(**fitted.get_params()).fit(X[~is_poison], y[~is_poison])
    found = certificate(
        (fitted.predict(X) - y) ** 2,
        kept,
        is_poison,
        fitted.lambda_for(int(kept.sum())) * fitted.penalty(fitted.coef_),
        clean.objective(X[~is_poison], y[~is_poison]),
    )
    assert found is not None
    return found


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 5),  # more than an OLS of two features can fit exactly
    p=st.integers(1, 2),
    d=st.integers(1, 2),
    model=st.sampled_from([Ridge(0.02), Ridge(alpha=0.3), Lasso(0.02), OLS()]),
    copies=st.booleans(),
)
def test_the_global_minimum_keeps_the_bounds(seed, n, p, d, model, copies):
    rng = np.random.default_rng(seed)
    X, y = rng.random((n + p, d)), rng.random(n + p)
    if copies:  # cheap to fit: the minimum keeps poison
        X[n:], y[n:] = X[:1], 1.0
    is_poison = np.arange(n + p) >= n
    fits = enumerated(model, X, y, n)
    _, fitted, kept = min(fits, key=lambda entry: entry[0])
    found = certified(fitted, X, y, kept, is_poison)
    assert found.bound_condition is not None
    assert found.bound_condition <= 1 + 1e-9
    assert found.bound_lhs <= found.bound_sharp * (1 + 1e-9) + 1e-12
    assert found.bound_sharp <= found.bound_theorem2 + 1e-12
    alpha = p / n
    clean = found.bound_theorem2 * (1 - alpha)  # L(D_tr, theta*)
    assert found.bound_theorem2 == pytest.approx((1 + alpha / (1 - alpha)) * clean)
    # Any other set is certified exactly as far as its own objective goes.
    for _, other, rows in fits:
        one = certified(other, X, y, rows, is_poison)
        if one.bound_condition is not None and one.bound_condition <= 1:
            assert one.bound_lhs <= one.bound_sharp * (1 + 1e-9) + 1e-12


def test_a_local_minimum_can_break_the_bound_and_says_so():
    broken = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, y = rng.random((6, 1)), rng.random(6)
        y[:4] = 0.5 + 0.01 * rng.standard_normal(4)
        is_poison = np.arange(6) >= 4
        for _, fitted, kept in enumerated(Ridge(0.01), X, y, 4):
            found = certified(fitted, X, y, kept, is_poison)
            assert found.bound_condition is not None
            if found.bound_lhs > found.bound_sharp:
                broken += 1
                assert found.bound_condition > 1
    assert broken > 0


def test_by_hand():
    squared = np.array([1.0, 4.0, 9.0, 100.0, 16.0])
    kept = np.array([True, True, True, False, True])
    is_poison = np.array([False, False, False, False, True])
    found = certificate(squared, kept, is_poison, 0.5, 10.0)
    assert found == Certificate(
        bound_lhs=14 / 3,  # three of the four rows kept are clean, and these three must be
        bound_sharp=4 / 3 * 9.5,
        bound_theorem2=4 / 3 * 10.0,
        bound_condition=8.0 / 10,
    )
    # More rows are clean than must be: the worst of them count.
    some = certificate(squared, kept, np.array([False, False, False, True, False]), 0.5, 10.0)
    assert some is not None
    assert some.bound_lhs == pytest.approx((16 + 9 + 4) / 3)


def test_no_row_need_be_clean():
    kept = np.array([True, False, False])
    assert certificate(np.ones(3), kept, np.array([False, True, False]), 0.0, 1.0) is None


def test_rounding_does_not_break_the_condition():
    squared = np.array([0.1, 0.2, 0.3])
    kept, is_poison = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    clean_objective = float(np.float64((0.3 + 0.2 + 0.1) / 3 + 0.01) * (1 - 4e-16))
    assert squared.mean() + 0.01 > clean_objective
    found = certificate(squared, kept, is_poison, 0.01, clean_objective)
    assert found is not None
    assert found.bound_condition == 1
    worse = certificate(squared * (1 + 1e-9), kept, is_poison, 0.01, clean_objective)
    assert worse is not None
    assert worse.bound_condition is not None
    assert worse.bound_condition > 1


def test_clean_rows_that_are_fitted_exactly_have_no_ratio():
    found = certificate(np.zeros(3), np.ones(3, dtype=bool), np.zeros(3, dtype=bool), 0.0, 0.0)
    assert found == Certificate(0.0, 0.0, 0.0, None)
