"""What the text of one cell says: a number, or a date."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from poisonbench.data.base import LARGEST

DATE_FORMATS = (
    "ISO 8601",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
)
"""How dates may be written; where two fit every cell, the first is taken."""

DAY_AND_MONTH_SWAPPED = str.maketrans("dm", "md")
"""Turns a format into the one with day and month exchanged."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_NUMBERS = {
    ".": re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?(e[+-]?\d+)?", re.ASCII | re.I),
    ",": re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d*)?(e[+-]?\d+)?", re.ASCII | re.I),
}


def number_parser(decimal: str) -> Callable[[str], float | None]:
    """Return a function that turns a number into a float, thousands separated or not.

    Other texts become None, and numbers too large to compute with NaN.

    Parameters
    ----------
    decimal : {".", ","}
        The decimal mark; the other one may separate thousands.
    """
    pattern = _NUMBERS[decimal]
    thousands = "," if decimal == "." else "."

    def parse(text: str) -> float | None:
        if not pattern.fullmatch(text):
            return None
        try:
            value = float(text.replace(thousands, "").replace(",", "."))
        except ValueError:  # a sign, a mark or an exponent alone
            return None
        return value if abs(value) <= LARGEST else float("nan")

    return parse


def date_parser(date_format: str) -> Callable[[str], float | None]:
    """Return a function that turns a date of this format into days since 1970, others into None."""

    def parse(text: str) -> float | None:
        try:
            if date_format == "ISO 8601":
                if not _ISO.fullmatch(text):
                    return None
                moment = datetime.fromisoformat(text)
            else:
                moment = datetime.strptime(text, date_format)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp() / 86_400

    return parse
