"""Min-max scaling of the data to the box [0, 1], and its inverse.

The box needs bounds for each column.  Bounds taken from the training rows reveal nothing about the
validation and test rows; these may then lie a little outside the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from poisonbench.data.base import Dataset, DatasetError, ResponseUnit
from poisonbench.features import FloatArray, IntArray

ROWS_AT_ONCE = 10_000
"""Rows that are processed at a time, so that large data are not copied as a whole."""


@dataclass(frozen=True)
class Scaling:
    """The affine map between the data's own units and the box.

    Parameters
    ----------
    offset, span : ndarray of shape (d,)
        Minimum and range of each column; 0 and 1 for columns that are not scaled, and span 0 for a
        constant column.
    y_offset, y_span : float
        The same for the response.
    """

    offset: FloatArray
    span: FloatArray
    y_offset: float
    y_span: float

    @classmethod
    def fit(cls, dataset: Dataset, train_rows: IntArray) -> Self:
        """Return the scaling of a data set for one split.

        Parameters
        ----------
        dataset : Dataset
            The data; its ``scaling`` says which rows define the box.
        train_rows : ndarray of int
            Row indices of the training rows.

        Raises
        ------
        DatasetError
            The response is constant in the training rows.
        """
        y_train = dataset.y[train_rows]
        if (y_train == y_train[0]).all():
            raise DatasetError(
                f"{dataset.name}: the response '{dataset.target}' is {y_train[0]:.6g} in all "
                f"{len(y_train)} training rows; expected at least two different values (more "
                "training rows, or another seed, may help)"
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
        """Return rows in box units; a column that was constant in the fitted rows becomes 0.

        It becomes 0 even in rows with another value, because a model that was trained on the
        constant column cannot use it.
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
        """Return rows in the data's own units; a constant column gets back its value."""
        rows: FloatArray = X * self.span + self.offset
        return rows

    def own_unit(self, dataset: Dataset) -> ResponseUnit | None:
        """Return how the box relates to the response's own unit.

        Returns
        -------
        ResponseUnit or None
            The unit that the data set names, or otherwise that of its values, ``unit of NAME``;
            None if the data were scaled beforehand and their original range is not known.
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
