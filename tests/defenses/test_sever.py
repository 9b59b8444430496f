"""SEVER: scores, rounds and how much is removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.defenses import (
    SEVERDefense,
)
from poisonbench.defenses.sever import gradient_scores
from poisonbench.models import Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
SEEDS = st.integers(0, 10_000)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n=st.integers(3, 12), d=st.integers(1, 12))
def test_sever_scores_are_projections_on_the_first_singular_vector(
    seed: int, n: int, d: int
) -> None:
    rng = np.random.default_rng(seed)
    Z, residual = rng.standard_normal((n, d)), rng.standard_normal(n)
    G = residual[:, None] * Z
    G -= G.mean(axis=0)
    v = np.linalg.svd(G)[2][0]
    np.testing.assert_allclose(gradient_scores(Z, residual), (G @ v) ** 2, atol=1e-9)


def test_sever_is_four_rounds_of_fit_and_filter(shifted: Rows) -> None:
    X, y, mask = shifted(80, 3, 10)
    sever = SEVERDefense(Ridge(1e-3), n_poison=10, random_state=0).fit(X, y)
    rows = np.arange(80)
    for _ in range(4):
        fitted = Ridge(1e-3).fit(X[rows], y[rows])
        G = (fitted.predict(X[rows]) - y[rows])[:, None] * np.c_[X[rows], np.ones(len(rows))]
        G -= G.mean(axis=0)
        v = np.linalg.svd(G)[2][0]
        rows = rows[np.sort(np.argsort((G @ v) ** 2)[:-5])]
    assert np.array_equal(np.flatnonzero(sever.support_), rows)
    np.testing.assert_allclose(sever.coef_, Ridge(1e-3).fit(X[rows], y[rows]).coef_, atol=1e-9)
    assert not (sever.support_ & mask).any()


def test_sever_never_removes_more_than_half_unless_told(shifted: Rows) -> None:
    X, y, _ = shifted(40, 3, 10)
    for p, removed in ((5, 10), (10, 20), (15, 20), (30, 30)):
        assert (~SEVERDefense(n_poison=p).fit(X, y).support_).sum() == removed
