"""What the text of one cell says: a number, or a date."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Literal

Parser = Callable[[str], tuple[float, str] | None]
"""Turns a text into its value and what is special about how it is written ("" for nothing)."""

DateOrder = Literal["year first", "day first", "month first", "month named"]

DATE_ORDERS: tuple[DateOrder, ...] = ("year first", "day first", "month first", "month named")

LEADING_ZEROS = "leading zeros"
SEPARATED = "thousands separated"
TIME_ZONE = "a time zone"
PLAIN = frozenset({"", LEADING_ZEROS, SEPARATED})
"""How numbers without a sign for what they count are written."""

_SIGNS = r"[$€£¥₹%‰]|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD"
_SIGNED = re.compile(rf"([+-]?) ?(?:({_SIGNS}) ?)?([+-]?[\d.,].*?)(?: ?({_SIGNS}))?")
_NUMBERS = {
    mark: re.compile(
        rf"[+-]?(?:\d{{1,3}}([{thousands} '’])\d{{3}}(?:\1\d{{3}})*|\d+)?"
        rf"(?:{re.escape(mark)}\d*)?(?:e[+-]?\d+)?",
        re.ASCII | re.IGNORECASE,
    )
    for mark, thousands in ((".", ","), (",", "."))
}
_SEPARATORS = {".": str.maketrans("", "", ", '’"), ",": str.maketrans(",", ".", ". '’")}
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

    Thousands may be separated by the other mark, blanks or apostrophes, and a currency or percent
    sign may stand before or after: it is what is special then.  Percents are not divided by 100.
    What is too large for a float is infinite.

    Parameters
    ----------
    decimal : {".", ","}
        The decimal mark.
    """
    pattern, separators = _NUMBERS[decimal], _SEPARATORS[decimal]

    def parse(text: str) -> tuple[float, str] | None:
        sign = ""
        text = text.replace("−", "-")
        match = pattern.fullmatch(text)
        if match is None:
            if _INFINITY.fullmatch(text):
                return float(text), ""
            parts = _SIGNED.fullmatch(text)
            if parts is None or bool(parts[2]) == bool(parts[4]):
                return None
            sign, text = parts[2] or parts[4], parts[1] + parts[3]
            match = pattern.fullmatch(text)
            if match is None:
                return None
        try:
            value = float(text.translate(separators))
        except ValueError:  # a sign, a mark or an exponent alone
            return None
        if sign:
            return value, sign
        if match[1]:
            return value, SEPARATED
        return value, LEADING_ZEROS if _LEADING_ZERO.fullmatch(text) else ""

    return parse


def date_parser(order: DateOrder) -> Parser:
    """Return a parser of dates, with or without a time, into days since 1970.

    A time is in UTC if no time zone is given; that there is one is what is special.

    Parameters
    ----------
    order : {"year first", "day first", "month first", "month named"}
        Which part is which.
    """
    pattern = _DATES[order]

    def parse(text: str) -> tuple[float, str] | None:
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
        return None if seconds is None else (day + seconds / 86_400, TIME_ZONE * bool(part["zone"]))

    return parse


def _month(name: str) -> int:
    """Return the number of a month, of whose name the first letters are given; 0 if none is."""
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
