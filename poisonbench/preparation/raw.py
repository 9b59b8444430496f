"""A column of a raw file that has been read but not yet encoded."""

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
        The kind of its content.
    values : ndarray of shape (rows,)
        Numbers, or dates in days since 1970, with NaN for missing values; or codes of texts, with
        -1 for missing values; or zeros for free text, which is not kept.
    labels : tuple of str
        The texts for which the codes stand.
    note : str
        A remark, such as the order of dates or an example of free text.
    remarks : tuple of str
        What the user should check.
    rests : ndarray of shape (rows,), optional
        The rounding errors of whole numbers beyond 2**53 as floats, if there are any.
    rounded : str
        A warning about these for the user, if the column is used.
    example : str
        An example of free text.
    varied : bool
        Whether numbers or dates are written in several notations, or some cells are neither.
    mixture : str
        The remark among `remarks` that its numbers seem to have different units; or empty.
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
    varied: bool = False
    mixture: str = ""

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows without a value, shape (rows,)."""
        if self.kind in ("number", "date", "empty"):
            return np.isnan(self.values)
        return self.values < 0

    def select(self, rows: npt.NDArray[np.bool_]) -> RawColumn:
        """Return the column at the rows of a mask."""
        rests = None if self.rests is None else self.rests[rows]
        return replace(self, values=self.values[rows], rests=rests)

    def present(self) -> FloatArray | IntArray:
        """Return the values that are not missing, so that different values remain different.

        If whole numbers are beyond 2**53, the first is subtracted from all of them, which is exact
        for numbers that differ from it by less than 2**53.
        """
        here = ~self.missing
        values = self.values[here]
        if self.rests is None or not len(values):
            return values
        rests = self.rests[here]
        exact: FloatArray = (values - values[0]) + (rests - rests[0])
        return exact
