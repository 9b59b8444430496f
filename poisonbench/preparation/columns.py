"""Detect what a raw column contains, from all of its cells, one batch at a time.

Batches that contain only numbers are kept as numbers, and texts as a vocabulary and codes into it.
A column with more distinct texts than a vocabulary may have either contains numbers or dates in
some special notation, or free text, which a linear model cannot use.  Then every possible reading
of the column is continued separately, and at the end the one that fits best is used, if any does.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from poisonbench.data.names import visible
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.absent_values import AbsentValues
from poisonbench.preparation.cells import EXACT, LEADING_ZEROS
from poisonbench.preparation.decimal_mark import best_reading, could_be_thousands
from poisonbench.preparation.number_or_date import (
    Reading,
    date_readings,
    number_reading,
    plain_numbers,
    without_too_large,
)
from poisonbench.preparation.raw import RawColumn

VOCABULARY = 10_000
"""Largest number of distinct texts of a column; with more, the column is free text."""

ENOUGH = 0.9
"""A column contains numbers (or dates) if at least this share of its cells that are not missing do;
the other cells are then treated as missing."""

MANY = 0.5
"""If at least this share of the cells are numbers (or dates), the user is told so, and how to read
them as such."""

Role = Literal["response", "numeric", "categorical", "any"]
DayOrMonth = Literal["day-first", "month-first"]

_POWERS = str.maketrans("²³", "23")

FALSE = frozenset({"0", "false", "no", "n", "f", "off"})
TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})


class ColumnReader:
    """Collects the cells of one column.

    Parameters
    ----------
    name : str
        The column's name.
    decimal : {".", ","}
        The file's decimal mark.
    settled : bool
        Whether the mark is certain, because the user gave it or the numbers allow no other.
    role : {"response", "numeric", "categorical", "any"}
        The role that the user gave the column.
    missing_words : frozenset of str
        Texts that mean a missing value, in lower case.
    dates : {"day-first", "month-first"}, optional
        How to read dates that could be either.
    missing_values : tuple of str
        Other values that mean a missing value, in any notation: -999 is also -999.0.
    unit : str
        A unit that precedes or follows the numbers, and is ignored.
    """

    def __init__(
        self,
        name: str,
        decimal: str,
        settled: bool,
        role: Role,
        missing_words: frozenset[str],
        dates: DayOrMonth | None = None,
        missing_values: tuple[str, ...] = (),
        unit: str = "",
    ) -> None:
        self.name = name
        self._decimal = decimal
        self._settled = settled
        self._role = role
        self._missing_words = missing_words
        self._dates = dates
        self._absent = AbsentValues(missing_values, decimal)
        self._unit = _plain_unit(unit)
        self._n_rows = 0
        self._numbers: list[FloatArray] = []
        self._codes: list[IntArray] = []
        self._vocabulary: dict[str, int] = {}
        self._readings: list[Reading] | None = None  # used once there are too many texts
        self._first_text = ""  # of a vocabulary that became too large
        self._mixed = False
        self._could_be_thousands: bool | None = None  # None: no fraction seen

    def add(self, cells: pd.Series[Any]) -> None:
        """Add the next batch of cells, which are numbers or texts."""
        before, self._n_rows = self._n_rows, self._n_rows + len(cells)
        if self._mixed or self._readings == []:
            return
        if cells.dtype.kind in "iuf" and self._role != "categorical":
            self._add_numbers(self._absent.removed(cells.to_numpy(np.float64, copy=True)))
        elif self._readings is not None:
            self._add_to_readings(cells)
        else:
            self._add_texts(*self._distinct(cells), before)
        if self._mixed:
            self._codes, self._vocabulary, self._readings = [], {}, None

    def _add_numbers(self, values: FloatArray) -> None:
        if not self._has_texts:
            self._numbers.append(values)
            # Only the text shows which digits are lost, and what a mark before three digits means.
            self._mixed = bool((np.abs(values) >= EXACT).any())
            finite = values[np.isfinite(values)]
            fractions = finite[finite % 1 > 0]
            if not self._settled and fractions.size and self._could_be_thousands is not False:
                self._could_be_thousands = could_be_thousands(fractions)
        elif np.isnan(values).all():
            self._take([], np.full(len(values), -1))
        else:
            self._mixed = True

    def _add_texts(self, texts: list[str], codes: IntArray, n_before: int) -> None:
        if not texts:
            self._add_numbers(np.full(len(codes), np.nan))
            return
        if self._numbers:
            self._mixed = not all(np.isnan(part).all() for part in self._numbers)
            self._numbers = []
            if self._mixed:
                return
            self._take([], np.full(n_before, -1))
        self._take(texts, codes)

    def _add_to_readings(self, cells: pd.Series[Any]) -> None:
        """Add a batch of cells to every reading, with a fast path for plain numbers."""
        numbers = np.full(len(cells), np.nan)
        # pandas does not read a batch that contains only true and false as text.
        marks = {reading.decimal for reading in self._readings or () if reading.kind == "number"}
        if "," not in marks and pd.api.types.infer_dtype(cells, skipna=True) == "string":
            numbers = self._absent.removed(plain_numbers(cells))
        others = np.isnan(numbers)
        codes = np.full(len(cells), -1)
        texts, codes[others] = self._distinct(cells[others])
        for reading in self._readings or ():
            reading.add(texts, codes, numbers)

    @property
    def found_missing(self) -> set[str]:
        """Those of the other values that mean a missing value that occurred."""
        return self._absent.found

    @property
    def _has_texts(self) -> bool:
        return bool(self._codes) or self._readings is not None

    @property
    def wants_text(self) -> bool:
        """Whether the column must be read again, as text.

        This is the case if some batches were numbers and others were not, and if it is not certain
        that the numbers were read correctly.
        """
        return self._mixed or bool(self._could_be_thousands and self._numbers)

    @property
    def could_be_codes(self) -> bool:
        """Whether its numbers may have lost leading zeros, so that the file should be checked."""
        return (
            self._role == "any"
            and bool(self._numbers)
            and all((part[np.isfinite(part)] % 1 == 0).all() for part in self._numbers)
        )

    def finish(self) -> RawColumn:
        """Return the column."""
        if not self._has_texts:
            return self._number(np.concatenate([*self._numbers, np.empty(0)]))
        streamed = self._readings is not None
        texts, codes = list(self._vocabulary), np.concatenate([*self._codes, np.empty(0, np.intp)])
        readings = self._readings if self._readings is not None else self._read(texts, codes)
        truth = None if streamed else self._truth(texts, codes)
        if self._role == "any" and truth:
            return truth
        best = max(readings, key=lambda reading: reading.share, default=None)
        numbers = [reading for reading in readings if reading.kind == "number"]
        if numbers:
            reading, remark = best_reading(numbers, self._decimal, settled=self._settled)
            if self._is_number(reading):
                return self._number(reading.values(), reading, remark)
        found = self._date([reading for reading in readings if reading.kind == "date"]) or truth
        if found:
            return found
        remarks = self._doubts(best) if best else ()
        if streamed:
            example = self._example(best)
            return RawColumn(self.name, "free text", np.zeros(self._n_rows, dtype=np.intp), (),
                             f"such as '{example}'", remarks, example=example)  # fmt: skip
        return RawColumn(self.name, "category", codes, tuple(texts), "", remarks)

    def _distinct(self, cells: pd.Series[Any]) -> tuple[list[str], IntArray]:
        """Return the distinct texts of a batch, with single blanks, and codes, -1 if missing."""
        codes, found = pd.factorize(cells)
        position: dict[str, int] = {}
        own = []
        for cell in found:
            text = visible(str(cell))
            if text[:1] == text[-1:] == '"' and str(cell)[:1].isspace():
                text = visible(text[1:-1])  # a leading tab, for example, kept its quotation marks
            # pandas returns a batch of only true and false as booleans, whatever their spelling.
            if len(text) < 6 and text.lower() in ("true", "false"):
                text = text.lower()
            if self._unit:
                text = self._without_unit(text)
            missing = text.lower() in self._missing_words or text in self._absent
            own.append(-1 if missing else position.setdefault(text, len(position)))
        return list(position), np.array([*own, -1], dtype=np.intp)[codes]

    def _without_unit(self, text: str) -> str:
        """Return the text of a cell without the unit, if it has it."""
        plain = _plain_unit(text)
        if plain.endswith(self._unit):
            return text[: -len(self._unit)].rstrip()
        if plain.startswith(self._unit):
            return text[len(self._unit) :].lstrip()
        return text

    def _take(self, texts: list[str], codes: IntArray) -> None:
        if self._readings is not None:
            for reading in self._readings:
                reading.add(texts, codes)
            return
        known = self._vocabulary
        own = [known.setdefault(text, len(known)) for text in texts]
        self._codes.append(np.array([*own, -1], dtype=np.intp)[codes])
        if len(known) > VOCABULARY:
            readings = self._read(list(known), np.concatenate(self._codes))
            # Drop readings that fit none of so many texts, and a decimal mark that fits only few of
            # the numbers.
            most = max((reading.fitting for reading in readings if reading.decimal), default=0)
            self._readings = [reading for reading in readings if reading.fitting
                              and not (reading.decimal and 2 * reading.fitting < most)
                              ]  # fmt: skip
            self._first_text = next(iter(known))
            self._codes, self._vocabulary = [], {}

    def _read(self, texts: list[str], codes: IntArray) -> list[Reading]:
        if self._role == "categorical":
            return []
        marks = (self._decimal, *(mark for mark in ".," if mark != self._decimal))
        readings = [*map(number_reading, marks), *date_readings()]
        for reading in readings:
            reading.add(texts, codes)
        return readings

    def _is_number(self, reading: Reading) -> bool:
        if self._role == "numeric":
            return reading.fitting > 0
        is_code = LEADING_ZEROS in reading.notations and self._role != "response"
        return reading.share >= ENOUGH and not is_code

    def _number(
        self, values: FloatArray, reading: Reading | None = None, remark: str = ""
    ) -> RawColumn:
        remarks = [*self._oddities(reading)] if reading else []
        remarks += [remark] if remark else []
        values, n_large, first = without_too_large(values)
        if n_large:
            remarks.append(f"{n_large} of its numbers are too large to compute with, such as "
                           f"{first}, and are treated as missing")  # fmt: skip
        said = self._said(remarks)
        present = values[~np.isnan(values)]
        if not present.size:
            return RawColumn(self.name, "empty", values, remarks=said)
        if (present.min(), present.max()) == (0, 1) and np.isin(present, (0, 1)).all():
            codes = np.where(np.isnan(values), -1, values).astype(np.intp)
            return RawColumn(self.name, "boolean", codes, ("0", "1"), remarks=said)
        if reading is None:
            return RawColumn(self.name, "number", values, remarks=said)
        mixture = "".join(self._said(filter(None, [reading.mixture()])))
        rounded = ""
        if reading.rounded:
            cell, row = reading.rounded
            rounded = (f"'{self.name}': {reading.n_rounded} of its numbers are whole numbers "
                       f"beyond 2**53 = {EXACT:.0f} that lose digits, such as {cell} (data row "
                       f"{row}), which becomes {reading.values()[row - 1]:.0f}; subtract a "
                       "constant in the file")  # fmt: skip
            if self._role != "response":
                rounded += f", or use --drop {shlex.quote(self.name)} if they are only identifiers"
        return RawColumn(self.name, "number", values, (), reading.note(), said, reading.rests(),
                         rounded, varied=reading.varied, mixture=mixture)  # fmt: skip

    def _date(self, readings: list[Reading]) -> RawColumn | None:
        fitting = {reading.name: reading for reading in readings if reading.share >= ENOUGH}
        if not fitting:
            return None
        stated = fitting.get((self._dates or "").replace("-", " "))
        best = stated or max(fitting.values(), key=lambda reading: reading.share)
        remarks = self._oddities(best)
        note = best.note()
        other = fitting.get("month first")
        if best.name == "day first" and other and other.share == best.share and not stated:
            cell, row = other.notations.popitem()[1]
            if not np.array_equal(best.values(), other.values(), equal_nan=True):
                note += " assumed"
                remarks.append("the order of day and month is ambiguous in all of its dates, such "
                               f"as '{cell}' (data row {row}); day first is assumed; use --dates "
                               "month-first for the other order")  # fmt: skip
        return RawColumn(self.name, "date", best.values(), (), note, self._said(remarks),
                         varied=best.misfit is not None)  # fmt: skip

    def _truth(self, texts: list[str], codes: IntArray) -> RawColumn | None:
        """Return the column as booleans if all texts mean true or false and both occur, or None."""
        lowered = [text.lower() for text in texts]
        false = [text for text in texts if text.lower() in FALSE]
        true = [text for text in texts if text.lower() in TRUE]
        if self._role == "categorical" or not (false and true):
            return None
        if len(false) + len(true) < len(texts):
            return None
        truth = np.array([text in TRUE for text in lowered] + [-1], dtype=np.intp)
        note = f"spelt in {len(texts)} ways" if len(set(lowered)) > 2 else ""
        return RawColumn(self.name, "boolean", truth[codes], (false[0], true[0]), note)

    def _oddities(self, reading: Reading) -> list[str]:
        """Return what the user should check if the column is read in this way."""
        remarks = [reading.mixture()] if reading.mixture() else []
        if reading.misfit:
            cell, row = reading.misfit
            remedy = ""
            if self._role == "response":
                remedy = "; their rows are dropped"
            elif self._role == "any":
                remedy = f"; use --categorical {shlex.quote(self.name)} to keep them as categories"
            n_bad = reading.present - reading.fitting
            remarks.append(f"{n_bad} of its {reading.present} cells are not {reading.kind}s, such "
                           f"as '{cell}' (data row {row}), and are treated as missing{remedy}"
                           )  # fmt: skip
        return remarks

    def _doubts(self, best: Reading) -> tuple[str, ...]:
        """Return what the user should check if a column of texts may be numbers or dates."""
        remedy = f"--numeric {shlex.quote(self.name)}"
        if LEADING_ZEROS in best.notations and best.share >= ENOUGH:
            cell, row = best.notations[LEADING_ZEROS]
            return self._said(
                [
                    f"it has leading zeros, such as in '{cell}' (data row {row}), so its values "
                    f"are treated as codes, not as numbers; use {remedy} to read them as numbers"
                ]
            )
        if best.misfit is None or best.share < MANY:
            return ()
        cell, row = best.misfit
        remedy = (f"use {remedy} to read it as numbers, with the others missing"
                  if best.kind == "number" else "correct these to read it as dates")  # fmt: skip
        return self._said(
            [
                f"{best.fitting} of its {best.present} cells are {best.kind}s, but others are "
                f"not, such as '{cell}' (data row {row}); {remedy}"
            ]
        )

    def _said(self, remarks: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"'{self.name}': {remark}" for remark in remarks)

    def _example(self, best: Reading | None) -> str:
        return best.misfit[0] if best and best.misfit else self._first_text


def _plain_unit(text: str) -> str:
    """Return a unit so that those that mean the same are equal, such as m2 and m²."""
    return text.lower().translate(_POWERS)
