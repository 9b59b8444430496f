"""Sparse least trimmed squares (Alfons, Croux and Gelper 2013).

    minimise (1/h) sum_{i in I} r_i^2 + lambda ||w||_1 over theta and over sets I of h rows,

by concentration steps with the LASSO, then once more the LASSO on all rows that lie within 2.5
scales of that fit.  The BIC of the trimmed fits chooses lambda.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from poisonbench.defenses._concentration import Run, best_run
from poisonbench.defenses._core import left_out_residuals, rounding_scale, starts
from poisonbench.defenses._fits import RANKING, Refits, fits
from poisonbench.defenses.base import Defense
from poisonbench.defenses.fast_lts import lts_scale
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import Lasso

GRID = np.logspace(-0.5, -2.5, 5)
"""Strengths to choose from, relative to the least one that leaves no feature."""

STARTS = 3
"""Starts that are run to the end for each of them, beside the core of the one before."""


class SparseLTSRegressor(Defense):
    """Sparse least trimmed squares: the LASSO on rows that agree, its strength by BIC.

    It is a LASSO whatever the learner; around a LASSO of given strength use ``lts``.  It assumes
    that at most N - h rows are poison, not how many.  Breakdown point (N - h + 1)/N, a quarter by
    default: the penalty keeps the estimate bounded although features may outnumber rows.  Poison
    that is cheap to fit, as copies in a small category are, is kept (see ``mm``).

    Two departures from the paper: starts are ridge fits to ten rows, which cost nothing, instead
    of LASSO fits to three; and rows of the core are judged by fits without them.

    Cost: some 80 LASSO fits.

    Parameters
    ----------
    penalty : float or "bic", default="bic"
        The paper's lambda of Jagielski et al. (twice scikit-learn's alpha), or a choice among
        five by BIC.
    core : float, default=0.75
        Share h/N of the rows in the core, at least half.
    cut : float, default=2.5
        Rows within so many scales are kept in the second step.
    restarts : int, default=100
        Small starts, of ten rows each.
    random_state : int, RandomState or None, default=None
        Draws them.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The LASSO fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept in the second step.
    core_ : ndarray of bool of shape (N,)
        The rows of the core.
    scale_ : float
        Scale of the residuals, as in ``lts``.
    penalty_ : float
        The lambda used.
    criterion_ : dict of float to float
        For each lambda compared, log s^2 + (number of nonzero weights) log(h)/h.

    References
    ----------
    Alfons, Croux and Gelper, "Sparse least trimmed squares regression for analyzing
    high-dimensional large data sets", 2013.
    """

    name = "sparse-lts"
    reference = "Alfons et al. 2013"
    row_attributes = ("support_", "core_")

    def __init__(
        self,
        *,
        penalty: Annotated[float, Gt(0)] | Literal["bic"] = "bic",
        core: Annotated[float, Ge(0.5), Le(1)] = 0.75,
        cut: Annotated[float, Gt(0)] = 2.5,
        restarts: Annotated[int, Ge(1)] = 100,
        random_state: Any = None,
    ) -> None:
        self.penalty = penalty
        self.core = core
        self.cut = cut
        self.restarts = restarts
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        h = int(np.ceil(self.core * len(y)))
        masks = starts(fits(Lasso(), X, y), h, self.restarts, rng)[:STARTS]
        strengths = grid(X, y, masks[0]) if self.penalty == "bic" else [float(self.penalty)]
        runs: dict[float, tuple[Refits, Run]] = {}
        self.criterion_: dict[float, float] = {}
        for strength in strengths:
            engine = fits(Lasso(strength), X, y, RANKING)
            run = best_run(engine, masks)
            runs[strength] = engine, run
            masks = [run.kept, *masks[:STARTS]]
            coef = Lasso(strength).fit(X[run.kept], y[run.kept]).coef_
            scale = max(lts_scale(run.residual, h), rounding_scale(y))
            self.criterion_[strength] = 2 * np.log(scale) + np.count_nonzero(coef) * np.log(h) / h
        self.penalty_ = min(self.criterion_, key=lambda strength: self.criterion_[strength])
        engine, run = runs[self.penalty_]
        residual = left_out_residuals(engine, run)
        self.core_ = run.kept
        self.scale_ = max(lts_scale(residual, h), rounding_scale(y))
        self.support_ = kept = np.abs(residual) <= self.cut * self.scale_
        self._adopt(Lasso(self.penalty_).fit(X[kept], y[kept]), X)


def grid(X: FloatArray, y: FloatArray, kept: BoolArray) -> list[float]:
    """Return the strengths to compare on rows of which `kept` are to be trusted first."""
    centred = X[kept] - X[kept].mean(axis=0)
    largest = 2 * float(np.abs(centred.T @ (y[kept] - y[kept].mean())).max()) / int(kept.sum())
    return [float(strength) for strength in max(largest, rounding_scale(y)) * GRID]
