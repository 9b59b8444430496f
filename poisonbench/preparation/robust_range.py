"""The range of most numbers of a column, beside the few that set its whole range.

Min-max scaling to the box uses the smallest and the largest number.  If one of them is a hundred
times as large as the others, it squeezes these into a hundredth of the box, where every error looks
small.  The few numbers that do so are the *extremes*:

- The *bulk* is the range without :data:`OUTER` of the rows at each end, and without at least one.
  Extremes are farther outside the bulk than its width, and the whole range is at least
  :data:`FACTOR` times the range of the other numbers.
- Or up to :data:`SHARE` of the rows are extremes, if there is a gap between them and the other
  numbers that is as wide as the range of these, as after a mistake in the unit.

If more than half of the numbers are the same, such as 0, the bulk is that of the others, so that a
column that is mostly 0 has no extremes for that reason.  Columns with long tails are not affected:
the largest of 1000 log-normal numbers with sigma 1 is about four times their bulk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poisonbench.features import FloatArray

OUTER = 0.005
"""Share of the rows at each end that are not part of the bulk."""

FACTOR = 10.0
"""How many times as wide as the range of the others the whole range must be."""

SHARE = 0.05
"""Largest share of the rows that are extremes, if there is a gap before them."""

FEWEST = 20
"""Smallest number of rows; of fewer, nobody can say which are extremes."""


@dataclass(frozen=True)
class RobustRange:
    """The range of the numbers that are no extremes.

    Parameters
    ----------
    low, high : float
        The smallest and the largest of them.
    n_below, n_above : int
        Number of extremes on either side.
    """

    low: float
    high: float
    n_below: int = 0
    n_above: int = 0

    @property
    def n_extremes(self) -> int:
        """Number of extremes."""
        return self.n_below + self.n_above


def robust_range(values: FloatArray) -> RobustRange:
    """Return the range of the numbers of a column that are no extremes.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        The numbers, at least one, without missing values.
    """
    ordered = np.sort(values)
    whole = RobustRange(float(ordered[0]), float(ordered[-1]))
    counted = _without_frequent(ordered)
    n = len(counted)
    if n < FEWEST or whole.low == whole.high:
        return whole
    outer = max(1, int(OUTER * n))
    found = _between(ordered, counted[outer], counted[n - 1 - outer], gap=False)
    if found is None and n * SHARE >= 1:
        outer = int(SHARE * n)
        found = _between(ordered, counted[outer], counted[n - 1 - outer], gap=True)
    return found or whole


def _between(ordered: FloatArray, low: float, high: float, *, gap: bool) -> RobustRange | None:
    """Return the range of the numbers near a bulk, if the others are extremes."""
    width = high - low
    first = int(np.searchsorted(ordered, low - width, "left"))
    last = int(np.searchsorted(ordered, high + width, "right")) - 1
    inner = float(ordered[last] - ordered[first])
    n_extremes = first + len(ordered) - 1 - last
    if not n_extremes or not inner or ordered[-1] - ordered[0] < FACTOR * inner:
        return None
    if gap:
        gaps = [ordered[first] - ordered[first - 1]] if first else []
        gaps += [ordered[last + 1] - ordered[last]] if last + 1 < len(ordered) else []
        if min(gaps) < inner or n_extremes > SHARE * len(ordered):
            return None
    return RobustRange(float(ordered[first]), float(ordered[last]), first, len(ordered) - 1 - last)


def _without_frequent(ordered: FloatArray) -> FloatArray:
    """Return the numbers without the most frequent one, if it is more than half of them."""
    middle = ordered[len(ordered) // 2]
    frequent = ordered == middle
    return ordered[~frequent] if 2 * frequent.sum() > len(ordered) else ordered
