"""From a raw CSV file to one that a linear model can use: numeric, scaled, grouped."""

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
from poisonbench.preparation.columns import ColumnReader, RawColumn
from poisonbench.preparation.encoding import Encoded, encode
from poisonbench.preparation.reading import Dialect, batches, sniff
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

    def report(self) -> str:
        """Return all of it in words."""
        width = min(max(map(len, self.fates)), 30)
        lines = [f"read as {self.dialect}", "columns"]
        lines += [f"  {name:<{width}}  {fate}" for name, fate in self.fates.items()]
        if self.filled:
            lines.append("missing values filled")
            lines += [f"  {name:<{width}}  {what}" for name, what in self.filled.items()]
        if self.rows_dropped:
            lines.append(f"{self.rows_dropped} rows dropped for a missing value")
        lines += [textwrap.fill(f"warning: {warning}", 96, subsequent_indent="  ")
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
    missing_words: Collection[str] = MISSING,
) -> Prepared:
    """Prepare a raw CSV file.

    Every column is a number, a date (then days since 1970), a boolean or a category, found out
    from its cells.  Numbers are scaled to [0, 1] by their smallest and largest value; categories
    become one column ``Group:value`` each, but for the most frequent.  A missing number is the
    column's mean and a missing category the category ``NA``, as in the files of the 2018 paper;
    a row without a response is dropped.  Constant and empty columns, identifiers and free text
    are left out.

    Parameters
    ----------
    raw : Path
        The raw file.
    out : Path
        The prepared file; ``OUT.json`` beside it holds the groups and undoes the scaling.
    choices : Choices
        What the user decides.
    source : str, optional
        What the sidecar says of where the data come from; the raw file's name if not given.
    encoding, delimiter, decimal : str, optional
        How the raw file is written; found out if not given.
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
    dialect = sniff(raw, encoding=encoding, delimiter=delimiter, decimal=decimal)
    if out.exists() and (out.samefile(raw) or not place(out).exists()):
        raise DatasetError(f"{out}: there is a file already, and it is not a prepared one; "
                           "give another, or delete it")  # fmt: skip
    with _errors_about(raw):
        choices = choices.resolved(dialect.names)
    columns = _columns(raw, dialect, choices, missing_words)
    with _errors_about(raw):
        encoded = encode(columns, choices)
    try:
        write(encoded, out, source or raw.name, _recorded(encoded, dialect, choices))
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error
    return Prepared(
        path=out,
        dialect=str(dialect),
        n_rows=encoded.n_rows,
        n_features=len(encoded.names) - 1,
        rows_dropped=encoded.rows_dropped,
        target=choices.target,
        fates=encoded.fates,
        filled=encoded.filled,
        warnings=tuple(encoded.warnings),
    )


@contextmanager
def _errors_about(raw: Path) -> Iterator[None]:
    """Name the file in the errors of what does not know it."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{raw}: {error}") from error


def _columns(
    raw: Path, dialect: Dialect, choices: Choices, missing_words: Collection[str]
) -> list[RawColumn]:
    words = frozenset(missing_words)
    readers = [
        ColumnReader(name, dialect.decimal, name in choices.categorical, words)
        for name in dialect.names
    ]
    for batch in batches(raw, dialect, words, as_text=choices.categorical):
        for reader in readers:
            reader.add(batch[reader.name])
    return [reader.finish() for reader in readers]


def _recorded(encoded: Encoded, dialect: Dialect, choices: Choices) -> dict[str, Any]:
    """Return what the sidecar says of the preparation."""
    return {
        "read as": str(dialect),
        "rare": choices.rare,
        "missing": choices.missing,
        "columns": encoded.fates,
        "filled": encoded.filled,
        "rows dropped": encoded.rows_dropped,
        "warnings": encoded.warnings,
    }
