"""The number of rows that a defense takes for poison."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

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
