"""Read a CSV file of numbers, and report errors in it with their line.

NumPy parses the file.  Only if that fails is the file read again, cell by cell, to find what is
wrong and on which line.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np

from poisonbench import registry
from poisonbench.data.base import DatasetError, listing
from poisonbench.data.names import visible
from poisonbench.features import FloatArray

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are detected."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "."})
"""Texts that stand for a missing value, in lower case."""

LONGEST_CELL = 1 << 24
"""Length of the longest cell; a longer one is due to a quotation mark that is never closed."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
WITH_COMMA = re.compile(r"[+-]?[\d.]*,[\d.,]*(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A file of numbers under a header line.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str
        The character between its cells.
    names : tuple of str
        The column names; distinct.
    values : ndarray of shape (rows, columns)
        Finite numbers.
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    values: FloatArray

    def column(self, name: str) -> int:
        """Return the index of the column `name`, or of the only one that looks the same.

        Raises
        ------
        DatasetError
            There is no such column; the message gives the nearest name.
        """
        if name not in self.names:
            alike = [known for known in self.names if visible(known) == visible(name)]
            if len(alike) == 1:
                return self.names.index(alike[0])
            guess = registry.nearest(name, self.names)
            hint = f"did you mean '{guess}'?" if guess else f"it has {listing(self.names)}"
            raise DatasetError(f"{self.path}: no column '{name}'; {hint}")
        return self.names.index(name)

    def line(self, row: int) -> int:
        """Return the line of the file on which a row of ``values`` ends, counted from 1."""
        with _opened(self.path) as file:
            return next(islice(_records(file, self.delimiter), row + 1, None))[0]


def read_table(path: Path, delimiter: str | None = None) -> Table:
    """Read a CSV file: UTF-8, one header line, numbers with a decimal point.

    Blank lines are skipped, and blanks around names and numbers are ignored.

    Parameters
    ----------
    path : Path
        The file.
    delimiter : str, optional
        The character between its cells; comma, semicolon, tab and pipe are detected if not given.

    Returns
    -------
    Table
        With no rows if the file ends after the header.

    Raises
    ------
    DatasetError
        The file is not such a table; the message gives the line.
    """
    if delimiter is None:
        delimiter = _detected(path)
    elif len(delimiter) != 1 or delimiter.isalnum() or delimiter in '"\r\n+-.':
        raise DatasetError(f"{path}: delimiter is {delimiter!r}, expected one character that is "
                           "not part of a number")  # fmt: skip
    with _opened(path) as file:
        names = _header(path, file, delimiter)
        lines = (line for line in file if line.strip(" \r\n"))
        first = next(lines, None)
        if first is None:
            return Table(path, delimiter, names, np.empty((0, len(names))))
        try:
            values = np.loadtxt(chain([first], lines), delimiter=delimiter, quotechar='"',
                                comments=None, ndmin=2)  # fmt: skip
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            # NumPy counts rows, not lines, and does not know the columns' names.
            raise DatasetError(f"{path}: {_fault(path, delimiter, names) or error}") from error
    if values.shape[1] != len(names) or not np.isfinite(values).all():
        raise DatasetError(f"{path}: {_fault(path, delimiter, names)}")
    return Table(path, delimiter, names, values)


def read_rows(path: Path, names: Sequence[str], target: str) -> tuple[FloatArray, FloatArray]:
    """Read rows made elsewhere for a known data set, in the data's own units.

    Parameters
    ----------
    path : Path
        A CSV file with the data set's column names and the response's, in any order.
    names : sequence of str
        The data set's column names.
    target : str
        The response's name.

    Returns
    -------
    X, y : ndarray of shape (rows, d) and (rows,)
        Columns in the order of `names`; no rows if the file ends after the header.

    Raises
    ------
    DatasetError
        The file cannot be read, or its columns are not those of the data set.
    """
    table = read_table(path)
    expected = [*names, target]
    missing = sorted(set(expected) - set(table.names), key=expected.index)
    unknown = sorted(set(table.names) - set(expected), key=table.names.index)
    if missing or unknown:
        faults = [f"lacks {listing(missing)}"] if missing else []
        faults += [f"has {listing(unknown)} beyond them"] if unknown else []
        raise DatasetError(f"{path}: expected the {len(expected)} columns of the data set, "
                           f"target included; the file {' and '.join(faults)}")  # fmt: skip
    values = table.values[:, [table.names.index(name) for name in expected]]
    return np.ascontiguousarray(values[:, :-1]), np.ascontiguousarray(values[:, -1])


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a file for reading; turn all errors of reading it into DatasetError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DatasetError(f"{path}: byte {byte:#04x} is not UTF-8; save the file as UTF-8 text"
                           ) from error  # fmt: skip
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}, expected a CSV file") from error


def _records(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each record that is not blank, the header first."""
    reader = csv.reader(file, delimiter=delimiter)
    with long_cells():
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, cells


@contextmanager
def long_cells() -> Iterator[None]:
    """Let the csv module read cells of up to :data:`LONGEST_CELL` characters in the block."""
    usual = csv.field_size_limit(LONGEST_CELL)  # applies to the whole process, so set it back
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _detected(path: Path) -> str:
    """Return the delimiter that splits the first two records into the most cells, equally many."""

    def score(delimiter: str) -> tuple[bool, int]:
        with _opened(path) as file:
            lengths = [len(cells) for _, cells in islice(_records(file, delimiter), 2)]
        return len(set(lengths)) == 1 and lengths[0] > 1, max(lengths[:1], default=0)

    return max(DELIMITERS, key=score)


def _header(path: Path, file: TextIO, delimiter: str) -> tuple[str, ...]:
    """Read the column names from an open file."""
    line, cells = next(_records(file, delimiter), (0, []))
    names = tuple(cell.strip() for cell in cells)
    if not names:
        raise DatasetError(f"{path}: the file is empty, expected a header line of column names")
    if "" in names:
        raise DatasetError(f"{path}: line {line}, column {names.index('') + 1} of {len(names)} "
                           "has no name, expected one (a trailing delimiter, or a row index that "
                           "was written along?)")  # fmt: skip
    count = Counter(map(visible, names))
    repeated = [name for name in dict.fromkeys(map(visible, names)) if count[name] > 1]
    if repeated:
        raise DatasetError(f"{path}: line {line}, more than one column is named "
                           f"{listing(repeated)}, expected names that look "
                           "different")  # fmt: skip
    if len(names) == 1:
        raise DatasetError(f"{path}: one column, '{names[0]}', where the delimiter is "
                           f"{delimiter!r}; expected features and a response")  # fmt: skip
    return names


def _fault(path: Path, delimiter: str, names: tuple[str, ...]) -> str | None:
    """Return why a file is not a table of finite numbers: where, and what to do about it."""
    first, advice = "", ""
    columns: dict[str, None] = {}  # columns with the same fault as the first, in order
    with _opened(path) as file:
        for line, cells in islice(_records(file, delimiter), 1, None):
            if len(cells) != len(names):
                ragged = f"line {line} has {len(cells)} cells, expected {len(names)} as the header"
                return f"{first}; {advice}" if first else ragged
            if all(map(NUMBER.fullmatch, cells)) and all(map(math.isfinite, map(float, cells))):
                continue  # the usual case, decided quickly
            for name, cell in zip(names, map(str.strip, cells), strict=True):
                fault = _cell_fault(cell)
                if fault and not first:
                    first, advice = f"line {line}, column '{name}': {fault[0]}", fault[1]
                if fault and fault[1] == advice:
                    columns[name] = None
    others = list(columns)[1:]
    also = f" (and in {listing(others)})" if others else ""
    return f"{first}{also}; {advice}" if first else None


def _cell_fault(cell: str) -> tuple[str, str] | None:
    """Return what is wrong with a cell, and what to do about it."""
    if NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return None
    if cell.lower() in MISSING:
        shown = f" ('{cell}')" if cell else ""
        return f"missing value{shown}", "fill in the value, or drop the row or the column"
    if NUMBER.fullmatch(cell) or INFINITY.fullmatch(cell):
        return f"'{cell}' is not finite", "expected a finite number"
    if WITH_COMMA.fullmatch(cell):
        return f"'{cell}' has a comma", "expected a decimal point and no thousands separator"
    return (
        f"'{cell}' is not a number",
        "encode a category as one column of 0 and 1 for each value, named 'Group:value'",
    )
