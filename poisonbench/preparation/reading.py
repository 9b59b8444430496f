"""Reading a raw CSV file: its encoding, delimiter and decimal mark found out, rows in batches."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

import pandas as pd

from poisonbench.data.base import DatasetError
from poisonbench.data.table import DELIMITERS
from poisonbench.preparation.header import Header, read_header

BATCH_ROWS = 20_000
"""Rows held as text at a time; more would be no faster."""

BLOCK = 1 << 22
"""Characters of a file that are searched at a time."""

LONGEST_CODE = 64
"""Characters of a cell that is found though it lies on the border of two blocks."""

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
_CODE = re.compile(r" *0[0-9]+ *")
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


def batches(
    path: Path,
    dialect: Dialect,
    missing: Collection[str],
    as_text: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file, a batch at a time.

    A column of a batch holds numbers where every cell of it is one or is missing, else texts.
    Cells that a short line lacks are missing.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        How it is written.
    missing : collection of str
        Words that mean a missing value, in lower case.
    as_text : collection of str
        Columns whose cells are kept as they are written.
    only : collection of str, optional
        The columns that are read; all if not given.

    Raises
    ------
    DatasetError
        It is not a table.
    """
    header = dialect.header
    with errors_of_reading(path, dialect.encoding):
        try:
            with warnings.catch_warnings():
                # A line longer than the header is an error, wherever it is.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                with pd.read_csv(
                    path,
                    sep=dialect.delimiter,
                    decimal=dialect.decimal,
                    encoding=dialect.encoding,
                    header=0 if header.line else None,
                    skiprows=header.blank_records,
                    names=list(dialect.names),
                    # Without a header, the width of the table is that of the names only if all
                    # columns are read.
                    usecols=list(only) if only is not None and header.line else None,
                    index_col=False,
                    dtype=dict.fromkeys(as_text, object),
                    keep_default_na=False,
                    na_values=[spelt for word in missing
                               for spelt in (word, word.upper(), word.title(), "NaN")],
                    chunksize=BATCH_ROWS,
                    # Otherwise types are found out for parts of a batch, and numbers among texts
                    # are not as they were written.
                    low_memory=False,
                ) as reader:  # fmt: skip
                    yield from reader
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            fault = _fault(path, dialect) or str(error).strip()
            raise DatasetError(f"{path}: not a table: {fault}") from error


def columns_with_codes(path: Path, dialect: Dialect, names: Collection[str]) -> set[str]:
    """Return which columns have a cell of 0 and more digits, a number that is rather a code.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        How it is written.
    names : collection of str
        The columns to look at.
    """
    if not names or not _has_codes(path, dialect):
        return set()
    left = {j for j, name in enumerate(dialect.names) if name in names}
    found = set()
    for _, cells in _records(path, dialect.encoding, dialect.delimiter):
        for j in left:
            if cells[j : j + 1] and cells[j][:1] in "0 " and _CODE.fullmatch(cells[j]):
                found.add(j)
        left -= found
    return {dialect.names[j] for j in found}


def short_lines(path: Path, dialect: Dialect) -> tuple[int, int]:
    """Return how many lines have less cells than there are columns, and the first of them."""
    short = [
        line
        for line, cells in _records(path, dialect.encoding, dialect.delimiter)
        if len(cells) < len(dialect.names) and any(map(str.strip, cells))
    ]
    return len(short), min(short, default=0)


@contextmanager
def errors_of_reading(path: Path, encoding: str | None) -> Iterator[None]:
    """Turn every way in which reading a file fails into a DatasetError."""
    try:
        yield
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DatasetError(f"{path}: cannot be read as {encoding}, in which there is no byte "
                           f"{byte:#04x}; --encoding says otherwise") from error  # fmt: skip
    except (UnicodeError, LookupError) as error:
        raise DatasetError(f"{path}: cannot be read as {encoding}: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}, expected a CSV file") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file: {error} (a quotation mark that is never "
                           "closed?)") from error  # fmt: skip


def _has_codes(path: Path, dialect: Dialect) -> bool:
    """Whether some cell of a file is 0 and more digits; much faster than to look at each."""
    between = re.escape(dialect.delimiter)
    cell = re.compile(rf'[{between}\r\n] *"?0[0-9]+"? *[{between}\r\n]')
    tail = "\n"
    with path.open(encoding=dialect.encoding) as file:
        while block := file.read(BLOCK):
            if cell.search(tail + block):
                return True
            tail = (tail + block)[-LONGEST_CODE:]
    return cell.search(f"{tail}\n") is not None


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record, and the line that it ends on."""
    before = 0
    with path.open(encoding=encoding, newline="") as file:
        records = csv.reader(file, delimiter=delimiter)
        try:
            for cells in records:
                yield records.line_num, cells
                before = records.line_num
        except csv.Error as error:
            raise csv.Error(f"the record from line {before + 1} on: {error}") from error


def _fault(path: Path, dialect: Dialect) -> str | None:
    """Say in which line a file stops being a table."""
    width, before, cells = len(dialect.names), 0, [""]
    with path.open(encoding=dialect.encoding, newline="") as file:
        records = csv.reader(file, delimiter=dialect.delimiter, strict=True)
        try:
            for cells in records:
                if len(cells) > width:
                    return (f"line {records.line_num} has {len(cells)} cells, expected {width} as "
                            "in the header")  # fmt: skip
                before = records.line_num
        except csv.Error:
            return (f"line {before + 1} has a quotation mark that is never closed, or that has "
                    "something else than the end of the cell behind it")  # fmt: skip
    return None


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1024)
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if start.startswith(mark):
                return encoding
        for mark, what in _NOT_TEXT.items():
            if start.startswith(mark):
                raise DatasetError(f"{path}: {what}, expected a CSV file")
        if b"\0" in start:  # every other byte of Latin letters
            return "utf-16-be" if start[0] == 0 else "utf-16-le"
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
    records = (cells for _, cells in _records(path, encoding, delimiter))
    return sum(1 for _ in takewhile(lambda cells: not any(map(str.strip, cells)), records))


def _sample(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """Return the first records that are not blank, the header among them."""
    records = (cells for _, cells in _records(path, encoding, delimiter))
    return list(islice((cells for cells in records if any(map(str.strip, cells))), SAMPLE_RECORDS))


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
