"""Many fits of one learner to differently weighted rows of one data set.

Concentration steps and iterated reweighting fit the same rows again and again, and need only the
residuals and the objective.  With few rows, ridge is solved from the kernel matrix, which is the
same for all fits.  With many rows, all learners are solved from second moments, which are updated
by the rows that enter or leave.  In all other cases, scikit-learn fits again.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, lapack, solve_triangular
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from poisonbench.defenses.engines.moments import Moments, RowMoments
from poisonbench.defenses.engines.units import columns_for, standardised
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models import OLS, ElasticNet, LinearModel, Ridge
from poisonbench.models.elastic_net import MOST_COLUMNS
from poisonbench.models.engines.active_set import solve_elastic_net
from poisonbench.models.ols import RELATIVE_CUT, column_size, least_norm

WELL_POSED = 1e-9
"""Smallest ridge penalty, relative to a row's mean squared norm, for which Cholesky is used."""

RANKING = 1e-4
"""Relative duality gap of fits that only serve to rank rows or strengths."""

CANCELLED = 1e-11
"""If less than this share of a column's sum of squares remains after centring, it is a rounding
error."""

GRAM_NULL = 1e-14
"""Eigenvalues of a Gram matrix below this share of the largest are nothing but rounding errors."""

FOLDS = 10
"""Number of folds for the residuals of a learner without a formula for leave-one-out residuals."""

NOTHING = 1e-9
"""Lower bound on 1 - leverage, to avoid a division by 0."""

MANY = 4
"""With more rows for each feature than this, moments are cheaper than refits (for ridge, see
RidgeFits)."""


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Parameters
    ----------
    residual : ndarray of shape (N,)
        y_i - f(x_i) for all rows, including those to which it was not fitted.
    penalty : float
        lambda Omega(w); 0 if the learner's penalty is not known.
    coef, intercept : ndarray of shape (d,) and float, optional
        The model, if it was computed here.
    """

    residual: FloatArray
    penalty: float
    coef: FloatArray | None = None
    intercept: float = 0.0

    def objective(self, kept: BoolArray) -> float:
        """Return L(D_I, theta), where I are the rows `kept`."""
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

    @cached_property
    def start_columns(self) -> FloatArray:
        """The columns for ridge fits to few rows, which are used as starts; shape (N, d)."""
        return columns_for(self.estimator, self.X)

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        return self._seen(clone(self.estimator).fit(self.X[kept], self.y[kept]), int(kept.sum()))

    def on_responses(self, y: FloatArray) -> Fitted:
        """Fit to all rows with other responses; the residuals are those of the true responses."""
        return self._seen(clone(self.estimator).fit(self.X, y), len(y))

    def subset(self, rows: IntArray) -> Refits:
        """Return the same for some of the rows."""
        return fits(self.estimator, self.X[rows], self.y[rows])

    def left_out(self, kept: BoolArray, fitted: Fitted) -> FloatArray:
        """Return the residual of each row under a fit without it; shape (n,).

        This uses fits without a tenth of the rows, which are slices of the rows.
        """
        rows, residual = np.flatnonzero(kept), fitted.residual.copy()
        if len(rows) > FOLDS:
            for fold in np.array_split(rows, FOLDS):
                others = kept.copy()
                others[fold] = False
                residual[fold] = self.on_rows(others).residual[fold]
        return np.asarray(residual[rows])

    def model(self, kept: BoolArray, fitted: Fitted) -> Any:
        """Return the fitted learner, where `fitted` is the result of a fit to the rows `kept`."""
        if fitted.coef is None:
            return clone(self.estimator).fit(self.X[kept], self.y[kept])
        model = clone(self.estimator)
        model.coef_, model.intercept_ = fitted.coef, fitted.intercept
        model.n_features_in_ = len(fitted.coef)
        return model

    def elsewhere(self, kept: BoolArray, fitted: Fitted, X: FloatArray) -> FloatArray:
        """Return the predictions of the fitted learner for the rows of `X`."""
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
    """Fits of a learner of this package, which can use weights and second moments."""

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
        return self._fitted(self._moments.of(kept))

    def _fitted(self, moments: Moments) -> Fitted:
        coef = self._weights(moments)
        intercept = moments.mean_y - float(moments.mean @ coef)
        residual = self.y - self.X @ coef
        residual -= intercept
        penalty = self.estimator.lambda_for(moments.n) * self.estimator.penalty(coef)
        return Fitted(residual, penalty, coef, intercept)

    def _weights(self, moments: Moments) -> FloatArray:
        """Return the weights of the fit to rows with these moments."""
        values, vectors = eigh(moments.gram)
        used = values > max(RELATIVE_CUT**2 * values[-1], 0.0)
        alpha = self.estimator.alpha_for(moments.n)
        inverse = np.divide(1.0, values + alpha, out=np.zeros_like(values), where=used)
        coef: FloatArray = vectors @ (inverse * (vectors.T @ moments.cross))
        return coef


class LeastSquaresFits(WeightedRefits):
    """Fits of ordinary least squares, with residuals that do not depend on the columns' units."""

    def _weights(self, moments: Moments) -> FloatArray:
        squares = moments.gram.diagonal()
        varies = squares > CANCELLED * moments.uncentred
        size = np.sqrt(np.where(varies, squares, np.inf))
        values, vectors = eigh(moments.gram / size / size[:, None])
        seen = values > max(GRAM_NULL * values[-1], 0.0)
        used = values[seen] > RELATIVE_CUT**2 * values[-1]
        along = np.where(used, vectors[:, seen].T @ (moments.cross / size) / values[seen], 0.0)
        return least_norm(along, vectors[:, seen], size)

    @cached_property
    def basis(self) -> FloatArray:
        """An orthogonal basis of the columns and the intercept, with mean square 1; (N, r + 1).

        Least squares on the basis has the same predictions as least squares on the columns, for any
        set of rows that determines them.
        """
        columns = standardised(self.X)
        centred = columns - columns.mean(axis=0)
        size = column_size(centred, np.abs(columns).max(axis=0))
        U, singular, _ = np.linalg.svd(centred / size, full_matrices=False)
        used = singular > RELATIVE_CUT * max(singular.max(initial=0.0), np.finfo(float).tiny)
        return np.column_stack([np.ones(len(U)), np.sqrt(len(U)) * U[:, used]])

    def left_out(self, kept: BoolArray, fitted: Fitted) -> FloatArray:
        """Return the residual of each row under the fit to the other rows; shape (n,)."""
        inside = self.basis[kept]
        if np.linalg.matrix_rank(inside, tol=RELATIVE_CUT) < inside.shape[1]:
            return super().left_out(kept, fitted)
        Q, _ = np.linalg.qr(inside)
        leverage = np.einsum("ij,ij->i", Q, Q)
        return np.asarray(fitted.residual[kept] / np.maximum(1 - leverage, NOTHING))

    def sensitivity(self, kept: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return derivatives of predictions by responses, as in :meth:`RidgeFits.sensitivity`."""
        inside, outside = self.basis[kept], self.basis[~kept]
        inverse = np.linalg.pinv(inside, rcond=RELATIVE_CUT)
        moved = outside @ inverse
        return np.einsum("ij,ji->i", inside, inverse), moved, np.asarray((moved**2).sum(axis=1))


class SparseRefits(WeightedRefits):
    """Fits of LASSO and elastic net, each of which starts from the weights of the fit before."""

    def __init__(self, estimator: ElasticNet, X: FloatArray, y: FloatArray) -> None:
        super().__init__(estimator, X, y)
        self._coef = np.zeros(X.shape[1])

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        return self._from_moments(kept)

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        return self._fitted(self._moments.weighted(weight))

    def _weights(self, moments: Moments) -> FloatArray:
        rho, strength = self.estimator.l1_ratio(), moments.n * self.estimator.alpha_for(moments.n)
        l1, l2 = strength * rho, strength * (1 - rho)
        self._coef = solve_elastic_net(moments.gram, moments.cross, l1, l2, self._coef)
        return self._coef


class DescentRefits(WeightedRefits):
    """Fits of LASSO and elastic net by coordinate descent, if a Gram matrix would be too large."""

    def __init__(
        self, estimator: ElasticNet, X: FloatArray, y: FloatArray, tol: float | None = None
    ) -> None:
        super().__init__(estimator, X, y)
        # scikit-learn's alpha is lambda / 2 for these learners, for any number of rows.
        self._solver = estimator.solver(len(y)).set_params(warm_start=True)
        if tol is not None:
            self._solver.set_params(tol=tol)
        self._alpha = self._solver.alpha

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        self._solver.set_params(alpha=self._alpha)
        return self._seen(self._solved(self.X[kept], self.y[kept]), int(kept.sum()))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        # Coordinate descent divides the weights by their mean.
        self._solver.set_params(alpha=self._alpha / weight.mean())
        return self._seen(self._solved(self.X, self.y, weight), len(self.y))

    def _solved(self, X: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> Any:
        """Return the fitted solver; warnings are ignored, as intermediate fits may be inexact."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._solver.fit(X, y, sample_weight=weight)


class RidgeFits(WeightedRefits):
    """Fits of ridge, each by one Cholesky factorisation in the smaller of rows and features.

    With N rows, the kernel system is (K + alpha W^-1) a + b 1 = y, 1'a = 0, w = X'a.
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

    def left_out(self, kept: BoolArray, fitted: Fitted) -> FloatArray:
        """Return the residual of each row under the fit to the other rows; shape (n,)."""
        alpha = self.estimator.alpha_for(int(kept.sum()))
        return leave_one_out(self.X[kept], self.y[kept], fitted.residual[kept], alpha)

    def sensitivity(self, kept: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the derivatives of the predictions of a fit to `kept` by its responses.

        Returns
        -------
        ndarray of shape (n,)
            df(x_i)/dy_i for the n rows of the fit, their leverages.
        ndarray of shape (N - n, n)
            df(x_j)/dy_i for the other rows j.
        ndarray of shape (N - n,)
            q_j = z_j'K z_j, where K is the inverse of the penalised Gram matrix.  Adding row j to
            the fit increases the objective by r_j^2 / (1 + q_j).
        """
        rows, others = np.flatnonzero(kept), np.flatnonzero(~kept)
        alpha, n = self.estimator.alpha_for(len(rows)), len(rows)
        if self._dual:
            system = self._kernel[rows][:, rows]
            system[np.diag_indices(n)] += alpha
            inverse = _inverse(system)
            sums = inverse.sum(axis=0)
            mean = sums / sums.sum()  # d intercept / dy
            centred = inverse - np.outer(inverse.sum(axis=1), mean)
            kernel = self._kernel[others][:, rows]
            outside = kernel @ centred + mean
            # The variance of a Gaussian process with unknown mean, given the rows of the fit
            # (universal kriging).
            left = self._kernel[others, others] - np.einsum("ij,ij->i", kernel @ inverse, kernel)
            left += (1 - kernel @ sums) ** 2 / sums.sum()
            return 1 - alpha * np.diag(centred), np.asarray(outside), np.maximum(left, 0) / alpha
        Z = self._design[rows]
        system = Z.T @ Z
        system[np.diag_indices(len(system) - 1)] += alpha
        factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve(factor, Z.T, check_finite=False)
        outside = self._design[others]
        own = np.einsum("ij,ji->i", outside, cho_solve(factor, outside.T, check_finite=False))
        return np.einsum("ij,ji->i", Z, solved), np.asarray(outside @ solved), own

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


def leave_one_out(X: FloatArray, y: FloatArray, residual: FloatArray, alpha: float) -> FloatArray:
    """Return the residual of each row under the ridge fit to the other rows, with the same alpha.

    It is r_i / (1 - H_ii) with the hat matrix H, computed in the smaller of rows and features.  In
    the dual, 1 - H = alpha C with C = A - A 1 1'A / 1'A 1 and A = (K + alpha I)^-1, which avoids
    cancellation.

    Parameters
    ----------
    X, y : ndarray of shape (n, d) and (n,)
        The rows of the fit.
    residual : ndarray of shape (n,)
        The residuals of the fit.
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
        # A single row has no other rows to be predicted from.
        return np.asarray(dual / diagonal) if n > 1 else residual
    gram = centred.T @ centred
    gram[np.diag_indices(d)] += alpha
    half = solve_triangular(np.linalg.cholesky(gram), centred.T, lower=True)
    leverage = np.einsum("ji,ji->i", half, half) + 1 / n
    return np.asarray(residual / np.maximum(1 - leverage, NOTHING))


def _inverse(system: FloatArray) -> FloatArray:
    """Return the inverse of a positive definite matrix, in half the time of a general inverse."""
    factor, _ = cho_factor(system.T, lower=True, overwrite_a=True, check_finite=False)
    lower, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    inverse: FloatArray = np.tril(lower)
    inverse += np.tril(inverse, -1).T
    return inverse


def fits(estimator: Any, X: FloatArray, y: FloatArray, tol: float | None = None) -> Refits:
    """Return the fastest engine for fitting `estimator` to rows of `X`, `y` again and again.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    tol : float, optional
        Relative duality gap for fits of LASSO and elastic net that only serve to rank rows or
        strengths, if there are too many columns for an exact fit from the Gram matrix.
    """
    # Use a thousand rows, because the spread of a million would take as long as a fit.
    spread = float(np.var(X[:1000], axis=0).sum())
    if isinstance(estimator, Ridge) and estimator.alpha_for(1) > WELL_POSED * spread:
        return RidgeFits(estimator, X, y)
    if isinstance(estimator, ElasticNet):
        if X.shape[1] <= MOST_COLUMNS:
            return SparseRefits(estimator, X, y)
        return DescentRefits(estimator, X, y, tol)
    if isinstance(estimator, OLS):
        return LeastSquaresFits(estimator, X, y)
    if isinstance(estimator, LinearModel):
        return WeightedRefits(estimator, X, y)
    return Refits(estimator, X, y)
