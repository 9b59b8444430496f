"""Shares of rows as numbers of rows."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.defenses import ITRIMRegressor, TRIMRegressor
from poisonbench.models import Ridge
from poisonbench.rounding import rows_at


@pytest.mark.parametrize(
    ("share", "n_rows", "expected"), [(0.145, 100, 15), (0.285, 100, 29), (0.3, 5, 2), (0.0, 9, 0)]
)
def test_halves_of_decimals_are_rounded_up(share, n_rows, expected):
    assert rows_at(share, n_rows) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**7))
def test_agrees_with_decimal_arithmetic(millionths, n_rows):
    exact = Decimal(millionths) / 10**6 * n_rows
    assert rows_at(millionths / 10**6, n_rows) == exact.quantize(Decimal(1), ROUND_HALF_UP)


def test_defenses_count_rows_in_decimals():
    """In floating point .145 of 100 rows would be 14."""
    rng = np.random.default_rng(0)
    X = rng.random((100, 2))
    y = X @ [0.3, 0.4] + 0.01 * rng.standard_normal(100)
    trimmed = TRIMRegressor(Ridge(alpha=0.1), contamination=0.145, random_state=0).fit(X, y)
    assert trimmed.n_poison_ == 15
    y[:15] += 5.0
    search = ITRIMRegressor(Ridge(alpha=0.1), step=0.145, random_state=0).fit(X, y)
    assert search.n_poison_ == 15
