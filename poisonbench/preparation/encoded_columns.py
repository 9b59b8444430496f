"""The columns of a prepared file: numbers and one-hot groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray, IntArray

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Numeric:
    """A numeric column.

    Parameters
    ----------
    name : str
        Its name.
    values : ndarray of shape (rows,)
        The values in the column's own unit, without missing values.
    source : str
        The name of the raw column.
    kind : {"number", "date"}
        What the raw column contains; dates are in days since 1970.
    filled : ndarray of int of shape (filled rows,)
        The rows whose cell was missing and got the mean.
    """

    name: str
    values: FloatArray
    source: str = ""
    kind: str = "number"
    filled: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@dataclass(frozen=True)
class Group:
    """A categorical column, which is written as one column for each category except the first.

    Parameters
    ----------
    name : str
        Its name.
    codes : ndarray of shape (rows,)
        The category of each row, an index into `labels`.
    labels : tuple of str
        The categories; the first is the one without a column.
    merged : tuple of str
        The rare categories that were merged into one.
    merged_label : str
        The name of the merged category.
    source : str
        The name of the raw column.
    kind : {"category", "boolean"}
        What the raw column contains.
    """

    name: str
    codes: IntArray
    labels: tuple[str, ...]
    merged: tuple[str, ...] = ()
    merged_label: str = ""
    source: str = ""
    kind: str = "category"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, ``Group:value``."""
        return tuple(f"{self.name}:{label}" for label in self.labels[1:])

    @property
    def description(self) -> dict[str, object]:
        """The description of the group in the sidecar."""
        return {
            "categories": self.labels,
            "without a column": self.labels[0],
            "merged": self.merged,
        }

    def indicators(self, rows: slice) -> Iterator[Bits]:
        """Yield its columns at some rows, each of shape (rows,), 0 or 1."""
        codes = self.codes[rows]
        for k in range(1, len(self.labels)):
            yield (codes == k).astype(np.uint8)


@dataclass(frozen=True)
class ReadyGroup:
    """Columns ``Group:value`` of the raw file, which are kept as they are.

    Parameters
    ----------
    name : str
        The part of the names before the colon.
    columns : tuple of str
        The names of its columns.
    bits : ndarray of shape (columns, rows)
        0 or 1.
    """

    name: str
    columns: tuple[str, ...]
    bits: Bits

    @property
    def description(self) -> dict[str, object]:
        """The description of the group in the sidecar."""
        return {"categories": [column.partition(":")[2] for column in self.columns],
                "without a column": None, "merged": []}  # fmt: skip

    def indicators(self, rows: slice) -> Iterator[Bits]:
        """Yield its columns at some rows, each of shape (rows,), 0 or 1."""
        yield from self.bits[:, rows]
