"""Where two output folders of the same rows differ, number by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from poisonbench.output.index import Index
from poisonbench.output.store import read_cell
from poisonbench.records import Labels, Measured

NOT_COMPARED = ("poison_file",)
"""A name that holds an identity, which another version of the package makes otherwise."""


@dataclass(frozen=True)
class Difference:
    """A value that two folders have otherwise.

    Parameters
    ----------
    labels : Labels
        The row.
    column : str
        The column; empty where one of the folders lacks the row's cell.
    before, after : str or number or None
        The values.
    """

    labels: Labels
    column: str
    before: object
    after: object

    def __str__(self) -> str:
        """Return it in words."""
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
