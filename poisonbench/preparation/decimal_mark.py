"""Whether a point or a comma in a number stands before decimals or between thousands.

A number tells unless it has one mark before three digits: 2,236,348 and 0.5 can mean one thing
only.  Each column goes by its own numbers; where none tells, by those of the rest of the file; and
where none of these does, by a guess, which is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

import numpy as np

from poisonbench.data.names import visible
from poisonbench.features import FloatArray
from poisonbench.preparation.cells import number_parser
from poisonbench.preparation.number_or_date import Reading

MARKS = {".": "decimal point", ",": "decimal comma"}

SAMPLE_CELLS = 100_000
"""Cells of the first records that are looked at."""


def mark_of(records: Sequence[Sequence[str]], delimiter: str) -> tuple[str, bool]:
    """Return the decimal mark that the numbers in records have, and whether that is certain.

    Where no number tells, a comma is decimal only if it could have been the delimiter, and is not.

    Parameters
    ----------
    records : sequence of sequence of str
        The first records of a file, without the header.
    delimiter : str
        What separates their cells.
    """
    cells = {visible(cell) for cell in islice(chain.from_iterable(records), SAMPLE_CELLS)
             if "." in cell or "," in cell}  # fmt: skip
    parsers = {mark: number_parser(mark) for mark in MARKS}
    fits = {mark: {cell for cell in cells if parse(cell)} for mark, parse in parsers.items()}
    point, comma = len(fits["."] - fits[","]), len(fits[","] - fits["."])
    if point != comma:
        return (".", comma == 0) if point > comma else (",", point == 0)
    commas = [cell for cell in fits[","] if "," in cell]
    points = [cell for cell in fits["."] if "." in cell]
    return "," if commas and not points and delimiter != "," else ".", False


def could_be_thousands(fractions: FloatArray) -> bool:
    """Return whether numbers that are not whole could be whole ones, their mark between thousands.

    Parameters
    ----------
    fractions : ndarray
        Numbers read with the mark before decimals.
    """
    sizes = np.abs(fractions)
    thousandths = np.abs(sizes * 1000 - np.rint(sizes * 1000)) <= 1e-9
    return bool((thousandths & (sizes >= 1) & (sizes < 1000)).all())


def best_reading(readings: Sequence[Reading], mark: str, *, settled: bool) -> tuple[Reading, str]:
    """Return the reading of a column as numbers that fits best, and what to say of it.

    Parameters
    ----------
    readings : sequence of Reading
        One or both decimal marks, that of the file first.
    mark : str
        The decimal mark of the file.
    settled : bool
        Whether that is certain.
    """
    best = max(readings, key=lambda reading: reading.fitting)
    others = [reading for reading in readings if reading is not best]
    if not others:
        return best, ""
    (other,) = others
    if other.fitting < best.fitting:
        if best.decimal == mark or other.misfit is None:
            return best, ""
        cell, row = other.misfit
        return best, (f"its numbers have a {MARKS[best.decimal]}, such as '{cell}' (data row "
                      f"{row}), other than the file's, which is read with a {MARKS[mark]}"
                      )  # fmt: skip
    a, b = best.values(), other.values()
    ambiguous = np.flatnonzero((a != b) & ~np.isnan(a) & ~np.isnan(b))
    if settled or not ambiguous.size:
        return best, ""
    # The larger numbers are those with thousands separated.  What is written without a mark is then
    # below 1000; and as decimals, were there always three of them, it would have a mark too.
    decimals, thousands = sorted(readings, key=lambda reading: np.nanmax(np.abs(reading.values())))
    if thousands.largest_plain >= 1000:
        best = decimals
    elif thousands.largest_plain > 0:
        best = thousands
    row = int(ambiguous[0])
    meant = "thousands" if best is thousands else "decimals"
    remedy = "," if best.decimal == "." else "."
    return best, (f"where its numbers have a point or a comma, three digits follow: decimals, or "
                  f"separated thousands; {meant} are assumed, so that data row {row + 1} is "
                  f"{best.values()[row]:.15g}; --decimal {best.decimal} confirms that, --decimal "
                  f"{remedy} says otherwise")  # fmt: skip
