"""The cells of a column read in one way, as numbers or as dates, and how well that fits them."""

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
    """Cells taken batch by batch, each as a value or as one that does not fit.

    Parameters
    ----------
    kind : {"number", "date"}
        What the values are.
    name : str
        Which way of reading this is.
    parse : callable
        Reads a text.
    decimal : str
        The decimal mark of numbers.

    Attributes
    ----------
    present, fitting : int
        Cells that are not missing, and those that fit.
    misfit : tuple of str and int, or None
        The first cell that does not fit, with its row, counted from 1.
    notations : dict of str to (str, int)
        How values are written, with the first cell of each and its row.
    largest_plain : float
        The largest size of a value that is written with nothing special.
    rounded : tuple of str and int, or None
        The first whole number that loses digits as a float, with its row.
    n_rounded : int
        How many do.
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
        """Take a batch.

        Parameters
        ----------
        texts : list of str
            Its distinct cells.
        codes : ndarray of shape (rows,)
            Which of them each row holds; -1 where the value is missing.
        numbers : ndarray of shape (rows,), optional
            Cells that were found to be plain numbers, NaN for the others; a cell is there or in
            `texts`.
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
        """Share of the cells present that fit."""
        return self.fitting / max(self.present, 1)

    def values(self) -> FloatArray:
        """Return the values of all rows, NaN where missing or not fitting."""
        return np.concatenate([*self._parts, np.empty(0)])

    def rests(self) -> FloatArray | None:
        """Return what whole numbers lose as floats, in all rows; None if nothing is lost."""
        if self.rounded is None:
            return None
        pairs = zip(self._rests, self._parts, strict=True)
        parts = [rests if len(rests) else np.zeros(len(part)) for rests, part in pairs]
        return np.concatenate(parts)

    def note(self) -> str:
        """Return what the user should know about how the values are written."""
        signs = sorted(set(self.notations) - PLAIN)
        written = [f"with '{sign}'" for sign in signs if self.kind == "number"]
        written += [way for way in (SEPARATED, NEGATED) if way in self.notations]
        return ", ".join([self.name, *written] if self.name else written)

    def mixture(self) -> str:
        """Return what is wrong where values of several units seem to stand together."""
        special = [notation for notation in self.notations if notation not in PLAIN]
        plain = [notation for notation in self.notations if notation in PLAIN]
        if len(special) + bool(plain) < 2:
            return ""
        first = [self.notations[notation] for notation in [*special, *plain[:1]]]
        examples = [f"'{cell}' (data row {row})" for cell, row in first]
        if self.kind == "date":
            return (f"has times with and without {TIME_ZONE}, such as {' and '.join(examples)}; "
                    "UTC is assumed where there is none")  # fmt: skip
        return (f"mixes signs, such as {' and '.join(examples[:3])}; the numbers are taken as they "
                "stand, which is wrong if they are in different units")  # fmt: skip


def number_reading(decimal: str) -> Reading:
    """Return a reading as numbers with this decimal mark."""
    return Reading("number", "", number_parser(decimal), decimal)


def plain_numbers(cells: pd.Series[Any]) -> FloatArray:
    """Return the cells that are numbers with a decimal point and nothing special, NaN for others.

    Whole numbers that may lose digits as a float are others too.

    Parameters
    ----------
    cells : Series of str
        Texts, NaN where missing.
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
    """Return numbers with those too large to compute with missing, how many, and the first.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Numbers, NaN where missing.
    """
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if not large.size:
        return values, 0, ""
    first = f"{values[large[0]]:g} (data row {large[0] + 1})"
    values = values.copy()
    values[large] = np.nan
    return values, len(large), first
