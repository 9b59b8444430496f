"""Second moments of a set of rows, updated by the rows that change.

Concentration steps fit to nearly the same rows again and again.  The sums over these rows cost
O(N d^2) once, and then O(d^2) for each row that enters or leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from poisonbench.features import BoolArray, FloatArray, IntArray

BLOCK = 1024
"""Number of rows that are summed at a time; 100 features of them and a copy fit into the cache."""

LOST = 1e4
"""If the sums of the leaving rows are more than this many times those of the remaining rows, the
sums are computed again, because a subtraction has an error of 1e-16 of what is subtracted."""


@dataclass(frozen=True)
class Moments:
    """Means and centred sums over n rows.

    Parameters
    ----------
    n : int
        Number of rows.
    mean, mean_y : ndarray of shape (d,) and float
        Means of the rows and of the responses.
    gram, cross, square : ndarray of shape (d, d), ndarray of shape (d,) and float
        Sums of (x - mean)(x - mean)', (x - mean)(y - mean_y) and (y - mean_y)^2.
    uncentred : ndarray of shape (d,)
        The diagonal of `gram` before centring; rounding errors are about 1e-16 of it.
    """

    n: int
    mean: FloatArray
    mean_y: float
    gram: FloatArray
    cross: FloatArray
    square: float
    uncentred: FloatArray


class RowMoments:
    """Moments of sets of rows, each computed from the set before.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    """

    def __init__(self, X: FloatArray, y: FloatArray) -> None:
        self.X, self.y = X, y
        # A point among the rows, so that centring the sums later cancels little.  This is the
        # median, because an outlier can move the mean far away from all other rows.
        self._shift, self._shift_y = np.median(X[:BLOCK], axis=0), float(np.median(y[:BLOCK]))
        self._kept: BoolArray = np.zeros(len(y), dtype=bool)
        self._sums: FloatArray = np.zeros((X.shape[1] + 2, X.shape[1] + 2))

    @cached_property
    def _all(self) -> FloatArray:
        return self._over(np.arange(len(self.y)))

    def of(self, kept: BoolArray) -> Moments:
        """Return the moments of the rows `kept`."""
        entering, leaving = kept & ~self._kept, self._kept & ~kept
        sums = None
        if 2 * (entering.sum() + leaving.sum()) < kept.sum():
            gone = self._over(np.flatnonzero(leaving))
            sums = self._sums + self._over(np.flatnonzero(entering)) - gone
            if (gone.diagonal() > LOST * sums.diagonal()).any():
                sums = None
        self._sums = self._over(np.flatnonzero(kept)) if sums is None else sums
        self._kept = kept.copy()
        return self._centred(self._sums, int(kept.sum()))

    def weighted(self, weight: FloatArray) -> Moments:
        """Return the moments of all N rows with the given weights; ``n`` is N."""
        # Robust reweighting leaves most weights at 1 and reduces the others.
        others = np.flatnonzero(weight != 1)
        if 2 * len(others) > len(weight) or weight.max() > 1:
            sums = self._over(np.arange(len(weight)), np.sqrt(weight))
        else:
            sums = self._all - self._over(others, np.sqrt(1 - weight[others]))
        return replace(self._centred(sums, float(weight.sum())), n=len(weight))

    def _over(self, rows: IntArray, factor: FloatArray | None = None) -> FloatArray:
        """Return the sum over rows of zz', where z is (x, y, 1) minus the shift, times `factor`."""
        d = self.X.shape[1]
        sums = np.zeros((d + 2, d + 2))
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            x = self.X[block]
            x -= self._shift
            rest = np.column_stack([self.y[block] - self._shift_y, np.ones(len(block))])
            if factor is not None:
                x *= factor[start : start + BLOCK, None]
                rest *= factor[start : start + BLOCK, None]
            sums[:d, :d] += x.T @ x
            sums[:d, d:] += x.T @ rest
            sums[d:, d:] += rest.T @ rest
        sums[d:, :d] = sums[:d, d:].T
        return sums

    def _centred(self, sums: FloatArray, n: float) -> Moments:
        d = len(sums) - 2
        mean = sums[: d + 1, -1] / n
        centred = sums[: d + 1, : d + 1] - n * np.outer(mean, mean)
        return Moments(
            int(n),
            self._shift + mean[:d],
            self._shift_y + float(mean[d]),
            centred[:d, :d],
            centred[:d, d],
            max(float(centred[d, d]), 0.0),
            sums.diagonal()[:d],
        )
