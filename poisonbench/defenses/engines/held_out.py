"""Held-out errors under suspicion: folds, and a mean that poisoned rows cannot carry away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poisonbench.features import FloatArray, IntArray

TRUSTED = 0.75
"""Share of held-out errors, the smallest ones, that a choice is made by."""


def folds(n_rows: int, n_folds: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield (training, held out) row indices; rows come shuffled, so slices will do."""
    rows = np.arange(n_rows)
    for held_out in np.array_split(rows, min(n_folds, n_rows)):
        yield np.setdiff1d(rows, held_out, assume_unique=True), held_out


def trimmed_mean(errors: FloatArray, share: float = TRUSTED) -> FloatArray:
    """Return the mean of the smallest `share` of the errors along the first axis."""
    n_kept = max(1, int(np.ceil(share * len(errors))))
    mean: FloatArray = np.sort(errors, axis=0)[:n_kept].mean(axis=0)
    return mean
