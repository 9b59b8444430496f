"""How a CSV file is written: its encoding, delimiter, decimal mark and column names, found out."""

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
"""Records that delimiter and decimal mark are found out from."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    encoding : TextEncoding
        How its bytes stand for text.
    delimiter : str
        What separates its cells.
    decimal : {".", ","}
        Its decimal mark.
    header : Header
        Its column names, and where they come from.
    settled : bool
        Whether the decimal mark was given, or is the only one that fits.
    """

    encoding: TextEncoding
    delimiter: str
    decimal: str
    header: Header
    settled: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, distinct."""
        return self.header.names

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should check."""
        return tuple(filter(None, (self.encoding.remark, *self.header.remarks)))

    def __str__(self) -> str:
        """Return it in words."""
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
    """Return how a file is written; what is given is believed.

    Parameters
    ----------
    path : Path
        The file.
    encoding, delimiter, decimal : str, optional
        What is known of it.
    header : bool, optional
        Whether its first line has the column names; it must look like that if not given.

    Raises
    ------
    DatasetError
        It cannot be read, is empty, or has no header line and was not said to have none.
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
        raise DatasetError(f"{path}: one column, '{found.names[0]}', expected features and a "
                           "response; if something else than comma, semicolon, tab or pipe is "
                           "between its cells, give it with --delimiter")  # fmt: skip
    if decimal:
        return Dialect(text, delimiter, decimal, found)
    mark, settled = mark_of(records[found.line :], delimiter)
    return Dialect(text, delimiter, mark, found, settled)


def _blank_records(path: Path, encoding: TextEncoding, delimiter: str) -> int:
    """Return how many records of nothing but blank cells precede the first other one."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return sum(1 for _ in takewhile(lambda cells: not any(map(str.strip, cells)), cells_of))


def _sample(path: Path, encoding: TextEncoding, delimiter: str) -> list[list[str]]:
    """Return the first records that are not blank, the header among them."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return list(islice((cells for cells in cells_of if any(map(str.strip, cells))), SAMPLE_RECORDS))


def _delimiter(path: Path, encoding: TextEncoding) -> str:
    """Return the delimiter that most records agree on, and of these the one with most cells."""

    def score(delimiter: str) -> tuple[float, int]:
        lengths = [len(record) for record in _sample(path, encoding, delimiter)[:100]]
        width = lengths[0] if lengths else 0
        agreement = sum(length == width for length in lengths) / max(len(lengths), 1)
        return agreement if width > 1 else 0.0, width

    return max(DELIMITERS, key=score)
