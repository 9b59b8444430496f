"""A column of a raw file, read, and not yet encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from poisonbench.features import FloatArray, IntArray

Kind = Literal["number", "date", "boolean", "category", "free text", "empty"]


@dataclass(frozen=True)
class RawColumn:
    """A column of a raw file.

    Parameters
    ----------
    name : str
        Its name.
    kind : str
        What it holds.
    values : ndarray of shape (rows,)
        Numbers, dates in days since 1970, both NaN where missing; codes of texts, -1 where
        missing; zeros for a column that is not kept.
    labels : tuple of str
        The texts that codes stand for.
    note : str
        What else there is to say of it: the order of dates, an example of free text.
    remarks : tuple of str
        What the user should check.
    rests : ndarray of shape (rows,), optional
        What whole numbers beyond 2**53 lose as floats, where some do.
    rounded : str
        What the user is told of that if the column is used.
    example : str
        A text, where they are not kept.
    """

    name: str
    kind: Kind
    values: FloatArray | IntArray
    labels: tuple[str, ...] = ()
    note: str = ""
    remarks: tuple[str, ...] = ()
    rests: FloatArray | None = None
    rounded: str = ""
    example: str = ""

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows without a value, shape (rows,)."""
        if self.kind in ("number", "date"):
            return np.isnan(self.values)
        return self.values < 0

    def select(self, rows: npt.NDArray[np.bool_]) -> RawColumn:
        """Return the column at the rows of a mask."""
        rests = None if self.rests is None else self.rests[rows]
        return replace(self, values=self.values[rows], rests=rests)

    def present(self) -> FloatArray | IntArray:
        """Return the values that are there, of whole numbers beyond 2**53 without loss.

        From those the first is subtracted, exactly where they differ by less than 2**53.
        """
        here = ~self.missing
        values = self.values[here]
        if self.rests is None or not len(values):
            return values
        rests = self.rests[here]
        exact: FloatArray = (values - values[0]) + (rests - rests[0])
        return exact
