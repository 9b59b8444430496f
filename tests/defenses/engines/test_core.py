"""The core: scales that poison cannot raise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.defenses.engines.core import median_scale


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30),
    st.lists(st.floats(1e4, 1e6), max_size=10),
)
def test_the_scale_is_that_of_the_rows_within_three_of_it(
    near: list[float], far: list[float]
) -> None:
    residual, y = np.array(near + far), np.array([1.0])
    scale = median_scale(residual, y)
    within = np.abs(residual)[np.abs(residual) <= 3 * scale]
    assert scale == pytest.approx(max(1.4826 * np.median(within), 1e-9))


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_poison_far_off_does_not_raise_the_scale(share: float) -> None:
    residual = 2.0 * np.random.default_rng(0).standard_normal(20_000)
    clean = median_scale(residual, np.ones(1))
    residual[: int(share * len(residual))] = 1e3
    assert median_scale(residual, np.ones(1)) == pytest.approx(clean, rel=0.02)
    over_all = 1.4826 * np.median(np.abs(residual))
    assert over_all > clean * (1 + 0.9 * share)
