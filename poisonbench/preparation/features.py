"""The columns of a prepared file: numbers and one-hot groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonbench.features import FloatArray, IntArray


@dataclass(frozen=True)
class Numeric:
    """A numeric column, scaled to [0, 1] by its smallest and largest value.

    Parameters
    ----------
    name : str
        Its name.
    values : ndarray of shape (rows,)
        In its own unit, nothing missing.
    """

    name: str
    values: FloatArray

    @cached_property
    def offset(self) -> float:
        """The smallest value, which becomes 0."""
        return float(self.values.min())

    @cached_property
    def span(self) -> float:
        """The range, which becomes 1."""
        return float(np.ptp(self.values))


@dataclass(frozen=True)
class Group:
    """A categorical column, written as one column for each category but one.

    Parameters
    ----------
    name : str
        Its name.
    codes : ndarray of shape (rows,)
        The category of each row, an index into `labels`.
    labels : tuple of str
        The categories; the first is the one without a column.
    merged : tuple of str
        The rare categories behind ``other``.
    """

    name: str
    codes: IntArray
    labels: tuple[str, ...]
    merged: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, ``Group:value``."""
        return tuple(f"{self.name}:{label}" for label in self.labels[1:])
