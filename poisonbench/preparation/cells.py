"""Parsers for the text of one cell: numbers and dates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Literal, NamedTuple


class Cell(NamedTuple):
    """The value of a string.

    Parameters
    ----------
    value : float
        The number, or the date in days since 1970.
    notation : str
        The special notation that the text uses; empty for a plain number or date.
    rest : float
        The rounding error of a whole number beyond 2**53 as a float.
    """

    value: float
    notation: str
    rest: float = 0.0


Parser = Callable[[str], Cell | None]
"""Returns the value of a string, or None if it is not a number (or a date)."""

EXACT = 2.0**53
"""Whole numbers up to this are exact as floats."""

DateOrder = Literal["year first", "day first", "month first", "month named"]

DATE_ORDERS: tuple[DateOrder, ...] = ("year first", "day first", "month first", "month named")

LEADING_ZEROS = "leading zeros"
SEPARATED = "thousands separated"
NEGATED = "negative in parentheses, or with the minus sign at the end"
TIME_ZONE = "a time zone"
PLAIN = frozenset({"", LEADING_ZEROS, SEPARATED, NEGATED})
"""The notations of numbers without a currency or percent sign."""

_SIGNS = r"[$€£¥₹%‰]|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD"
_SIGNED = re.compile(rf"([+-]?) ?(?:({_SIGNS}) ?)?([+-]?[\d.,].*?)(?: ?({_SIGNS}))?")
# Groups of three digits, or as in India groups of two before the last three; an exponent may be
# written as in Fortran, with a D.
_NUMBERS = {
    mark: re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}([{thousands} '’])\d{{3}}(?:\1\d{{3}})*"
        rf"|[1-9]\d?(,)\d\d(?:,\d\d)*,\d{{3}}|\d+)?"
        rf"(?:{re.escape(mark)}\d*)?(?:[ed][+-]?\d+)?",
        re.ASCII | re.IGNORECASE,
    )
    for mark, thousands in ((".", ","), (",", "."))
}
_SEPARATORS = {
    ".": str.maketrans("dD", "ee", ", '’"),
    ",": str.maketrans(",dD", ".ee", ". '’"),
}
_WHOLE = re.compile(r"([+-]?\d+)\.?0*")
_NEGATED = re.compile(r"\(([^()-]+)\)|([^()-]*\d)-")
_LOOKS_LIKE_NUMBER = re.compile(r"\W*\d[\d\W]*\w{0,4}")
"""Digits and marks, followed by at most a short unit or exponent."""
_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"0\d+", re.ASCII)

_TIME = (
    r"(?:(?:T|,? )(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d(?:[.,]\d+)?))?(?: ?(?P<half>[AP])M)?"
    r" ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?"
)
_DAYS: dict[DateOrder, str] = {
    "year first": r"(?P<y>\d{4})([-/.])(?P<m>\d{1,2})\2(?P<d>\d{1,2})",
    "day first": r"(?P<d>\d{1,2})([-/.])(?P<m>\d{1,2})\2(?P<y>\d{4})",
    "month first": r"(?P<m>\d{1,2})([-/.])(?P<d>\d{1,2})\2(?P<y>\d{4})",
    "month named": (
        r"(?:(?P<d>\d{1,2})[ -])?(?P<m>[a-z]{3,9})\.?(?(d)|[ ](?P<d_>\d{1,2})),?[ -](?P<y>\d{4})"
    ),
}
_DATES = {
    order: re.compile(days + _TIME, re.ASCII | re.IGNORECASE) for order, days in _DAYS.items()
}
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_1970 = date(1970, 1, 1).toordinal()


def number_parser(decimal: str) -> Parser:
    """Return a parser of numbers.

    Thousands may be separated by the other mark, blanks or apostrophes.  A currency or percent sign
    may precede or follow the number, and is then its special notation; percentages are not divided
    by 100.  Negative numbers may be in parentheses or have the minus sign at the end.  A number
    that is too large for a float is infinite.

    Parameters
    ----------
    decimal : {".", ","}
        The decimal mark.
    """
    pattern, separators = _NUMBERS[decimal], _SEPARATORS[decimal]

    def parse(text: str) -> Cell | None:
        notation = ""
        text = text.replace("−", "-")
        match = pattern.fullmatch(text)
        if match is None:
            if _INFINITY.fullmatch(text):
                return Cell(float(text), "")
            if negated := _NEGATED.fullmatch(text):
                notation, text = NEGATED, f"-{(negated[1] or negated[2]).strip()}"
            parts = _SIGNED.fullmatch(text)
            if parts and bool(parts[2]) != bool(parts[4]):
                notation, text = parts[2] or parts[4], parts[1] + parts[3]
            match = pattern.fullmatch(text) if notation else None
            if match is None:
                return None
        digits = text.translate(separators)
        try:
            value = float(digits)
            whole = EXACT <= abs(value) < math.inf and _WHOLE.fullmatch(digits)
            rest = float(int(whole[1]) - int(value)) if whole else 0.0
        except ValueError:  # only a sign, a mark or an exponent; or thousands of digits
            return None
        if not notation and (match[1] or (decimal == "." and match[2])):
            notation = SEPARATED
        elif not notation and _LEADING_ZERO.fullmatch(text):
            notation = LEADING_ZEROS
        return Cell(value, notation, rest)

    return parse


def looks_like_number(text: str) -> bool:
    """Whether a string may be a number or a date in a notation that no parser here knows."""
    return _LOOKS_LIKE_NUMBER.fullmatch(text) is not None


def date_parser(order: DateOrder) -> Parser:
    """Return a parser of dates, with or without a time, into days since 1970.

    A time without a time zone is in UTC.  A time zone is a special notation.

    Parameters
    ----------
    order : {"year first", "day first", "month first", "month named"}
        The order of the parts.
    """
    pattern = _DATES[order]

    def parse(text: str) -> Cell | None:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        part = match.groupdict()
        month = part["m"]
        try:
            number = _month(month) if month.isalpha() else int(month)
            day = date(int(part["y"]), number, int(part["d"] or part["d_"])).toordinal() - _1970
        except ValueError:  # the 30th of February
            return None
        seconds = _seconds(part)
        zone = TIME_ZONE if part["zone"] else ""
        return None if seconds is None else Cell(day + seconds / 86_400, zone)

    return parse


def _month(name: str) -> int:
    """Return the number of the month whose name begins with these letters; 0 if there is none."""
    numbered = enumerate(_MONTHS, start=1)
    return next((k for k, month in numbered if month.startswith(name.lower())), 0)


def _seconds(part: dict[str, str | None]) -> float | None:
    """Return the time of day in UTC, in seconds; None if there is no such time."""
    hour, minute = int(part["H"] or 0), int(part["M"] or 0)
    second = float((part["S"] or "0").replace(",", "."))
    if part["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (part["half"] in "Pp")
    if hour > 23 or minute > 59 or second >= 60:
        return None
    zone = part["zone"] or ""
    offset = 0
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = int(zone[0] + "1") * (60 * int(digits[:2]) + int(digits[2:]))
    return 3600 * hour + 60 * (minute - offset) + second
