"""Reading the rows of a raw CSV file in batches, and looking at what a batch does not show."""

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
"""Rows held as text at a time; more would be no faster."""

BLOCK = 1 << 22
"""Characters of a file that are searched at a time."""

LONGEST_CODE = 64
"""Characters of a cell that is found though it lies on the border of two blocks."""

_CODE = re.compile(r" *0[0-9]+ *")


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
    encoding = dialect.encoding
    # Names that repeat are passed over, for pandas takes time by the square of their number.
    named = header.line and not header.repeated
    with errors_of_reading(path, encoding.name):
        try:
            with warnings.catch_warnings():
                # A line longer than the header is an error, wherever it is.
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
                    # Without a header, the width of the table is that of the names only if all
                    # columns are read.
                    usecols=list(only) if only is not None and named else None,
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
    for _, cells in records(path, dialect.encoding, dialect.delimiter):
        for j in left:
            if cells[j : j + 1] and cells[j][:1] in "0 " and _CODE.fullmatch(cells[j]):
                found.add(j)
        left -= found
    return {dialect.names[j] for j in found}


def short_lines(path: Path, dialect: Dialect) -> tuple[int, int]:
    """Return how many lines have less cells than there are columns, and the first of them."""
    short = [
        line
        for line, cells in records(path, dialect.encoding, dialect.delimiter)
        if len(cells) < len(dialect.names) and any(map(str.strip, cells))
    ]
    return len(short), min(short, default=0)


def _has_codes(path: Path, dialect: Dialect) -> bool:
    """Whether some cell of a file is 0 and more digits; much faster than to look at each."""
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
    """Say in which line a file stops being a table."""
    width, before = len(dialect.names), 0
    try:
        for line, cells in records(path, dialect.encoding, dialect.delimiter, strict=True):
            if len(cells) > width:
                return (f"line {line} has {len(cells)} cells, expected {width} as in the header"
                        f"{_before_quote(cells)}")  # fmt: skip
            before = line
    except csv.Error:
        return (f"line {before + 1} has a quotation mark that is never closed, or that has "
                "something else than the end of the cell behind it")  # fmt: skip
    return None


def _before_quote(cells: list[str]) -> str:
    """Say what stands before a quotation mark and so makes it part of a cell, if anything does."""
    for cell in cells:
        before, mark, _ = cell.partition('"')
        if mark and before and not before.strip():
            return f"; a cell has {before!r} before its quotation mark, expected nothing or blanks"
    return ""
