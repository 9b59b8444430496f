"""An order of rows that depends on what they hold and on a seed, not on where they lie.

Each row gets a pseudo-random key from what it holds.  Sorting by the keys shuffles the rows, and
the same set of rows comes out in the same order, whichever order it came in.

What a row holds is taken to 12 bits of each column's range.  An attack's rows differ in their last
digits from one processor or library to the next; if keys followed those, the random choices that
follow from the order would differ too, and with them a defense's model, by far more than the last
digits.  A row within rounding of the border between two steps can still change places.  So can all
rows where they are many: there keys are made from exact values, which costs less, and a search in
thousands of rows does not hang on their order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray

Keys = npt.NDArray[np.uint64]

BLOCK = 1024
"""Rows that are hashed at a time, so that copies stay in the cache."""

STEPS = 2.0**12
"""Steps in the range of a column that keys tell apart."""

MANY = 5000
"""Rows from which on keys are made from exact values."""


def content_keys(X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> Keys:
    """Return a key for each row: equal rows have different ones, in any order.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    rng : RandomState
        Makes the keys random.

    Returns
    -------
    ndarray of uint64 of shape (N,)
        The keys; two different rows share one with probability 2^-64.
    """
    factors = rng.randint(0, 2**64, size=X.shape[1] + 2, dtype=np.uint64) | np.uint64(1)
    exact = _hashes(X, y, factors)
    if len(y) > MANY:
        return _counted(exact, exact, factors[-1])
    return _counted(_hashes(_steps(X), _steps(y), factors), exact, factors[-1])


def _steps(values: FloatArray) -> FloatArray:
    """Return the values of each column in steps of its range, so in no unit, as whole numbers."""
    lowest, span = values.min(axis=0), np.ptp(values, axis=0)
    steps: FloatArray = np.round((values - lowest) / np.where(span > 0, span, 1.0) * STEPS)
    return steps


def _hashes(X: FloatArray, y: FloatArray, factors: Keys) -> Keys:
    """Return a hash of each row, by its response alone where no other row has the same one."""
    keys = _mixed((y + 0.0).view(np.uint64) * factors[0])  # + 0.0: one zero, not -0 and 0
    ordered = np.sort(y)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not repeated.size:
        return keys
    rows = np.flatnonzero(np.isin(y, np.unique(repeated)))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        bits = (X[block] + 0.0).view(np.uint64)
        # The low bits of 0, 1 and other short numbers are 0, and a product would keep them so.
        bits ^= bits >> np.uint64(52)
        keys[block] += np.einsum("ij,j->i", bits, factors[1:-1])
    keys[rows] = _mixed(keys[rows])
    return keys


def _counted(hashes: Keys, exact: Keys, factor: np.uint64) -> Keys:
    """Return keys that count rows of the same hash, in the order of their exact values."""
    order = np.lexsort([exact, hashes])
    place = np.arange(len(hashes))
    first = np.append(True, np.diff(hashes[order]) != 0)
    count = place - np.maximum.accumulate(np.where(first, place, 0))
    keys = hashes.copy()
    again = order[count > 0]
    keys[again] = _mixed(hashes[again] + count[count > 0].astype(np.uint64) * factor)
    return keys


def _mixed(keys: Keys) -> Keys:
    """Return keys whose every bit depends on all bits of the given ones (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
