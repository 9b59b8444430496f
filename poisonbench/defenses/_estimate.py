"""How many rows to take for poison: what the caller says, or what the residuals say."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from poisonbench.defenses._concentration import best_run, small_starts
from poisonbench.defenses._fits import fits
from poisonbench.features import FloatArray
from poisonbench.models import Ridge

CORE = 0.75
"""Share of the rows that is taken to be clean enough to learn a scale from."""

OUTLYING = 3.5
"""Standard deviations beyond which a row counts as poison; 1 of 2000 normal ones does."""

FOLDS = 10


def assumed_poison(defense: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> int:
    """Return the number of rows that `defense` is to take for poison.

    Parameters
    ----------
    defense : Defense
        Its ``n_poison``, else its ``contamination``, says how many.
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    rng : RandomState
        For the estimate, where ``contamination`` is ``"auto"``.

    Raises
    ------
    ValueError
        ``n_poison`` leaves no row.
    """
    n_rows = len(y)
    if defense.n_poison is not None:
        if defense.n_poison >= n_rows:
            raise ValueError(
                f"{type(defense).__name__}: n_poison is {defense.n_poison}, expected fewer than "
                f"the {n_rows} rows given"
            )
        return int(defense.n_poison)
    if defense.contamination == "auto":
        return estimated_poison(learner(getattr(defense, "estimator", None)), X, y, rng)
    return min(int(defense.contamination * n_rows + 0.5), n_rows - 1)


def learner(estimator: Any) -> Any:
    """Return an unfitted copy of `estimator`, or the default learner for None."""
    return Ridge() if estimator is None else clone(estimator)


def estimated_poison(
    estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
) -> int:
    """Return how many rows lie too far from a robust fit.

    Least trimmed squares on three quarters of the rows gives a core.  Residuals of core rows are
    taken out of fold, since a model with many features hugs the rows it was fitted to; rows
    outside the core have plain ones.  Their scale is 1.4826 times the median.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    rng : RandomState
        Draws the starts; folds follow the given order of the rows.

    Returns
    -------
    int
        At most a quarter of the rows.
    """
    n_rows = len(y)
    n_core = int(np.ceil(CORE * n_rows))
    if n_core < 2 * FOLDS or n_core == n_rows:
        return 0
    starts = small_starts(estimator, X, y, n_core, 200, rng)
    run = best_run(fits(estimator, X, y), starts)
    residual = run.residual.copy()
    for fold in np.array_split(np.flatnonzero(run.kept), FOLDS):
        others = run.kept.copy()
        others[fold] = False
        fitted = clone(estimator).fit(X[others], y[others])
        residual[fold] = y[fold] - np.ravel(fitted.predict(X[fold]))
    scale = 1.4826 * float(np.median(np.abs(residual)))
    return min(int((np.abs(residual) > OUTLYING * scale).sum()), n_rows - n_core)
