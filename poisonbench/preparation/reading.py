"""Read the rows of a raw CSV file in batches, and find what the batches do not show."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from poisonbench.data.base import DatasetError
from poisonbench.preparation.dialect import Dialect
from poisonbench.preparation.records import errors_of_reading, records, skips_blanks

BATCH_ROWS = 20_000
"""Number of rows that are kept as text at a time; more would not be faster."""

BLOCK = 1 << 22
"""Number of characters of a file that are searched at a time."""

LONGEST_CODE = 64
"""Largest length of a cell that is found if it extends over two blocks."""

_CODE = re.compile(r" *0[0-9]+ *")


def batches(
    path: Path,
    dialect: Dialect,
    missing: Collection[str],
    as_text: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file in batches.

    A column of a batch contains numbers if each of its cells is a number or missing, and texts
    otherwise.  The absent cells of a short line are missing.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.
    missing : collection of str
        Words that mean a missing value, in lower case.
    as_text : collection of str
        Columns whose cells are kept as text.
    only : collection of str, optional
        The columns to read; all if not given.

    Raises
    ------
    DatasetError
        The file is not a table.
    """
    header = dialect.header
    encoding = dialect.encoding
    # pandas does not get repeated names, because it takes time quadratic in their number.
    named = header.line and not header.repeated
    with errors_of_reading(path, encoding.name):
        try:
            with warnings.catch_warnings():
                # A line that is longer than the header is an error anywhere in the file.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                with pd.read_csv(
                    path,
                    sep=dialect.delimiter,
                    decimal=dialect.decimal,
                    encoding=encoding.name,
                    encoding_errors=encoding.errors,
                    skipinitialspace=skips_blanks(dialect.delimiter),
                    header=0 if named else None,
                    skiprows=header.blank_records + (header.line and not named),
                    names=list(dialect.names),
                    # Without a header, pandas takes the width of the table from the names only if
                    # all columns are read.
                    usecols=list(only) if only is not None and named else None,
                    index_col=False,
                    dtype=dict.fromkeys(as_text, object),
                    keep_default_na=False,
                    na_values=[spelt for word in missing
                               for spelt in (word, word.upper(), word.title(), "NaN")],
                    chunksize=BATCH_ROWS,
                    # Otherwise pandas detects types for parts of a batch, and does not keep the
                    # text of numbers among texts.
                    low_memory=False,
                ) as reader:  # fmt: skip
                    yield from reader
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            fault = _fault(path, dialect) or str(error).strip()
            raise DatasetError(f"{path}: not a table: {fault}") from error


def columns_with_codes(path: Path, dialect: Dialect, names: Collection[str]) -> set[str]:
    """Return the columns that contain a number with a leading zero, which is rather a code.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.
    names : collection of str
        The columns to check.
    """
    if not names or not _has_codes(path, dialect):
        return set()
    left = {j for j, name in enumerate(dialect.names) if name in names}
    found = set()
    for _, cells in records(path, dialect.encoding, dialect.delimiter):
        for j in left:
            if cells[j : j + 1] and cells[j][:1] in "0 " and _CODE.fullmatch(cells[j]):
                found.add(j)
        left -= found
    return {dialect.names[j] for j in found}


def short_lines(path: Path, dialect: Dialect) -> tuple[int, int]:
    """Return how many lines have fewer cells than there are columns, and the first of them."""
    short = [
        line
        for line, cells in records(path, dialect.encoding, dialect.delimiter)
        if len(cells) < len(dialect.names) and any(map(str.strip, cells))
    ]
    return len(short), min(short, default=0)


def _has_codes(path: Path, dialect: Dialect) -> bool:
    """Whether some cell of a file has a leading zero; much faster than checking each cell."""
    between = re.escape(dialect.delimiter)
    cell = re.compile(rf'[{between}\r\n] *"?0[0-9]+"? *[{between}\r\n]')
    tail = "\n"
    with dialect.encoding.open(path, newline=None) as file:
        while block := file.read(BLOCK):
            if cell.search(tail + block):
                return True
            tail = (tail + block)[-LONGEST_CODE:]
    return cell.search(f"{tail}\n") is not None


def _fault(path: Path, dialect: Dialect) -> str | None:
    """Return a message that says in which line a file is not a table; None if it is one."""
    width, before = len(dialect.names), 0
    try:
        for line, cells in records(path, dialect.encoding, dialect.delimiter, strict=True):
            if len(cells) > width:
                return (f"line {line} has {len(cells)} cells, expected {width} as in the header"
                        f"{_before_quote(cells)}")  # fmt: skip
            before = line
    except csv.Error:
        return (f"line {before + 1} has a quotation mark that is never closed, or a closing "
                "quotation mark before the end of a cell")  # fmt: skip
    return None


def _before_quote(cells: list[str]) -> str:
    """Return a remark if a character before a quotation mark makes the mark part of a cell."""
    for cell in cells:
        before, mark, _ = cell.partition('"')
        if mark and before and not before.strip():
            return f"; a cell has {before!r} before its quotation mark, expected nothing or blanks"
    return ""
