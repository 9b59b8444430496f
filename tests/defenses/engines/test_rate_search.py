"""The number of rows that a defense takes for poison."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from poisonbench.defenses import ITRIMRegressor, TRIMRegressor
from poisonbench.defenses.engines.rate_search import assumed_poison


@pytest.mark.parametrize(
    ("n_poison", "contamination", "expected"),
    [(3, 0.5, 3), (None, 0.2, 2), (None, 0.0, 0), (None, 0.94, 9), (None, 0.99, 9)],
)
def test_a_share_of_the_rows_leaves_one(
    n_poison: int | None, contamination: float, expected: int
) -> None:
    defense = SimpleNamespace(n_poison=n_poison, contamination=contamination)
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
    assert assumed_poison(defense, X, y, np.random.RandomState(0)) == expected


def noisy(r: float, n: int = 300, p: int = 45) -> tuple[np.ndarray, np.ndarray]:
    """Return rows on a line with noise of size 0.1, of which p are r times as far off."""
    rng = np.random.default_rng(0)
    X = rng.random((n, 3))
    y = X @ [1.0, 0.5, 0.0] + 0.1 * rng.standard_normal(n)
    y[:p] += r * 0.1
    return X, y


def estimates(X: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """Return the number of poison rows that iTRIM finds, and that of an estimate by TRIM."""
    trim = TRIMRegressor(contamination="auto", random_state=0).fit(X, y)
    return ITRIMRegressor(random_state=0).fit(X, y).n_poison_, trim.n_poison_


def test_poison_of_six_times_the_noise_is_estimated_where_itrim_finds_none() -> None:
    assert estimates(*noisy(r=0)) == (0, 0)
    itrim, estimated = estimates(*noisy(r=6))
    assert itrim == 0
    assert estimated == pytest.approx(45, abs=9)


def test_the_larger_estimate_is_taken() -> None:
    """Here iTRIM's: residuals of all sizes have no tail beyond which there are too many."""
    X, y = noisy(r=0)
    y[:45] += np.linspace(2, 12, 45) * np.where(np.arange(45) % 2, 1, -1)
    itrim, estimated = estimates(X, y)
    assert itrim > 0
    assert estimated >= itrim
