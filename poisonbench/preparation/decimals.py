"""Numbers in [0, 1] as decimal text that reads back as the same number, an array at a time.

Python's ``repr`` of a float takes over a microsecond, which for millions of cells is longer than
everything else.  Here the digits come out of whole-array arithmetic: 15 decimals where these read
back exactly, as for most numbers that people write, else 17 significant digits, which always do.
The product with a power of ten is taken exactly, as the sum of two floats: T. J. Dekker, "A
floating-point technique for extending the available precision", Numerische Mathematik 18 (1971).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray, IntArray

Characters = npt.NDArray[np.uint8]

FILLER = 0
"""Stands where a text has no character; to be removed."""

SMALLEST = 1e-5
"""From here on no more than ZEROS zeros follow the point, and powers of ten are exact floats."""

ZEROS = 4
DIGITS = 17
WIDTH = 2 + ZEROS + DIGITS


def decimals(values: FloatArray) -> Characters:
    """Return numbers as text.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Numbers in [0, 1].

    Returns
    -------
    ndarray of shape (rows, WIDTH)
        ASCII characters; those that are `FILLER` are not part of the text.
    """
    digits, zeros = _digits(values)
    text = np.full((len(values), WIDTH), FILLER, dtype=np.uint8)
    text[:, 0] = ord("0") + (values == 1)
    text[:, 1] = ord(".")
    for j in range(ZEROS):
        text[zeros > j, 2 + j] = ord("0")
    left = digits
    ended = np.zeros(len(values), dtype=np.bool_)  # whether a digit that is not 0 follows
    for j in range(WIDTH - 1, 1 + ZEROS, -1):
        left, digit = left // 10, left % 10
        ended |= digit != 0
        text[:, j] = np.where(ended, digit + ord("0"), FILLER)
    text[~ended, 1:] = FILLER
    tiny = np.flatnonzero((values > 0) & (values < SMALLEST))
    if tiny.size:
        written = [repr(value).encode().ljust(WIDTH, b"\0") for value in values[tiny].tolist()]
        text[tiny] = np.frombuffer(b"".join(written), dtype=np.uint8).reshape(-1, WIDTH)
    return text


def _digits(values: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the decimals after some zeros as whole numbers of `DIGITS` digits, and the zeros."""
    # Below 2**53 and 10**22 whole floats are exact, so the quotient is the float nearest to what
    # is written, that is, what a reader makes of it.
    short = np.rint(values * 1e15)
    exact = short / 1e15 == values
    zeros = sum((values < 10.0**-j).astype(np.intp) for j in range(1, ZEROS + 1))
    zeros = np.where(exact, 0, zeros)
    power: FloatArray = np.power(10.0, DIGITS + zeros)
    high, low = _product(values, power)
    long = high.astype(np.intp) + np.rint(low).astype(np.intp)
    whole = np.where(exact, short.astype(np.intp) * 100, long)
    return np.where(values == 1, 0, whole), zeros


def _product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a product and its rounding error, both exact (Dekker's TwoProduct)."""
    high = a * b
    (a_1, a_2), (b_1, b_2) = _halves(a), _halves(b)
    return high, a_2 * b_2 - (((high - a_1 * b_1) - a_2 * b_1) - a_1 * b_2)


def _halves(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two floats of half the digits whose sum is `a` (Veltkamp's splitting)."""
    shifted = a * (2.0**27 + 1)
    upper = shifted - (shifted - a)
    return upper, a - upper
