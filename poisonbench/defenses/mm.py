"""MM-regression that shrinks categories: a defense that need not know how many rows are poison.

    minimise sum_i rho(r_i / s) s^2 + N lambda Omega(w) + G ||w_C||^2

with Tukey's biweight rho, the learner's penalty, and a heavy ridge penalty G on the columns C that
stand for categories (Yohai 1987; for ridge Maronna 2011, for the LASSO Smucler and Yohai 2017; the
penalty on C is ours).  Without it poison hides in a small category, whose coefficient can follow
its copies at next to no cost; with it the pooled rows outvote them, and they show as what they
are.  The start is least trimmed squares on three quarters of the rows, and its scale s stays: that
of the residuals that lie within three scales, as that of all is raised by the poison, which then
passes.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Ge, Gt, Le
from sklearn.linear_model import LinearRegression

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.core import ZERO_SCALE, find_core, median_scale, rounding_scale
from poisonbench.defenses.engines.fits import LeastSquaresFits, WeightedRefits, fits
from poisonbench.defenses.engines.indicator_columns import Groups, indicator_columns
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.partly_penalized import PartlyPenalized
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import OLS, Ridge

FLOOR = 1e-6
"""Weight of a rejected row while iterating, so that no system is singular."""

EFFECTS = 0.8
"""Held-out errors without the shrinkage below this share of those with it are worth a line."""

Weighted = WeightedRefits | PartlyPenalized
"""What fits with weights."""

UNMOVED = 1e-3
"""Share of the scale that a rejected row may pull with."""

REPORTED_ROWS, REPORTED_SHARE = 3, 1 / 3
"""Of a category's rows, so many must be rejected together to be worth a line."""


class MMRegressor(Defense):
    """MM-regression with a heavy ridge on one-hot columns; it need not know p.

    It assumes that three quarters of the rows are clean, that clean rows of all categories follow
    nearly the same line in the numeric features, and that categories move the response little.
    Then it does better than the learner even without poison.  Where categories with many rows truly
    differ, shrinking costs: on synthetic rows whose seven categories all differ it raises the clean
    error by a quarter to nine tenths.  ``group_shrinkage`` says how strongly, 0 for not at all;
    ``note_`` says where the data speak against it.

    Breakdown point: with p > N/4 a core of three quarters holds poison whatever it does; a smaller
    ``core`` stands more.  Below that the estimate stays bounded, but poison near the line of the
    others can still pull it.  Known weak point: poison tuned to it (the attack ``adaptive``), a
    few scales off the line on rows that all pull one way, at p/n = .2 raises the error to 1.2
    times the clean ridge's on house prices and health, and to 3.0 and 1.6 times on the worst of ten
    splits (``tests/benchmarks/defenses.py``).

    What no defense can do: take a category with m <= p clean rows and a share q of the test rows.
    The clean rows at a mean mu and m poison copies at mu + delta, or the other way round, are the
    same data; so in one of the two worlds the excess test error of any rule, whether it knows p or
    not, is at least q delta^2 / 4.  If effects are only known to be at most B, predicting the
    pooled value for that category is minimax, at q B^2.  So the defense reports
    ``rejected_groups_``: there the data cannot tell which side is poison.

    Cost: some 20 fits for the core and 10 to 40 weighted ones, each on the smaller side of the
    design; about 20 ridge fits for 360 rows and 274 features.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.  Ridge and OLS keep
        their own penalty, or none, on numeric columns.  Any other learner is fitted to the
        responses that MM-regression with the default ridge has cleaned, for rows should be judged
        by a fit without bias: by a strong LASSO, the dearest houses would be outliers.  With OLS
        the units of numeric columns make no difference; with a penalty they do: scale them first.
    one_hot_groups : iterable of sequences of int, optional
        One-hot groups as column indices.  If None, columns named ``Group:value`` in a data frame
        that has such names, else every column that holds 0 and 1 and nothing else.  A scaler
        hides those: in a pipeline, scale numeric columns alone.
    group_shrinkage : float, default=1/12
        Ridge penalty G on a one-hot column as a share of N: a category with a share q of the rows
        keeps about q / (q + G/N) of its effect.
    core : float, default=0.75
        Share of the rows in the core, at least half.
    tuning : float, default=4.685
        Residuals beyond so many scales are rejected; 4.685 has 95% efficiency at normal errors.
    restarts : int, default=100
        Small starts of the core.
    max_iter : int, default=40
        Most rounds of reweighting.
    tol : float, default=1e-3
        Stop when no residual moves by more than this share of the scale.
    random_state : int, RandomState or None, default=None
        Draws the starts.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to cleaned responses: predictions plus residuals times their weights.
        Ridge was given one-hot columns scaled down, so that its penalty is the heavy one there;
        ``coef_`` is for the columns as they are.  An OLS where there are one-hot columns holds the
        weighted fit itself, shrunk there.
    weights_ : ndarray of shape (N,)
        The weight of each row, from 0 (rejected) to 1.
    support_ : ndarray of bool of shape (N,)
        The rows that are not rejected.
    scale_ : float
        The scale s of the residuals.
    rejected_groups_ : tuple of str
        A line for each category of which at least a third of the rows, and three of them, are
        rejected on the same side.
    n_iter_ : int
        Rounds of reweighting.
    note_ : str or None
        For the tables: the rejected groups; that the rows kept speak against the shrinkage of
        categories, where their held-out error is a fifth lower without it; that reweighting did
        not converge; that the scale is 0, so that only rows fitted exactly are kept.

    References
    ----------
    Yohai, "High breakdown-point and high efficiency robust estimates for regression", 1987;
    Maronna, "Robust ridge regression for high-dimensional data", 2011; Smucler and Yohai, "Robust
    and sparse estimators for linear regression models", 2017.  The penalty on categories and the
    bound above: this project.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import MMRegressor
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = MMRegressor(random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "mm"
    reference = "Yohai 1987; Maronna 2011; the penalty on categories is this project's"
    row_attributes = ("weights_", "support_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        one_hot_groups: Groups = None,
        group_shrinkage: Annotated[float, Ge(0)] = 1 / 12,
        core: Annotated[float, Ge(0.5), Le(1)] = 0.75,
        tuning: Annotated[float, Gt(0)] = 4.685,
        restarts: Annotated[int, Ge(1)] = 100,
        max_iter: Annotated[int, Ge(1)] = 40,
        tol: Annotated[float, Gt(0)] = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.one_hot_groups = one_hot_groups
        self.group_shrinkage = group_shrinkage
        self.core = core
        self.tuning = tuning
        self.restarts = restarts
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        n_rows = len(y)
        indicator = indicator_columns(
            self.one_hot_groups, getattr(self, "feature_names_in_", None), X
        )
        estimator = learner(self.estimator)
        strength = self.group_shrinkage * n_rows
        scale, engine = self._engine(estimator, X, y, indicator, strength)
        core = find_core(engine, self.core, self.restarts, rng)
        self.scale_ = median_scale(core.residual, y)
        residual, self.n_iter_, converged = self._reweighted(engine, core.residual)
        self.weights_ = biweight(residual, self.tuning * self.scale_)
        self.support_ = self.weights_ > 0
        self.rejected_groups_ = self._rejected_together(X, residual, indicator)
        notes = list(self.rejected_groups_)
        if indicator.any() and strength > 0:
            notes += effects_note(engine, estimator, X, self.support_)
        if not converged:
            notes.append(f"not converged after {self.n_iter_} rounds")
        if self.scale_ <= rounding_scale(y):
            notes.append(ZERO_SCALE)
        self.note_ = "; ".join(notes) or None
        # Where all residuals are multiplied by their weights, the fit without weights is the same.
        cleaned = y - residual + self.weights_ * residual
        if isinstance(engine, PartlyPenalized):
            weight = np.maximum(self.weights_, self._floor(residual))
            self._adopt(engine.weighted_model(weight, engine.on_weights(weight)), X)
        elif isinstance(estimator, Ridge):
            self._adopt(engine.estimator.fit(engine.X, cleaned), engine.X)
            self.coef_ = self.coef_ * scale
        else:
            self._adopt(estimator.fit(X, cleaned), X)

    def _engine(
        self,
        estimator: Any,
        X: FloatArray,
        y: FloatArray,
        indicator: BoolArray,
        strength: float,
    ) -> tuple[FloatArray, Weighted]:
        """Return the factors that columns are scaled by, and what fits to the rows."""
        unscaled = np.ones(X.shape[1])
        if isinstance(estimator, OLS | LinearRegression):
            if indicator.any() and strength > 0:
                return unscaled, PartlyPenalized(X, y, indicator, strength)
            return unscaled, LeastSquaresFits(OLS(), X, y)
        # alpha, not lambda, is held: the penalty does not fall with the rows of the core.
        alpha = (estimator if isinstance(estimator, Ridge) else Ridge()).alpha_for(len(y))
        # Penalty alpha on the weight of a scaled column is alpha / scale^2 on the column's own.
        scale = np.where(indicator, np.sqrt(alpha / (alpha + strength)), 1.0)
        return scale, cast(WeightedRefits, fits(Ridge(alpha=alpha), X * scale, y))

    def _reweighted(self, engine: Weighted, residual: FloatArray) -> tuple[FloatArray, int, bool]:
        """Iterate from the residuals given; return them, the rounds, and whether they stay."""
        n_iter, moved = 0, np.inf
        while n_iter < self.max_iter and moved > self.tol * self.scale_:
            weight = biweight(residual, self.tuning * self.scale_)
            fitted = engine.on_weights(np.maximum(weight, self._floor(residual)))
            moved = np.abs(fitted.residual - residual).max()
            residual, n_iter = fitted.residual, n_iter + 1
        return residual, n_iter, bool(moved <= self.tol * self.scale_)

    def _floor(self, residual: FloatArray) -> float:
        """Return the weight of a rejected row: so small that none moves the others by a scale."""
        return min(FLOOR, UNMOVED * self.scale_ / max(float(np.abs(residual).max()), self.scale_))

    def _rejected_together(
        self, X: FloatArray, residual: FloatArray, indicator: BoolArray
    ) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        found = []
        for column in np.flatnonzero(indicator):
            rows = X[:, column] == 1
            rejected = residual[rows & ~self.support_]
            m = int(max((rejected > 0).sum(), (rejected < 0).sum()))
            if m >= max(REPORTED_ROWS, REPORTED_SHARE * rows.sum()):
                category = column if names is None else names[column]
                found.append((m / rows.sum(), f"category {category}: {m} of {rows.sum()} rows "
                              "rejected together"))  # fmt: skip
        return tuple(line for _, line in sorted(found, key=lambda entry: -entry[0]))


def effects_note(engine: Weighted, estimator: Any, X: FloatArray, support: BoolArray) -> list[str]:
    """Return a line if the learner without the shrinkage does better on the rows kept.

    By the leave-one-out residuals of both, on the same rows: those that the shrunk fit rejected,
    some of them for their category, do not speak for the other.
    """
    plain = estimator if isinstance(estimator, Ridge | OLS | LinearRegression) else Ridge()
    if isinstance(plain, LinearRegression):
        plain = OLS()
    other = fits(plain, X, engine.y)
    with_shrinkage, without = (
        float(np.mean(fit.left_out(support, fit.on_rows(support)) ** 2)) for fit in (engine, other)
    )
    if without >= EFFECTS * with_shrinkage:
        return []
    return [
        f"categories matter: without their shrinkage the held-out error of the rows kept is "
        f"{without / with_shrinkage:.2f} times"
    ]


def biweight(residual: FloatArray, cut: float) -> FloatArray:
    """Return Tukey's weights (1 - (r / cut)^2)^2, 0 where |r| >= cut."""
    weight: FloatArray = np.maximum(1 - (residual / cut) ** 2, 0.0) ** 2
    return weight
