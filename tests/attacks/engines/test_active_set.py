"""The active-set solver of the elastic net against coordinate descent and the KKT conditions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from poisonbench.attacks.engines.active_set import JITTER, solve_elastic_net

PROBLEMS = {
    "seed": st.integers(0, 100_000),
    "n": st.integers(2, 40),
    "d": st.integers(1, 12),
    "duplicates": st.integers(0, 4),
    "constants": st.integers(0, 2),
    "binary": st.booleans(),
    "share": st.sampled_from([1e-6, 1e-4, 1e-2, 0.3, 2.0]),  # of the penalty that empties w
    "rho": st.sampled_from([0.1, 0.5, 0.99, 1.0]),
}


def drawn(
    seed: int,
    n: int,
    d: int,
    duplicates: int,
    constants: int,
    binary: bool,
    share: float,
    rho: float,
) -> tuple[Any, Any, float, float]:
    """Return centred columns and responses, and the two penalties."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2, (n, d)).astype(float) if binary else rng.random((n, d))
    X = np.hstack([X, X[:, rng.integers(0, d, duplicates)], np.zeros((n, constants))])
    y = rng.random(n)
    X, y = X - X.mean(axis=0), y - y.mean()
    strength = share * max(float(np.abs(X.T @ y).max()), 1e-6)
    return X, y, rho * strength, (1 - rho) * strength


def value(X: Any, y: Any, l1: float, l2: float, w: Any) -> float:
    return float(((y - X @ w) ** 2).sum() / 2 + l1 * np.abs(w).sum() + l2 / 2 * (w @ w))


def check_optimal(X: Any, y: Any, l1: float, l2: float, w: Any) -> None:
    """Assert that 0 is a subgradient at `w`, of the problem with the solver's jitter."""
    slope = X.T @ (X @ w - y) + (l2 + JITTER * max((X**2).sum(axis=0).max(), 1.0)) * w
    slack = 1e-8 * max(l1, float(np.abs(X.T @ y).max()), 1e-12)
    assert np.all(np.abs(slope) <= l1 + slack)
    moving = w != 0
    np.testing.assert_allclose(slope[moving], -l1 * np.sign(w[moving]), rtol=0, atol=slack)


@settings(max_examples=200, deadline=None)
@given(**PROBLEMS)
@example(seed=5, n=3, d=5, duplicates=0, constants=0, binary=False, share=1e-4, rho=1.0)
@example(seed=0, n=3, d=6, duplicates=0, constants=2, binary=False, share=1e-6, rho=1.0)
@example(seed=0, n=2, d=1, duplicates=0, constants=0, binary=True, share=1e-6, rho=1.0)
def test_cold_and_warm_starts_end_at_the_minimum(**problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    G, b, d = X.T @ X, X.T @ y, X.shape[1]
    cold = solve_elastic_net(G, b, l1, l2, np.zeros(d))
    check_optimal(X, y, l1, l2, cold.w)
    rng = np.random.default_rng(problem["seed"])
    far = rng.standard_normal(d) * (rng.random(d) < 0.7)
    near = cold.w * rng.uniform(0.9, 1.1, d)
    for start in (far, near, cold.w):
        before = start.copy()
        warm = solve_elastic_net(G, b, l1, l2, start)
        assert np.array_equal(start, before)
        check_optimal(X, y, l1, l2, warm.w)
        difference = value(X, y, l1, l2, warm.w) - value(X, y, l1, l2, cold.w)
        assert abs(difference) <= 1e-9 * float(y @ y)


@settings(max_examples=100, deadline=None)
@given(**(PROBLEMS | {"share": st.sampled_from([1e-2, 0.1, 0.5, 2.0])}))
def test_the_objective_is_that_of_scikit_learn(**problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    n = len(y)
    alpha = (l1 + l2) / n
    theirs = ElasticNet(
        alpha=alpha, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-11, max_iter=20_000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # copies of a column are slow
        theirs.fit(X, y)
    ours = solve_elastic_net(X.T @ X, X.T @ y, l1, l2, np.zeros(X.shape[1]))
    difference = value(X, y, l1, l2, ours.w) - value(X, y, l1, l2, theirs.coef_)
    limit = 1e-9 * float(y @ y)
    assert difference <= limit
    assert difference >= -limit or theirs.n_iter_ == theirs.max_iter


@settings(max_examples=50, deadline=None)
@given(**PROBLEMS)
def test_what_else_it_returns(**problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    found = solve_elastic_net(X.T @ X, X.T @ y, l1, l2, np.zeros(X.shape[1]))
    A = found.active
    assert sorted(A) == np.flatnonzero(found.w).tolist()
    ridge = l2 + JITTER * float((X**2).sum(axis=0).max(initial=1.0))
    block = X[:, A].T @ X[:, A] + ridge * np.eye(len(A))
    if len(A) and np.linalg.cond(block) < 1e6:
        np.testing.assert_allclose(found.inverse @ block, np.eye(len(A)), atol=1e-4)


def test_a_penalty_that_empties_the_model() -> None:
    X, y, l1, l2 = drawn(0, 20, 5, 0, 0, False, 1.0001, 1.0)
    found = solve_elastic_net(X.T @ X, X.T @ y, l1, l2, np.ones(5))
    assert found.w.tolist() == [0] * 5
    assert found.active.size == 0
    assert found.inverse.shape == (0, 0)


def test_no_columns() -> None:
    assert solve_elastic_net(np.empty((0, 0)), np.empty(0), 0.1, 0.1, np.empty(0)).w.size == 0
