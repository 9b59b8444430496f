"""One way of reading the cells of a column, as numbers or as dates, and how well it fits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from poisonbench.data.base import LARGEST
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.cells import (
    DATE_ORDERS,
    EXACT,
    NEGATED,
    PLAIN,
    SEPARATED,
    TIME_ZONE,
    Parser,
    date_parser,
    number_parser,
)


class Reading:
    """Reads the cells of a column batch by batch, and counts those that do not fit.

    Parameters
    ----------
    kind : {"number", "date"}
        The kind of values.
    name : str
        The name of this reading, such as the order of dates.
    parse : callable
        The parser of a cell's text.
    decimal : str
        The decimal mark of numbers.

    Attributes
    ----------
    present, fitting : int
        Number of cells that are not missing, and number of those that fit.
    misfit : tuple of str and int, or None
        The first cell that does not fit, and its row, counted from 1.
    notations : dict of str to (str, int)
        For each notation of values, its first cell and the row of that.
    largest_plain : float
        The largest absolute value that has no special notation.
    rounded : tuple of str and int, or None
        The first whole number that loses digits as a float, and its row.
    n_rounded : int
        How many numbers lose digits.
    """

    def __init__(
        self, kind: Literal["number", "date"], name: str, parse: Parser, decimal: str = ""
    ) -> None:
        self.kind: Literal["number", "date"] = kind
        self.name = name
        self.decimal = decimal
        self._parse = parse
        self._parts: list[FloatArray] = []
        self._rests: list[FloatArray] = []
        self._n_rows = 0
        self.present = 0
        self.fitting = 0
        self.misfit: tuple[str, int] | None = None
        self.notations: dict[str, tuple[str, int]] = {}
        self.largest_plain = -np.inf
        self.rounded: tuple[str, int] | None = None
        self.n_rounded = 0

    def add(self, texts: list[str], codes: IntArray, numbers: FloatArray | None = None) -> None:
        """Add a batch of cells.

        Parameters
        ----------
        texts : list of str
            Its distinct texts.
        codes : ndarray of shape (rows,)
            For each row the index of its text; -1 if the value is missing.
        numbers : ndarray of shape (rows,), optional
            The values of cells that are known to be plain numbers and are not in `texts`; NaN for
            other cells.
        """
        read = [self._parse(text) for text in texts]
        values = np.array([np.nan if cell is None else cell.value for cell in read] + [np.nan])
        misfits = np.array([cell is None for cell in read] + [False])
        bad = np.flatnonzero(misfits[codes])
        present = int(np.count_nonzero(codes >= 0))
        self.present += present
        self.fitting += present - len(bad)
        if self.misfit is None and len(bad):
            self.misfit = texts[codes[bad[0]]], self._n_rows + int(bad[0]) + 1
        for k, cell in enumerate(read):
            if cell is not None and cell.notation not in self.notations:
                row = self._n_rows + int(np.argmax(codes == k)) + 1
                self.notations[cell.notation] = texts[k], row
            if cell is not None and not cell.notation:
                self.largest_plain = max(self.largest_plain, abs(cell.value))
        part = values[codes]
        rests = np.array([cell.rest if cell else 0.0 for cell in read] + [0.0])
        self._rests.append(rests[codes] if rests.any() else rests[:0])
        if rests.any():
            lost = np.flatnonzero(self._rests[-1])
            self.n_rounded += len(lost)
            self.rounded = self.rounded or (texts[codes[lost[0]]], self._n_rows + int(lost[0]) + 1)
        if numbers is not None:
            self._add_plain(numbers, part)
        self._parts.append(part)
        self._n_rows += len(codes)

    def _add_plain(self, numbers: FloatArray, part: FloatArray) -> None:
        plain = np.flatnonzero(~np.isnan(numbers))
        self.present += len(plain)
        if not len(plain):
            return
        first = f"{numbers[plain[0]]:.15g}", self._n_rows + int(plain[0]) + 1
        if self.kind == "number":
            part[plain] = numbers[plain]
            self.fitting += len(plain)
            self.notations.setdefault("", first)
            self.largest_plain = max(self.largest_plain, float(np.abs(numbers[plain]).max()))
        elif self.misfit is None:
            self.misfit = first

    @property
    def share(self) -> float:
        """Share of the cells that are not missing that fit."""
        return self.fitting / max(self.present, 1)

    @property
    def varied(self) -> bool:
        """Whether there are several notations, or cells that do not fit."""
        signs = {notation for notation in self.notations if notation not in PLAIN}
        return self.misfit is not None or len(signs) + bool(set(self.notations) & PLAIN) > 1

    def values(self) -> FloatArray:
        """Return the values of all rows; NaN if the cell is missing or does not fit."""
        return np.concatenate([*self._parts, np.empty(0)])

    def rests(self) -> FloatArray | None:
        """Return the rounding errors of whole numbers in all rows; None if there are none."""
        if self.rounded is None:
            return None
        pairs = zip(self._rests, self._parts, strict=True)
        parts = [rests if len(rests) else np.zeros(len(part)) for rests, part in pairs]
        return np.concatenate(parts)

    def note(self) -> str:
        """Return a description of the notations, for the user."""
        signs = sorted(set(self.notations) - PLAIN)
        written = [f"with '{sign}'" for sign in signs if self.kind == "number"]
        written += [way for way in (SEPARATED, NEGATED) if way in self.notations]
        return ", ".join([self.name, *written] if self.name else written)

    def mixture(self) -> str:
        """Return a remark if the values seem to have different units; otherwise an empty text."""
        special = [notation for notation in self.notations if notation not in PLAIN]
        plain = [notation for notation in self.notations if notation in PLAIN]
        if len(special) + bool(plain) < 2:
            return ""
        first = [self.notations[notation] for notation in [*special, *plain[:1]]]
        examples = [f"'{cell}' (data row {row})" for cell, row in first]
        if self.kind == "date":
            return (f"it has times with and without {TIME_ZONE}, such as "
                    f"{' and '.join(examples)}; times without one are read as UTC")  # fmt: skip
        return (f"it mixes signs, such as {' and '.join(examples[:3])}; the signs are ignored, "
                "which is wrong if the numbers are in different units")  # fmt: skip


def number_reading(decimal: str) -> Reading:
    """Return a reading as numbers with this decimal mark."""
    return Reading("number", "", number_parser(decimal), decimal)


def plain_numbers(cells: pd.Series[Any]) -> FloatArray:
    """Return the values of cells that are plain numbers with a decimal point; NaN for others.

    Whole numbers that may lose digits as floats are not included.

    Parameters
    ----------
    cells : Series of str
        Texts; NaN if missing.
    """
    numbers: FloatArray = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, copy=True)
    numbers[np.abs(numbers) >= EXACT] = np.nan
    texts = cells.to_numpy()
    for k in np.flatnonzero(numbers % 1 == 0):
        if texts[k][:1] == "0" and texts[k].strip().isdecimal():
            numbers[k] = np.nan  # a zero, or a code
    return numbers


def date_readings() -> list[Reading]:
    """Return a reading as dates for each order of day, month and year."""
    return [Reading("date", order, date_parser(order)) for order in DATE_ORDERS]


def without_too_large(values: FloatArray) -> tuple[FloatArray, int, str]:
    """Replace numbers that are too large to compute with by NaN.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Numbers; NaN if missing.

    Returns
    -------
    values : ndarray of shape (rows,)
        The other numbers.
    n_large : int
        How many were too large.
    first : str
        The first of them, and its row; empty if there is none.
    """
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if not large.size:
        return values, 0, ""
    first = f"{values[large[0]]:g} (data row {large[0] + 1})"
    values = values.copy()
    values[large] = np.nan
    return values, len(large), first
