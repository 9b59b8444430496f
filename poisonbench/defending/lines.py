"""Which lines of a raw file hold which data row; copies of the file without some rows.

The copy has the bytes of the original, so its delimiter, quotation marks, decimal marks, encoding
and line ends are those of the original.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection
from pathlib import Path

import numpy as np

from poisonbench.data.base import DatasetError
from poisonbench.data.files import written_whole
from poisonbench.features import IntArray
from poisonbench.preparation.dialect import Dialect
from poisonbench.preparation.records import errors_of_reading, records

_TWO_BYTES = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def line_ranges(path: Path, dialect: Dialect) -> IntArray:
    """Return the first and the last line of each data row, counted from 1.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.

    Returns
    -------
    ndarray of int of shape (rows, 2)
        Blank lines belong to no row.  A row has several lines if a cell contains line ends.
    """
    found, before = [], 0
    begun = False  # the first line that is not blank holds the names, or is the first row
    with errors_of_reading(path, dialect.encoding.name):
        for line, cells in records(path, dialect.encoding, dialect.delimiter):
            first = not begun and any(map(str.strip, cells))
            is_row = len(cells) > 1 or bool("".join(cells).strip())
            if (begun and is_row) or (first and not dialect.header.line):
                found.append((before + 1, line))
            begun = begun or first
            before = line
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def write_without(
    path: Path, dialect: Dialect, ranges: IntArray, left_out: Collection[int], out: Path
) -> None:
    """Copy a file without some of its data rows.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.
    ranges : ndarray of int of shape (rows, 2)
        The first and the last line of each row.
    left_out : collection of int
        The rows to leave out, as indices into `ranges`.
    out : Path
        The copy; it is written whole or not at all.
    """
    dropped = {line for row in left_out for line in range(ranges[row, 0], ranges[row, 1] + 1)}
    # Every byte is a character of Latin-1, so the copy is exact whatever the encoding is, as long
    # as line ends are single bytes.
    codec = "latin-1"
    if dialect.encoding.name.startswith("utf-16"):
        with path.open("rb") as start:
            codec = _TWO_BYTES.get(start.read(2), dialect.encoding.name)
    try:
        with path.open(encoding=codec, newline="") as lines, written_whole(out) as copy:
            for number, line in enumerate(lines, start=1):
                if number not in dropped:
                    copy.write(line.encode(codec))
    except (OSError, UnicodeError) as error:
        raise DatasetError(f"{out}: cannot be written: {error}") from error
