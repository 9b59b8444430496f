"""Pairs of rows that are equal, and whether they can be a coincidence.

Rows are compared by fingerprints.  In data with few different values, rows are equal by chance.
To tell such data from copied rows, the columns are split into two halves that say equally much.
Copies are equal in a half only where they are equal in the whole.  By chance, many more rows are
equal in a half than in the whole.  So pairs of equal rows are no coincidence if

- they are at least :data:`MOST` of the pairs that are equal in one half, or at least
  :data:`SURPRISE` times the share of them that the finest column of the other half explains: the
  probability that two rows chosen at random have the same value there.  The latter is for
  categories with a response that has many different values; and
- this holds for both halves; and
- they are at least :data:`SURPRISE` times as many as if all columns were independent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poisonbench.preparation.fingerprints import Hashes, cell_hashes, is_compared
from poisonbench.preparation.raw import RawColumn
from poisonbench.quality.profile import Profile

MOST = 0.5
"""Share of the pairs that are equal in one half of the columns that are equal in the other too."""

SURPRISE = 30.0
"""How many times as often as between rows chosen at random the other half must agree."""

MANY, RARE = 50, 0.02
"""Equal values are a surprise in a column with more than 50 different values (or half as many as
there are rows), if two rows have the same value with a probability below 2%."""


class Comparison:
    """Compares rows in all columns that are chosen.

    Parameters
    ----------
    n_rows : int
        Number of rows.

    Attributes
    ----------
    columns : list of RawColumn
        The columns.
    collisions : list of float
        For each of them the probability that two different rows have the same value.
    n_distinct : list of int
        For each of them the number of different values.
    ranges : list of (float, float)
        For each of them its 5% and 95% quantile.
    whole : ndarray of shape (rows,)
        The fingerprints of the rows.
    """

    def __init__(self, n_rows: int) -> None:
        self.columns: list[RawColumn] = []
        self.collisions: list[float] = []
        self.n_distinct: list[int] = []
        self.ranges: list[tuple[float, float]] = []
        self.whole = np.zeros(n_rows, dtype=np.uint64)

    def add(self, profile: Profile, *, response: bool) -> None:
        """Add a column, unless rows are not compared in it.

        Parameters
        ----------
        profile : Profile
            The values of the column.
        response : bool
            Whether it is the response.
        """
        n_distinct = len(profile.distinct)
        if is_compared(profile.column, n_distinct, response=response):
            self.columns.append(profile.column)
            self.collisions.append(profile.collision)
            self.n_distinct.append(n_distinct)
            self.ranges.append((profile.quantile(0.05), profile.quantile(0.95)))
            self.whole += self.hashes(len(self.columns) - 1)

    def hashes(self, k: int) -> Hashes:
        """Return the hashes of the cells of a column."""
        return cell_hashes(self.columns[k], k)

    def by_chance(self, without: Sequence[int] = ()) -> float:
        """Return how many pairs would be equal if the columns were independent.

        Parameters
        ----------
        without : sequence of int
            The columns in which they need not be equal.
        """
        n = len(self.whole)
        rest = [self.collisions[k] for k in range(len(self.columns)) if k not in without]
        return float(np.prod(rest)) * n * (n - 1) / 2

    def is_fine(self, k: int) -> bool:
        """Whether a column has so many different values that equal ones are a surprise."""
        return self.n_distinct[k] > min(MANY, len(self.whole) / 2) and self.collisions[k] < RARE

    def no_coincidence(self, equal: float, without: Sequence[int] = ()) -> bool:
        """Whether pairs of rows that are equal in all columns, or all but some, are no coincidence.

        Parameters
        ----------
        equal : float
            The number of such pairs.
        without : sequence of int
            The columns in which they need not be equal.
        """
        if equal < SURPRISE * self.by_chance(without):
            return False
        left = [k for k in np.argsort(self.collisions).tolist() if k not in without]
        # Dealt like the teams of a school class: a b b a a b b a ...
        halves = [left[0::4] + left[3::4], left[1::4] + left[2::4]]
        if not all(halves):
            return False
        for half, other in (halves, halves[::-1]):
            total = np.zeros(len(self.whole), dtype=np.uint64)
            for k in half:
                total += self.hashes(k)
            needed = min(MOST, SURPRISE * min(self.collisions[j] for j in other))
            if equal < needed * pairs(total):
                return False
        return True


def pairs(fingerprints: Hashes) -> float:
    """Return the number of pairs of equal rows."""
    _, counts = np.unique(fingerprints, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / 2)
