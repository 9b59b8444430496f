"""Pairs of rows that are equal, and whether they can be a coincidence.

Rows are compared by fingerprints.  In data with few different values, rows are equal by chance.
To tell such data from copied rows, the columns are split into two halves that say equally much.
Copies are equal in a half only where they are equal in the whole.  By chance, many more rows are
equal in a half than in the whole.  So pairs of equal rows are no coincidence if

- they are at least :data:`MOST` of the pairs that are equal in one half, or at least
  :data:`SURPRISE` times the share of them that the finest column of the other half explains: the
  probability that two rows chosen at random have the same value there.  The latter is for
  categories with a response that has many different values; and
- this holds for both halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.preparation.fingerprints import Hashes, cell_hashes, compared
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile

MOST = 0.5
"""Share of the pairs that are equal in one half of the columns that are equal in the other too."""

SURPRISE = 10.0
"""How many times as often as between rows chosen at random the other half must agree."""


@dataclass(frozen=True)
class Comparison:
    """The columns in which rows are compared.

    Parameters
    ----------
    columns : tuple of RawColumn
        The columns; see :func:`poisonbench.preparation.fingerprints.compared`.
    salts : tuple of int
        For each of them the salt of its hashes.
    """

    columns: tuple[RawColumn, ...]
    salts: tuple[int, ...]

    @classmethod
    def of(cls, file: RawFile) -> Self:
        """Return the comparison of the rows of a file."""
        chosen = compared(file.columns, file.choices.target, file.choices.drop)
        return cls(tuple(chosen.values()), tuple(chosen))

    def hashes(self, k: int) -> Hashes:
        """Return the hashes of the cells of a column."""
        return cell_hashes(self.columns[k], self.salts[k])

    @cached_property
    def whole(self) -> Hashes:
        """The fingerprints of the rows."""
        total = np.zeros(len(self.columns[0].values), dtype=np.uint64)
        for k in range(len(self.columns)):
            total += self.hashes(k)
        return total

    @cached_property
    def collisions(self) -> FloatArray:
        """For each column the probability that two different rows have the same value."""
        return np.array([pairs(self.hashes(k)) for k in range(len(self.columns))]) / max(
            n_pairs(len(self.columns[0].values)), 1
        )

    def no_coincidence(self, equal: float, without: Sequence[int] = ()) -> bool:
        """Whether pairs of rows that are equal in all columns, or all but some, are no coincidence.

        Parameters
        ----------
        equal : float
            The number of such pairs.
        without : sequence of int
            The columns in which they need not be equal.
        """
        left = [k for k in np.argsort(self.collisions).tolist() if k not in without]
        # Dealt like the teams of a school class: a b b a a b b a ...
        halves = [left[0::4] + left[3::4], left[1::4] + left[2::4]]
        if not all(halves):
            return False
        for half, other in (halves, halves[::-1]):
            total = np.zeros(len(self.whole), dtype=np.uint64)
            for k in half:
                total += self.hashes(k)
            needed = min(MOST, SURPRISE * float(self.collisions[other].min()))
            if equal < needed * pairs(total):
                return False
        return True


def pairs(fingerprints: Hashes) -> float:
    """Return the number of pairs of equal rows."""
    _, counts = np.unique(fingerprints, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / 2)


def n_pairs(n_rows: int) -> float:
    """Return the number of pairs of rows."""
    return n_rows * (n_rows - 1) / 2
