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

from poisonbench.defenses.engines.concentration import (
    FEW_ROWS,
    LEAST_SQUARES_STARTS,
    NESTED_ROWS,
    Run,
    best_run,
    few_row_residuals,
    least_squares_run,
    ranked_starts,
    smallest,
    well_searched,
)
from poisonbench.defenses.engines.elemental import random_sets
from poisonbench.defenses.engines.fits import Refits
from poisonbench.features import BoolArray, FloatArray

RESTARTS = 100
"""Small starts."""

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

NOTHING = 1e-9
"""A scale below this share of the largest response is rounding."""


ZERO_SCALE = "scale 0: rows that are not fitted exactly are rejected"
"""What a defense says where more than half of the rows are fitted exactly, up to rounding."""


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


def find_core(
    engine: Refits, share: float, restarts: int | None, rng: np.random.RandomState
) -> Core:
    """Return the core of the rows of `engine`.

    Parameters
    ----------
    engine : Refits
        The learner and the rows.
    share : float
        Share of the rows in the core.
    restarts : int or None
        Number of small starts; None for what is usual.
    rng : RandomState
        Draws them.
    """
    n_rows = len(engine.y)
    n_kept = max(1, int(np.ceil(share * n_rows)))
    if well_searched(engine, n_kept):
        run = least_squares_run(engine, n_kept, restarts or LEAST_SQUARES_STARTS, rng)
    else:
        max_iter = FULL_STEPS if n_rows > NESTED_ROWS else MAX_ITER
        run = best_run(engine, starts(engine, n_kept, restarts or RESTARTS, rng), max_iter)
    return Core(run.kept, left_out_residuals(engine, run), run.objective, len(run.objective_path))


def starts(
    engine: Refits, n_kept: int, restarts: int, rng: np.random.RandomState
) -> list[BoolArray]:
    """Return sets of `n_kept` rows to start from; of many rows, those that a sample's core is near.

    The small fits are ridge, whatever the learner: they only rank rows.
    """
    y, n_rows = engine.y, len(engine.y)
    if n_rows > NESTED_ROWS:
        few = engine.subset(rng.choice(n_rows, NESTED_ROWS, replace=False))
        share = max(1, round(NESTED_ROWS * n_kept / n_rows))
        run = best_run(few, starts(few, share, restarts, rng))
        return [smallest((y - few.elsewhere(run.kept, run.fitted, engine.X)) ** 2, n_kept)]
    drawn = random_sets(n_rows, min(FEW_ROWS, n_rows), restarts, rng)
    squared = few_row_residuals(engine.start_columns, y, drawn) ** 2
    return [
        smallest((y - np.median(y)) ** 2, n_kept),
        *ranked_starts(squared, n_kept, FINALISTS),
    ]


def left_out_residuals(engine: Refits, run: Run) -> FloatArray:
    """Return the residuals of a run, those of its own rows from fits without them."""
    residual = run.residual.copy()
    residual[run.kept] = engine.left_out(run.kept, run.fitted)
    return residual
