"""Preparation: turn a raw CSV file into a numeric one with one-hot groups."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonbench.data.base import DatasetError
from poisonbench.data.sidecar import place
from poisonbench.data.table import MISSING
from poisonbench.preparation.choices import Choices
from poisonbench.preparation.encoding import Encoded, encode
from poisonbench.preparation.raw_file import RawFile, read_raw
from poisonbench.preparation.reading import short_lines
from poisonbench.preparation.writing import write

__all__ = [
    "Choices",
    "Prepared",
    "RawFile",
    "check_place",
    "encode_columns",
    "prepare",
    "prepare_columns",
    "read_raw",
]


@dataclass(frozen=True)
class Prepared:
    """A prepared file, and what was done to make it.

    Parameters
    ----------
    path : Path
        The CSV file; its sidecar is beside it.
    dialect : str
        The format of the raw file.
    n_rows, n_features : int
        Numbers of rows and features of the prepared file.
    rows_dropped, duplicates_dropped : int
        Numbers of rows of the raw file that were dropped because of a missing value, and because
        they repeat an earlier row.
    target : str
        Name of the response.
    fates : dict of str to str
        For each raw column, what it contains and what was done with it.
    filled : dict of str to str
        The columns with missing values, and what replaced these.
    clipped : dict of str to str
        The columns whose numbers were clipped, and to what.
    warnings : tuple of str
        What the user should check.
    missing_words, missing_values : tuple of str
        The words that mean a missing value, and the values that the user gave in addition.
    """

    path: Path
    dialect: str
    n_rows: int
    n_features: int
    rows_dropped: int
    duplicates_dropped: int
    target: str
    fates: dict[str, str]
    filled: dict[str, str]
    clipped: dict[str, str]
    warnings: tuple[str, ...]
    missing_words: tuple[str, ...]
    missing_values: tuple[str, ...]

    def report(self) -> str:
        """Return the report that is printed for the user."""
        width = min(max(map(len, self.fates)), 30)
        lines = [f"read as {self.dialect}", "columns"]
        lines += [f"  {name:<{width}}  {fate}" for name, fate in self.fates.items()]
        words = ", ".join(f"'{word}'" for word in self.missing_words if word)
        lines.append(f"missing: an empty cell{', or ' if words else ''}{words}")
        if self.missing_values:
            lines.append(f"also missing: {', '.join(self.missing_values)}")
        if self.filled:
            lines.append("missing values filled")
            lines += [f"  {name:<{width}}  {what}" for name, what in self.filled.items()]
        if self.clipped:
            lines.append("numbers clipped")
            lines += [f"  {name:<{width}}  {what}" for name, what in self.clipped.items()]
        if self.rows_dropped:
            rows = "row" if self.rows_dropped == 1 else "rows"
            lines.append(f"{self.rows_dropped} {rows} dropped because of a missing value")
        if self.duplicates_dropped:
            rows = "row" if self.duplicates_dropped == 1 else "rows"
            lines.append(f"{self.duplicates_dropped} {rows} dropped that repeat an earlier row")
        lines += [textwrap.fill(f"warning: {warning}", 96, subsequent_indent="  ",
                                break_long_words=False, break_on_hyphens=False)
                  for warning in self.warnings]  # fmt: skip
        lines.append(f"{self.n_rows} rows x {self.n_features} features, response '{self.target}'")
        return "\n".join(lines)


def prepare(
    raw: Path,
    out: Path,
    choices: Choices,
    *,
    source: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    missing_words: Collection[str] = MISSING,
) -> Prepared:
    """Prepare a raw CSV file.

    Every column contains numbers, dates (which become days since 1970), booleans or categories;
    this is detected from all of its cells.  A column contains numbers (or dates) if at least 9 in
    10 of its cells that are not missing do; the others are then treated as missing.  Numbers with
    leading zeros are codes, that is, categories.  Numbers keep their own units.  Each category
    except the most frequent becomes a column ``Group:value``; columns that already have this form
    are kept as they are.  A missing number is replaced by the column's mean, and a missing category
    by the category ``NA``, as in the files of the 2018 paper.  A row without a response is dropped.
    Constant and empty columns, identifiers and free text are left out.

    Parameters
    ----------
    raw : Path
        The raw file.
    out : Path
        The prepared file; ``OUT.json`` beside it describes how it was made.
    choices : Choices
        The user's choices.
    source : str, optional
        Where the data come from, for the sidecar; the raw file's name if not given.
    encoding, delimiter, decimal : str, optional
        The format of the raw file; detected if not given.
    header : bool, optional
        Whether its first line contains the column names.  If not given, it does, and a first line
        that looks like data is an error.
    missing_words : collection of str
        Words that mean a missing value, in lower case.

    Returns
    -------
    Prepared
        What was written, and why.

    Raises
    ------
    DatasetError
        The raw file cannot be read, or these choices do not give a data set.
    """
    check_place(raw, out)
    file = read_raw(raw, choices, encoding=encoding, delimiter=delimiter, decimal=decimal,
                    header=header, missing_words=missing_words)  # fmt: skip
    return prepare_columns(file, out, source=source)


def prepare_columns(
    file: RawFile,
    out: Path,
    *,
    source: str | None = None,
    warnings: Sequence[str] = (),
    told: Collection[tuple[str, str]] = (),
) -> Prepared:
    """Prepare a raw file whose columns have been read; see :func:`prepare`.

    Parameters
    ----------
    file : RawFile
        The columns.  Its list is emptied, to free memory on the way.
    out : Path
        The prepared file; ``OUT.json`` beside it describes how it was made.
    source : str, optional
        Where the data come from, for the sidecar; the raw file's name if not given.
    warnings : sequence of str
        What else the user should check, from checks of the columns.
    told : collection of (str, str)
        The kind and the column of each of these, so that nothing is said twice.

    Raises
    ------
    DatasetError
        The choices do not give a data set, or the prepared file cannot be written.
    """
    encoded = encode_columns(file, warnings=warnings, told=told)
    try:
        write(encoded, out, source or file.path.name, _recorded(encoded, file))
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error
    return Prepared(
        path=out,
        dialect=str(file.dialect),
        n_rows=encoded.n_rows,
        n_features=len(encoded.names) - 1,
        rows_dropped=encoded.rows_dropped,
        duplicates_dropped=encoded.duplicates_dropped,
        target=encoded.target.name,
        fates=encoded.fates,
        filled=encoded.filled,
        clipped=encoded.clipped,
        warnings=tuple(encoded.warnings),
        missing_words=tuple(sorted(file.missing_words)),
        missing_values=file.choices.missing_values,
    )


def encode_columns(
    file: RawFile,
    *,
    warnings: Sequence[str] = (),
    told: Collection[tuple[str, str]] = (),
) -> Encoded:
    """Encode the columns of a raw file that has been read, without writing anything.

    Parameters
    ----------
    file : RawFile
        The columns.  Its list is emptied, to free memory on the way.
    warnings : sequence of str
        What else the user should check, from checks of the columns.
    told : collection of (str, str)
        The kind and the column of each of these, so that nothing is said twice.

    Raises
    ------
    DatasetError
        The choices do not give a data set.
    """
    raw, columns = file.path, file.columns
    # Missing cells at the end of a short line look like other missing cells.
    n_short, line = short_lines(raw, file.dialect) if columns[-1].missing.any() else (0, 0)
    with _errors_about(raw):
        encoded = encode(columns, file.choices)
    encoded.warnings[:0] = [*file.dialect.remarks, *file.remarks]
    not_needed = {said for one in told for said in encoded.replaceable.get(one, [])}
    encoded.warnings = [*(said for said in encoded.warnings if said not in not_needed), *warnings]
    if n_short:
        encoded.warnings.insert(0, f"{n_short} lines have fewer cells than there are columns; the "
                                f"first is line {line}; the absent cells are missing "
                                "values")  # fmt: skip
    return encoded


def check_place(raw: Path, out: Path) -> None:
    """Raise DatasetError if a prepared file would replace a file that is not a prepared one.

    Parameters
    ----------
    raw, out : Path
        The raw file, and the prepared file that is to be written.
    """
    if out.exists() and ((raw.exists() and out.samefile(raw)) or not place(out).exists()):
        raise DatasetError(f"{out}: there is already a file, which is not a prepared one; give "
                           "another name, or delete it")  # fmt: skip


@contextmanager
def _errors_about(raw: Path) -> Iterator[None]:
    """Add the name of the raw file to the error messages of code that does not know it."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{raw}: {error}") from error


def _recorded(encoded: Encoded, file: RawFile) -> dict[str, Any]:
    """Return the record of the preparation for the sidecar."""
    return {
        "read as": str(file.dialect),
        "rare": file.choices.rare,
        "missing": file.choices.missing,
        "missing words": sorted(file.missing_words),
        "missing values": list(file.choices.missing_values),
        "units": list(file.choices.units),
        "columns": encoded.fates,
        "filled": encoded.filled,
        "clipped": encoded.clipped,
        "rows dropped": encoded.rows_dropped,
        "duplicates dropped": encoded.duplicates_dropped,
        "warnings": encoded.warnings,
    }
