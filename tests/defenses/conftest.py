"""Rows with wrong responses among them, for the tests of single defenses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Rows = Callable[..., tuple[Any, Any, Any]]


@pytest.fixture(scope="session")
def noisy() -> Rows:
    """Makes noisy rows of which a share of the responses is shifted up."""
    return noisy_rows


@pytest.fixture(scope="session")
def shifted() -> Rows:
    """Makes rows of which p responses are shifted, up or down."""
    return shifted_rows


def noisy_rows(n: int, d: int, seed: int = 0, outliers: float = 0.2) -> tuple[Any, Any, Any]:
    """Return rows, responses, and which responses were shifted up by about 1."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    y = X @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n)
    mask = rng.random(n) < outliers
    y[mask] += 1 + rng.random(int(mask.sum()))
    return X, y, mask


def shifted_rows(
    n: int, d: int, p: int, seed: int = 0, noise: float = 0.02
) -> tuple[Any, Any, Any]:
    """Return a linear truth, and which p responses were shifted without a look at the rest."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    y = X @ rng.standard_normal(d) + noise * rng.standard_normal(n)
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, p, replace=False)] = True
    y[mask] += rng.choice([-1, 1], p) * (2 + rng.random(p))
    return X, y, mask
