"""Second moments: each row is read once, and single precision is used only where that is proved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.attacks.engines import functions
from poisonbench.attacks.engines.functions import LARGEST_ERROR, fast_moments, moments
from poisonbench.problem import Sample


def rows(n: int, d: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(rng.random((n, d)), rng.random(n))


def expected(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The moments in extended precision, which is accurate to 1e-19 a sum."""
    Z = np.column_stack([sample.X, np.ones(len(sample))]).astype(np.longdouble)
    return Z.T @ Z, Z.T @ sample.y.astype(np.longdouble)


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    """The least eps with -eps S <= found - exact <= eps S, for the positive definite S = exact."""
    whitened = np.linalg.inv(np.linalg.cholesky(exact.astype(float)))
    error = whitened @ (found - exact).astype(float) @ whitened.T
    return float(np.abs(np.linalg.eigvalsh(error)).max())


@given(st.integers(0, 5000), st.integers(1, 6), st.integers(0, 99))
def test_moments_are_sums_over_the_rows(n, d, seed):
    sample = rows(n, d, seed)
    gram, moment = moments(sample)
    exact_gram, exact_moment = expected(sample)
    assert np.allclose(gram, exact_gram.astype(float), rtol=1e-13, atol=1e-13)
    assert np.allclose(moment, exact_moment.astype(float), rtol=1e-13, atol=1e-13)


def test_many_rows_are_summed_in_single_precision_with_the_error_that_is_promised(monkeypatch):
    monkeypatch.setattr(functions, "MANY_ROWS", 30_000)
    sample = rows(60_123, 12, 0)
    exact, exact_moment = expected(sample)
    gram, moment = fast_moments(sample)
    error = relative_error(gram, exact)
    assert 1e-12 < error < 1e-6 < LARGEST_ERROR  # single precision was used, and it is accurate
    assert np.array_equal(gram, gram.T)
    # The prediction of the least-squares model changes as little.
    theta, exact_theta = np.linalg.solve(gram, moment), np.linalg.solve(*map(
        np.ndarray.astype, (exact, exact_moment), (float, float)))  # fmt: skip
    assert np.abs(theta - exact_theta).max() < 1e-5


@pytest.mark.parametrize("spread", [1e-4, 0.0])
def test_nearly_collinear_columns_are_summed_in_double_precision(monkeypatch, spread):
    monkeypatch.setattr(functions, "MANY_ROWS", 30_000)
    sample = rows(40_000, 5, 1)
    X = sample.X.copy()
    X[:, 1] = np.clip(X[:, 0] + spread * (X[:, 1] - 0.5), 0, 1)
    sample = Sample(X, sample.y)
    for found, wanted in zip(fast_moments(sample), moments(sample), strict=True):
        assert np.array_equal(found, wanted)


def test_a_column_that_is_constant_after_the_first_rows_is_noticed(monkeypatch):
    monkeypatch.setattr(functions, "MANY_ROWS", 30_000)
    X = rows(250_000, 3, 2).X.copy()
    X[:25_000, 2] = 0.4 * X[:25_000, 2]
    X[25_000:, 2] = 0.2
    sample = Sample(X, X[:, 0])
    for first in (25_000, 22_000):  # after these rows, the error was still small
        monkeypatch.setattr(functions, "MANY_ROWS", first)
        start = Sample(X[:first], X[:first, 0])
        assert not np.array_equal(fast_moments(start)[0], moments(start)[0])
    for found, wanted in zip(fast_moments(sample), moments(sample), strict=True):
        assert np.array_equal(found, wanted)


def test_few_rows_are_summed_in_double_precision():
    sample = rows(3000, 4, 3)
    for found, wanted in zip(fast_moments(sample), moments(sample), strict=True):
        assert np.array_equal(found, wanted)
