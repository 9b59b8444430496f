"""The different values of a column and how often each occurs: what most checks start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.raw import RawColumn


@dataclass(frozen=True)
class Profile:
    """The different values of a column.

    Parameters
    ----------
    column : RawColumn
        The column.
    distinct : ndarray of shape (values,)
        Its values without repetitions, in ascending order; without missing values.
    counts : ndarray of shape (values,)
        The number of rows with each of them.
    """

    column: RawColumn
    distinct: FloatArray
    counts: IntArray

    @classmethod
    def of(cls, column: RawColumn) -> Self:
        """Return the profile of a column."""
        values = np.asarray(column.values[~column.missing], dtype=np.float64)
        if column.kind == "free text":
            values = values[:0]
        distinct, counts = np.unique(values, return_counts=True)
        return cls(column, distinct, counts)

    @property
    def is_number(self) -> bool:
        """Whether the column has numbers or dates."""
        return self.column.kind in ("number", "date")

    @cached_property
    def n_present(self) -> int:
        """Number of rows that are not missing."""
        return int(self.counts.sum())

    @property
    def n_missing(self) -> int:
        """Number of rows that are missing."""
        return len(self.column.values) - self.n_present

    @property
    def collision(self) -> float:
        """The probability that two different rows have the same value."""
        n = len(self.column.values)
        counts = np.append(self.counts, self.n_missing).astype(np.float64)
        return float((counts * (counts - 1)).sum()) / max(n * (n - 1), 1)

    def quantile(self, share: float) -> float:
        """Return the smallest value that at least this share of the values do not exceed."""
        rows = np.cumsum(self.counts)
        return float(self.distinct[np.searchsorted(rows, share * rows[-1])])

    def ordered(self, without: list[float]) -> FloatArray:
        """Return all values in ascending order, except some."""
        kept = ~np.isin(self.distinct, without)
        return np.repeat(self.distinct[kept], self.counts[kept])
