"""What a raw column holds, found out a batch at a time and in little memory.

A column is a column of numbers until a batch shows otherwise.  Texts are kept as a vocabulary and
codes into it; a column with more texts than a vocabulary may hold is one of dates or it is free
text, which no linear model can use, and its cells are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from poisonbench.data.base import LARGEST
from poisonbench.data.table import MISSING
from poisonbench.features import FloatArray, IntArray

VOCABULARY = 10_000
"""Distinct texts that are kept of one column; with more it is free text."""

Kind = Literal["number", "date", "boolean", "category", "free text", "empty"]

BOOLEANS = ({"0", "1"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"off", "on"})
"""Pairs of words, in lower case, that mean false and true; the smaller is false."""

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

_DAY_AND_MONTH_SWAPPED = str.maketrans("dm", "md")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_NUMBERS = {
    ".": re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?(e[+-]?\d+)?", re.ASCII | re.I),
    ",": re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d*)?(e[+-]?\d+)?", re.ASCII | re.I),
}


@dataclass(frozen=True)
class RawColumn:
    """A column of a raw file.

    Parameters
    ----------
    name : str
        Its name.
    kind : str
        What it holds.
    values : ndarray of shape (rows,)
        Numbers, dates in days since 1970, both NaN where missing; codes of texts, -1 where
        missing; zeros for a column that is not kept.
    labels : tuple of str
        The texts that codes stand for.
    note : str
        What else there is to say of it: the format of dates, an example of free text.
    """

    name: str
    kind: Kind
    values: FloatArray | IntArray
    labels: tuple[str, ...] = ()
    note: str = ""

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows without a value, shape (rows,)."""
        if self.kind in ("number", "date"):
            return np.isnan(self.values)
        return self.values < 0

    def select(self, rows: npt.NDArray[np.bool_]) -> RawColumn:
        """Return the column at the rows of a mask."""
        return RawColumn(self.name, self.kind, self.values[rows], self.labels, self.note)


class ColumnReader:
    """Collects the cells of one column.

    Parameters
    ----------
    name : str
        The column's name.
    decimal : {".", ","}
        The file's decimal mark.
    categorical : bool
        Whether numbers in it are names of categories.
    missing_words : frozenset of str
        Texts that mean a missing value, in lower case.
    """

    def __init__(
        self,
        name: str,
        decimal: str,
        categorical: bool = False,
        missing_words: frozenset[str] = MISSING,
    ) -> None:
        self.name = name
        self._decimal = decimal
        self._categorical = categorical
        self._missing_words = missing_words
        self._parts: list[FloatArray | IntArray] = []  # floats, or integer codes of texts
        self._vocabulary: dict[str, int] = {}
        self._date_format: str | None = None  # once there are more dates than texts are kept
        self._example: str | None = None  # of free text

    def add(self, cells: pd.Series[Any]) -> None:
        """Take the next batch of cells."""
        if self._example is not None:
            self._parts.append(np.zeros(len(cells), dtype=np.intp))
            return
        if cells.dtype.kind in "iuf" and not self._categorical:
            values = cells.to_numpy(np.float64, copy=True)
            values[~(np.abs(values) <= LARGEST)] = np.nan
            self._parts.append(values)
            return
        codes, found = pd.factorize(cells)
        texts = [str(text).strip() for text in found]
        known = None if self._categorical else self._converted(texts, self._number)
        if known is None and self._date_format:
            known = self._converted(texts, _date_parser(self._date_format))
        if known is not None:
            self._parts.append(np.append(known, np.nan)[codes])
        elif self._date_format:
            self._give_up(texts, len(cells))
        else:
            self._add_texts(texts, codes)

    def finish(self) -> RawColumn:
        """Return the column."""
        if self._example is not None:
            values = np.zeros(sum(map(len, self._parts)), dtype=np.intp)
            return RawColumn(self.name, "free text", values, (), f"such as '{self._example}'")
        kinds = {part.dtype.kind for part in self._parts}
        if "i" not in kinds:
            return self._finish_numbers(np.concatenate([*self._parts, np.empty(0)]))
        if "f" in kinds:  # some batches were all numbers: these are texts like the others
            for k, part in enumerate(self._parts):
                if part.dtype.kind == "f":
                    self._parts[k] = self._codes_of_numbers(part.astype(np.float64))
        if self._example is not None:
            return self.finish()
        return self._finish_texts(np.concatenate(self._parts))

    def _finish_numbers(self, values: FloatArray) -> RawColumn:
        if self._date_format:
            return RawColumn(self.name, "date", values, (), self._date_format)
        present = values[~np.isnan(values)]
        if not present.size:
            return RawColumn(self.name, "empty", values)
        low, high = present.min(), present.max()
        if (low, high) == (0, 1) and np.isin(present, (0, 1)).all():
            codes = np.where(np.isnan(values), -1, values).astype(np.intp)
            return RawColumn(self.name, "boolean", codes, ("0", "1"))
        return RawColumn(self.name, "number", values)

    def _finish_texts(self, codes: IntArray) -> RawColumn:
        texts = list(self._vocabulary)
        if not texts:
            return RawColumn(self.name, "empty", codes)
        if not self._categorical:
            for date_format in DATE_FORMATS:
                days = self._converted(texts, _date_parser(date_format))
                if days is not None:
                    swapped = date_format.translate(_DAY_AND_MONTH_SWAPPED)
                    either = swapped != date_format and self._are_dates(texts, swapped)
                    note = f"{date_format}, day first assumed" if either else date_format
                    return RawColumn(self.name, "date", np.append(days, np.nan)[codes], (), note)
        lower = {text.lower() for text in texts}
        if lower in BOOLEANS and len(texts) == 2:
            texts, codes = self._ordered(texts, codes)
            return RawColumn(self.name, "boolean", codes, tuple(texts))
        return RawColumn(self.name, "category", codes, tuple(texts))

    @staticmethod
    def _ordered(texts: list[str], codes: IntArray) -> tuple[list[str], IntArray]:
        """Return the texts in alphabetical order, false before true, and the codes for it."""
        order = sorted(range(len(texts)), key=lambda k: texts[k].lower())
        new = np.append(np.argsort(order), -1)
        return [texts[k] for k in order], new[codes]

    def _add_texts(self, texts: list[str], codes: IntArray) -> None:
        known = self._vocabulary
        own = np.array(
            [
                -1
                if text.lower() in self._missing_words
                else known.setdefault(" ".join(text.split()), len(known))
                for text in texts
            ]
            + [-1],
            dtype=np.intp,
        )
        self._parts.append(own[codes])
        if len(known) > VOCABULARY:
            self._overflow()

    def _overflow(self) -> None:
        """Go on with dates, if these are dates, or give the column up."""
        texts = list(self._vocabulary)
        if not self._categorical and all(part.dtype.kind == "i" for part in self._parts):
            for date_format in DATE_FORMATS:
                days = self._converted(texts, _date_parser(date_format))
                if days is not None:
                    self._date_format = date_format
                    padded = np.append(days, np.nan)
                    self._parts = [padded[part] for part in self._parts]
                    self._vocabulary = {}
                    return
        self._give_up(texts, 0)

    def _give_up(self, texts: list[str], more_rows: int) -> None:
        self._example = next((text for text in texts if self._number(text) is None), texts[0])
        n_rows = sum(map(len, self._parts)) + more_rows
        self._parts = [np.zeros(n_rows, dtype=np.intp)]
        self._vocabulary = {}

    def _codes_of_numbers(self, values: FloatArray) -> IntArray:
        """Return codes of numbers that turned out to stand among texts."""
        codes, found = pd.factorize(values)
        known = self._vocabulary
        own = [known.setdefault(f"{number:.15g}", len(known)) for number in found]
        if len(known) > VOCABULARY:
            self._give_up(list(known), 0)
        return np.array([*own, -1], dtype=np.intp)[codes]

    def _converted(
        self, texts: Iterable[str], convert: Callable[[str], float | None]
    ) -> FloatArray | None:
        """Return the texts as numbers, NaN where missing; None if one of them is not one."""
        values = []
        for text in texts:
            missing = text.lower() in self._missing_words
            value = float("nan") if missing else convert(text)
            if value is None:
                return None
            values.append(value)
        return np.array(values, dtype=np.float64)

    def _are_dates(self, texts: Iterable[str], date_format: str) -> bool:
        return self._converted(texts, _date_parser(date_format)) is not None

    def _number(self, text: str) -> float | None:
        """Return what `text` says as a number, thousands separated or not."""
        if not _NUMBERS[self._decimal].fullmatch(text):
            return None
        thousands = "," if self._decimal == "." else "."
        try:
            value = float(text.replace(thousands, "").replace(",", "."))
        except ValueError:  # a sign, a mark or an exponent alone
            return None
        return value if abs(value) <= LARGEST else float("nan")


def _date_parser(date_format: str) -> Callable[[str], float | None]:
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
