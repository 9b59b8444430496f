"""Robustly standardised columns, for computations that must not depend on the columns' units.

Least squares, also trimmed or reweighted, gives the same predictions for columns in dollars and in
cents.  Some steps of an algorithm do not: a small ridge penalty, a gradient step, a comparison of
singular values.  If the learner has no penalty, these steps use standardised columns, from which
the median is subtracted and which are divided by twice the distance between the quartiles, or by
the range if the quartiles are equal, as they are for a rare category.  So columns that fill [0, 1]
hardly change, and outliers in up to a quarter of the rows do not change the unit of the others.

A learner with a penalty depends on the units itself, and gets the columns as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.models.base import PenalizedModel

SAMPLE = 1000
"""Number of rows from which units are computed, because sorting a million rows takes long."""


def column_units(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the centre and the unit of each column, both of shape (d,); units are positive."""
    sample = X[:SAMPLE]
    lower, centre, upper = np.quantile(sample, [0.25, 0.5, 0.75], axis=0)
    unit = 2 * (upper - lower)
    # Use the range also if the quartiles differ only by rounding.
    spread = np.ptp(sample, axis=0)
    unit = np.where(unit > 1e-9 * spread, unit, spread)
    everywhere = np.ptp(X, axis=0) if len(X) > SAMPLE else spread
    unit = np.where(unit > 0, unit, everywhere)
    return centre, np.where(unit > 0, unit, 1.0)


def standardised(X: FloatArray) -> FloatArray:
    """Return the columns of `X` minus their centres, divided by their units."""
    centre, unit = column_units(X)
    columns: FloatArray = (X - centre) / unit
    return columns


def columns_for(estimator: Any, X: FloatArray) -> FloatArray:
    """Return the columns for an algorithm's steps; standardised if `estimator` has no penalty."""
    return X if isinstance(estimator, PenalizedModel) else standardised(X)
