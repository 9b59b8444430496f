"""A core of rows that agree, found without knowing how many rows are poison.

The core is found by least trimmed squares on a share of the rows, with concentration steps from
starts of which some are probably clean: fits to ten rows each, and the rows nearest to the
median response.  (With 60 poison rows among 360, one in six samples of ten rows is clean, but only
one in 240 samples of thirty.)  Residuals are then corrected: a model with many features fits its
own training rows too closely, so the residual of a row of the core is computed as if the row had
been left out.
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
"""Number of small starts."""

FINALISTS = 5
"""Number of small starts that are run to the end, beside the start from the median."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable, divided by its median absolute deviation."""

MAX_ITER = 100
"""Maximum number of fits in a run of concentration steps."""

FULL_STEPS = 3
"""Maximum number of fits to all rows if there are many; the core of a sample is almost right."""

WITHIN = 3.0
"""Only rows with residuals within this many scales enter the scale."""

NOTHING = 1e-9
"""A scale below this share of the largest response is a rounding error."""

ZERO_SCALE = "scale 0: rows that are not fitted exactly are rejected"
"""The remark of a defense if more than half of the rows are fitted exactly, up to rounding."""


@dataclass(frozen=True)
class Core:
    """The core and the residuals of all rows.

    Parameters
    ----------
    kept : ndarray of bool of shape (N,)
        The rows of the core.
    residual : ndarray of shape (N,)
        Residuals of the fit to the core; for a row of the core, of a fit without the row.
    objective : float
        The trimmed objective L(D_I, theta).
    n_iter : int
        Number of concentration steps in the best run.
    """

    kept: BoolArray
    residual: FloatArray
    objective: float
    n_iter: int


def rounding_scale(y: FloatArray) -> float:
    """Return the scale below which residuals of responses `y` are rounding errors."""
    return max(NOTHING * float(np.abs(y).max()), np.finfo(float).tiny)


def median_scale(residual: FloatArray, y: FloatArray) -> float:
    """Return 1.4826 median |residual| over the rows with residuals within three such scales.

    If the median were over all rows, poison in a sixth of them would increase it by a quarter, and
    with it the cut below which poison is accepted.  The scale is at least that of rounding errors
    in responses `y`.
    """
    size = np.sort(np.abs(residual))
    n_within, scale = len(size), np.inf
    while True:
        scale = max(MAD_TO_SD * float(np.median(size[:n_within])), rounding_scale(y))
        within = int(np.searchsorted(size, WITHIN * scale, side="right"))
        if within >= n_within:
            return scale
        n_within = within


def core_size(share: float, n_rows: int) -> int:
    """Return the smallest whole number of rows that is at least this share of `n_rows` rows."""
    # In floating point, 0.56 of 25 rows is 14.000000000000002.
    return max(1, int(np.ceil(share * n_rows - 1e-9)))


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
        Number of small starts; None for the default number.
    rng : RandomState
        Draws the starts.
    """
    n_rows = len(engine.y)
    n_kept = core_size(share, n_rows)
    if well_searched(engine, n_kept):
        run = least_squares_run(engine, n_kept, restarts or LEAST_SQUARES_STARTS, rng)
    else:
        max_iter = FULL_STEPS if n_rows > NESTED_ROWS else MAX_ITER
        run = best_run(engine, starts(engine, n_kept, restarts or RESTARTS, rng), max_iter)
    return Core(run.kept, left_out_residuals(engine, run), run.objective, len(run.objective_path))


def starts(
    engine: Refits, n_kept: int, restarts: int, rng: np.random.RandomState
) -> list[BoolArray]:
    """Return sets of `n_kept` rows to start from.

    For many rows, this is one set: the rows that the model of a sample's core fits best.  Otherwise
    it is the best sets by small fits, which are ridge for every learner, because they only rank
    rows.
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
    """Return the residuals of a run; for the rows that it fitted, those of fits without the row."""
    residual = run.residual.copy()
    residual[run.kept] = engine.left_out(run.kept, run.fitted)
    return residual
