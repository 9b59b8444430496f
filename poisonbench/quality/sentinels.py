"""Numbers that stand for a missing value, such as -999.

A value is reported if it is repeated and stands apart from the other values of its column:

- *It is a code*: -1, -7, -8, -9, or two or more of the digits 7, 8 or 9 (99, -999, 88.8), or the
  limit of an integer type, or a power of ten from 1e6; 0 is one too.  Any other value is a
  candidate only if it is the smallest or largest of its column in at least
  :data:`REPEATED_ANY` rows.
- *It stands apart*: the nearest other value is farther away than :data:`APART` times the range of
  the others without their outer 2% (ten times that range if the value is no code, or if there are
  fewer than five other values, as in answers from 1 to 4 with 99).  A negative code also stands
  apart if all other values are positive (or 0, for codes below -9): negative ages do not exist,
  whatever the range of the ages.
- *It is repeated*: in at least three rows, except for codes of three digits or more, of which one
  row is enough.  0 is in at most a tenth of the rows, because in a column such as the area of a
  pool a frequent 0 means that there is none.

So 99 among percentages is no sentinel, because 98 and 100 are near it, nor is a largest value at
which a column was cut off.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import date

import numpy as np

from poisonbench.features import FloatArray, IntArray
from poisonbench.quality.finding import Seen
from poisonbench.quality.profile import Profile

APART = 0.5
"""Smallest distance of a code from other values, as a share of their range."""

APART_ANY = 10.0
"""The same for a value that is no code."""

REPEATED, REPEATED_ANY = 3, 5
"""Smallest number of rows of a code, and of a value that is no code."""

ZEROS = 0.1
"""Largest share of the rows in which 0 may stand for a missing value."""

DISTINCT, TWO_DIGITS = 5, 77
"""Smallest number of different other values, because columns with fewer are rather codes
themselves; and the smallest code for which two other values are enough."""

FEWEST = 10
"""Smallest number of rows with other values."""

_REPEATED_DIGITS = [
    float(digit * length) / scale
    for digit in "789"
    for length in range(2, 11)
    for scale in (1, 10, 100)
    if 10**length > 10 * scale
]
_LIMITS = [32767.0, 32768.0, 65535.0, 2147483647.0, 2147483648.0, 4294967295.0]
LONE_CODES = np.array([sign * value for value in [*_REPEATED_DIGITS, *_LIMITS]
                       for sign in (1, -1) if value >= 999])  # fmt: skip
"""Codes of which one row is enough."""

CODES = np.array([-1.0, -7.0, -8.0, -9.0, 0.0, *LONE_CODES,
                  *(sign * value for value in _REPEATED_DIGITS for sign in (1, -1)),
                  *(sign * 10.0**power for power in range(6, 41) for sign in (1, -1))]
                 )  # fmt: skip
"""Numbers that are codes if they are repeated."""

_1970 = date(1970, 1, 1).toordinal()
DATES = np.array([
    float(day.toordinal() - _1970)
    for day in (date(1, 1, 1), date(1753, 1, 1), date(1899, 12, 30), date(1899, 12, 31),
                date(1900, 1, 1), date(1901, 1, 1), date(1970, 1, 1), date(2099, 12, 31),
                date(2999, 12, 31), date(9999, 12, 31))
])  # fmt: skip
"""Dates that are codes, in days since 1970."""


def sentinels(profile: Profile) -> list[float]:
    """Return the values of a column that probably stand for a missing value.

    Parameters
    ----------
    profile : Profile
        The values of the column.
    """
    distinct, counts = profile.distinct, profile.counts
    if not profile.is_number or len(distinct) < 3:
        return []
    column, n_present = profile.column, profile.n_present
    enough = counts >= REPEATED
    far_codes = np.isin(distinct, DATES if column.kind == "date" else CODES)
    far_codes &= enough | (np.isin(distinct, LONE_CODES) if column.kind == "number" else False)
    ends = np.zeros(len(distinct), dtype=np.bool_)
    ends[[0, -1]] = counts[[0, -1]] >= REPEATED_ANY
    found: list[float] = []
    # From the outside to the inside, so that -9999 does not hide -999.
    order = np.flatnonzero(far_codes | ends)
    for k in order[np.argsort(-np.abs(distinct[order]))]:
        value, count = float(distinct[k]), int(counts[k])
        others = ~np.isin(distinct, [*found, value])
        bulk = others & ~far_codes
        if bulk.sum() < 2 or counts[bulk].sum() < FEWEST:
            bulk = others
        if bulk.sum() < 2 or counts[bulk].sum() < FEWEST:
            continue
        if value == 0 and (column.kind == "date" or count > ZEROS * n_present):
            continue
        if not far_codes[k] and 2 * count > n_present:
            continue
        is_code = bool(far_codes[k])
        if bulk.sum() < DISTINCT and not (is_code and abs(value) >= TWO_DIGITS):
            continue
        if _apart(value, distinct[others], distinct[bulk], counts[bulk], code=is_code):
            found.append(value)
    return found


def _apart(
    value: float, others: FloatArray, bulk: FloatArray, counts: IntArray, *, code: bool
) -> bool:
    """Whether a value stands apart from the other values."""
    rows = np.cumsum(counts)
    low, high = np.interp([0.01, 0.99], rows / rows[-1], bulk)
    nearest = float(np.abs(bulk - value).min())
    outside = value < low or value > high
    certain = code and len(bulk) >= DISTINCT
    if outside and nearest > (APART if certain else APART_ANY) * (high - low):
        return True
    if not certain or value >= 0:
        return False
    lowest = float(others.min())
    return lowest >= 0 if value < -9 else lowest > 0


def shown(value: float, kind: str = "number") -> str:
    """Return a value as the user would write it."""
    if kind == "date":
        return date.fromordinal(int(value) + _1970).isoformat()
    return f"{value:.15g}"


def seen(profile: Profile, found: list[float], *, response: bool) -> Iterator[Seen]:
    """Yield a finding for each sentinel of a column.

    Parameters
    ----------
    profile : Profile
        The values of the column.
    found : list of float
        Its sentinels.
    response : bool
        Whether the column is the response.
    """
    column = profile.column
    if not found:
        return
    others = profile.distinct[~np.isin(profile.distinct, found)]
    low, high = (shown(float(value), column.kind) for value in others[[0, -1]])
    for value in found:
        rows = np.flatnonzero(column.values == value)
        text = shown(value, column.kind)
        cells = "1 cell" if len(rows) == 1 else f"{len(rows)} cells"
        message = (f"'{column.name}' is {text} in {cells}, far from its other values ({low} to "
                   f"{high}); it may stand for a missing value")  # fmt: skip
        effect = "the rows are then dropped" if response else "the cells are then filled"
        option = shlex.quote(f"{column.name}={text}")
        remedy = f"if it does, --missing-value {option} ({effect})"
        yield Seen("sentinel", (column.name,), rows, message, remedy)
