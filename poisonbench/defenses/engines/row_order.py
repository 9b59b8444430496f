"""An order of rows that depends on their content and on a seed, but not on their given order.

Each row gets a pseudo-random key that is computed from its content.  Sorting by the keys shuffles
the rows, and the same set of rows always ends in the same order.

The content of a row is rounded to 12 bits of each column's range.  The rows of an attack differ in
their last digits between processors and versions of libraries.  If the keys depended on these
digits, the order of rows would differ, then the random choices that depend on the order, and then
the models of defenses, by much more than the last digits.  A row very near the border between two
steps can still change its place.  With many rows, keys are computed from exact values, which costs
less, because a search among thousands of rows does not depend much on their order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray

Keys = npt.NDArray[np.uint64]

BLOCK = 1024
"""Number of rows that are hashed at a time, so that copies stay in the cache."""

STEPS = 2.0**12
"""Number of steps in the range of a column that keys distinguish."""

MANY = 5000
"""With more rows than this, keys are computed from exact values."""


def content_keys(X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> Keys:
    """Return a key for each row; equal rows have different keys, in an arbitrary order.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    rng : RandomState
        Makes the keys random.

    Returns
    -------
    ndarray of uint64 of shape (N,)
        The keys; two different rows have the same key with probability 2^-64.
    """
    factors = rng.randint(0, 2**64, size=X.shape[1] + 2, dtype=np.uint64) | np.uint64(1)
    exact = _hashes(X, y, factors)
    if len(y) > MANY:
        return _counted(exact, exact, factors[-1])
    return _counted(_hashes(_steps(X), _steps(y), factors), exact, factors[-1])


def _steps(values: FloatArray) -> FloatArray:
    """Return the values of each column as whole numbers of steps of its range, without a unit."""
    lowest, span = values.min(axis=0), np.ptp(values, axis=0)
    steps: FloatArray = np.round((values - lowest) / np.where(span > 0, span, 1.0) * STEPS)
    return steps


def _hashes(X: FloatArray, y: FloatArray, factors: Keys) -> Keys:
    """Return a hash of each row; it uses the features only if another row has the same response."""
    keys = _mixed((y + 0.0).view(np.uint64) * factors[0])  # + 0.0 turns -0 into 0
    ordered = np.sort(y)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not repeated.size:
        return keys
    rows = np.flatnonzero(np.isin(y, np.unique(repeated)))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        bits = (X[block] + 0.0).view(np.uint64)
        # The low bits of 0, 1 and other short numbers are 0, and would stay 0 in a product.
        bits ^= bits >> np.uint64(52)
        keys[block] += np.einsum("ij,j->i", bits, factors[1:-1])
    keys[rows] = _mixed(keys[rows])
    return keys


def _counted(hashes: Keys, exact: Keys, factor: np.uint64) -> Keys:
    """Return keys that distinguish rows of the same hash, in the order of their exact values."""
    ordered = np.sort(hashes)
    if (ordered[1:] != ordered[:-1]).all():
        return hashes
    order = np.lexsort([exact, hashes])
    place = np.arange(len(hashes))
    first = np.append(True, np.diff(hashes[order]) != 0)
    count = place - np.maximum.accumulate(np.where(first, place, 0))
    keys = hashes.copy()
    again = order[count > 0]
    keys[again] = _mixed(hashes[again] + count[count > 0].astype(np.uint64) * factor)
    return keys


def _mixed(keys: Keys) -> Keys:
    """Return keys in which every bit depends on all bits of the given key (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
