"""Reading a raw CSV file: its encoding, delimiter and decimal mark found out, rows in batches."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from poisonbench.data.base import DatasetError, listing
from poisonbench.data.table import DELIMITERS
from poisonbench.preparation.choices import column_name

BATCH_ROWS = 20_000
"""Rows held as text at a time; more would be no faster."""

SAMPLE_RECORDS = 1000
"""Records that delimiter and decimal mark are found out from."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
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
    names : tuple of str
        Its column names: blanks trimmed, distinct, without colons, which mark one-hot groups.
    """

    encoding: str
    delimiter: str
    decimal: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in words."""
        delimiter = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}
        mark = "point" if self.decimal == "." else "comma"
        between = delimiter.get(self.delimiter, repr(self.delimiter))
        return f"{self.encoding}, {between} between cells, decimal {mark}"


def sniff(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
) -> Dialect:
    """Return how a file is written; what is given is believed.

    A file that is not UTF-8 is read as Windows-1252, of which Latin-1 is a part.

    Parameters
    ----------
    path : Path
        The file.
    encoding, delimiter, decimal : str, optional
        What is known of it.

    Raises
    ------
    DatasetError
        It cannot be read, is empty, or its header is not one of distinct names.
    """
    try:
        encoding = encoding or _encoding(path)
        records = _sample(path, encoding, delimiter or _delimiter(path, encoding))
        delimiter = delimiter or _delimiter(path, encoding)
    except (UnicodeError, LookupError) as error:
        raise DatasetError(f"{path}: cannot be read as {encoding}: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}, expected a CSV file") from error
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file: {error}") from error
    if not records:
        raise DatasetError(f"{path}: the file is empty, expected a header line of column names")
    names = _names(path, records[0])
    return Dialect(encoding, delimiter, decimal or _decimal(records[1:], delimiter), names)


def batches(
    path: Path, dialect: Dialect, missing: Collection[str], as_text: Collection[str] = ()
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

    Raises
    ------
    DatasetError
        It is not a table.
    """
    try:
        with warnings.catch_warnings():
            # A line longer than the header is an error, wherever it is.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            with pd.read_csv(
                path,
                sep=dialect.delimiter,
                decimal=dialect.decimal,
                encoding=dialect.encoding,
                header=0,
                names=list(dialect.names),
                index_col=False,
                dtype=dict.fromkeys(as_text, object),
                keep_default_na=False,
                na_values=[spelt for word in missing for spelt in (word, word.upper(), "NaN")],
                chunksize=BATCH_ROWS,
            ) as reader:
                yield from reader
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        what = str(error).replace("Error tokenizing data. C error: ", "")
        if isinstance(error, pd.errors.ParserWarning):
            what = "lines have more cells than the header has names"
        raise DatasetError(f"{path}: not a table: {what.strip()}") from error
    except (UnicodeError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if start.startswith(mark):
                return encoding
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _sample(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """Return the first records that are not blank, the header among them."""
    with path.open(encoding=encoding, newline="") as file:
        records = csv.reader(file, delimiter=delimiter)
        kept = (record for record in records if any(map(str.strip, record)))
        return list(islice(kept, SAMPLE_RECORDS))


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


def _names(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    names = tuple(column_name(name) or f"column {j}" for j, name in enumerate(header, start=1))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DatasetError(f"{path}: more than one column is named {listing(repeated)}, "
                           "expected distinct names")  # fmt: skip
    if len(names) == 1:
        raise DatasetError(f"{path}: one column, '{names[0]}'; expected features and a response")
    return names
