"""Reweighting on many rows: when the sample is refused, and when the iteration is given up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poisonbench.defenses.engines.many_rows import ManyRows, UnlikeSampleError


def rows(n: int = 4000) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.random((n, 3))
    return X, 0.2 + X @ [0.3, -0.2, 0.1] + 0.02 * rng.standard_normal(n)


def all_kept(residual: Any) -> Any:
    return np.ones(len(residual))


def test_with_equal_weights_the_end_is_ridge_regression():
    X, y = rows()
    D = np.array([5.0, 0.1, 20.0])
    fit = ManyRows(X, y, D, all_kept, X[:1000], y[:1000], np.ones(1000))
    residual, n_iter, converged = fit.reweighted(1e-9, 30)
    centred = X - X.mean(axis=0)
    coef = np.linalg.solve(centred.T @ centred + np.diag(D), centred.T @ y)
    assert converged
    assert n_iter <= 4  # M is exact up to single precision
    assert np.allclose(residual, y - y.mean() - centred @ coef, atol=1e-8)


@pytest.mark.parametrize("share", [0.0, 0.3, 3.0])
def test_a_sample_in_which_a_column_varies_otherwise_is_refused(share):
    X, y = rows()
    few = X[:1000].copy()
    few[:, 1] = 0.5 + share * (few[:, 1] - 0.5)
    with pytest.raises(UnlikeSampleError, match="does not represent"):
        ManyRows(X, y, np.full(3, 0.1), all_kept, few, y[:1000], np.ones(1000))


def test_a_sample_without_weight_is_refused():
    X, y = rows()
    with pytest.raises(UnlikeSampleError, match="singular"):
        ManyRows(X, y, np.zeros(3), all_kept, X[:1000], y[:1000], np.zeros(1000))


def test_the_iteration_is_given_up_if_weights_grow():
    X, y = rows()
    weight = 0.3

    def growing(residual: Any) -> Any:
        return np.full(len(residual), weight)

    fit = ManyRows(X, y, np.full(3, 0.1), growing, X[:1000], y[:1000], np.full(1000, 0.3))
    weight = 1.0
    _, n_iter, converged = fit.reweighted(1e-9, 30)
    assert not converged
    assert n_iter < 5
