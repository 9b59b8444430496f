"""Fingerprints of rows, to find those that are equal in all columns, or in all but some.

The fingerprint of a row is the sum, modulo 2**64, of a hash of each of its cells.  That of the row
without some columns is this sum without their hashes, so that it need not be computed again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poisonbench.features import BoolArray, IntArray
from poisonbench.preparation.raw import RawColumn

Hashes = npt.NDArray[np.uint64]


def cell_hashes(column: RawColumn, salt: int) -> Hashes:
    """Return a hash of each cell of a column, shape (rows,); all missing cells have the same.

    Parameters
    ----------
    column : RawColumn
        The column.
    salt : int
        A number that is different for each column.
    """
    values = np.asarray(column.values, dtype=np.float64) + 0.0  # -0 becomes 0
    values[column.missing] = np.nan
    bits = values.view(np.uint64) ^ _mixed(np.array([salt + 1], dtype=np.uint64))
    return _mixed(bits)


def repeats(fingerprints: Hashes) -> tuple[IntArray, IntArray]:
    """Return the rows that are equal to an earlier one, and for each of them the first such row."""
    _, first, inverse = np.unique(fingerprints, return_index=True, return_inverse=True)
    origin = first[inverse.ravel()]
    later: BoolArray = origin != np.arange(len(fingerprints))
    rows = np.flatnonzero(later)
    return rows, origin[rows]


def _mixed(bits: Hashes) -> Hashes:
    """Mix the bits of integers (the finalizer of SplitMix64, Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = bits ^ (bits >> np.uint64(31))
    return mixed
