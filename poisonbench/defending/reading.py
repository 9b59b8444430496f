"""Read a file that may be poisoned, and keep track of which row is where in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.table import MISSING
from poisonbench.defending.columns import Rows, rows_of
from poisonbench.defending.lines import line_ranges
from poisonbench.features import IntArray
from poisonbench.preparation import Choices, encode_columns, read_raw
from poisonbench.preparation.dialect import Dialect
from poisonbench.quality import as_warnings, findings_in


@dataclass(frozen=True)
class SuspectFile:
    """A raw file, encoded.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.
    choices : Choices
        The user's choices, with the column names of the file.
    rows : Rows
        The rows with a response, in their own units.
    lines : ndarray of int of shape (all rows of the file, 2)
        The first and the last line of each.
    fates : mapping of str to str
        For each column, what it contains and what was done with it.
    left_out : mapping of str to str
        The columns that are not used, with the reason.
    filled : mapping of str to str
        The columns with missing values or clipped numbers, and what replaced these.
    clipped : frozenset of str
        The columns whose numbers were clipped.
    warnings : tuple of str
        What the user should check.
    missing_words : frozenset of str
        Words that mean a missing value.
    """

    path: Path
    dialect: Dialect
    choices: Choices
    rows: Rows
    lines: IntArray
    fates: Mapping[str, str]
    left_out: Mapping[str, str]
    filled: Mapping[str, str]
    clipped: frozenset[str]
    warnings: tuple[str, ...]
    missing_words: frozenset[str]


def read_file(
    path: Path,
    choices: Choices,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    missing_words: frozenset[str] = MISSING,
) -> SuspectFile:
    """Read a CSV file, raw or prepared, with the rules of ``poisonbench datasets prepare``.

    Parameters
    ----------
    path : Path
        The file.
    choices : Choices
        The user's choices.
    encoding, delimiter, decimal : str, optional
        The format of the file; detected if not given.
    header : bool, optional
        Whether its first line contains the column names.
    missing_words : frozenset of str
        Words that mean a missing value, in lower case.

    Raises
    ------
    DatasetError
        The file cannot be read, or these choices do not give a data set.
    """
    file = read_raw(path, choices, encoding=encoding, delimiter=delimiter, decimal=decimal,
                    header=header, missing_words=missing_words)  # fmt: skip
    warnings, told = as_warnings(findings_in(file))
    encoded = encode_columns(file, warnings=warnings, told=told)
    lines = line_ranges(path, file.dialect)
    if len(lines) != len(encoded.kept):
        raise DatasetError(f"{path}: {len(encoded.kept)} rows were read, but {len(lines)} records "
                           "were counted, so that rows cannot be told by their line; expected a "
                           "file without control characters")  # fmt: skip
    return SuspectFile(
        path,
        file.dialect,
        file.choices,
        rows_of(encoded, str(path)),
        lines,
        encoded.fates,
        encoded.dropped,
        {**encoded.filled, **encoded.clipped},
        frozenset(encoded.clipped),
        tuple(encoded.warnings),
        file.missing_words,
    )
