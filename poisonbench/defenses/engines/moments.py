"""Second moments of the rows kept, carried from one set to the next by the rows that change.

Concentration steps fit to nearly the same rows again and again.  Sums over them cost
O(N d^2) once, and then O(d^2) for each row that enters or leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from poisonbench.features import BoolArray, FloatArray, IntArray

BLOCK = 1024
"""Rows that are summed at a time: with 100 features they and their copy stay in the cache."""

LOST = 1e4
"""Most that leaving rows may outweigh those that stay, before sums are made anew.

Taking away is exact to 1e-16 of what is taken away.
"""


@dataclass(frozen=True)
class Moments:
    """Means and centred sums over n rows.

    Parameters
    ----------
    n : int
        Number of rows.
    mean, mean_y : ndarray of shape (d,) and float
        Their means.
    gram, cross, square : ndarray of shape (d, d), ndarray of shape (d,) and float
        Sums of (x - mean)(x - mean)', (x - mean)(y - mean_y) and (y - mean_y)^2.
    uncentred : ndarray of shape (d,)
        The diagonal of the first about the point that sums are taken from: rounding leaves errors
        of 1e-16 of it.
    """

    n: int
    mean: FloatArray
    mean_y: float
    gram: FloatArray
    cross: FloatArray
    square: float
    uncentred: FloatArray


class RowMoments:
    """Moments of one set of rows after another.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    """

    def __init__(self, X: FloatArray, y: FloatArray) -> None:
        self.X, self.y = X, y
        # A point amid the rows, so that centring the sums later cancels little; the median, for
        # a mean can be far from all rows but one.
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
        """Return the moments of all N rows, each counted `weight` times; ``n`` is N."""
        # Robust reweighting leaves most weights at 1 and lowers the others.
        others = np.flatnonzero(weight != 1)
        if 2 * len(others) > len(weight) or weight.max() > 1:
            sums = self._over(np.arange(len(weight)), np.sqrt(weight))
        else:
            sums = self._all - self._over(others, np.sqrt(1 - weight[others]))
        return replace(self._centred(sums, float(weight.sum())), n=len(weight))

    def _over(self, rows: IntArray, factor: FloatArray | None = None) -> FloatArray:
        """Return the sum of zz', z = (x, y, 1) less the shift and times `factor`, over rows."""
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
