"""From a raw CSV file to one that a linear model can use: numeric and grouped."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonbench.data.base import DatasetError
from poisonbench.data.sidecar import place
from poisonbench.data.table import MISSING
from poisonbench.preparation.choices import Choices
from poisonbench.preparation.columns import ColumnReader, Role
from poisonbench.preparation.dialect import Dialect, sniff
from poisonbench.preparation.encoding import Encoded, encode
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.reading import batches, columns_with_codes, short_lines
from poisonbench.preparation.writing import write

__all__ = ["Choices", "Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A prepared file, and how it came about.

    Parameters
    ----------
    path : Path
        The CSV file; its sidecar lies beside it.
    dialect : str
        How the raw file is written.
    n_rows, n_features : int
        Rows and features of the prepared file.
    rows_dropped : int
        Rows of the raw file that are left out for a missing value.
    target : str
        The response.
    fates : dict of str to str
        For each raw column what it holds and what became of it.
    filled : dict of str to str
        The columns with missing values, and what stands for them.
    warnings : tuple of str
        What the user should look at.
    missing_words : tuple of str
        What meant a missing value.
    """

    path: Path
    dialect: str
    n_rows: int
    n_features: int
    rows_dropped: int
    target: str
    fates: dict[str, str]
    filled: dict[str, str]
    warnings: tuple[str, ...]
    missing_words: tuple[str, ...]

    def report(self) -> str:
        """Return all of it in words."""
        width = min(max(map(len, self.fates)), 30)
        lines = [f"read as {self.dialect}", "columns"]
        lines += [f"  {name:<{width}}  {fate}" for name, fate in self.fates.items()]
        words = ", ".join(f"'{word}'" for word in self.missing_words if word)
        lines.append(f"missing: an empty cell{', or ' if words else ''}{words}")
        if self.filled:
            lines.append("missing values filled")
            lines += [f"  {name:<{width}}  {what}" for name, what in self.filled.items()]
        if self.rows_dropped:
            rows = "row" if self.rows_dropped == 1 else "rows"
            lines.append(f"{self.rows_dropped} {rows} dropped for a missing value")
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

    Every column is a number, a date (then days since 1970), a boolean or a category, found out
    from all of its cells.  It is one of numbers (or dates) if 9 in 10 cells present are; the others
    are missing then.  Numbers with leading zeros are codes, that is, categories.  Numbers keep
    their own units; categories become one column ``Group:value`` each, but for the most frequent;
    columns of this form are kept as they are.  A missing number is the column's mean and a missing
    category the category ``NA``, as in the files of the 2018 paper; a row without a response is
    dropped.  Constant and empty columns, identifiers and free text are left out.

    Parameters
    ----------
    raw : Path
        The raw file.
    out : Path
        The prepared file; ``OUT.json`` beside it says how it was made.
    choices : Choices
        What the user decides.
    source : str, optional
        What the sidecar says of where the data come from; the raw file's name if not given.
    encoding, delimiter, decimal : str, optional
        How the raw file is written; found out if not given.
    header : bool, optional
        Whether its first line has the column names; it must look like that if not given.
    missing_words : collection of str
        What means a missing value, in lower case.

    Returns
    -------
    Prepared
        What was written and why.

    Raises
    ------
    DatasetError
        The raw file cannot be read, or no data set can be made of it, or not with these choices.
    """
    dialect = sniff(raw, encoding=encoding, delimiter=delimiter, decimal=decimal, header=header)
    if out.exists() and (out.samefile(raw) or not place(out).exists()):
        raise DatasetError(f"{out}: there is a file already, and it is not a prepared one; "
                           "give another, or delete it")  # fmt: skip
    with _errors_about(raw):
        choices = _resolved(choices, dialect)
    words = frozenset(missing_words)
    columns = _columns(raw, dialect, choices, words)
    # Cells at the end of a line that is too short look like any other missing ones.
    n_short, line = short_lines(raw, dialect) if columns[-1].missing.any() else (0, 0)
    with _errors_about(raw):
        encoded = encode(columns, choices)
    encoded.warnings[:0] = dialect.remarks
    if n_short:
        encoded.warnings.insert(0, f"lines with less cells than there are columns: {n_short}, the "
                                f"first is line {line}; what they lack is missing")  # fmt: skip
    try:
        write(encoded, out, source or raw.name, _recorded(encoded, dialect, choices, words))
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error
    return Prepared(
        path=out,
        dialect=str(dialect),
        n_rows=encoded.n_rows,
        n_features=len(encoded.names) - 1,
        rows_dropped=encoded.rows_dropped,
        target=encoded.target.name,
        fates=encoded.fates,
        filled=encoded.filled,
        warnings=tuple(encoded.warnings),
        missing_words=tuple(sorted(words)),
    )


@contextmanager
def _errors_about(raw: Path) -> Iterator[None]:
    """Name the file in the errors of what does not know it."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{raw}: {error}") from error


def _resolved(choices: Choices, dialect: Dialect) -> Choices:
    """Return the choices in terms of the file's columns."""
    try:
        resolved = choices.resolved(dialect.names)
    except DatasetError as error:
        # A name that is not there may be due to names that are not what they should be.
        raise DatasetError("; ".join([str(error), *dialect.header.remarks])) from error
    if resolved.target in dialect.header.repeated:
        raise DatasetError(f"target: more than one column is named '{resolved.target}', expected "
                           "one")  # fmt: skip
    return resolved


def _columns(
    raw: Path, dialect: Dialect, choices: Choices, words: frozenset[str]
) -> list[RawColumn]:
    """Read all columns; again, as text, those whose cells are not what they seemed at first."""
    readers = {name: _reader(name, dialect, choices, words) for name in dialect.names}
    for batch in batches(raw, dialect, words, as_text=choices.categorical):
        for name, reader in readers.items():
            reader.add(batch[name])
    again = {name for name, reader in readers.items() if reader.wants_text}
    could_be_codes = {name for name, reader in readers.items() if reader.could_be_codes}
    again |= columns_with_codes(raw, dialect, could_be_codes)
    if again:
        readers |= {name: _reader(name, dialect, choices, words) for name in again}
        for batch in batches(raw, dialect, words, as_text=again, only=again):
            for name in again:
                readers[name].add(batch[name])
    return [reader.finish() for reader in readers.values()]


def _reader(name: str, dialect: Dialect, choices: Choices, words: frozenset[str]) -> ColumnReader:
    role: Role = "any"
    if name in choices.numeric:
        role = "numeric"
    elif name in choices.categorical:
        role = "categorical"
    elif name == choices.target:
        role = "response"
    return ColumnReader(name, dialect.decimal, dialect.settled, role, words, choices.dates)


def _recorded(
    encoded: Encoded, dialect: Dialect, choices: Choices, words: frozenset[str]
) -> dict[str, Any]:
    """Return what the sidecar says of the preparation."""
    return {
        "read as": str(dialect),
        "rare": choices.rare,
        "missing": choices.missing,
        "missing words": sorted(words),
        "columns": encoded.fates,
        "filled": encoded.filled,
        "rows dropped": encoded.rows_dropped,
        "warnings": encoded.warnings,
    }
