"""Moments of sets of rows, against sums over the rows."""

from __future__ import annotations

import numpy as np
import pytest

from poisonbench.defenses.engines.moments import RowMoments


def test_the_moments_of_one_set_after_another() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(5, 1, (30, 3)), 0.01 * rng.standard_normal(30)
    moments = RowMoments(X, y)
    kept = rng.random(30) < 0.8
    for _ in range(6):
        kept[rng.integers(30)] ^= True
        found = moments.of(kept)
        Z, t = X[kept] - X[kept].mean(axis=0), y[kept] - y[kept].mean()
        assert found.n == kept.sum()
        assert found.gram == pytest.approx(Z.T @ Z)
        assert found.cross == pytest.approx(Z.T @ t)
        assert found.square == pytest.approx(t @ t)
        assert found.mean == pytest.approx(X[kept].mean(axis=0))
        assert found.mean_y == pytest.approx(y[kept].mean())
