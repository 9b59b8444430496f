"""Find out whether a point or a comma in a number is a decimal mark or separates thousands.

Most numbers decide this, such as 2,236,348 and 0.5; only a single mark before exactly three digits
is ambiguous.  Each column is decided by its own numbers; if all of them are ambiguous, by those of
the rest of the file; and if these are ambiguous too, by a guess, of which the user is told.
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
"""Number of cells, from the first records, that are examined."""


def mark_of(records: Sequence[Sequence[str]], delimiter: str) -> tuple[str, bool]:
    """Return the decimal mark of the numbers in records, and whether it is certain.

    If all numbers are ambiguous, a comma is a decimal mark only if the delimiter is not a comma.

    Parameters
    ----------
    records : sequence of sequence of str
        The first records of a file, without the header.
    delimiter : str
        The character between their cells.
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
    """Return whether fractions could be whole numbers whose mark separates thousands.

    Parameters
    ----------
    fractions : ndarray
        Numbers that were read with the mark as a decimal mark.
    """
    sizes = np.abs(fractions)
    thousandths = np.abs(sizes * 1000 - np.rint(sizes * 1000)) <= 1e-9
    return bool((thousandths & (sizes >= 1) & (sizes < 1000)).all())


def best_reading(readings: Sequence[Reading], mark: str, *, settled: bool) -> tuple[Reading, str]:
    """Return the reading of a column as numbers that fits best, and a remark for the user.

    Parameters
    ----------
    readings : sequence of Reading
        Readings with one or both decimal marks; that with the file's mark is first.
    mark : str
        The decimal mark of the file.
    settled : bool
        Whether the mark is certain.
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
                      f"{row}), but the rest of the file is read with a {MARKS[mark]}"
                      )  # fmt: skip
    a, b = best.values(), other.values()
    ambiguous = np.flatnonzero((a != b) & ~np.isnan(a) & ~np.isnan(b))
    if settled or not ambiguous.size:
        return best, ""
    # The reading with separated thousands has the larger numbers.  If it is right, numbers without
    # a mark are below 1000.  If the other is right, and every number has three decimals, there are
    # no numbers without a mark.
    decimals, thousands = sorted(readings, key=lambda reading: np.nanmax(np.abs(reading.values())))
    if thousands.largest_plain >= 1000:
        best = decimals
    elif thousands.largest_plain > 0:
        best = thousands
    row = int(ambiguous[0])
    meant = "thousands" if best is thousands else "decimals"
    remedy = "," if best.decimal == "." else "."
    return best, ("every point or comma in its numbers is followed by three digits, which may be "
                  f"decimals or thousands; {meant} are assumed, so that data row {row + 1} is "
                  f"{best.values()[row]:.15g}; use --decimal {best.decimal} to confirm this, or "
                  f"--decimal {remedy} for the other meaning")  # fmt: skip
