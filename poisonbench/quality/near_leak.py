"""Columns that give the response in most rows, but not in all: near-leaks.

In a file that may hold bad rows, a leak is hardly ever complete: if ``salary_eur`` is 0.92 times
``salary`` in the clean rows, the rows in which it is not are the first suspects.  A column is
reported if in at least :data:`MOST` of the rows where it is not missing

- the response is an affine function of it, to within the digits that are written: the residual is
  at most one unit of the last digit of either, or, if fewer rows agree so well,
  :data:`ROUNDING` of the range of the response without its outer 10%, but never more than
  :data:`COARSE` of that range; or
- the response is a strictly monotone function of it, and a smooth one.  The rows are those of a
  longest increasing subsequence.  In most of them, the response must be close to the value on the
  straight line between its neighbours: closer than :data:`SMOOTH` times the distance of these.
  Two series that only grow together, such as prices and wages, are monotone but not smooth.
  Columns of equal steps, such as years, are left out, because many series grow with time.

The slope is the median of those of random pairs of rows.  If four fifths of the rows are on a line,
16 of 25 pairs have its slope, so their median has it, whatever the other rows are.  Relations in
nature are not that exact: a correlation of .999 leaves residuals that are thirty times as large.
Identifiers are left out.  Rows with the most frequent value of either column do not count, because
two columns that are mostly 0 are equal in most rows; of the others, at least :data:`FEWEST` must be
on the line.
"""

from __future__ import annotations

import shlex
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from poisonbench.features import BoolArray, FloatArray
from poisonbench.preparation.encoding import is_identifier
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile
from poisonbench.quality.finding import Seen

MOST = 0.8
"""Smallest share of the rows in which the column gives the response."""

ROUNDING = 1e-3
"""Largest residual, as a share of the range of the response."""

EXACT = 1e-9
"""The same where both have many digits, as a share of the largest response."""

COARSE = 0.02
"""Largest residual due to rounding, as a share of the range of the response."""

SMOOTH = 0.1
"""Largest distance from the line between the neighbours, as a share of their distance."""

FEWEST = 10
"""Smallest number of rows that must be on the line, with as many different values."""

PAIRS = 2000
"""Number of pairs of rows whose slopes are compared."""

SAMPLE = 500
"""Number of rows in which a relation is looked for first."""

IN_SAMPLE = 0.72
"""Smallest share of these rows; four standard deviations below :data:`MOST`."""


def check(file: RawFile) -> Iterator[Seen]:
    """Yield the near-leaks of a file; none if no response is named, or if it is no number."""
    response = next((c for c in file.columns if c.name == file.choices.target), None)
    if response is None or response.kind != "number":
        return
    for column in file.columns:
        is_feature = column is not response and column.name not in file.choices.drop
        if is_feature and column.kind in ("number", "date") and not is_identifier(column):
            seen = _of_column(column, response)
            if seen:
                yield seen


def _of_column(column: RawColumn, response: RawColumn) -> Seen | None:
    here = np.flatnonzero(~column.missing & ~response.missing)
    x = np.asarray(column.values[here], dtype=np.float64)
    y = np.asarray(response.values[here], dtype=np.float64)
    if len(here) < 2 * FEWEST:
        return None
    # Most columns are nothing of the kind, which a sample shows.
    some = slice(None, None, -(-len(here) // SAMPLE))
    line = affine(x, y) if affine(x[some], y[some], IN_SAMPLE) else None
    if line is not None:
        slope, offset, agree = line
        sign = "+" if offset >= 0 else "-"
        how = f"{slope:.6g} * {column.name}"
        if abs(offset) > ROUNDING * float(np.ptp(y[agree])):
            how += f" {sign} {abs(offset):.6g}"
    else:
        found = monotone(x, y, some)
        if found is None:
            return None
        how, agree = f"a monotone function of {column.name}", found
    rows = here[~agree]
    name = column.name
    message = f"the response '{response.name}' is {how}"
    if len(rows):
        message += (f" in {int(agree.sum())} of {len(here)} rows; the other {len(rows)} differ and "
                    "may be bad rows")  # fmt: skip
    else:
        message += " in every row"
    remedy = (f"look at these rows, and if '{name}' is not known before the response, leave it out "
              f"with --drop {shlex.quote(name)}")  # fmt: skip
    if not len(rows):
        remedy = remedy.removeprefix("look at these rows, and ")
    return Seen("near-leak", (name, response.name), rows, message, remedy)


@np.errstate(over="ignore", invalid="ignore")
def affine(
    x: FloatArray, y: FloatArray, most: float = MOST
) -> tuple[float, float, BoolArray] | None:
    """Return the line on which most rows are, and which rows; None if there is none.

    Parameters
    ----------
    x, y : ndarray of shape (rows,)
        A column and the response.
    most : float
        The smallest share of the rows.

    Returns
    -------
    slope, offset : float
        The line y = slope * x + offset.
    agree : ndarray of bool of shape (rows,)
        The rows on it.
    """
    rng = np.random.default_rng(0)
    counted = _counted(x) & _counted(y)
    if counted.sum() < 2 * FEWEST:
        return None
    u, v = x[counted], y[counted]
    a, b = rng.integers(len(u), size=(2, PAIRS))
    differ = u[a] != u[b]
    if differ.sum() < PAIRS // 2:
        return None
    # Of a pair that is far apart, the slope has a smaller rounding error.
    far = np.abs(u[a] - u[b]) >= np.median(np.abs(u[a] - u[b])[differ])
    slope = float(np.median((v[a] - v[b])[far] / (u[a] - u[b])[far]))
    low, high = np.quantile(v, [0.05, 0.95])
    spread = float(high - low)
    if slope == 0 or spread == 0 or not np.isfinite(slope):
        return None
    digits = abs(slope) * _last_digit(u) + _last_digit(v) + EXACT * float(np.abs(v).max())
    offset = float(np.median(v - slope * u))
    found = None
    # If most rows agree to the last digit, others that nearly agree differ.
    for tolerance in (max(ROUNDING * spread, min(digits, COARSE * spread)), digits):
        agree = np.abs(v - slope * u - offset) <= 4 * tolerance
        if agree.sum() >= FEWEST:
            slope, offset = _fitted(u[agree], v[agree])
        agree = np.abs(v - slope * u - offset) <= tolerance
        if agree.mean() < most or agree.sum() < FEWEST:
            break
        if min(len(np.unique(u[agree])), len(np.unique(v[agree]))) < FEWEST:
            break
        everywhere: BoolArray = np.abs(y - slope * x - offset) <= tolerance
        if everywhere.mean() < most:
            break
        found = slope, offset, everywhere
    return found


def monotone(x: FloatArray, y: FloatArray, some: slice) -> BoolArray | None:
    """Return the rows in which the response is strictly monotone in a column; None if too few."""
    for sign in (1.0, -1.0):
        if _increasing(sign * x[some], y[some]).mean() >= IN_SAMPLE:
            agree = _increasing(sign * x, y)
            if agree.mean() >= MOST and agree.sum() >= 2 * FEWEST and _smooth(x[agree], y[agree]):
                return agree
    return None


@np.errstate(over="ignore", invalid="ignore")
def _smooth(x: FloatArray, y: FloatArray) -> bool:
    """Whether most values of a monotone function are near the line between their neighbours."""
    order = np.argsort(x)
    x, y = x[order], y[order]
    steps = np.diff(x)
    if np.ptp(steps) <= 0.01 * steps.mean():
        return False  # time
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    expected = y[:-2] + share * (y[2:] - y[:-2])
    near = np.abs(y[1:-1] - expected) <= SMOOTH * np.abs(y[2:] - y[:-2])
    return bool(near.mean() >= MOST)


def _counted(values: FloatArray) -> BoolArray:
    """Return which rows do not have the most frequent value, if it is in many rows."""
    distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) == 1 or counts.max() < 0.2 * len(values):
        return np.ones(len(values), dtype=np.bool_)
    others: BoolArray = inverse.ravel() != np.argmax(counts)
    return others


def _last_digit(values: FloatArray) -> float:
    """Return the unit of the last digit of numbers, such as 0.01; 0 if they have many digits."""
    sample = values[:: -(-len(values) // 500)]
    largest = float(np.abs(sample).max())
    for k in range(-6, 7):
        unit = 10.0**-k
        if unit > largest:
            continue
        scaled = sample / unit
        if (np.abs(scaled - np.round(scaled)) <= 1e-6 * np.maximum(1, np.abs(scaled))).mean() > 0.9:
            return unit
    return 0.0


def _fitted(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return slope and offset of the least-squares line."""
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / max(centred @ centred, np.finfo(np.float64).tiny))
    return slope, float(y.mean() - slope * x.mean())


def _increasing(x: FloatArray, y: FloatArray) -> BoolArray:
    """Return the rows of a longest subsequence in which y strictly increases with x."""
    order = np.lexsort((-y, x))  # equal x: at most one of them can be in the subsequence
    tops: list[float] = []
    at: list[int] = []
    before = np.full(len(order), -1)
    for k, value in enumerate(y[order].tolist()):
        place = bisect_left(tops, value)
        if place == len(tops):
            tops.append(value)
            at.append(k)
        else:
            tops[place] = value
            at[place] = k
        before[k] = at[place - 1] if place else -1
    chosen = np.zeros(len(order), dtype=np.bool_)
    k = at[-1] if at else -1
    while k >= 0:
        chosen[order[k]] = True
        k = int(before[k])
    return chosen
