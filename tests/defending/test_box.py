"""The box of rows of which a few are absurd."""

from __future__ import annotations

import numpy as np
import pytest

from poisonbench.data.base import Dataset
from poisonbench.defending.box import Box
from poisonbench.features import FeatureSpace, OneHotGroup


def test_usual_columns_fill_the_box_and_absurd_values_lie_a_little_outside() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(5, 10, 500), rng.uniform(0, 1, 500), np.arange(500) < 3])
    X[0, 1], X[1, 1] = 1e12, -1e12
    y = rng.uniform(100, 200, 500)
    y[2] = 1e15
    space = FeatureSpace(("a", "b", "c:x"), (OneHotGroup("c", (2,), True),))
    box = Box.fit(Dataset("rows", X, y, space, "y", "full"))
    rows = box.rows(X)
    assert (rows[:, 0].min(), rows[:, 0].max()) == (0, 1)
    assert rows[0, 1] == pytest.approx(11)
    assert rows[1, 1] == pytest.approx(-10)
    assert np.abs(rows[2:, 1] - 0.5).max() < 0.6
    assert np.array_equal(rows[:, 2], X[:, 2])
    assert box.responses(y)[2] == 1000
    # 99% of the responses are between 101 and 199, and these fill the box.
    assert box.responses(np.array([101.0, 199.0])) == pytest.approx([0, 1], abs=0.02)


def test_a_model_for_the_box_predicts_the_same_in_own_units() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.uniform(-50, 90, (60, 2)), rng.uniform(7, 9, 60)
    box = Box.fit(Dataset("rows", X, y, FeatureSpace(("a", "b")), "y", "full"))
    weights, intercept = box.in_own_units(np.array([0.3, -0.2]), 0.4)
    expected = y.min() + np.ptp(y) * (box.rows(X) @ [0.3, -0.2] + 0.4)
    assert X @ weights + intercept == pytest.approx(expected)
