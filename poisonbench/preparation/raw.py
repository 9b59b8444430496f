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
    """

    name: str
    kind: Kind
    values: FloatArray | IntArray
    labels: tuple[str, ...] = ()
    note: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows without a value, shape (rows,)."""
        if self.kind in ("number", "date"):
            return np.isnan(self.values)
        return self.values < 0

    def select(self, rows: npt.NDArray[np.bool_]) -> RawColumn:
        """Return the column at the rows of a mask."""
        return replace(self, values=self.values[rows])
