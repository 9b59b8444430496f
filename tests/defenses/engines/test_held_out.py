"""Folds, and the mean of the smaller errors."""

from __future__ import annotations

import numpy as np
import pytest

from poisonbench.defenses.engines.held_out import folds, trimmed_mean


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.1, 1.0), (0.25, 1.0), (0.26, 1.5), (0.75, 2.0), (1.0, 26.5)],
)
def test_only_the_smaller_errors_count(share: float, expected: float) -> None:
    errors = np.array([[100.0, 3.0], [1.0, 2.0], [3.0, 100.0], [2.0, 1.0]])
    assert trimmed_mean(errors, share).tolist() == [expected, expected]


def test_folds_hold_out_every_row_once() -> None:
    found = [(training.tolist(), held_out.tolist()) for training, held_out in folds(5, 2)]
    assert found == [([3, 4], [0, 1, 2]), ([0, 1, 2], [3, 4])]
