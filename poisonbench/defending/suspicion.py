"""Rank the rows by how little they agree with the model of a defense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poisonbench.defenses.engines.core import median_scale
from poisonbench.defenses.engines.fits import leave_one_out
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models import LinearModel

NO_PENALTY = 1e-9
"""For OLS, the penalty of the leverages, as a share of the total variance of the columns."""


@dataclass(frozen=True)
class Ranking:
    """The rows, ranked.

    Parameters
    ----------
    order : ndarray of int of shape (N,)
        Row indices, the most suspicious first.
    residual : ndarray of shape (N,)
        Response minus prediction; for a row that the model was fitted to, by a fit without it.
    set_aside : ndarray of bool of shape (N,) or None
        The rows that the defense did not use; None if it weights rows instead.
    scale : float
        The robust scale of the residuals.
    """

    order: IntArray
    residual: FloatArray
    set_aside: BoolArray | None
    scale: float


def ranking(fitted: Any, learner: LinearModel, X: FloatArray, y: FloatArray) -> Ranking:
    """Rank rows by their residuals under a fitted defense.

    The rows that the defense did not use come first, because some defenses judge rows before they
    fit the model a last time.  Within both parts, the largest residual comes first.  A row that was
    fitted gets the residual of a fit without it, because it has moved the model towards itself.

    Parameters
    ----------
    fitted : Defense
        The defense, fitted to these rows.
    learner : LinearModel
        The learner, with its penalty.
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    """
    residual = y - np.asarray(fitted.predict(X))
    support = getattr(fitted, "support_", None)
    used = np.ones(len(y), dtype=bool) if support is None else np.asarray(support, dtype=bool)
    residual[used] = _left_out(learner, X[used], y[used], residual[used])
    scale = median_scale(residual, y)
    order = np.lexsort((-np.abs(residual), used))
    return Ranking(order, residual, None if support is None else ~used, scale)


def _left_out(
    learner: LinearModel, X: FloatArray, y: FloatArray, residual: FloatArray
) -> FloatArray:
    """Return the residuals of fits without the row, by the leverages of a ridge regression."""
    if len(y) < 2:
        return residual
    spread = float(X.var(axis=0).sum()) * len(y)
    alpha = learner.alpha_for(len(y)) if learner.name == "ridge" else 0.0
    return leave_one_out(X, y, residual, max(alpha, NO_PENALTY * spread, 1e-12))
