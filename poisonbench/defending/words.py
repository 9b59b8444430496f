"""Numbers and dates in words for readers."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

WHOLE = 1000
"""Amounts of at least this size are shown without decimals."""


def amount(value: float) -> str:
    """Return a number with as many digits as a reader wants.

    Examples
    --------
    >>> amount(1234567.8), amount(12.3456), amount(3.0), amount(2e12)
    ('1,234,568', '12.3', '3', '2e+12')
    """
    if abs(value) >= 1e12:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.3g}"


def signed(value: float) -> str:
    """Return a number with its sign.

    Examples
    --------
    >>> signed(1234.5), signed(-0.25)
    ('+1,234', '-0.25')
    """
    return amount(value) if value < 0 else f"+{amount(value)}"


def day(value: float) -> str:
    """Return days since 1970 as a date.

    Examples
    --------
    >>> day(0.0), day(365.75)
    ('1970-01-01', '1971-01-01')
    """
    try:
        return (date(1970, 1, 1) + timedelta(days=int(np.floor(value)))).isoformat()
    except OverflowError:
        return f"day {value:.6g}"
