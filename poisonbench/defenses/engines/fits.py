"""Many fits of one learner to differently weighted rows of one data set.

Concentration steps and iterated reweighting fit the same rows again and again and need only
residuals and the objective.  Where rows are few ridge is solved from the kernel, which does not
change between fits; where they are many all learners are solved from second moments, which change
by the rows that enter or leave; what is left is refitted by scikit-learn.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, lapack
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from poisonbench.defenses.engines.moments import Moments, RowMoments
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import ElasticNet, LinearModel, Ridge
from poisonbench.models.ols import RELATIVE_CUT

WELL_POSED = 1e-9
"""Least ridge penalty, relative to a row's mean squared norm, that Cholesky is trusted with."""

RANKING = 1e-4
"""Relative duality gap of fits that only rank rows or strengths."""

MANY = 4
"""Rows for each feature from which on moments are cheaper than refits (ridge: see RidgeFits)."""


@dataclass(frozen=True)
class Fitted:
    """A fit, as seen from the rows.

    Parameters
    ----------
    residual : ndarray of shape (N,)
        y_i - f(x_i) for all rows, fitted or not.
    penalty : float
        lambda Omega(w); 0 where the learner does not say.
    coef, intercept : ndarray of shape (d,) and float, optional
        The model, where it was solved for here.
    """

    residual: FloatArray
    penalty: float
    coef: FloatArray | None = None
    intercept: float = 0.0

    def objective(self, kept: BoolArray) -> float:
        """Return L(D_I, theta), I being the rows `kept`."""
        return float(np.mean(self.residual[kept] ** 2)) + self.penalty


class Refits:
    """Fits of any scikit-learn regressor, each from scratch.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    """

    def __init__(self, estimator: Any, X: FloatArray, y: FloatArray) -> None:
        self.estimator, self.X, self.y = estimator, X, y

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        return self._seen(clone(self.estimator).fit(self.X[kept], self.y[kept]), int(kept.sum()))

    def on_responses(self, y: FloatArray) -> Fitted:
        """Fit to all rows with other responses; residuals are from the true ones."""
        return self._seen(clone(self.estimator).fit(self.X, y), len(y))

    def model(self, kept: BoolArray, fitted: Fitted) -> Any:
        """Return the learner as it was fitted to the rows `kept`, with `fitted` as the result."""
        if fitted.coef is None:
            return clone(self.estimator).fit(self.X[kept], self.y[kept])
        model = clone(self.estimator)
        model.coef_, model.intercept_ = fitted.coef, fitted.intercept
        model.n_features_in_ = len(fitted.coef)
        return model

    def elsewhere(self, kept: BoolArray, fitted: Fitted, X: FloatArray) -> FloatArray:
        """Return what the learner so fitted predicts for the rows of `X`."""
        if fitted.coef is None:
            return np.ravel(self.model(kept, fitted).predict(X))
        return np.asarray(X @ fitted.coef + fitted.intercept)

    def _seen(self, fitted: Any, n_rows: int) -> Fitted:
        penalty = 0.0
        if isinstance(self.estimator, LinearModel):
            coef = np.ravel(fitted.coef_)
            penalty = self.estimator.lambda_for(n_rows) * self.estimator.penalty(coef)
        return Fitted(self.y - np.ravel(fitted.predict(self.X)), penalty)


class WeightedRefits(Refits):
    """Fits of one of our learners, which can be weighted and solved from moments."""

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        if len(self.y) <= MANY * self.X.shape[1]:
            return super().on_rows(kept)
        return self._from_moments(kept)

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        n = len(self.y)
        return self._seen(self.estimator.solver(n).fit(self.X, self.y, sample_weight=weight), n)

    @cached_property
    def _moments(self) -> RowMoments:
        return RowMoments(self.X, self.y)

    def _from_moments(self, kept: BoolArray) -> Fitted:
        moments = self._moments.of(kept)
        coef = self._weights(moments)
        intercept = moments.mean_y - float(moments.mean @ coef)
        residual = self.y - self.X @ coef
        residual -= intercept
        penalty = self.estimator.lambda_for(moments.n) * self.estimator.penalty(coef)
        return Fitted(residual, penalty, coef, intercept)

    def _weights(self, moments: Moments) -> FloatArray:
        """Return the weights that fit rows of these moments; here of least norm."""
        values, vectors = eigh(moments.gram)
        used = values > max(RELATIVE_CUT**2 * values[-1], 0.0)
        alpha = self.estimator.alpha_for(moments.n)
        inverse = np.divide(1.0, values + alpha, out=np.zeros_like(values), where=used)
        coef: FloatArray = vectors @ (inverse * (vectors.T @ moments.cross))
        return coef


class SparseRefits(WeightedRefits):
    """Fits of LASSO and elastic net, each of which starts from the weights of the last."""

    def __init__(
        self, estimator: ElasticNet, X: FloatArray, y: FloatArray, tol: float | None = None
    ) -> None:
        super().__init__(estimator, X, y)
        # scikit-learn's alpha is lambda / 2 here, for any number of rows.
        self._solver = estimator.solver(len(y)).set_params(warm_start=True)
        if tol is not None:
            self._solver.set_params(tol=tol)
        self._alpha = self._solver.alpha

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        if len(self.y) > MANY * self.X.shape[1]:
            return self._from_moments(kept)
        self._solver.set_params(alpha=self._alpha)
        return self._seen(self._solved(self.X[kept], self.y[kept]), int(kept.sum()))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        # Coordinate descent divides the weights by their mean.
        self._solver.set_params(alpha=self._alpha / weight.mean())
        return self._seen(self._solved(self.X, self.y, weight), len(self.y))

    def _solved(self, X: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> Any:
        """Return the solver, fitted; where a step on the way is not exact it need not be said."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._solver.fit(X, y, sample_weight=weight)

    def _weights(self, moments: Moments) -> FloatArray:
        # d rows R with R'R the Gram matrix and R'q the cross product have the same sum of squares
        # up to a constant; coordinate descent takes them for all n.
        values, vectors = eigh(moments.gram)
        root = np.sqrt(np.maximum(values, 0.0))
        used = root > RELATIVE_CUT * max(root[-1], np.finfo(float).tiny)
        q = np.divide(vectors.T @ moments.cross, root, out=np.zeros_like(root), where=used)
        scale = np.sqrt(len(root) / moments.n)
        R = (scale * root * vectors).T
        self._solver.set_params(alpha=self._alpha, fit_intercept=False)
        coef = np.array(self._solved(R, scale * q).coef_)
        self._solver.set_params(fit_intercept=True)
        return coef


class RidgeFits(WeightedRefits):
    """Fits of ridge, each one Cholesky factorisation of the smaller of rows and features.

    With N rows the kernel system is (K + alpha W^-1) a + b 1 = y, 1'a = 0, w = X'a.
    """

    def __init__(self, estimator: Ridge, X: FloatArray, y: FloatArray) -> None:
        super().__init__(estimator, X, y)
        self._dual = len(y) <= 1.5 * X.shape[1]

    @cached_property
    def _kernel(self) -> FloatArray:
        centred = self.X - self.X.mean(axis=0)
        kernel: FloatArray = centred @ centred.T
        return kernel

    @cached_property
    def _design(self) -> FloatArray:
        return np.column_stack([self.X - self.X.mean(axis=0), np.ones(len(self.y))])

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        if not self._dual:
            return self._from_moments(kept)
        return self._solve(np.flatnonzero(kept), np.ones(int(kept.sum())))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        return self._solve(np.arange(len(weight)), weight)

    def _weights(self, moments: Moments) -> FloatArray:
        system = moments.gram
        system[np.diag_indices(len(system))] += self.estimator.alpha_for(moments.n)
        # The transpose is the same matrix in the order that LAPACK overwrites in place.
        factor = cho_factor(system.T, lower=True, overwrite_a=True, check_finite=False)
        coef: FloatArray = cho_solve(factor, moments.cross, check_finite=False)
        return coef

    def sensitivity(self, kept: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return how predictions of a fit to `kept` move with its responses.

        Returns
        -------
        ndarray of shape (n,)
            df(x_i)/dy_i at the n rows of the fit, their leverages.
        ndarray of shape (N - n, n)
            df(x_j)/dy_i at the other rows j.
        """
        rows, others = np.flatnonzero(kept), np.flatnonzero(~kept)
        alpha, n = self.estimator.alpha_for(len(rows)), len(rows)
        if self._dual:
            system = self._kernel[rows][:, rows]
            system[np.diag_indices(n)] += alpha
            inverse = _inverse(system)
            mean = inverse.sum(axis=0) / inverse.sum()  # d intercept / dy
            centred = inverse - np.outer(inverse.sum(axis=1), mean)
            outside = self._kernel[others][:, rows] @ centred + mean
            return 1 - alpha * np.diag(centred), np.asarray(outside)
        Z = self._design[rows]
        system = Z.T @ Z
        system[np.diag_indices(len(system) - 1)] += alpha
        factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve(factor, Z.T, check_finite=False)
        return np.einsum("ij,ji->i", Z, solved), np.asarray(self._design[others] @ solved)

    def _solve(self, rows: Any, weight: FloatArray) -> Fitted:
        alpha, n = self.estimator.alpha_for(len(rows)), len(rows)
        y = self.y[rows]
        if self._dual:
            system = self._kernel[rows][:, rows]
            system[np.diag_indices(n)] += alpha / weight
            # The transpose is the same matrix in the order that LAPACK overwrites in place.
            factor = cho_factor(system.T, lower=True, overwrite_a=True, check_finite=False)
            from_y, from_one = cho_solve(
                factor, np.column_stack([y, np.ones(n)]), check_finite=False
            ).T
            intercept = from_y.sum() / from_one.sum()
            a = np.zeros(len(self.y))
            a[rows] = from_y - intercept * from_one
            centred = self._kernel @ a
            predicted = centred + intercept
            square = float(a @ centred)
        else:
            Z = self._design[rows]
            system = (Z * weight[:, None]).T @ Z
            system[np.diag_indices(len(system) - 1)] += alpha
            factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
            theta = cho_solve(factor, Z.T @ (weight * y), check_finite=False)
            predicted = self._design @ theta
            square = float(theta[:-1] @ theta[:-1])
        return Fitted(self.y - predicted, self.estimator.lambda_for(n) * square / 2)


def _inverse(system: FloatArray) -> FloatArray:
    """Return the inverse of a positive definite matrix, in half the time of a general one."""
    factor, _ = cho_factor(system.T, lower=True, overwrite_a=True, check_finite=False)
    lower, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    inverse: FloatArray = np.tril(lower)
    inverse += np.tril(inverse, -1).T
    return inverse


def fits(estimator: Any, X: FloatArray, y: FloatArray, tol: float | None = None) -> Refits:
    """Return the fastest way to fit `estimator` to rows of `X`, `y` again and again.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    tol : float, optional
        Relative duality gap at which fits of LASSO and elastic net end, where they only rank
        rows or strengths; exact fits take several times as long.
    """
    # The spread of a thousand rows says enough, and that of a million takes as long as a fit.
    spread = float(np.var(X[:1000], axis=0).sum())
    if isinstance(estimator, Ridge) and estimator.alpha_for(1) > WELL_POSED * spread:
        return RidgeFits(estimator, X, y)
    if isinstance(estimator, ElasticNet):
        return SparseRefits(estimator, X, y, tol)
    if isinstance(estimator, LinearModel):
        return WeightedRefits(estimator, X, y)
    return Refits(estimator, X, y)
