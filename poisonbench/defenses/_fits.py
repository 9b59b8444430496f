"""Many fits of one learner to differently weighted rows of one data set.

Concentration steps and iterated reweighting fit the same rows again and again and need only
residuals and the objective.  Ridge is solved here from what does not change between fits (the
kernel where rows are few, else the design); the other learners are refitted by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone

from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import ElasticNet, LinearModel, Ridge

WELL_POSED = 1e-9
"""Least ridge penalty, relative to a row's mean squared norm, that Cholesky is trusted with."""


@dataclass(frozen=True)
class Fitted:
    """A fit, as seen from the rows.

    Parameters
    ----------
    residual : ndarray of shape (N,)
        y_i - f(x_i) for all rows, fitted or not.
    penalty : float
        lambda Omega(w); 0 where the learner does not say.
    """

    residual: FloatArray
    penalty: float

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

    def _seen(self, fitted: Any, n_rows: int) -> Fitted:
        penalty = 0.0
        if isinstance(self.estimator, LinearModel):
            coef = np.ravel(fitted.coef_)
            penalty = self.estimator.lambda_for(n_rows) * self.estimator.penalty(coef)
        return Fitted(self.y - np.ravel(fitted.predict(self.X)), penalty)


class WeightedRefits(Refits):
    """Fits of one of our learners, which can be weighted."""

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        n = len(self.y)
        return self._seen(self.estimator.solver(n).fit(self.X, self.y, sample_weight=weight), n)


class SparseRefits(WeightedRefits):
    """Fits of LASSO and elastic net, each of which starts from the weights of the last."""

    def __init__(self, estimator: ElasticNet, X: FloatArray, y: FloatArray) -> None:
        super().__init__(estimator, X, y)
        # scikit-learn's alpha is lambda / 2 here, for any number of rows.
        self._solver = estimator.solver(len(y)).set_params(warm_start=True)
        self._alpha = self._solver.alpha

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        self._solver.set_params(alpha=self._alpha)
        return self._seen(self._solver.fit(self.X[kept], self.y[kept]), int(kept.sum()))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        # Coordinate descent divides the weights by their mean.
        self._solver.set_params(alpha=self._alpha / weight.mean())
        return self._seen(self._solver.fit(self.X, self.y, sample_weight=weight), len(self.y))


class RidgeFits(WeightedRefits):
    """Fits of ridge, each one Cholesky factorisation of the smaller of rows and features.

    With N rows the kernel system is (K + alpha W^-1) a + b 1 = y, 1'a = 0, w = X'a.
    """

    def __init__(self, estimator: Ridge, X: FloatArray, y: FloatArray) -> None:
        super().__init__(estimator, X, y)
        centred = X - X.mean(axis=0)
        self._dual = len(y) <= 1.5 * X.shape[1]
        if self._dual:
            self._kernel = centred @ centred.T
        else:
            self._Z = np.column_stack([centred, np.ones(len(y))])

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        return self._solve(np.flatnonzero(kept), np.ones(int(kept.sum())))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Minimise sum_i weight_i r_i^2 + N lambda Omega(w) over all N rows."""
        return self._solve(np.arange(len(weight)), weight)

    def sensitivity(self, kept: BoolArray) -> FloatArray:
        """Return df(x_j)/dy_i for all rows j and the rows i of a fit to `kept`; shape (N, n)."""
        rows = np.flatnonzero(kept)
        alpha, n = self.estimator.alpha_for(len(rows)), len(rows)
        if self._dual:
            system = self._kernel[rows][:, rows]
            system[np.diag_indices(n)] += alpha
            inverse = np.linalg.inv(system)
            mean = inverse.sum(axis=0) / inverse.sum()  # d intercept / dy
            centred = inverse - np.outer(inverse.sum(axis=1), mean)
            return np.asarray(self._kernel[:, rows] @ centred + mean)
        Z = self._Z[rows]
        system = Z.T @ Z
        system[np.diag_indices(len(system) - 1)] += alpha
        return np.asarray(self._Z @ np.linalg.solve(system, Z.T))

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
            Z = self._Z[rows]
            system = (Z * weight[:, None]).T @ Z
            system[np.diag_indices(len(system) - 1)] += alpha
            factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
            theta = cho_solve(factor, Z.T @ (weight * y), check_finite=False)
            predicted = self._Z @ theta
            square = float(theta[:-1] @ theta[:-1])
        return Fitted(self.y - predicted, self.estimator.lambda_for(n) * square / 2)


def fits(estimator: Any, X: FloatArray, y: FloatArray) -> Refits:
    """Return the fastest way to fit `estimator` to rows of `X`, `y` again and again."""
    if (
        isinstance(estimator, Ridge)
        and estimator.alpha_for(1) > WELL_POSED * np.var(X, axis=0).sum()
    ):
        return RidgeFits(estimator, X, y)
    if isinstance(estimator, ElasticNet):
        return SparseRefits(estimator, X, y)
    if isinstance(estimator, LinearModel):
        return WeightedRefits(estimator, X, y)
    return Refits(estimator, X, y)
