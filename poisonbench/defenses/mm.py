"""MM-regression that shrinks categories: a defense that does not need the number of poison rows.

    minimise sum_i rho(r_i / s) s^2 + N lambda Omega(w) + G ||w_C||^2

with Tukey's biweight rho, the learner's penalty, and a heavy ridge penalty G on the columns C of
categories (Yohai 1987; for ridge Maronna 2011, for the LASSO Smucler and Yohai 2017; the penalty on
C is new in poisonbench).  Without the penalty G, poison can hide in a small category, whose
coefficient follows the poison rows at almost no cost.  With it, the rows of the other categories
outvote them, and the poison rows get large residuals.  The starting point is least trimmed squares
on seven tenths of the rows.  It also gives the scale s, which is then fixed.  Only residuals within
three scales enter s, because poison would increase the scale of all residuals and would then not be
rejected.  But s is at least that of the core alone: the root mean square of its residuals, without
the largest tenth, which may be those of rows with high leverage.  Otherwise copies of a row, which
are fitted closely, would decrease the scale so far that the clean rows are rejected.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Ge, Gt, Le
from sklearn.linear_model import LinearRegression

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.core import (
    ZERO_SCALE,
    core_size,
    find_core,
    median_scale,
    rounding_scale,
)
from poisonbench.defenses.engines.fits import LeastSquaresFits, WeightedRefits, fits
from poisonbench.defenses.engines.indicator_columns import Groups, indicator_columns
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.many_rows import ManyRows, UnlikeSampleError
from poisonbench.defenses.engines.partly_penalized import PartlyPenalized
from poisonbench.defenses.engines.row_order import Keys
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import OLS, Ridge

FLOOR = 1e-6
"""Weight of a rejected row during the iterations, so that no system is singular."""

MANY_ROWS = 50_000
"""With more rows than this, a sample gives the core and the scale, unless the learner is OLS."""

SAMPLE_ROWS = 20_000
"""Number of rows in the sample."""

EFFECTS = 0.8
"""If shrinkage of categories is worse than this, a note says so: the held-out error without
shrinkage is less than this share of the error with it."""

CALM, CALM_TO_SD = 0.9, 1.267
"""Share of the core's residuals, the smallest, whose root mean square gives a lower bound of the
scale; and the standard deviation of a normal variable, divided by it."""

Weighted = WeightedRefits | PartlyPenalized
"""The engines that fit with weights."""

UNMOVED = 1e-3
"""Largest pull of a rejected row during the iterations, as a share of the scale."""

REPORTED_ROWS, REPORTED_SHARE = 3, 1 / 3
"""A category is reported if at least this many of its rows, and at least this share of them, are
rejected on the same side."""


class MMRegressor(Defense):
    """MM-regression with a heavy ridge penalty on one-hot columns; it does not need p.

    It assumes that seven tenths of the rows are clean, that the clean rows of all categories
    follow nearly the same linear model of the numeric features, and that categories have little
    effect on the response.  Then it does better than the learner even without poison.  If
    categories with many rows really differ, the shrinkage costs accuracy: on synthetic rows whose
    seven categories all differ, it increases the error without poison by 25% to 90%.
    ``group_shrinkage`` sets its strength, with 0 for none, and ``note_`` says if the data speak
    against it.

    Breakdown point: if p > 0.3 N, a core of seven tenths must contain poison; a smaller ``core``
    tolerates more poison, but resists poison that is tuned to it less.  If p is smaller, the
    estimate stays bounded, but poison near the model of the other rows can still move it.  Known
    weakness: poison that is tuned to this defense (the attack ``adaptive``) lies a few scales away
    from the model and pulls in one direction.  At p/n = 0.2, it raises the error to 1.2 times that
    of ridge on clean rows on house prices and on health, and at 0.3 to 1.5 times.  On the worst of
    twenty splits, these factors are 2.6 and 1.5, and 4.0 and 2.3
    (``results/reference/defenses-mm.md``).

    Limits of every defense: consider a category with m <= p clean rows and a share q of the test
    rows.  Clean rows with mean mu and m poison copies with mean mu + delta are the same data as
    clean rows with mean mu + delta and poison copies with mean mu.  So in one of the two cases the
    excess test error of any rule, whether it knows p or not, is at least q delta^2 / 4.  If the
    effects of categories are only known to be at most B, predicting the pooled value for that
    category is minimax, with an excess of q B^2.  Therefore this defense reports
    ``rejected_groups_``, the categories for which the data cannot tell which rows are poison.

    With OLS and without one-hot columns, it minimises the same function as R's ``lmrob``, from
    another start and with another scale: ``lmrob`` takes both from an S-estimate, which tolerates
    poison in half of the rows, whereas this takes them from ``core`` of the rows.

    It costs about 20 fits for the core and 10 to 40 weighted fits, each in the smaller dimension of
    the design; together about 20 ridge fits for 360 rows and 274 features.  With more than 50,000
    rows, unless the learner is OLS, a sample of 20,000 rows gives the core and the scale, if it
    represents the rows in every direction, and each round of reweighting reads all rows once.  For
    a million rows and 100 features, this takes 1.8 times as long as a repeated ``Ridge.fit`` of
    scikit-learn (``tests/benchmarks/scale.py``).

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.  On numeric columns, ridge
        keeps its own penalty and OLS has none.  Any other learner is fitted to the responses after
        MM-regression with the default ridge has cleaned them, because a biased fit should not judge
        rows: for a strong LASSO, for example, the most expensive houses would be outliers.  With
        OLS, the units of numeric columns make no difference; with a penalty they do, so scale these
        columns first.
    one_hot_groups : iterable of sequences of int, optional
        One-hot groups as column indices.  If None, these are the columns named ``Group:value`` in a
        data frame with such names, or otherwise all columns that contain only 0 and 1.  A scaler
        would hide such columns, so in a pipeline, scale only the numeric columns.
    group_shrinkage : float, default=1/12
        Ridge penalty G on a one-hot column, as a share of N.  A category with a share q of the rows
        keeps about q / (q + G/N) of its effect.
    core : float, default=0.7
        Share of the rows in the core, at least half.  A core of half may be fitted much more
        closely than the other clean rows, if there are few rows for each parameter or if errors
        have heavy tails.  The scale is then too small, and up to half of the rows are rejected
        although they are clean; ``lmrob`` does not have this weakness.
    tuning : float, default=4.685
        Rows with residuals beyond this many times the scale are rejected; 4.685 gives 95%
        efficiency for normal errors.
    restarts : int, default=100
        Number of small starts for the core.
    max_iter : int, default=40
        Maximum number of rounds of reweighting.
    tol : float, default=1e-3
        Stop when no residual changes by more than this share of the scale.
    random_state : int, RandomState or None, default=None
        Draws the starts.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to cleaned responses, which are predictions plus weighted residuals.
        Ridge gets one-hot columns scaled down, so that its penalty on them is heavy; ``coef_``
        refers to the original columns, as does ``estimator_`` itself if a sample gave the core.
        If there are one-hot columns and the learner is OLS, this is an OLS with the weights of the
        shrunk weighted fit.
    weights_ : ndarray of shape (N,)
        The weight of each row, from 0 (rejected) to 1.
    support_ : ndarray of bool of shape (N,)
        The rows that are not rejected.
    scale_ : float
        The scale s of the residuals.
    rejected_groups_ : tuple of str
        A line for each category of which at least a third of the rows, and at least three rows, are
        rejected on the same side.
    n_iter_ : int
        Number of rounds of reweighting.
    note_ : str or None
        Remarks for the tables: the rejected groups; that the rows kept speak against the shrinkage
        of categories, because their held-out error is at least a fifth lower without it; that
        reweighting did not converge; that the scale is 0, so that only rows that are fitted exactly
        are kept.

    References
    ----------
    Yohai, "High breakdown-point and high efficiency robust estimates for regression", 1987;
    Maronna, "Robust ridge regression for high-dimensional data", 2011; Smucler and Yohai, "Robust
    and sparse estimators for linear regression models", 2017.  The penalty on categories and the
    bound above are new in poisonbench.

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
    reference = "Yohai 1987; Maronna 2011; the penalty on categories is new in poisonbench"
    row_attributes = ("weights_", "support_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        one_hot_groups: Groups = None,
        group_shrinkage: Annotated[float, Ge(0)] = 1 / 12,
        core: Annotated[float, Ge(0.5), Le(1)] = 0.7,
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

    def _fit_keyed(
        self, X: FloatArray, y: FloatArray, keys: Keys, rng: np.random.RandomState
    ) -> None:
        least_squares = isinstance(learner(self.estimator), OLS | LinearRegression)
        if len(y) <= MANY_ROWS or least_squares or not self._fit_many(X, y, keys, rng):
            super()._fit_keyed(X, y, keys, rng)

    def _fit_many(
        self, X: FloatArray, y: FloatArray, keys: Keys, rng: np.random.RandomState
    ) -> bool:
        """Fit to many rows, with the core and the scale of a sample; return whether that works.

        It does not if the sample does not represent all rows, or if reweighting does not converge.
        """
        estimator, n_rows = learner(self.estimator), len(y)
        ridge = estimator if isinstance(estimator, Ridge) else Ridge()
        # Sorting all rows would take nearly as long as the fit.
        sample = np.argpartition(keys, SAMPLE_ROWS - 1)[:SAMPLE_ROWS]
        sample = sample[np.argsort(keys[sample])]
        few_X, few_y, share = X[sample], y[sample], SAMPLE_ROWS / n_rows
        indicator = indicator_columns(
            self.one_hot_groups, getattr(self, "feature_names_in_", None), X
        )
        strength, alpha = self.group_shrinkage * n_rows, ridge.alpha_for(n_rows)
        small = Ridge(alpha=share * alpha)  # the penalty for each row is that on all rows
        _, engine = self._engine(small, few_X, few_y, indicator, share * strength)
        residual = self._core(engine, rng)
        residual, _, converged = self._reweighted(engine, residual)
        weight = np.maximum(self._weight(residual), self._floor(residual))
        penalty = alpha + np.where(indicator, strength, 0.0)
        if not converged or self.scale_ <= rounding_scale(few_y):
            return False
        try:
            every = ManyRows(X, y, penalty, self._weight, few_X, few_y, weight)
        except UnlikeSampleError:
            return False
        effects = []
        if indicator.any() and strength > 0:
            effects = effects_note(engine, small, few_X, self._weight(residual) > 0)
        residual, self.n_iter_, converged = every.reweighted(self.tol * self.scale_, self.max_iter)
        if converged:
            self._judge(X, residual, indicator)
            self.note_ = "; ".join([*self.rejected_groups_, *effects]) or None
            if isinstance(estimator, Ridge):
                self._adopt(every.model(estimator), X)
            else:
                self._adopt(estimator.fit(X, self._cleaned(y, residual)), X)
        return converged

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        n_rows = len(y)
        indicator = indicator_columns(
            self.one_hot_groups, getattr(self, "feature_names_in_", None), X
        )
        estimator = learner(self.estimator)
        strength = self.group_shrinkage * n_rows
        scale, engine = self._engine(estimator, X, y, indicator, strength)
        residual = self._core(engine, rng)
        residual, self.n_iter_, converged = self._reweighted(engine, residual)
        self._judge(X, residual, indicator)
        notes = list(self.rejected_groups_)
        if indicator.any() and strength > 0:
            notes += effects_note(engine, estimator, X, self.support_)
        if not converged:
            notes.append(f"not converged after {self.n_iter_} rounds")
        if self.scale_ <= rounding_scale(y):
            notes.append(ZERO_SCALE)
        self.note_ = "; ".join(notes) or None
        cleaned = self._cleaned(y, residual)
        if isinstance(engine, PartlyPenalized):
            weight = np.maximum(self.weights_, self._floor(residual))
            self._adopt(engine.weighted_model(weight, engine.on_weights(weight)), X)
        elif isinstance(estimator, Ridge):
            self._adopt(engine.estimator.fit(engine.X, cleaned), engine.X)
            self.coef_ = self.coef_ * scale
        else:
            self._adopt(estimator.fit(X, cleaned), X)

    def _core(self, engine: Weighted, rng: np.random.RandomState) -> FloatArray:
        """Set the scale from the core of the engine's rows; return the residuals of all of them."""
        core = find_core(engine, self.core, self.restarts, rng)
        squared = np.sort(core.residual[core.kept] ** 2)
        calm = np.sqrt(np.mean(squared[: core_size(CALM, len(squared))]))
        self.scale_ = max(median_scale(core.residual, engine.y), CALM_TO_SD * float(calm))
        return core.residual

    def _judge(self, X: FloatArray, residual: FloatArray, indicator: BoolArray) -> None:
        """Set what the last residuals say about each row."""
        self.weights_ = self._weight(residual)
        self.support_ = self.weights_ > 0
        self.rejected_groups_ = self._rejected_together(X, residual, indicator)

    def _cleaned(self, y: FloatArray, residual: FloatArray) -> FloatArray:
        """Return predictions plus weighted residuals.

        An unweighted fit to these is the same as the weighted fit to `y`.
        """
        return np.asarray(y - residual + self.weights_ * residual)

    def _engine(
        self,
        estimator: Any,
        X: FloatArray,
        y: FloatArray,
        indicator: BoolArray,
        strength: float,
    ) -> tuple[FloatArray, Weighted]:
        """Return the factors by which columns are scaled, and the engine that fits to the rows."""
        unscaled = np.ones(X.shape[1])
        if isinstance(estimator, OLS | LinearRegression):
            if indicator.any() and strength > 0:
                return unscaled, PartlyPenalized(X, y, indicator, strength)
            return unscaled, LeastSquaresFits(OLS(), X, y)
        # alpha is fixed rather than lambda, so that the penalty does not shrink with the core.
        alpha = (estimator if isinstance(estimator, Ridge) else Ridge()).alpha_for(len(y))
        # Penalty alpha on the weight of a scaled column is alpha / scale^2 on the column's own.
        scale = np.where(indicator, np.sqrt(alpha / (alpha + strength)), 1.0)
        return scale, cast(WeightedRefits, fits(Ridge(alpha=alpha), X * scale, y))

    def _reweighted(self, engine: Weighted, residual: FloatArray) -> tuple[FloatArray, int, bool]:
        """Iterate from the given residuals; return the last ones, the rounds, and convergence."""
        n_iter, moved = 0, np.inf
        while n_iter < self.max_iter and moved > self.tol * self.scale_:
            weight = self._weight(residual)
            fitted = engine.on_weights(np.maximum(weight, self._floor(residual)))
            moved = np.abs(fitted.residual - residual).max()
            residual, n_iter = fitted.residual, n_iter + 1
        return residual, n_iter, bool(moved <= self.tol * self.scale_)

    def _weight(self, residual: FloatArray) -> FloatArray:
        """Return the weights that go with residuals."""
        return biweight(residual, self.tuning * self.scale_)

    def _floor(self, residual: FloatArray) -> float:
        """Return the weight of a rejected row, small enough to have almost no effect on others."""
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
    """Return a remark if the learner without the shrinkage does better on the rows kept.

    This compares leave-one-out residuals on the same rows.  The rows that the shrunk fit rejected,
    some of them because of their category, do not count.
    """
    if support.sum() < 2:
        return []
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
    """Return Tukey's weights (1 - (r / cut)^2)^2, which are 0 if |r| >= cut."""
    weight: FloatArray = np.maximum(1 - (residual / cut) ** 2, 0.0) ** 2
    return weight
