"""How a CSV file is written: its encoding, delimiter, decimal mark and column names, found out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.table import DELIMITERS
from poisonbench.preparation.header import Header, read_header
from poisonbench.preparation.records import errors_of_reading, records

SAMPLE_RECORDS = 1000
"""Records that delimiter and decimal mark are found out from."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"\x1f\x8b": "compressed; unpack it with gunzip",
    b"PAR1": "a Parquet file; write it as CSV",
}
_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d*|[+-]?\d*,(\d{1,2}|\d{4,})(e[+-]?\d+)?", re.I)
_POINT = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d*|[+-]?\d*\.(\d{1,2}|\d{4,})(e[+-]?\d+)?", re.I)
_COMMA_3 = re.compile(r"[+-]?\d+,\d{3}")
_POINT_3 = re.compile(r"[+-]?\d+\.\d{3}")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Parameters
    ----------
    encoding : str
        Name of its encoding.
    delimiter : str
        What separates its cells.
    decimal : {".", ","}
        Its decimal mark.
    header : Header
        Its column names, and where they come from.
    """

    encoding: str
    delimiter: str
    decimal: str
    header: Header

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, distinct."""
        return self.header.names

    def __str__(self) -> str:
        """Return it in words."""
        delimiter = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "blank"}
        mark = "point" if self.decimal == "." else "comma"
        between = delimiter.get(self.delimiter, repr(self.delimiter))
        names = "" if self.header.line else ", no header line"
        return f"{self.encoding}, {between} between cells, decimal {mark}{names}"


def sniff(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Return how a file is written; what is given is believed.

    A file that is not UTF-8 is read as Windows-1252, of which Latin-1 is a part.

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
        encoding = encoding or _encoding(path)
    with errors_of_reading(path, encoding):
        delimiter = delimiter or _delimiter(path, encoding)
        records = _sample(path, encoding, delimiter)
        blank = _blank_records(path, encoding, delimiter)
    if not records:
        raise DatasetError(f"{path}: the file is empty, expected a header line of column names")
    found = read_header(path, records[0], header, blank)
    if len(found.names) == 1:
        raise DatasetError(f"{path}: one column, '{found.names[0]}', expected features and a "
                           "response; if something else than comma, semicolon, tab or pipe is "
                           "between its cells, give it with --delimiter")  # fmt: skip
    return Dialect(encoding, delimiter, decimal or _decimal(records[1:], delimiter), found)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1024)
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if start.startswith(mark):
                return encoding
        for mark, what in _NOT_TEXT.items():
            if start.startswith(mark):
                raise DatasetError(f"{path}: {what}, expected a CSV file")
        if b"\0" in start:  # in UTF-16 half of an ASCII character, and CSV is never without those
            zeros = {"utf-16-be": start[::2].count(0), "utf-16-le": start[1::2].count(0)}
            encoding = max(zeros, key=zeros.__getitem__)
            if 10 * zeros[encoding] >= len(start):
                return encoding
            raise DatasetError(f"{path}: byte {start.index(0) + 1} is 0, as in a damaged file or "
                               "one that is no text, expected a CSV file; --encoding says otherwise"
                               )  # fmt: skip
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _blank_records(path: Path, encoding: str, delimiter: str) -> int:
    """Return how many records of nothing but blank cells precede the first other one."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return sum(1 for _ in takewhile(lambda cells: not any(map(str.strip, cells)), cells_of))


def _sample(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """Return the first records that are not blank, the header among them."""
    cells_of = (cells for _, cells in records(path, encoding, delimiter))
    return list(islice((cells for cells in cells_of if any(map(str.strip, cells))), SAMPLE_RECORDS))


def _delimiter(path: Path, encoding: str) -> str:
    """Return the delimiter that most records agree on, and of these the one with most cells."""

    def score(delimiter: str) -> tuple[float, int]:
        lengths = [len(record) for record in _sample(path, encoding, delimiter)[:100]]
        width = lengths[0] if lengths else 0
        agreement = sum(length == width for length in lengths) / max(len(lengths), 1)
        return agreement if width > 1 else 0.0, width

    return max(DELIMITERS, key=score)


def _decimal(records: Sequence[Sequence[str]], delimiter: str) -> str:
    """Return the decimal mark that the numbers in these records have.

    One mark before three digits may separate thousands; other numbers of digits tell.  Where
    none tells, a comma is decimal only if it could have been the delimiter, and is not.
    """
    cells = [cell.strip() for record in records for cell in record]
    counts = [sum(map(bool, map(p.fullmatch, cells))) for p in (_COMMA, _POINT, _COMMA_3, _POINT_3)]
    comma, point, comma_3, point_3 = counts
    if comma != point:
        return "," if comma > point else "."
    return "," if comma_3 and not point_3 and delimiter != "," else "."
