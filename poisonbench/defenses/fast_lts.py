"""Least trimmed squares with reweighting (Rousseeuw 1984; Rousseeuw and Van Driessen 2006).

    minimise L(D_I, theta) over theta and over sets I of h = core N rows,

from many small starts; then fit once more to all rows whose residual is at most 2.5 times the
scale.  It is TRIM with a fixed h in place of p, and with a second step that restores most of the
clean rows that were cut.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy.stats import norm
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.core import ZERO_SCALE, find_core, rounding_scale
from poisonbench.defenses.engines.fits import fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.features import FloatArray


class LTSRegressor(Defense):
    """Least trimmed squares, reweighted: fit three quarters, then all rows that agree with them.

    It assumes that at most N - h rows are poison, without knowing how many, and that poison lies
    away from the model of the other rows.  The breakdown point is (N - h)/N, by default one
    quarter.  Like TRIM, it keeps poison that is cheap to fit, such as copies in a small category
    (see ``mm``).  It may also cut clean rows of rare categories that are missing in the core.

    With LASSO it is the sparse LTS of Alfons et al. with the learner's lambda, whereas
    ``sparse-lts`` chooses lambda itself.  With OLS the result does not depend on the units of the
    columns.  With a penalised learner it does, because the penalty does, so scale the columns
    first.

    If poison lowers the minimum itself, the search finds that minimum, and more starts do not help.
    This happens if more than N - h rows are poison, but also with fewer, if they lie closer to a
    model of their own than clean rows do to theirs.  The model is then a fit to those poison rows
    and to the clean rows within the cut around them, and ``objective_``, which is lower than on
    clean rows, does not show it.

    On 37 classic data sets of 9 to 428 rows, with OLS, all runs with core 0.75 find the lowest
    known objective, and 95% of those with core 0.5 do.  With the h of R's ``ltsReg`` these are 100%
    and 99%, and 97% and 86% for ``ltsReg`` itself (``tests/benchmarks/classic.py``).

    It costs about 40 fits of the learner, and 10 more for learners other than ridge.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    core : float, default=0.75
        Share h/N of the rows in the core, at least half.
    cut : float, default=2.5
        The second step keeps the rows whose residual is at most this many times the scale.
    restarts : int, optional
        Number of small starts.  If None, 100 of ten rows each; for OLS with more rows than
        features, 500 of ten rows and 500 of as many rows as there are parameters.
    random_state : int, RandomState or None, default=None
        Draws the starts.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept in the second step.
    core_ : ndarray of bool of shape (N,)
        The rows of the core.
    scale_ : float
        Root of the mean of the h smallest squared residuals, corrected to be consistent for normal
        errors.  The residual of a row of the core comes from a fit without it, because a model with
        many features fits its own training rows too closely.
    objective_ : float
        L(D_I, theta) of the core.
    n_iter_ : int
        Number of fits in the best run of concentration steps.
    note_ : str or None
        A remark for the tables if the scale is 0, so that only rows that are fitted exactly are
        kept; the cut is then 2.5e-9 times the largest response.

    References
    ----------
    Rousseeuw, "Least median of squares regression", 1984; Rousseeuw and Van Driessen, "Computing
    LTS regression for large data sets", 2006.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import LTSRegressor
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = LTSRegressor(random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "lts"
    reference = "Rousseeuw and Van Driessen 2006"
    row_attributes = ("support_", "core_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        core: Annotated[float, Ge(0.5), Le(1)] = 0.75,
        cut: Annotated[float, Gt(0)] = 2.5,
        restarts: Annotated[int, Ge(1)] | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.core = core
        self.cut = cut
        self.restarts = restarts
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        estimator = learner(self.estimator)
        core = find_core(fits(estimator, X, y), self.core, self.restarts, rng)
        self.core_, self.objective_, self.n_iter_ = core.kept, core.objective, core.n_iter
        self.scale_ = max(lts_scale(core.residual, int(core.kept.sum())), rounding_scale(y))
        self.note_ = ZERO_SCALE if self.scale_ <= rounding_scale(y) else None
        self.support_ = kept = np.abs(core.residual) <= self.cut * self.scale_
        self._adopt(clone(estimator).fit(X[kept], y[kept]), X)


def lts_scale(residual: FloatArray, h: int) -> float:
    """Return the root of the mean of the `h` smallest squared residuals, made consistent.

    The mean is divided by its value for standard normal errors, 1 - 2 (N/h) q phi(q), where q is
    the normal quantile at (1 + h/N)/2 (Croux and Haesbroeck 1999).
    """
    squared = np.partition(residual**2, h - 1)[:h]
    share = h / len(residual)
    if share == 1:
        return float(np.sqrt(squared.mean()))
    q = norm.ppf((1 + share) / 2)
    return float(np.sqrt(squared.mean() / (1 - 2 / share * q * norm.pdf(q))))
