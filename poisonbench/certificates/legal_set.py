"""The maximum and the minimum of a linear function over all legal rows, exactly and in O(d).

The numeric and the independent binary columns of a legal row vary freely in [0, 1]; each one-hot
group has one 1, or none if the group may be all zero.  So the maximum of f(x) = w.x + b is a sum of
separate maxima for each free column and each group:

    max f = b + sum over free j of max(w_j, 0)
              + sum over groups g of max({w_j: j in g}, 0 if all-zero is legal),

and the minimum likewise.  With responses in [0, 1], the largest residual of any legal point is

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
    """The legal rows of a feature space, for maximising linear functions over them.

    Parameters
    ----------
    space : FeatureSpace
        The columns and their groups.
    """

    space: FeatureSpace

    @cached_property
    def free(self) -> IntArray:
        """Indices of the columns that vary freely, the numeric ones before the binary ones."""
        return np.concatenate([self.space.numeric, self.space.binary])

    @cached_property
    def choices(self) -> IntArray:
        """Indices of the columns of one-hot groups, ordered by group."""
        columns = [j for group in self.space.choices for j in group.columns]
        return np.array(columns, dtype=np.intp)

    @cached_property
    def group_of(self) -> IntArray:
        """The number of the group of each column in ``choices``."""
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
        """Return a legal row, of shape (d,), at which w.x + b is largest."""
        row = np.zeros(len(theta) - 1)
        row[self.free] = theta[self.free] > 0
        for group in self.space.choices:
            best = group.columns[int(theta[list(group.columns)].argmax())]
            row[best] = float(theta[best] > 0 or not group.all_zero)
        return row

    def reach(self, theta: FloatArray) -> float:
        """Return an upper bound on R(theta) that is exact except for rounding.

        It also covers rows and responses that lie outside the box by less than the tolerance with
        which poison sets are checked.
        """
        largest = max(self.highest(theta), 1 - self.lowest(theta))
        outside = BOX_TOLERANCE * (1 + np.abs(theta[self.space.numeric]).sum())
        error = rounding(len(theta) + 4) * (1 + np.abs(theta).sum())
        return float(np.nextafter((largest + outside + error) * (1 + 4 * UNIT), np.inf))
