"""The active-set solver of the elastic net against coordinate descent and the KKT conditions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from poisonbench.models.engines import active_set
from poisonbench.models.engines.active_set import ActiveSet, solve_elastic_net

ENGINES = {"numpy": active_set}
try:
    from poisonbench.models.engines import active_set_compiled
except ImportError:
    pass
else:
    ENGINES["numba"] = active_set_compiled
EVERY_ENGINE = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)

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


def found(engine: Any, X: Any, y: Any, l1: Any, l2: Any, start: Any = None) -> ActiveSet:
    """Return where the engine ends from `start`, or from zero."""
    G, b, d = X.T @ X, X.T @ y, X.shape[1]
    first, second = np.full(d, l1) * 1.0, np.full(d, l2) * 1.0
    w = np.zeros(d) if start is None else start.copy()
    state = ActiveSet(w, np.zeros(d, dtype=np.intp), 0, np.empty((d, d)))
    engine.fill(G, first, second, state)
    engine.solve(G, b, first, second, state)
    return state


def check_optimal(X: Any, y: Any, l1: Any, l2: float, w: Any) -> None:
    """Assert that 0 is a subgradient at `w`."""
    slope = X.T @ (X @ w - y) + l2 * w
    slack = 1e-8 * max(np.max(l1), float(np.abs(X.T @ y).max()), 1e-12)
    assert np.all(np.abs(slope) <= l1 + slack)
    moving = w != 0
    pull = -l1 * np.sign(w)
    np.testing.assert_allclose(slope[moving], pull[moving], rtol=0, atol=slack)


@EVERY_ENGINE
@settings(max_examples=30, deadline=None)
@given(**PROBLEMS)
@example(seed=5, n=3, d=5, duplicates=0, constants=0, binary=False, share=1e-4, rho=1.0)
@example(seed=0, n=3, d=6, duplicates=0, constants=2, binary=False, share=1e-6, rho=1.0)
@example(seed=0, n=2, d=1, duplicates=0, constants=0, binary=True, share=1e-6, rho=1.0)
def test_cold_and_warm_starts_end_at_the_minimum(engine: Any, **problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    d = X.shape[1]
    cold = found(engine, X, y, l1, l2).w
    check_optimal(X, y, l1, l2, cold)
    rng = np.random.default_rng(problem["seed"])
    far = rng.standard_normal(d) * (rng.random(d) < 0.7)
    near = cold * rng.uniform(0.9, 1.1, d)
    for start in (far, near, cold):
        warm = found(engine, X, y, l1, l2, start).w
        check_optimal(X, y, l1, l2, warm)
        difference = value(X, y, l1, l2, warm) - value(X, y, l1, l2, cold)
        assert abs(difference) <= 1e-9 * float(y @ y)


@EVERY_ENGINE
@settings(max_examples=30, deadline=None)
@given(**(PROBLEMS | {"share": st.sampled_from([1e-2, 0.1, 0.3]), "rho": st.just(1.0)}))
def test_of_many_minimisers_it_is_the_same_from_everywhere(engine: Any, **problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    X = np.hstack([X, -X[:, ::2], X[:, :1] + X[:, -1:]])  # mirrored columns, and a sum
    d = X.shape[1]
    cold = found(engine, X, y, l1, l2).w
    rng = np.random.default_rng(problem["seed"])
    for kept in (0.3, 0.7, 1.0):
        start = rng.standard_normal(d) * (rng.random(d) < kept)
        np.testing.assert_allclose(found(engine, X, y, l1, l2, start).w, cold, rtol=0, atol=1e-7)


@EVERY_ENGINE
def test_of_equal_columns_the_first_gets_the_weight(engine: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.random((30, 3))[:, [0, 1, 1, 2, 1]]
    X[:, 4] *= -1
    y = X @ [1.0, 2.0, 0.0, 0.0, 0.0]
    X, y = X - X.mean(axis=0), y - y.mean()
    for start in (np.zeros(5), np.array([0.0, 0.0, 1.0, 0.0, -1.0])):
        w = found(engine, X, y, 0.05, 0.0, start).w
        assert w[1] > 1.5
        assert w[[2, 4]].tolist() == [0.0, 0.0]
    # Where two sums of columns are equal, the cheaper in sqrt(j + 1) wins.
    A = rng.integers(0, 2, (30, 3)).astype(float)
    X = np.column_stack([A[:, 0], A[:, 1], A[:, 2], A[:, 0] + A[:, 1] - A[:, 2]])
    y = X[:, 2] + X[:, 3]
    X, y = X - X.mean(axis=0), y - y.mean()
    for start in (np.zeros(4), np.array([0.0, 0.0, 1.0, 1.0])):
        w = found(engine, X, y, 0.05, 0.0, start).w
        assert np.all(w[:2] > 0.9)
        assert not (w[2] and w[3])


@EVERY_ENGINE
@settings(max_examples=30, deadline=None)
@given(**(PROBLEMS | {"share": st.sampled_from([1e-2, 0.1, 0.5, 2.0])}))
def test_the_objective_is_that_of_scikit_learn(engine: Any, **problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    n = len(y)
    alpha = (l1 + l2) / n
    theirs = ElasticNet(
        alpha=alpha, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-11, max_iter=20_000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # copies of a column are slow
        theirs.fit(X, y)
    ours = found(engine, X, y, l1, l2).w
    difference = value(X, y, l1, l2, ours) - value(X, y, l1, l2, theirs.coef_)
    limit = 1e-9 * float(y @ y)
    assert difference <= limit
    assert difference >= -limit or theirs.n_iter_ == theirs.max_iter


@EVERY_ENGINE
@settings(max_examples=25, deadline=None)
@given(**PROBLEMS)
def test_what_else_it_returns(engine: Any, **problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    state = found(engine, X, y, l1, l2)
    A = state.active
    assert sorted(A) == np.flatnonzero(state.w).tolist()
    block = X[:, A].T @ X[:, A] + l2 * np.eye(len(A))
    if len(A) and np.linalg.cond(block) < 1e6:
        np.testing.assert_allclose(state.inverse @ block, np.eye(len(A)), atol=1e-4)


@pytest.mark.skipif(len(ENGINES) < 2, reason="Numba is not installed")
@settings(max_examples=30, deadline=None)
@given(**(PROBLEMS | {"share": st.sampled_from([1e-4, 1e-2, 0.3])}))
def test_engines_agree(**problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    rng = np.random.default_rng(problem["seed"])
    start = rng.standard_normal(X.shape[1])
    one, other = (found(engine, X, y, l1, l2, start).w for engine in ENGINES.values())
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-7 * (1 + np.abs(one).max()))


@EVERY_ENGINE
@settings(max_examples=25, deadline=None)
@given(**(PROBLEMS | {"share": st.sampled_from([1e-2, 0.3])}))
def test_rows_that_join_and_leave(engine: Any, **problem: Any) -> None:
    X, y, l1, l2 = drawn(**problem)
    X, y = np.abs(X), np.abs(y)
    penalty = np.full(X.shape[1], l1)
    penalty[0] = 0.0  # as an intercept has none
    rng = np.random.default_rng(problem["seed"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active_set, "engine", lambda: engine)
        state = found(engine, X, y, penalty, l2)
        for _ in range(5):
            z = X[0] * rng.random(X.shape[1])
            state.add_row(z)
            state.remove_row(X[0], penalty)
            X, y = np.vstack([X[1:], z]), np.append(y[1:], rng.random())
            G, b, d = X.T @ X, X.T @ y, X.shape[1]
            second = np.full(d, l2)
            A = state.active
            block = G[np.ix_(A, A)] + l2 * np.eye(len(A))
            if len(A) and np.linalg.cond(block) < 1e5:
                np.testing.assert_allclose(state.inverse @ block, np.eye(len(A)), atol=1e-4)
            engine.solve(G, b, penalty, second, state)
            check_optimal(X, y, penalty, l2, state.w)


@EVERY_ENGINE
def test_a_search_that_has_lost_its_weights_ends_with_an_error(engine: Any) -> None:
    X, y, l1, _ = drawn(0, 30, 6, 0, 0, False, 1e-3, 1.0)
    state = found(engine, X, y, l1, 0.0)
    state.store[:] = np.nan
    with pytest.raises(ArithmeticError, match="did not end"):
        engine.solve(X.T @ X, X.T @ -y, np.full(6, l1), np.zeros(6), state)


@EVERY_ENGINE
@given(seed=st.integers(0, 10_000))
def test_a_row_is_exchanged_for_another_and_back(engine: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.random((6, 5)) * (rng.random((6, 5)) < 0.5)
    G = Z[:5].T @ Z[:5]
    start = G.copy()
    touched, before = engine.exchange(G, Z[5], Z[0])
    np.testing.assert_allclose(G, Z[1:].T @ Z[1:], rtol=0, atol=1e-14)
    G[touched] = before
    np.testing.assert_array_equal(G, start)


@EVERY_ENGINE
@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_an_outer_product_is_added_to_the_leading_block(engine: Any, k: int) -> None:
    rng = np.random.default_rng(k)
    K, v = rng.random((5, 5)), rng.random(k)
    expected = K.copy()
    expected[:k, :k] += 0.7 * np.outer(v, v)
    engine.add_outer(K, v, 0.7)
    np.testing.assert_allclose(K, expected, rtol=1e-15)


@EVERY_ENGINE
def test_columns_in_other_units_are_solved_as_well(engine: Any) -> None:
    X, y, l1, _ = drawn(0, 40, 6, 0, 0, False, 1e-3, 1.0)
    unit = 10.0 ** np.arange(-6, 6, 2)
    w = found(engine, X * unit, y, l1 * unit, 0.0).w * unit
    np.testing.assert_allclose(w, found(engine, X, y, l1, 0.0).w, rtol=1e-7, atol=1e-10)


def test_a_penalty_that_empties_the_model() -> None:
    X, y, l1, l2 = drawn(0, 20, 5, 0, 0, False, 1.0001, 1.0)
    for engine in ENGINES.values():
        state = found(engine, X, y, l1, l2, np.ones(5))
        assert state.w.tolist() == [0] * 5
        assert state.active.size == 0
        assert state.inverse.shape == (0, 0)


def test_the_weights_alone() -> None:
    X, y, l1, l2 = drawn(0, 20, 5, 1, 1, False, 0.1, 0.5)
    start = np.ones(X.shape[1])
    w = solve_elastic_net(X.T @ X, X.T @ y, l1, l2, start)
    check_optimal(X, y, l1, l2, w)
    assert start.tolist() == [1.0] * len(start)
    np.testing.assert_allclose(solve_elastic_net(X.T @ X, X.T @ y, l1, l2), w, atol=1e-9)
    assert solve_elastic_net(np.empty((0, 0)), np.empty(0), 0.1, 0.1).size == 0
