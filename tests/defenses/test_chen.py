"""Robust thresholding: trimmed inner products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.defenses import (
    ChenDefense,
)
from poisonbench.defenses.chen import trimmed_sums

Rows = Callable[..., tuple[Any, Any, Any]]


@given(seed=st.integers(0, 1000), dropped=st.integers(0, 9))
def test_trimmed_sums_drop_the_largest(seed: int, dropped: int) -> None:
    terms = np.random.default_rng(seed).standard_normal((10, 3))
    expected = [sum(sorted(column, key=abs)[: 10 - dropped]) for column in terms.T]
    np.testing.assert_allclose(trimmed_sums(terms, dropped), expected, atol=1e-12)


def test_chen_without_poison_is_marginal_regression() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 6))
    w = np.array([3.0, 0.0, -2.0, 0.0, 0.0, 0.0])
    chen = ChenDefense(n_poison=0, random_state=0).fit(X, X @ w + 5)
    assert chen.n_nonzero_ == 2
    np.testing.assert_allclose(chen.coef_, w, atol=0.3)
    assert chen.intercept_ == pytest.approx(5, abs=0.2)


def test_chen_resists_rows_as_large_as_they_like() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = X @ np.array([3.0, 0.0, 0.0, 0.0])
    X[:20, 2], y[:20] = 1e6, 1e6
    chen = ChenDefense(n_poison=20, random_state=0).fit(X, y)
    assert chen.n_nonzero_ == 1
    assert 2.5 < chen.coef_[0] < 4.5  # the norm loses its largest terms, the product poison
    assert chen.coef_[2] == 0


def test_chen_leaves_out_columns_that_rest_on_p_rows(noisy: Rows) -> None:
    X, y, _ = noisy(100, 2)
    X = np.column_stack([X, np.arange(100) < 10])
    for n_poison, excluded in ((9, False), (10, True)):
        chen = ChenDefense(n_poison=n_poison, n_nonzero=3).fit(X, y)
        assert (chen.coef_[2] == 0) == excluded


def test_chen_keeps_as_many_weights_as_told(noisy: Rows) -> None:
    X, y, _ = noisy(100, 5)
    for k in (0, 2, 9):
        chen = ChenDefense(n_nonzero=k).fit(X, y)
        assert (chen.coef_ != 0).sum() == min(k, 5) == chen.n_nonzero_
    assert np.median(y) == ChenDefense(n_nonzero=0).fit(X, y).intercept_
