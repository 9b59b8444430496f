"""Min-max scaling of the data to the box [0, 1], and its inverse.

An attacker's box and a response in [0, 1] need bounds.  Taken from the training rows they leak
nothing from validation and test rows, which may then lie a little outside the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from poisonbench.data.base import Dataset, DatasetError, ResponseUnit
from poisonbench.features import FloatArray, IntArray

ROWS_AT_ONCE = 10_000
"""Rows that are looked at together, so that no copy of large data is made."""


@dataclass(frozen=True)
class Scaling:
    """The affine map between the data's own units and the box.

    Parameters
    ----------
    offset, span : ndarray of shape (d,)
        Smallest value and range of each column; 0 and 1 for columns that are left as they are,
        and span 0 for a column that did not vary.
    y_offset, y_span : float
        The same for the response.
    """

    offset: FloatArray
    span: FloatArray
    y_offset: float
    y_span: float

    @classmethod
    def fit(cls, dataset: Dataset, train_rows: IntArray) -> Self:
        """Return the scaling that the data set asks for.

        Parameters
        ----------
        dataset : Dataset
            The data; its ``scaling`` says which rows bound the box.
        train_rows : ndarray of int
            Row indices of the training part.

        Raises
        ------
        DatasetError
            The response does not vary among the training rows.
        """
        y_train = dataset.y[train_rows]
        if (y_train == y_train[0]).all():
            raise DatasetError(
                f"{dataset.name}: the response '{dataset.target}' is {y_train[0]:.6g} in all "
                f"{len(y_train)} training rows; there is nothing to learn (more training rows, "
                "or another seed, may help)"
            )
        offset, span = np.zeros(dataset.space.n_features), np.ones(dataset.space.n_features)
        if dataset.scaling == "none":
            return cls(offset, span, 0.0, 1.0)
        rows = train_rows if dataset.scaling == "train" else np.arange(len(dataset.y))
        y = dataset.y[rows]
        numeric = dataset.space.numeric
        low, high = np.full(numeric.shape, np.inf), np.full(numeric.shape, -np.inf)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            X = dataset.X[rows[start : start + ROWS_AT_ONCE]][:, numeric]
            low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
        offset[numeric], span[numeric] = low, high - low
        return cls(offset, span, float(y.min()), float(np.ptp(y)))

    def transform(self, X: FloatArray) -> FloatArray:
        """Return rows in box units; a column that did not vary among the rows fitted on is 0.

        Whatever other rows hold in such a column, a model trained without it cannot use it.
        """
        scaled: FloatArray = X - self.offset
        np.divide(scaled, self.span, out=scaled, where=self.span > 0)
        scaled[:, self.span == 0] = 0.0
        return scaled

    def transform_response(self, y: FloatArray) -> FloatArray:
        """Return responses in box units."""
        scaled: FloatArray = (y - self.y_offset) / self.y_span
        return scaled

    def inverse(self, X: FloatArray) -> FloatArray:
        """Return rows in the data's own units; a column that did not vary gets its one value."""
        rows: FloatArray = X * self.span + self.offset
        return rows

    def own_unit(self, dataset: Dataset) -> ResponseUnit | None:
        """Return how the box relates to the response's own unit.

        Returns
        -------
        ResponseUnit or None
            The unit that the data set names, else that of its values, ``unit of NAME``; None where
            the data were scaled before and nobody says from what.
        """
        if dataset.unit is not None:
            unit = dataset.unit
        elif dataset.scaling == "none":
            return None
        else:
            unit = ResponseUnit(f"unit of {dataset.target}")
        return ResponseUnit(
            unit.name, unit.offset + unit.span * self.y_offset, unit.span * self.y_span
        )

    def inverse_response(self, y: FloatArray) -> FloatArray:
        """Return responses in the data's own unit."""
        responses: FloatArray = y * self.y_span + self.y_offset
        return responses
