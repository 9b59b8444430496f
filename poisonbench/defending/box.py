"""The box of a file that nobody vouches for: its unit must not depend on a few absurd values.

An experiment scales each column by its smallest and largest value.  A typing error of 1e9 in one
row would then press all other rows together at 0, and a penalty would switch the column off.  So a
column whose range is much longer than that of its middle rows is scaled by the latter, and values
that are still far outside count as if they were nearer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from poisonbench.data.base import Dataset
from poisonbench.data.scaling import Scaling
from poisonbench.features import FloatArray

MIDDLE = (0.01, 0.99)
"""The quantiles between which the middle rows of a column lie."""

LONGEST = 10.0
"""A column's range is used if it is at most this many times the range of its middle rows.
Otherwise, values that are further than this outside the middle rows count as if they were there."""

LONGEST_RESPONSE = 1000.0
"""The same for responses, which may stand out as much as floats can tell."""


@dataclass(frozen=True)
class Box:
    """The map from the data's own units to a box that holds nearly all rows.

    Parameters
    ----------
    scaling : Scaling
        The offsets and spans.
    low, high : ndarray of shape (d,)
        In own units, values beyond these count as these; infinite for most columns.
    """

    scaling: Scaling
    low: FloatArray
    high: FloatArray

    @classmethod
    def fit(cls, data: Dataset) -> Self:
        """Return the box of rows, in their own units, whose ``scaling`` is "full"."""
        known = Scaling.fit(data, np.arange(len(data.y)))
        offset, span = known.offset.copy(), known.span.copy()
        low, high = np.full(len(offset), -np.inf), np.full(len(offset), np.inf)
        for j in data.space.numeric:
            offset[j], span[j], absurd = _middle(data.X[:, j], offset[j], span[j])
            if absurd:
                low[j], high[j] = offset[j] - LONGEST * span[j], offset[j] + (LONGEST + 1) * span[j]
        y_offset, y_span, _ = _middle(data.y, known.y_offset, known.y_span)
        return cls(Scaling(offset, span, y_offset, y_span), low, high)

    def rows(self, X: FloatArray) -> FloatArray:
        """Return rows in the box."""
        return self.scaling.transform(np.clip(X, self.low, self.high))

    def responses(self, y: FloatArray) -> FloatArray:
        """Return responses in the box."""
        scaled: FloatArray = np.clip(
            self.scaling.transform_response(y), -LONGEST_RESPONSE, LONGEST_RESPONSE
        )
        return scaled

    def in_own_units(self, coef: FloatArray, intercept: float) -> tuple[FloatArray, float]:
        """Return the weights and the intercept in own units of a model for the box."""
        scaling = self.scaling
        weights = np.zeros(len(coef))
        np.divide(coef, scaling.span, out=weights, where=scaling.span > 0)
        own: FloatArray = weights * scaling.y_span
        level = scaling.y_offset + scaling.y_span * intercept - float(own @ scaling.offset)
        return own, level


def _middle(values: FloatArray, low: float, span: float) -> tuple[float, float, bool]:
    """Return the offset and the span of a column, and whether it has absurd values."""
    first, last = np.quantile(values, MIDDLE)
    middle = float(last - first)
    if middle <= 0 or span <= LONGEST * middle:
        return low, span, False
    return float(first), middle, True
