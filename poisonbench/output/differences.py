"""Find every number that differs between two output folders with the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from poisonbench.output.index import Index
from poisonbench.output.store import read_cell
from poisonbench.records import Labels, Measured

NOT_COMPARED = ("poison_file",)
"""Columns that are not compared: another version of the package may name files differently."""


@dataclass(frozen=True)
class Difference:
    """A value that differs between two folders.

    Parameters
    ----------
    labels : Labels
        The row.
    column : str
        The column; empty if one of the folders lacks the row's cell.
    before, after : str or number or None
        The values in the two folders.
    """

    labels: Labels
    column: str
    before: object
    after: object

    def __str__(self) -> str:
        """Return the difference as a message."""
        row = self.labels
        where = (f"{row.dataset}, seed {row.seed}, {row.model}, {row.attack} at "
                 f"{row.poisoning_rate:g}, {row.defense}")  # fmt: skip
        if not self.column:
            return f"{where}: {self.before} before, {self.after} now"
        text = f"{where}: {self.column.rstrip('_')} was {self.before!r}, is {self.after!r}"
        if isinstance(self.before, float) and isinstance(self.after, float) and self.before:
            text += f" ({self.after / self.before - 1:+.2g})"
        return text


def differences(before: tuple[Index, Path], after: tuple[Index, Path]) -> Iterator[Difference]:
    """Yield every difference between the rows of two folders, in the order of the first.

    Parameters
    ----------
    before, after : tuple of (Index, Path)
        The folders, each with its index.
    """
    first, second = (
        {row.labels: read_cell(out, row.cell) for row in index.rows}
        for index, out in (before, after)
    )
    for labels in {**first, **second}:
        one, other = first.get(labels), second.get(labels)
        if one is None or other is None:
            states = ["there" if cell else "missing" for cell in (one, other)]
            if states[0] != states[1]:
                yield Difference(labels, "", *states)
            continue
        for column in fields(Measured):
            values = getattr(one, column.name), getattr(other, column.name)
            if values[0] != values[1] and column.name not in NOT_COMPARED:
                yield Difference(labels, column.name, *values)
