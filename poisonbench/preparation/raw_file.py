"""Read all columns of a raw CSV file, and find the lines on which its rows begin."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.table import MISSING
from poisonbench.preparation.choices import Choices
from poisonbench.preparation.columns import ColumnReader, Role
from poisonbench.preparation.dialect import Dialect, sniff
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.reading import batches, columns_with_codes
from poisonbench.preparation.records import records


@dataclass(frozen=True)
class RawFile:
    """The columns of a raw file, before anything is encoded.

    Parameters
    ----------
    path : Path
        The file.
    dialect : Dialect
        Its format.
    choices : Choices
        The user's choices, with the column names of the file.
    missing_words : frozenset of str
        Words that mean a missing value, in lower case.
    columns : list of RawColumn
        All of its columns.
    remarks : tuple of str
        What the user should check, beyond the remarks on each column.
    """

    path: Path
    dialect: Dialect
    choices: Choices
    missing_words: frozenset[str]
    columns: list[RawColumn]
    remarks: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows below the header."""
        return len(self.columns[0].values)

    def lines(self, rows: Iterable[int]) -> dict[int, int]:
        """Return the lines on which some rows begin, as an editor shows them.

        Parameters
        ----------
        rows : iterable of int
            Indices of rows.

        Returns
        -------
        dict of int to int
            For each row its line, counted from 1; the header line counts too.
        """
        wanted = set(rows)
        found: dict[int, int] = {}
        # A blank record is not a row.
        row, before = -1 - self.dialect.header.line, 0
        skip = self.dialect.header.blank_records
        for line, cells in records(self.path, self.dialect.encoding, self.dialect.delimiter):
            if len(found) == len(wanted):
                break
            if skip:
                skip -= 1
            elif len(cells) > 1 or "".join(cells).strip():
                row += 1
                if row in wanted:
                    found[row] = before + 1
            before = line
        return found


def read_raw(
    path: Path,
    choices: Choices,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    missing_words: Collection[str] = MISSING,
) -> RawFile:
    """Read a raw file, and decide from all of its cells what each column contains.

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
    missing_words : collection of str
        Words that mean a missing value, in lower case.

    Raises
    ------
    DatasetError
        The file cannot be read, or a choice names a column that it does not have.
    """
    dialect = sniff(path, encoding=encoding, delimiter=delimiter, decimal=decimal, header=header)
    try:
        choices = _resolved(choices, dialect)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    words = frozenset(missing_words)
    readers = _readers(path, dialect, choices, words)
    unused = choices.without_effect({reader.name: reader.found_missing for reader in readers})
    remarks = tuple(f"no cell has the missing value '{text}'" for text in unused)
    columns = [reader.finish() for reader in readers]
    return RawFile(path, dialect, choices, words, columns, remarks)


def _resolved(choices: Choices, dialect: Dialect) -> Choices:
    """Return the choices in terms of the file's columns."""
    try:
        resolved = choices.resolved(dialect.names)
    except DatasetError as error:
        # An unknown name may be due to a remark on the header, such as changed names.
        raise DatasetError("; ".join([str(error), *dialect.header.remarks])) from error
    if resolved.target in dialect.header.repeated:
        raise DatasetError(f"target: more than one column is named '{resolved.target}', expected "
                           "exactly one")  # fmt: skip
    return resolved


def _readers(
    path: Path, dialect: Dialect, choices: Choices, words: frozenset[str]
) -> list[ColumnReader]:
    """Read all columns; read those again as text whose cells turn out not to be plain numbers."""
    readers = {name: _reader(name, dialect, choices, words) for name in dialect.names}
    for batch in batches(path, dialect, words, as_text=choices.categorical):
        for name, reader in readers.items():
            reader.add(batch[name])
    again = {name for name, reader in readers.items() if reader.wants_text}
    could_be_codes = {name for name, reader in readers.items() if reader.could_be_codes}
    again |= columns_with_codes(path, dialect, could_be_codes)
    if again:
        readers |= {name: _reader(name, dialect, choices, words) for name in again}
        for batch in batches(path, dialect, words, as_text=again, only=again):
            for name in again:
                readers[name].add(batch[name])
    return list(readers.values())


def _reader(name: str, dialect: Dialect, choices: Choices, words: frozenset[str]) -> ColumnReader:
    role: Role = "any"
    if name in choices.numeric:
        role = "numeric"
    elif name in choices.categorical:
        role = "categorical"
    elif name == choices.target:
        role = "response"
    return ColumnReader(name, dialect.decimal, dialect.settled, role, words, choices.dates,
                        choices.missing_values_of(name, dialect.names),
                        choices.unit_of(name, dialect.names))  # fmt: skip
