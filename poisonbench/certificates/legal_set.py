"""How far a linear function reaches over all legal rows: exactly, and in O(d).

A legal row takes its numeric and independent binary columns freely from [0, 1] and of each
one-hot group one level, or none where the group may be all zero.  So the maximum of
f(x) = w.x + b splits into one maximum for each free column and group:

    max f = b + sum over free j of max(w_j, 0)
              + sum over groups g of max({w_j: j in g}, 0 where all-zero is legal),

and the minimum likewise.  With responses in [0, 1] the largest residual of any legal point is

    R(theta) = max(max f, 1 - min f).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonbench.features import BOX_TOLERANCE, BoolArray, FeatureSpace, FloatArray, IntArray

UNIT = 2.0**-53
"""Unit roundoff of double precision."""


def rounding(operations: int) -> float:
    """Return gamma_k = k u / (1 - k u), which bounds the relative error of k operations."""
    return operations * UNIT / (1 - operations * UNIT)


@dataclass(frozen=True)
class LegalSet:
    """The legal rows of a feature space, as linear functions see them.

    Parameters
    ----------
    space : FeatureSpace
        The columns, their groups, and where all-zero is legal.
    """

    space: FeatureSpace

    @cached_property
    def free(self) -> IntArray:
        """Indices of the columns that vary by themselves; numeric ones first, then binary."""
        return np.concatenate([self.space.numeric, self.space.binary])

    @cached_property
    def choices(self) -> IntArray:
        """Indices of the columns of one-hot groups, group after group."""
        columns = [j for group in self.space.choices for j in group.columns]
        return np.array(columns, dtype=np.intp)

    @cached_property
    def group_of(self) -> IntArray:
        """Which group each of ``choices`` belongs to."""
        sizes = [len(group.columns) for group in self.space.choices]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def all_zero(self) -> BoolArray:
        """Whether each group may have no 1."""
        return np.array([group.all_zero for group in self.space.choices], dtype=bool)

    @cached_property
    def _starts(self) -> IntArray:
        sizes = [len(group.columns) for group in self.space.choices]
        return np.cumsum([0, *sizes[:-1]]) if sizes else np.array([], dtype=np.intp)

    def highest(self, theta: FloatArray) -> float:
        """Return the maximum of w.x + b over legal rows, for theta = (w, b)."""
        value = theta[-1] + np.maximum(theta[self.free], 0.0).sum()
        if self.choices.size:
            best = np.maximum.reduceat(theta[self.choices], self._starts)
            value += np.where(self.all_zero, np.maximum(best, 0.0), best).sum()
        return float(value)

    def lowest(self, theta: FloatArray) -> float:
        """Return the minimum of w.x + b over legal rows."""
        return -self.highest(-theta)

    def highest_row(self, theta: FloatArray) -> FloatArray:
        """Return a legal row at which w.x + b is largest; shape (d,)."""
        row = np.zeros(len(theta) - 1)
        row[self.free] = theta[self.free] > 0
        for group in self.space.choices:
            best = group.columns[int(theta[list(group.columns)].argmax())]
            row[best] = float(theta[best] > 0 or not group.all_zero)
        return row

    def reach(self, theta: FloatArray) -> float:
        """Return an upper bound on R(theta) that is exact but for rounding.

        A row or response that lies outside the box by no more than the tolerance with which
        poison sets are checked is covered.
        """
        largest = max(self.highest(theta), 1 - self.lowest(theta))
        outside = BOX_TOLERANCE * (1 + np.abs(theta[self.space.numeric]).sum())
        error = rounding(len(theta) + 4) * (1 + np.abs(theta).sum())
        return float(np.nextafter((largest + outside + error) * (1 + 4 * UNIT), np.inf))
