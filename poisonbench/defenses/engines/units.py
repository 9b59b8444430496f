"""Columns in units of their own, for whatever must not depend on the units they came in.

Least squares, and what trims or reweights it, gives the same predictions for columns in dollars
and in cents.  Some steps on the way do not: a small ridge, a gradient step, a comparison of
singular values.  Where the learner has no penalty these work on columns less their median, over
twice the distance between their quartiles; over their range where the quartiles coincide, as
those of a rare category's column do.  So columns that fill [0, 1] stay as they are, about, and a
quarter of the rows can be anywhere without changing the unit of the others.

A learner with a penalty depends on units itself, and gets its columns as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.models.base import PenalizedModel

SAMPLE = 1000
"""Rows that units are taken from: their spread says enough, and sorting a million takes long."""


def column_units(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the centre and the unit of each column; both of shape (d,), units above 0."""
    sample = X[:SAMPLE]
    lower, centre, upper = np.quantile(sample, [0.25, 0.5, 0.75], axis=0)
    unit = 2 * (upper - lower)
    # Not only where the quartiles are equal: rounding may have parted them.
    spread = np.ptp(sample, axis=0)
    unit = np.where(unit > 1e-9 * spread, unit, spread)
    everywhere = np.ptp(X, axis=0) if len(X) > SAMPLE else spread
    unit = np.where(unit > 0, unit, everywhere)
    return centre, np.where(unit > 0, unit, 1.0)


def standardised(X: FloatArray) -> FloatArray:
    """Return the columns of `X` less their centres, in their units."""
    centre, unit = column_units(X)
    columns: FloatArray = (X - centre) / unit
    return columns


def columns_for(estimator: Any, X: FloatArray) -> FloatArray:
    """Return the columns for steps that stand in for `estimator`: its own if it has a penalty."""
    return X if isinstance(estimator, PenalizedModel) else standardised(X)
