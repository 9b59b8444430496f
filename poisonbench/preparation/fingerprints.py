"""Fingerprints of rows, to find those that are equal in all columns, or in all but some.

The fingerprint of a row is the sum, modulo 2**64, of a hash of each of its cells.  That of the row
without some columns is this sum without their hashes, so that it need not be computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from poisonbench.features import BoolArray, FloatArray, IntArray
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
    return hashes(values, salt)


def hashes(values: FloatArray, salt: int) -> Hashes:
    """Return a hash of each number, shape (rows,).

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Numbers.
    salt : int
        A number that is different for each column.
    """
    bits = values.view(np.uint64) ^ _mixed(np.array([salt + 1], dtype=np.uint64))
    return _mixed(bits)


def is_compared(column: RawColumn, n_distinct: int, *, response: bool) -> bool:
    """Whether rows are compared in a column.

    They are not in constants, in free text, and in identifiers: texts and whole numbers that are
    different in every row.

    Parameters
    ----------
    column : RawColumn
        The column.
    n_distinct : int
        The number of its different values.
    response : bool
        Whether it is the response, in which rows are compared even if it looks like an identifier.
    """
    if column.kind in ("free text", "empty"):
        return False
    if response or n_distinct < len(column.values):
        return n_distinct + bool(column.missing.any()) > 1
    return column.kind in ("number", "date") and bool((column.present() % 1 != 0).any())


def repeated_rows(
    columns: Sequence[RawColumn], target: str | None, drop: Collection[str]
) -> BoolArray:
    """Return a mask of the rows that are equal to an earlier one in all columns compared.

    Parameters
    ----------
    columns : sequence of RawColumn
        All columns.
    target : str or None
        The response.
    drop : collection of str
        Columns that are not compared.
    """
    total = np.zeros(len(columns[0].values), dtype=np.uint64)
    mask = np.zeros(len(total), dtype=np.bool_)
    chosen = 0
    for k, column in enumerate(columns):
        n_distinct = len(np.unique(column.present()))
        if column.name not in drop and is_compared(column, n_distinct,
                                                   response=column.name == target):  # fmt: skip
            total += cell_hashes(column, k)
            chosen += 1
    if chosen:
        mask[repeats(total)[0]] = True
    return mask


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
