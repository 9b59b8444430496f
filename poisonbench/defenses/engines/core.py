"""A core of rows that agree, found without knowing how many rows are poison.

Least trimmed squares on three quarters of the rows, by concentration steps from starts that
hardly any poison can spoil: fits to ten rows each (with 60 poison rows of 360 one sample of ten
in six is clean; of thirty, one in 240) and the rows nearest to the median response.
Then residuals that can be trusted: a model with many features hugs the rows that it was fitted
to, so rows of the core get the residual that they would have if they were left out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from sklearn.base import clone

from poisonbench.defenses.engines.concentration import (
    NESTED_ROWS,
    Run,
    best_run,
    few_row_residuals,
    ranked_starts,
    smallest,
)
from poisonbench.defenses.engines.fits import Refits, RidgeFits, fits
from poisonbench.features import BoolArray, FloatArray

START_ROWS = 10
"""Rows in a small start."""

FINALISTS = 5
"""Small starts that are run to the end, beside the median."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""

MAX_ITER = 100
"""Most fits in a run of concentration steps."""

FULL_STEPS = 3
"""Fits to all rows where there are many: what a sample has found needs little mending."""

WITHIN = 3.0
"""Scales within which a row has a say in what the scale is."""

FOLDS = 10
"""Folds for residuals of a learner whose leave-one-out residuals have no closed form."""

NOTHING = 1e-9
"""A scale below this share of the largest response is rounding."""


@dataclass(frozen=True)
class Core:
    """The core, and what residuals it leaves.

    Parameters
    ----------
    kept : ndarray of bool of shape (N,)
        The rows of the core.
    residual : ndarray of shape (N,)
        Residuals of the fit to the core; rows in it are left out of their own fit.
    objective : float
        The trimmed objective L(D_I, theta).
    n_iter : int
        Concentration steps of the best run.
    """

    kept: BoolArray
    residual: FloatArray
    objective: float
    n_iter: int


def rounding_scale(y: FloatArray) -> float:
    """Return the scale below which residuals of responses `y` are rounding."""
    return max(NOTHING * float(np.abs(y).max()), np.finfo(float).tiny)


def median_scale(residual: FloatArray, y: FloatArray) -> float:
    """Return 1.4826 median |residual| over the rows within three of these scales.

    Over all rows a sixth of poison raises the median by a quarter, and with it the cut below which
    poison passes.  What counts as rounding in responses `y` is the least scale.
    """
    size = np.sort(np.abs(residual))
    n_within, scale = len(size), np.inf
    while True:
        scale = max(MAD_TO_SD * float(np.median(size[:n_within])), rounding_scale(y))
        within = int(np.searchsorted(size, WITHIN * scale, side="right"))
        if within >= n_within:
            return scale
        n_within = within


def find_core(engine: Refits, share: float, restarts: int, rng: np.random.RandomState) -> Core:
    """Return the core of the rows of `engine`.

    Parameters
    ----------
    engine : Refits
        The learner and the rows.
    share : float
        Share of the rows in the core.
    restarts : int
        Number of small starts.
    rng : RandomState
        Draws them.
    """
    n_kept = max(1, int(np.ceil(share * len(engine.y))))
    max_iter = FULL_STEPS if len(engine.y) > NESTED_ROWS else MAX_ITER
    run = best_run(engine, starts(engine, n_kept, restarts, rng), max_iter)
    return Core(run.kept, left_out_residuals(engine, run), run.objective, len(run.objective_path))


def starts(
    engine: Refits, n_kept: int, restarts: int, rng: np.random.RandomState
) -> list[BoolArray]:
    """Return sets of `n_kept` rows to start from; of many rows, those that a sample's core is near.

    The small fits are ridge, whatever the learner: they only rank rows.
    """
    X, y, n_rows = engine.X, engine.y, len(engine.y)
    if n_rows > NESTED_ROWS:
        sample = rng.choice(n_rows, NESTED_ROWS, replace=False)
        few = fits(engine.estimator, X[sample], y[sample])
        share = max(1, round(NESTED_ROWS * n_kept / n_rows))
        run = best_run(few, starts(few, share, restarts, rng))
        fitted = clone(engine.estimator).fit(few.X[run.kept], few.y[run.kept])
        return [smallest((y - np.ravel(fitted.predict(X))) ** 2, n_kept)]
    size = min(START_ROWS, n_rows)
    drawn = np.argpartition(rng.random_sample((restarts, n_rows)), size - 1, axis=1)[:, :size]
    squared = few_row_residuals(X, y, drawn) ** 2
    return [
        smallest((y - np.median(y)) ** 2, n_kept),
        *ranked_starts(squared, n_kept, FINALISTS),
    ]


def left_out_residuals(engine: Refits, run: Run) -> FloatArray:
    """Return the residuals of a run, those of its own rows from fits without them.

    Ridge: leave-one-out, exactly.  Other learners: ten folds, which follow the order of rows.
    """
    X, y = engine.X, engine.y
    residual, rows = run.residual.copy(), np.flatnonzero(run.kept)
    if isinstance(engine, RidgeFits):
        alpha = engine.estimator.alpha_for(len(rows))
        residual[rows] = leave_one_out(X[rows], y[rows], residual[rows], alpha)
    elif len(rows) > FOLDS:
        for fold in np.array_split(rows, FOLDS):
            others = run.kept.copy()
            others[fold] = False
            residual[fold] = engine.on_rows(others).residual[fold]
    return residual


def leave_one_out(X: FloatArray, y: FloatArray, residual: FloatArray, alpha: float) -> FloatArray:
    """Return the residual of each row under the ridge fit to the others, with the same alpha.

    r_i / (1 - H_ii), H being the hat matrix.  From the smaller of rows and features; in the dual,
    1 - H = alpha C with C = A - A 1 1'A / 1'A 1, A = (K + alpha I)^-1, free of cancellation.

    Parameters
    ----------
    X, y : ndarray of shape (n, d) and (n,)
        The rows of the fit.
    residual : ndarray of shape (n,)
        Its residuals.
    alpha : float
        scikit-learn's alpha.
    """
    n, d = X.shape
    centred = X - X.mean(axis=0)
    if n <= d:
        kernel = centred @ centred.T
        kernel[np.diag_indices(n)] += alpha
        inverse = cho_solve(cho_factor(kernel, lower=True), np.eye(n))
        sums = inverse.sum(axis=0)
        diagonal = np.diag(inverse) - sums**2 / sums.sum()
        dual = inverse @ y - sums * (sums @ y) / sums.sum()
        # Of a single row nothing is left to predict it from.
        return np.asarray(dual / diagonal) if n > 1 else residual
    gram = centred.T @ centred
    gram[np.diag_indices(d)] += alpha
    half = solve_triangular(np.linalg.cholesky(gram), centred.T, lower=True)
    leverage = np.einsum("ji,ji->i", half, half) + 1 / n
    return np.asarray(residual / np.maximum(1 - leverage, NOTHING))
