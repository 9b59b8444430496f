"""Convert shares of rows to numbers of rows, with exact decimal arithmetic.

In floating point, 0.145 of 100 rows is 14.499999999999998, which rounds to 14; in decimal
arithmetic it is 14.5, which rounds to 15.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor


def exact(share: float) -> Fraction:
    """Return `share` as the fraction equal to its shortest decimal form."""
    return Fraction(repr(float(share)))


def rows_at(share: float | Fraction, n_rows: int) -> int:
    """Return the number of rows in a share of `n_rows` rows, with halves rounded up.

    Parameters
    ----------
    share : float or Fraction
        A share, such as 0.04; a float stands for its shortest decimal form.
    n_rows : int
        The number of rows that `share` refers to.

    Examples
    --------
    >>> rows_at(0.145, 100)
    15
    """
    whole = share if isinstance(share, Fraction) else exact(share)
    return floor(whole * n_rows + Fraction(1, 2))
