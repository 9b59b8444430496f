"""An order of rows that depends on what they hold and on a seed, not on where they lie.

Each row gets a pseudo-random key from its bits.  Sorting by the keys shuffles the rows, and the
same set of rows comes out in the same order, whichever order it came in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray

Keys = npt.NDArray[np.uint64]

BLOCK = 1024
"""Rows that are hashed at a time, so that copies stay in the cache."""


def content_keys(X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> Keys:
    """Return a key for each row: equal rows have different ones, in any order.

    Rows whose response is unlike all others are known by it; the others by all that they hold,
    and among rows that are the same by their count.

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
    hashes = _mixed(keys[rows])
    order = np.argsort(hashes, kind="stable")
    place = np.arange(len(rows))
    first = np.append(True, np.diff(hashes[order]) != 0)
    count = place - np.maximum.accumulate(np.where(first, place, 0))
    keys[rows[order]] = _mixed(hashes[order] + count.astype(np.uint64) * factors[-1])
    return keys


def _mixed(keys: Keys) -> Keys:
    """Return keys whose every bit depends on all bits of the given ones (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))
