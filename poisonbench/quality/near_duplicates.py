"""Rows that almost repeat another row.

Three kinds of pairs are looked for:

- *Equal but for the response*: copies whose responses were changed, as an attack does that inverts
  the responses of training rows.  At least two features must have many different values
  (:meth:`poisonbench.quality.pairs.Comparison.is_fine`), and :mod:`poisonbench.quality.pairs` has
  the rule that tells copies from coincidences, such as repeated measurements in a designed
  experiment.
- *Equal but for one feature*: the response, or two columns if there is none, must have many
  different values, because the rows of one person in a panel often differ in a single column.  In
  data with few different values, far more rows differ from another one in two columns than in one.
  Rows that differ from another in one column must be at least :data:`TWICE` times as many as the
  rows for which the nearest other one differs in two.
- *Equal to within rounding*: categories, and columns with few different values, are equal, and all
  other numbers differ by at most :data:`NEAR` of the range of their column without its outer 10%.
  Pairs at distances up to four times as large are counted too: in data with k dimensions there
  would be 4**k times as many, in a time series at least four times as many.  At least
  :data:`FEWEST` pairs must be near, and so many that with a probability of 1/4 for each pair there
  would be as many in :data:`CHANCE` of all files.  At least two columns must have many different
  values.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import binom

from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.fingerprints import Hashes, repeats
from poisonbench.quality.finding import Seen, line_of
from poisonbench.quality.pairs import MANY, Comparison, pairs

FEWEST = 7
"""Smallest number of pairs to within rounding; and three of the other kinds, see :data:`PAIRS`."""

PAIRS = 3
"""Smallest number of pairs that are equal but for one column."""

NEAR = 1e-3
"""Largest difference to within rounding, as a share of the column's range."""

CHANCE = 1e-4
"""Probability of a false alarm to within rounding, if the pairs are independent."""

TWICE = 2.0
"""How many times as many rows must differ from another in one column as in two."""

PROJECTIONS = 5
"""Number of projections in which rows are compared first, if there are more columns."""

TOO_MANY = 500_000
"""With more pairs that might be near, nearness is nothing special, and there is no finding."""

SAMPLE = 500
"""Number of rows from which the number of pairs in the projections is estimated."""

REMEDY = "look at these rows, and delete those from the file that are no separate observations"


def check(compared: Comparison, target: str | None) -> Iterator[Seen]:
    """Yield the kinds of near-duplicates that a file has.

    Parameters
    ----------
    compared : Comparison
        The rows.
    target : str or None
        The response.
    """
    names = [column.name for column in compared.columns]
    fine = [k for k in range(len(names)) if compared.is_fine(k)]
    if len(names) < 3 or len(fine) < 2:
        return
    response = names.index(target) if target in names else -1
    if response >= 0 and len(set(fine) - {response}) >= 2:
        equal, same = pairs(compared.whole - compared.hashes(response)), pairs(compared.whole)
        if equal - same >= PAIRS and compared.no_coincidence(equal, [response]):
            yield _equal_but_for(compared, [response], f"the response '{target}'")
    if response < 0 or response in fine:
        columns = _changed_columns(compared, response)
        if columns:
            what = f"'{names[columns[0]]}'" if len(columns) == 1 else "one feature"
            yield _equal_but_for(compared, columns, what)
            return
    close = _within_rounding(compared)
    if close is not None:
        yield close


def _changed_columns(compared: Comparison, response: int) -> list[int]:
    """Return the features in which rows differ that are equal otherwise; none by coincidence."""
    a, b = _close_to_equal(compared)
    if not len(a):
        return []
    n_different = np.zeros(len(a), dtype=np.intp)
    last = np.full(len(a), -1)
    for k in range(len(compared.columns)):
        hashes = compared.hashes(k)
        differ = hashes[a] != hashes[b]
        n_different += differ
        last[differ] = k
    one = (n_different == 1) & (last != response)
    in_one = np.unique(np.concatenate([a[one], b[one]]))
    two = n_different == 2
    only_two = np.setdiff1d(np.concatenate([a[two], b[two]]), in_one)
    if one.sum() < PAIRS or len(in_one) < TWICE * len(only_two):
        return []
    columns: list[int] = np.unique(last[one]).tolist()
    return columns


def _close_to_equal(compared: Comparison) -> tuple[IntArray, IntArray]:
    """Return the pairs of rows that differ in at most two columns; none if there are too many.

    If the columns are dealt into four parts, such rows are equal in at least two of the parts.
    """
    order = np.argsort(compared.collisions)
    parts = [np.zeros(len(compared.whole), dtype=np.uint64) for _ in range(4)]
    for place, k in enumerate(order.tolist()):
        # 0 1 2 3 3 2 1 0 0 1 ...: each part gets equally fine columns
        parts[min(place % 8, 7 - place % 8)] += compared.hashes(k)
    found = []
    n_found = 0.0
    for first, second in combinations(parts, 2):
        both = first + second
        n_found += pairs(both)
        if n_found > TOO_MANY:
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
        found.append(_pairs_within(both))
    a, b = np.unique(np.concatenate(found), axis=0).T
    return a, b


def _pairs_within(fingerprints: Hashes) -> IntArray:
    """Return all pairs of equal rows, shape (pairs, 2)."""
    order = np.argsort(fingerprints, kind="stable")
    ordered = fingerprints[order]
    found = []
    lag = 1
    while (same := np.flatnonzero(ordered[lag:] == ordered[:-lag])).size:
        found.append(np.column_stack([order[same], order[same + lag]]))
        lag += 1
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.intp)


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
    fine = [k for k in range(len(compared.columns)) if _is_scaled(compared, k)]
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


def _is_scaled(compared: Comparison, k: int) -> bool:
    """Whether a column is compared to within rounding."""
    low, high = compared.ranges[k]
    is_number = compared.columns[k].kind in ("number", "date")
    return is_number and compared.n_distinct[k] > MANY and low < high


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
