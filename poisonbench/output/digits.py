"""Numbers of printed tables, with a fixed number of significant digits."""

from __future__ import annotations

PLAIN_BELOW = 10_000
"""Numbers below this are never written with an exponent."""


def significant(value: float, digits: int) -> str:
    """Return a number with this many significant digits, and without a point at its end.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        How many digits.

    Examples
    --------
    >>> significant(0.5, 3), significant(11.2, 2), significant(123.4, 2), significant(12345.6, 3)
    ('0.500', '11', '123', '1.23e+04')
    """
    text = f"{value:#.{digits}g}".rstrip(".")
    return f"{value:.0f}" if "e+" in text and abs(value) < PLAIN_BELOW else text
