"""Detect the format of a CSV file: its encoding, delimiter, decimal mark and column names."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.table import DELIMITERS
from poisonbench.preparation.decimal_mark import mark_of
from poisonbench.preparation.header import Header, read_header
from poisonbench.preparation.records import errors_of_reading, records
from poisonbench.preparation.text_encoding import TextEncoding, detect

SAMPLE_RECORDS = 1000
"""Number of records from which the delimiter and the decimal mark are detected."""


@dataclass(frozen=True)
class Dialect:
    """The format of a CSV file.

    Parameters
    ----------
    encoding : TextEncoding
        Its character encoding.
    delimiter : str
        The character between its cells.
    decimal : {".", ","}
        Its decimal mark.
    header : Header
        Its column names.
    settled : bool
        Whether the decimal mark is certain, because it was given or is the only one that fits.
    """

    encoding: TextEncoding
    delimiter: str
    decimal: str
    header: Header
    settled: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, which are distinct."""
        return self.header.names

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should check."""
        return tuple(filter(None, (self.encoding.remark, *self.header.remarks)))

    def __str__(self) -> str:
        """Return a description for the user."""
        delimiter = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "blank"}
        mark = "point" if self.decimal == "." else "comma"
        between = delimiter.get(self.delimiter, repr(self.delimiter))
        names = "" if self.header.line else ", no header line"
        return f"{self.encoding.name}, {between} between cells, decimal {mark}{names}"


def sniff(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Return the format of a file; given arguments are used without detection.

    Parameters
    ----------
    path : Path
        The file.
    encoding, delimiter, decimal : str, optional
        What is known of the format.
    header : bool, optional
        Whether the first line contains the column names.  If not given, it does, and a first line
        that looks like data is an error.

    Raises
    ------
    DatasetError
        The file cannot be read or is empty, or its first line looks like data.
    """
    with errors_of_reading(path, encoding):
        text = TextEncoding(encoding) if encoding else detect(path)
    with errors_of_reading(path, text.name):
        delimiter = delimiter or _delimiter(path, text)
        records = _sample(path, text, delimiter)
        blank = _blank_records(path, text, delimiter)
    if not records:
        raise DatasetError(f"{path}: the file is empty, expected a header line of column names")
    found = read_header(path, records[0], header, blank)
    if len(found.names) == 1:
        raise DatasetError(f"{path}: only one column, '{found.names[0]}', expected features and a "
                           "response; if the cells are not separated by comma, semicolon, tab or "
                           "pipe, give the separator with --delimiter")  # fmt: skip
    if decimal:
        return Dialect(text, delimiter, decimal, found)
    mark, settled = mark_of(records[found.line :], delimiter)
    return Dialect(text, delimiter, mark, found, settled)


def _blank_records(path: Path, encoding: TextEncoding, delimiter: str) -> int:
    """Return how many records with only blank cells precede the first other record."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return sum(1 for _ in takewhile(lambda cells: not any(map(str.strip, cells)), cells_of))


def _sample(path: Path, encoding: TextEncoding, delimiter: str) -> list[list[str]]:
    """Return the first records that are not blank, including the header."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return list(islice((cells for cells in cells_of if any(map(str.strip, cells))), SAMPLE_RECORDS))


def _delimiter(path: Path, encoding: TextEncoding) -> str:
    """Return the delimiter with which most records have as many cells as the first one."""

    def score(delimiter: str) -> tuple[float, int]:
        lengths = [len(record) for record in _sample(path, encoding, delimiter)[:100]]
        width = lengths[0] if lengths else 0
        agreement = sum(length == width for length in lengths) / max(len(lengths), 1)
        return agreement if width > 1 else 0.0, width

    return max(DELIMITERS, key=score)
