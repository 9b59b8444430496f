"""Trimmed principal component regression: the subspace and its rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.defenses import (
    LowRankDefense,
)
from poisonbench.defenses.low_rank import explaining_rank, subspace
from poisonbench.models import OLS

Rows = Callable[..., tuple[Any, Any, Any]]
SEEDS = st.integers(0, 10_000)


def test_the_subspace_of_all_rows_is_that_of_their_components(shifted: Rows) -> None:
    X, _, _ = shifted(50, 6, 0)
    found = subspace(X, 2, 50)
    V = np.linalg.svd(X - X.mean(axis=0))[2][:2].T
    np.testing.assert_allclose(found.basis @ found.basis.T, V @ V.T, atol=1e-9)
    assert found.n_iter == 1


@given(seed=SEEDS)
def test_rounding_does_not_rank_rows_that_lie_in_the_subspace(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.random((80, 4)), np.eye(3)[rng.integers(3, size=80)]])
    assert subspace(X, 6, 64).n_iter == 2


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 5), p=st.integers(1, 20))
def test_the_subspace_is_a_fixed_point_no_worse_than_the_first(seed: int, k: int, p: int) -> None:
    X = np.random.default_rng(seed).standard_normal((40, 6))
    spread = []
    for max_iter in (1, 2, 3, 100):
        found = subspace(X, k, 40 - p, max_iter)
        centred = X[found.kept] - X[found.kept].mean(axis=0)
        spread.append((np.linalg.svd(centred, compute_uv=False)[k:] ** 2).sum())
    assert (np.diff(spread) <= 1e-9).all()
    off = X - found.mean
    distance = np.linalg.norm(off - off @ found.basis @ found.basis.T, axis=1)
    assert distance[found.kept].max() <= distance[~found.kept].min() + 1e-9


@given(seed=SEEDS, share=st.floats(0.01, 1.0))
@settings(max_examples=20, deadline=None)
def test_the_rank_is_the_least_that_explains(seed: int, share: float) -> None:
    X = np.random.default_rng(seed).standard_normal((20, 5)) * np.array([5, 3, 1, 1, 0.1])
    variances = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    explained = np.cumsum(variances) / variances.sum()
    k = explaining_rank(X, share)
    assert explained[k - 1] >= share - 1e-9
    assert k == 1 or explained[k - 2] <= share + 1e-9


def test_low_rank_finds_rows_off_the_subspace_and_rows_in_it() -> None:
    rng = np.random.default_rng(0)
    scores, directions = (
        rng.standard_normal((200, 3)),
        np.linalg.qr(rng.standard_normal((20, 3)))[0],
    )
    X = scores @ directions.T + 0.01 * rng.standard_normal((200, 20))
    y = scores @ np.array([1.0, -2.0, 0.5]) + 3 + 0.01 * rng.standard_normal(200)
    off, within = np.arange(200) < 20, np.arange(200) >= 180
    X[off] += rng.standard_normal((20, 20)) / 2
    y[off], y[within] = 10.0, 10.0
    model = LowRankDefense(n_poison=40, rank=3, random_state=0).fit(X, y)
    assert not (model.near_subspace_ & off).any()
    assert not (model.support_ & (off | within)).any()
    V = model.components_.T
    np.testing.assert_allclose(V.T @ V, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(V @ V.T @ model.coef_, model.coef_, atol=1e-9)
    np.testing.assert_allclose(model.coef_, directions @ [1.0, -2.0, 0.5], atol=0.02)
    assert model.intercept_ == pytest.approx(3, abs=0.02)


def test_low_rank_at_full_rank_without_poison_is_ols(shifted: Rows) -> None:
    X, y, _ = shifted(60, 5, 0)
    model = LowRankDefense(n_poison=0, variance=1.0).fit(X, y)
    assert model.rank_ == 5
    assert model.note_ == "no learner; 5 of 5 principal components"
    np.testing.assert_allclose(model.coef_, OLS().fit(X, y).coef_, atol=1e-9)
    assert LowRankDefense(n_poison=0, rank=99).fit(X, y).rank_ == 5
