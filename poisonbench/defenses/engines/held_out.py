"""Held-out errors if some rows are poison: folds, and a mean that poison rows cannot dominate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poisonbench.defenses.engines.core import core_size
from poisonbench.features import FloatArray, IntArray

TRUSTED = 0.75
"""Share of the held-out errors, the smallest ones, on which a choice is based."""


def folds(n_rows: int, n_folds: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield (training, held out) row indices; the folds are slices, as the rows are shuffled."""
    rows = np.arange(n_rows)
    for held_out in np.array_split(rows, min(n_folds, n_rows)):
        yield np.setdiff1d(rows, held_out, assume_unique=True), held_out


def trimmed_mean(errors: FloatArray, share: float = TRUSTED) -> FloatArray:
    """Return the mean of the smallest `share` of the errors along the first axis."""
    n_kept = core_size(share, len(errors))
    mean: FloatArray = np.sort(errors, axis=0)[:n_kept].mean(axis=0)
    return mean
