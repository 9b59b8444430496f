"""How many rows to take for poison: what the caller says, or where the training error levels off.

The estimate is that of iTRIM (Mueller et al. 2020).  TRIM's training error falls steeply with the
number of rows removed while they are poison, and slowly once they are clean; the rate at which
the steep fall ends is the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poisonbench.defenses.engines.concentration import (
    NESTED_ROWS,
    Run,
    best_run,
    ranked_starts,
    small_residuals,
    smallest,
    stand_in,
)
from poisonbench.defenses.engines.fits import RANKING, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.units import columns_for
from poisonbench.features import FloatArray
from poisonbench.rounding import exact, rows_at

STEP, MAX_RATE = 0.02, 0.3
"""Rates compared: multiples of the one, up to the other, as shares of all rows."""

RELATIVE_FALL = 0.35
"""A step that lowers the error by a larger share of itself has removed poison.

Without poison the first steps, which remove the few rows that fit worst, lower it by a tenth to a
third.
"""

STARTS = 4
"""Small fits that are run to the end at each rate, beside the rows kept at the last one."""


@dataclass(frozen=True)
class RateSearch:
    """What TRIM makes of one set of rows at each rate.

    Parameters
    ----------
    rates : ndarray of shape (K,)
        Shares of the rows removed, rising from 0.
    errors : ndarray of shape (K,)
        TRIM's objective on the rows kept at each.
    """

    rates: FloatArray
    errors: FloatArray

    def elbow(self, threshold: float, *, relative: bool) -> float:
        """Return the smallest rate after which no step lowers the error by more than `threshold`.

        Parameters
        ----------
        threshold : float
            In units of the error before the step if `relative`, else of the squared response.
        relative : bool
            See above.
        """
        falls = self.errors[:-1] - self.errors[1:]
        steep = falls > threshold * (self.errors[:-1] if relative else 1.0)
        return float(self.rates[1:][steep].max(initial=0.0))


def search_rates(
    estimator: Any,
    X: FloatArray,
    y: FloatArray,
    rng: np.random.RandomState,
    step: float = STEP,
    max_rate: float = MAX_RATE,
) -> RateSearch:
    """Run TRIM at rising rates.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, in random order; of more than :data:`NESTED_ROWS` the first so many are used.
    rng : RandomState
        Draws the starts.
    step, max_rate : float
        Rates compared are multiples of `step` up to `max_rate`.
    """
    X, y = X[:NESTED_ROWS], y[:NESTED_ROWS]
    n_rows = len(y)
    n_steps = int(exact(max_rate) / exact(step))
    rates = np.array([float(k * exact(step)) for k in range(n_steps + 1)])
    chooser, columns = stand_in(estimator, X)
    engine = fits(chooser, columns, y, RANKING)
    squared = small_residuals(columns_for(chooser, columns), y, 200, rng) ** 2
    counts = [max(1, n_rows - rows_at(rate, n_rows)) for rate in rates]
    runs: list[Run] = []
    for n_kept in counts:
        starts = ranked_starts(squared, n_kept, STARTS)
        starts += [smallest(run.residual**2, n_kept) for run in runs[-1:]]
        runs.append(best_run(engine, starts))
    # A model that was free of poison at a higher rate is often the best at this one too.
    for k in reversed(range(len(runs) - 1)):
        again = best_run(engine, [smallest(runs[k + 1].residual ** 2, counts[k])])
        runs[k] = min(runs[k], again, key=lambda run: run.objective)
    return RateSearch(rates, np.array([run.objective for run in runs]))


def assumed_poison(defense: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> int:
    """Return the number of rows that `defense` is to take for poison.

    Parameters
    ----------
    defense : Defense
        Its ``n_poison``, else its ``contamination``, says how many.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, in random order.
    rng : RandomState
        For the estimate, where ``contamination`` is ``"auto"``.
    """
    n_rows = len(y)
    if defense.n_poison is not None:
        return int(defense.n_poison)
    rate = defense.contamination
    if rate == "auto":
        search = search_rates(learner(getattr(defense, "estimator", None)), X, y, rng)
        rate = search.elbow(RELATIVE_FALL, relative=True)
    return min(rows_at(rate, n_rows), n_rows - 1)
