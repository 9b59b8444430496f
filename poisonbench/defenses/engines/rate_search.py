"""The number of rows to treat as poison: given by the caller, or estimated.

The first estimate is that of iTRIM (Mueller et al. 2020).  As more rows are removed, TRIM's
training error falls steeply while the removed rows are poison, and slowly once they are clean.  The
estimate is the rate at which the steep fall ends.  If clean rows have residuals of size s and
poison rows of size r, removing the last 2% of poison lowers the error by the share
0.02 r^2 / (s^2 + 0.02 r^2), which is a steep fall only if r is more than five times s.  So where
the clean rows themselves fit badly, the estimate is 0.  The second estimate is the number of
residuals beyond the tails of the others (see :mod:`.excess`), which sees smaller ones.

Assuming too few does more harm than assuming too many: poison rows that are kept can do any damage,
while removing some clean rows costs little.  So the larger of the two is taken.
``tests/benchmarks/estimated.py`` measures how good it is.
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
from poisonbench.defenses.engines.excess import estimated_excess
from poisonbench.defenses.engines.fits import RANKING, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.units import columns_for
from poisonbench.features import FloatArray
from poisonbench.rounding import exact, rows_at

STEP, MAX_RATE = 0.02, 0.3
"""The rates to compare are the multiples of `STEP` up to `MAX_RATE`, as shares of all rows."""

RELATIVE_FALL = 0.35
"""If a step lowers the error by a larger share of itself than this, it has removed poison.

Without poison, the first steps, which remove the few rows that fit worst, lower the error by a
tenth to a third.
"""

STARTS = 4
"""Number of small fits run to the end at each rate, beside a start from the rate before."""


@dataclass(frozen=True)
class RateSearch:
    """The results of TRIM on the same rows at several rates.

    Parameters
    ----------
    rates : ndarray of shape (K,)
        The shares of the rows removed, in increasing order from 0.
    errors : ndarray of shape (K,)
        TRIM's objective on the rows kept at each rate.
    """

    rates: FloatArray
    errors: FloatArray

    def elbow(self, threshold: float, *, relative: bool) -> float:
        """Return the smallest rate after which no step lowers the error by more than `threshold`.

        Parameters
        ----------
        threshold : float
            The threshold, as a share of the error before the step if `relative`, or in units of the
            squared response.
        relative : bool
            Whether the threshold is relative.
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
    """Run TRIM at increasing rates.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, in random order; at most the first :data:`NESTED_ROWS` are used.
    rng : RandomState
        Draws the starts.
    step, max_rate : float
        The rates are the multiples of `step` up to `max_rate`.
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
    # A model that was free of poison at a higher rate is often the best one at this rate, too.
    for k in reversed(range(len(runs) - 1)):
        again = best_run(engine, [smallest(runs[k + 1].residual ** 2, counts[k])])
        runs[k] = min(runs[k], again, key=lambda run: run.objective)
    return RateSearch(rates, np.array([run.objective for run in runs]))


def estimated_rate(
    estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
) -> float:
    """Return the estimated share of poison among the rows: the larger of two estimates.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, in random order; at most the first :data:`NESTED_ROWS` are used.
    rng : RandomState
        Draws the starts.
    """
    elbow = search_rates(estimator, X, y, rng).elbow(RELATIVE_FALL, relative=True)
    X, y = X[:NESTED_ROWS], y[:NESTED_ROWS]
    chooser, columns = stand_in(estimator, X)
    excess = estimated_excess(fits(chooser, columns, y, RANKING), rng)
    return max(elbow, excess.n_rows / len(y))


def assumed_poison(defense: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> int:
    """Return the number of rows that `defense` has to treat as poison.

    Parameters
    ----------
    defense : Defense
        The defense; its ``n_poison``, or if that is None its ``contamination``, gives the number.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, in random order.
    rng : RandomState
        Random numbers for the estimate, if ``contamination`` is ``"auto"``.
    """
    n_rows = len(y)
    if defense.n_poison is not None:
        return int(defense.n_poison)
    rate = defense.contamination
    if rate == "auto":
        rate = estimated_rate(learner(getattr(defense, "estimator", None)), X, y, rng)
    return min(rows_at(rate, n_rows), n_rows - 1)
