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
from poisonbench.preparation.fingerprints import Hashes, cell_hashes
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
        All columns except identifiers, free text, constants and those that the user leaves out.
    salts : tuple of int
        For each of them the salt of its hashes.
    """

    columns: tuple[RawColumn, ...]
    salts: tuple[int, ...]

    @classmethod
    def of(cls, file: RawFile) -> Self:
        """Return the comparison of the rows of a file."""
        chosen = [
            (column, salt)
            for salt, column in enumerate(file.columns)
            if column.name not in file.choices.drop
            and comparable(column, response=column.name == file.choices.target)
        ]
        return cls(tuple(c for c, _ in chosen), tuple(salt for _, salt in chosen))

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
        compared = [k for k in np.argsort(self.collisions).tolist() if k not in without]
        # Dealt like the teams of a school class: a b b a a b b a ...
        halves = [compared[0::4] + compared[3::4], compared[1::4] + compared[2::4]]
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


def comparable(column: RawColumn, *, response: bool) -> bool:
    """Whether rows are compared in a column.

    Texts and whole numbers that are different in every row rather count the rows.
    """
    if column.kind in ("free text", "empty"):
        return False
    present = column.present()
    n_distinct = len(np.unique(present))
    if n_distinct + bool(column.missing.any()) < 2:
        return False
    fractions = column.kind in ("number", "date") and bool((present % 1 != 0).any())
    return response or fractions or n_distinct < len(column.values)


def pairs(fingerprints: Hashes) -> float:
    """Return the number of pairs of equal rows."""
    _, counts = np.unique(fingerprints, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / 2)


def n_pairs(n_rows: int) -> float:
    """Return the number of pairs of rows."""
    return n_rows * (n_rows - 1) / 2
