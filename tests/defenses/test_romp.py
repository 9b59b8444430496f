"""Robust matching pursuit: one column a round, on trimmed inner products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import (
    OrthogonalMatchingPursuit,
)

from poisonbench.defenses import (
    RoMPDefense,
)
from poisonbench.defenses.romp import pursue

Rows = Callable[..., tuple[Any, Any, Any]]


def test_romp_without_poison_is_orthogonal_matching_pursuit() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 8))
    X -= np.median(X, axis=0)
    y = X @ np.array([3.0, 0, -2.0, 0, 0, 1.0, 0, 0])
    y -= np.median(y)
    scale = np.sqrt((X**2).sum(axis=0))
    theirs = OrthogonalMatchingPursuit(n_nonzero_coefs=3, fit_intercept=False).fit(X / scale, y)
    np.testing.assert_allclose(pursue(X, y, 3, 0.0)[-1], theirs.coef_ / scale, atol=1e-8)


def test_romp_resists_rows_as_large_as_they_like() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = X @ np.array([3.0, 0.0, 0.0, 1.0])
    X[:20, 2], y[:20] = 1e6, 1e6
    romp = RoMPDefense(n_poison=20, random_state=0).fit(X, y)
    assert romp.coef_[2] == 0
    # The norms lose their largest terms, the products the poison ones.
    np.testing.assert_allclose(romp.coef_[[0, 3]], [3.0, 1.0], atol=1.0)


@given(seed=st.integers(0, 200), most=st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_romp_chooses_one_column_a_round(noisy: Rows, seed: int, most: int) -> None:
    X, y, _ = noisy(40, 6, seed)
    path = pursue(X, y, most, 0.1)
    assert path.shape == (most + 1, 6)
    assert ((path != 0).sum(axis=1) <= np.arange(most + 1)).all()
    romp = RoMPDefense(n_nonzero=most + 5).fit(X, y)
    assert romp.n_nonzero_ == min(most + 5, 6)
