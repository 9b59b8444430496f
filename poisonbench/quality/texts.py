"""The texts of cells, for checks that need to know how a value is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from poisonbench.data.names import visible
from poisonbench.features import IntArray
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile
from poisonbench.preparation.reading import batches


@dataclass(frozen=True)
class Texts:
    """The texts of a column.

    Parameters
    ----------
    column : RawColumn
        The column, as the preparation reads it.
    texts : tuple of str
        The different texts.
    codes : ndarray of shape (rows,)
        The text of each row, an index into `texts`; -1 if it is missing.
    """

    column: RawColumn
    texts: tuple[str, ...]
    codes: IntArray

    @property
    def counts(self) -> IntArray:
        """The number of rows with each text."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def rows(self, chosen: Collection[int]) -> IntArray:
        """Return the rows that have one of some texts, given by their index."""
        mask = np.zeros(len(self.texts) + 1, dtype=np.bool_)
        mask[list(chosen)] = True
        mask[-1] = False  # where the code is -1
        return np.flatnonzero(mask[self.codes])


def odd_texts(file: RawFile) -> list[Texts]:
    """Return the texts of the columns in which something may be odd.

    These are categories, numbers and dates in several notations, and free text that begins like a
    number.  Only the latter two are read again.
    """
    odd = [column for column in file.columns if column.name not in file.choices.drop]
    again = [c.name for c in odd
             if c.varied or (c.kind == "free text" and any(map(str.isdigit, c.example[:4])))
             ]  # fmt: skip
    read = _read(file, again)
    found = []
    for column in odd:
        if column.name in read:
            found.append(Texts(column, *read[column.name]))
        elif column.kind == "category":
            found.append(Texts(column, column.labels, column.values.astype(np.intp)))
    return found


def _read(file: RawFile, names: list[str]) -> dict[str, tuple[tuple[str, ...], IntArray]]:
    """Read some columns as texts."""
    if not names:
        return {}
    positions: dict[str, dict[str, int]] = {name: {} for name in names}
    parts: dict[str, list[IntArray]] = {name: [] for name in names}
    for batch in batches(file.path, file.dialect, file.missing_words, names, names):
        for name in names:
            codes, cells = pd.factorize(batch[name])
            known = positions[name]
            own = []
            for cell in cells:
                text = visible(str(cell))
                missing = text.lower() in file.missing_words
                own.append(-1 if missing else known.setdefault(text, len(known)))
            parts[name].append(np.array([*own, -1], dtype=np.intp)[codes])
    return {name: (tuple(positions[name]), np.concatenate(parts[name])) for name in names}
