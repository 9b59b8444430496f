"""Values that the user says mean a missing value, such as -999."""

from __future__ import annotations

import numpy as np

from poisonbench.data.names import visible
from poisonbench.features import FloatArray
from poisonbench.preparation.cells import DATE_ORDERS, date_parser, number_parser


class AbsentValues:
    """Recognises some values in the cells of a column, whatever their notation.

    Parameters
    ----------
    values : tuple of str
        Numbers, dates or other texts.  A number means all cells that have this number: -999 is also
        -999.0.  A date means all cells with that day.
    decimal : {".", ","}
        The file's decimal mark.

    Attributes
    ----------
    found : set of str
        Those of the values that occurred.
    """

    def __init__(self, values: tuple[str, ...], decimal: str) -> None:
        self._texts = {visible(value).lower(): value for value in values}
        self._number = number_parser(decimal)
        self._dates = [date_parser(order) for order in DATE_ORDERS]
        # On the command line, a decimal point is usual, whatever the file has.
        read = {value: number_parser(".")(value) or self._number(value) for value in values}
        self._numbers = {cell.value: value for value, cell in read.items() if cell}
        self._days = {day: value for value in values for day in self._days_of(value)}
        self.found: set[str] = set()

    def removed(self, numbers: FloatArray) -> FloatArray:
        """Replace the values by NaN in an array of numbers, and return it."""
        for number, value in self._numbers.items():
            equal = numbers == number
            if equal.any():
                self.found.add(value)
                numbers[equal] = np.nan
        return numbers

    def __contains__(self, text: str) -> bool:
        """Whether the text of a cell has one of the values."""
        if not self._texts:
            return False
        value = self._texts.get(text.lower())
        if value is None and self._numbers and (cell := self._number(text)):
            value = self._numbers.get(cell.value)
        if value is None and self._days:
            known = (self._days.get(day) for day in self._days_of(text))
            value = next(filter(None, known), None)
        if value is None:
            return False
        self.found.add(value)
        return True

    def _days_of(self, text: str) -> set[float]:
        read = [parse(text) for parse in self._dates]
        return {cell.value for cell in read if cell}
