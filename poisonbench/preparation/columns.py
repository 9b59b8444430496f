"""What a raw column holds, found out a batch at a time and in little memory.

A column is a column of numbers until a batch shows otherwise.  Texts are kept as a vocabulary and
codes into it; a column with more texts than a vocabulary may hold is one of dates or it is free
text, which no linear model can use, and its cells are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from poisonbench.data.base import LARGEST
from poisonbench.data.table import MISSING
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.cells import (
    DATE_FORMATS,
    DAY_AND_MONTH_SWAPPED,
    date_parser,
    number_parser,
)

VOCABULARY = 10_000
"""Distinct texts that are kept of one column; with more it is free text."""

Kind = Literal["number", "date", "boolean", "category", "free text", "empty"]

BOOLEANS = ({"0", "1"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"off", "on"})
"""Pairs of words, in lower case, that mean false and true; the smaller is false."""


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
        self._number = number_parser(decimal)
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
        # A batch of nothing but truth values comes as such, however they were spelt.
        texts = [text.lower() if len(text) < 6 and text.lower() in ("true", "false") else text
                 for text in texts]  # fmt: skip
        known = None if self._categorical else self._converted(texts, self._number)
        if known is None and self._date_format:
            known = self._converted(texts, date_parser(self._date_format))
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
        # Some batches may be all numbers: these are texts like the others.
        codes = [
            part if part.dtype.kind == "i" else self._codes_of_numbers(part.astype(np.float64))
            for part in self._parts
        ]
        if len(self._vocabulary) > VOCABULARY:
            self._give_up(list(self._vocabulary), 0)
            return self.finish()
        return self._finish_texts(np.concatenate(codes))

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
                days = self._converted(texts, date_parser(date_format))
                if days is not None:
                    swapped = date_format.translate(DAY_AND_MONTH_SWAPPED)
                    either = swapped != date_format and self._are_dates(texts, swapped)
                    note = f"{date_format}, day first assumed" if either else date_format
                    return RawColumn(self.name, "date", np.append(days, np.nan)[codes], (), note)
        if {text.lower() for text in texts} in BOOLEANS:
            spelt = {text.lower(): text for text in reversed(texts)}  # as it is spelt first
            false, true = sorted(spelt)
            truth = np.array([text.lower() == true for text in texts] + [-1], dtype=np.intp)
            return RawColumn(self.name, "boolean", truth[codes], (spelt[false], spelt[true]))
        return RawColumn(self.name, "category", codes, tuple(texts))

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
        only_texts = all(part.dtype.kind == "i" or np.isnan(part).all() for part in self._parts)
        if not self._categorical and only_texts:
            for date_format in DATE_FORMATS:
                days = self._converted(texts, date_parser(date_format))
                if days is not None:
                    self._date_format = date_format
                    padded = np.append(days, np.nan)
                    self._parts = [
                        padded[part.astype(np.intp)] if part.dtype.kind == "i" else part
                        for part in self._parts
                    ]
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
        return self._converted(texts, date_parser(date_format)) is not None
