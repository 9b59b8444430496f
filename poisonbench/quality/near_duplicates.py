"""Rows that almost repeat another row.

Three kinds of pairs are looked for:

- *Equal but for the response*: copies whose responses were changed, as an attack does that inverts
  the responses of training rows.
- *Equal but for one feature*.
- *Equal to within rounding*: categories, and columns with few different values, are equal, and all
  other numbers differ by at most :data:`NEAR` of the range of their column without its outer 10%.

None of them is reported where it can be a coincidence.  For the first two,
:mod:`poisonbench.quality.pairs` has the rule, so that repeated measurements in a designed
experiment and data with few different values are left alone.  For the third, pairs at distances up
to four times as large are counted too: in data with k dimensions there would be 4**k times as many,
in a time series at least four times as many.  At least :data:`FEWEST` pairs must be near, and so
many that with a probability of 1/4 for each pair there would be as many in :data:`CHANCE` of all
files.  At least two columns must have many different values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import binom

from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.fingerprints import repeats
from poisonbench.quality.finding import Seen, line_of
from poisonbench.quality.pairs import Comparison, pairs

FEWEST = 7
"""Smallest number of pairs to within rounding; and three of the other kinds, see :data:`PAIRS`."""

PAIRS = 3
"""Smallest number of pairs that are equal but for one column."""

NEAR = 1e-3
"""Largest difference to within rounding, as a share of the column's range."""

CHANCE = 1e-4
"""Probability of a false alarm to within rounding, if the pairs are independent."""

MANY = 50
"""A column with more different values than this is compared to within rounding."""

PROJECTIONS = 5
"""Number of projections in which rows are compared first, if there are more columns."""

TOO_MANY = 2_000_000
"""With more pairs in the projections, nearness is nothing special, and there is no finding."""

SAMPLE = 500
"""Number of rows from which the number of pairs in the projections is estimated."""

REMEDY = "look at these rows, and delete those from the file that are no separate observations"


def check(compared: Comparison, target: str | None) -> Iterator[Seen]:
    """Yield the kinds of near-duplicates that a file has."""
    if len(compared.columns) < 3:
        return
    equal = pairs(compared.whole)
    counts = np.array([pairs(compared.whole - compared.hashes(k)) - equal
                       for k in range(len(compared.columns))])  # fmt: skip
    names = [column.name for column in compared.columns]
    response = names.index(target) if target in names else -1
    if response >= 0 and counts[response] >= PAIRS:
        if compared.no_coincidence(counts[response] + equal, [response]):
            yield _equal_but_for(compared, [response], f"the response '{target}'")
        counts[response] = 0
    elif response >= 0:
        counts[response] = 0
    found = np.flatnonzero(counts).tolist()
    if counts.sum() >= PAIRS and compared.no_coincidence(counts.sum() + equal, one_free=True):
        what = f"'{names[found[0]]}'" if len(found) == 1 else "one feature"
        yield _equal_but_for(compared, found, what)
        return
    close = _within_rounding(compared)
    if close is not None:
        yield close


def _equal_but_for(compared: Comparison, columns: list[int], what: str) -> Seen:
    rows: list[IntArray] = []
    origins: list[IntArray] = []
    for k in columns:
        hashes = compared.hashes(k)
        later, first = repeats(compared.whole - hashes)
        differ = hashes[later] != hashes[first]
        rows.append(later[differ])
        origins.append(first[differ])
    found, place = np.unique(np.concatenate(rows), return_index=True)
    origin = np.concatenate(origins)[place]
    message = (f"{len(found)} rows are equal to an earlier row in all of {len(compared.columns)} "
               f"columns but {what}, such as line {line_of(int(found[0]))} to line "
               f"{line_of(int(origin[0]))}")  # fmt: skip
    names = tuple(compared.columns[k].name for k in columns)
    return Seen("near-duplicates", names, found, message, REMEDY)


def _within_rounding(compared: Comparison) -> Seen | None:
    fine = [k for k in range(len(compared.columns)) if _is_fine(compared, k)]
    if len(fine) < 2:
        return None
    a, b, distance = _close_pairs(compared, fine)
    near = distance <= NEAR
    if near.sum() < FEWEST or binom.sf(near.sum() - 1, len(near), 0.25) > CHANCE:
        return None
    later, earlier = np.maximum(a, b)[near], np.minimum(a, b)[near]
    rows, place = np.unique(later, return_index=True)
    origin = int(earlier[place[0]])
    message = (f"{len(rows)} rows are equal to an earlier row to within {NEAR:g} of the range of "
               f"every column, but not exactly, such as line {line_of(int(rows[0]))} to line "
               f"{line_of(origin)}")  # fmt: skip
    names = tuple(compared.columns[k].name for k in fine)
    return Seen("near-duplicates", names, rows, message, REMEDY)


def _is_fine(compared: Comparison, k: int) -> bool:
    column = compared.columns[k]
    if column.kind not in ("number", "date") or compared.n_distinct[k] <= MANY:
        return False
    low, high = compared.ranges[k]
    return low < high


def _scaled(compared: Comparison, k: int) -> FloatArray:
    """Return a column in units of its range; a missing value is far from all others."""
    column, (low, high) = compared.columns[k], compared.ranges[k]
    values = np.asarray(column.values, dtype=np.float64)
    scaled: FloatArray = np.clip((values - low) / (high - low), -1e6, 1e6)
    scaled[column.missing] = -2e6
    return scaled


def _close_pairs(compared: Comparison, fine: list[int]) -> tuple[IntArray, IntArray, FloatArray]:
    """Return pairs of different rows within four times :data:`NEAR`, and their differences.

    A tree finds the pairs that are near in a few random projections; then all columns are compared.

    Returns
    -------
    a, b : ndarray of int
        The rows of each pair; none if there are more than :data:`TOO_MANY`.
    difference : ndarray of float
        The largest difference in a column, in units of its range.
    """
    rng = np.random.default_rng(0)
    first = np.unique(compared.whole, return_index=True)[1]  # equal rows are no near-duplicates
    far = 4 * NEAR
    same = np.zeros(len(first), dtype=np.uint64)
    few = len(fine) <= PROJECTIONS
    P = np.zeros((len(first), len(fine) if few else PROJECTIONS))
    for k in range(len(compared.columns)):
        if k not in fine:
            same += compared.hashes(k)[first]
            continue
        scaled = _scaled(compared, k)[first]
        if few:
            P[:, fine.index(k)] = scaled
        else:
            P += np.outer(scaled, rng.choice([-1.0, 1.0], size=PROJECTIONS))
    # Differences that are uniform have a deviation of far / sqrt(3); three of these are enough.
    bound = far if few else far * np.sqrt(3 * len(fine))
    groups = np.unique(same, return_inverse=True)[1].ravel()
    tree = cKDTree(np.column_stack([P, groups * (10 * bound)]), balanced_tree=False)
    some = tree.data[:: -(-len(first) // SAMPLE)]
    neighbours = tree.query_ball_point(some, bound, p=np.inf, return_length=True) - 1
    if neighbours.mean() * len(first) / 2 > TOO_MANY:
        a = b = np.zeros(0, dtype=np.intp)
    else:
        a, b = (first[side] for side in tree.query_pairs(bound, np.inf, output_type="ndarray").T)
    difference = np.zeros(len(a))
    for k in fine:
        scaled = _scaled(compared, k)
        np.maximum(difference, np.abs(scaled[a] - scaled[b]), out=difference)
    kept = difference <= far
    return a[kept], b[kept], difference[kept]
