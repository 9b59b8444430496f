"""Ordinary least squares without a penalty; of several solutions, the one of minimum norm.

One-hot designs with few rows are rank-deficient.  The minimum-norm solution is that of the
pseudo-inverse, where singular values below a relative cut are treated as zero.  The cut is 1e-6;
with a much smaller one, directions that are null except for rounding would get coefficients of
1e12.  It is applied to columns that are centred and scaled to norm 1, so that the rank, and with it
the predictions, do not depend on the units of the columns: a column of shares is not dropped
because another column is in Unix seconds.  The norm to minimise is that of the weights in the given
units.  Only directions that are null except for rounding are used to make the weights shorter: the
rows do have the other directions below the cut, so a step along them would change the fit.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.base import BaseEstimator, RegressorMixin

from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel

RELATIVE_CUT = 1e-6
"""Singular values of the standardised design below this share of the largest count as zero."""

NULL = 1e-13
"""Singular values below this share of the largest are nothing but rounding errors."""

CONSTANT = 1e-14
"""A column is constant if its entries deviate from their mean by less than this share of their
size."""


class OLS(LinearModel):
    """Ordinary least squares of minimum norm; lambda = 0.

    If the rows determine the weights, predictions do not depend on the units of the columns.
    Otherwise they do, because the norm of the weights does.

    Examples
    --------
    >>> from poisonbench.models import OLS
    >>> model = OLS().fit([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(3)  # the solution of minimum norm
    array([1., 1.])
    >>> round(model.intercept_, 3)
    1.0
    """

    name = "ols"

    def l1_ratio(self) -> float:
        """Return 0; there is no penalty."""
        return 0.0

    def alpha_for(self, n_rows: int) -> float:
        """Return 0."""
        return 0.0

    def lambda_for(self, n_rows: int) -> float:
        """Return 0."""
        return 0.0

    def solver(self, n_rows: int) -> LeastSquares:
        """Return the unfitted solver; the number of rows makes no difference."""
        return LeastSquares()

    def select_lambda(self, X: FloatArray, y: FloatArray, *, random_state: int) -> float:
        """Return 0, because there is nothing to select."""
        return 0.0


class LeastSquares(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's ``LinearRegression`` with a rank that does not depend on units.

    It does not check its input.
    """

    def fit(self, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None = None) -> Self:
        """Minimise sum_i weight_i (y_i - w.x_i - b)^2.

        Parameters
        ----------
        X, y : ndarray of shape (N, d) and (N,)
            The rows.
        sample_weight : ndarray of shape (N,), optional
            Their weights, which must be at least 0 and not all 0.
        """
        mean, mean_y = np.average(X, 0, sample_weight), float(np.average(y, 0, sample_weight))
        centred, target = X - mean, y - mean_y
        if sample_weight is not None:
            root = np.sqrt(sample_weight)
            centred, target = centred * root[:, None], target * root
        size = column_size(centred, np.abs(X).max(axis=0))
        design = centred / size
        if len(design) > 2 * X.shape[1]:
            # The triangular factor of [X, y] has the same inner products as the rows.
            triangle: Any = np.linalg.qr(np.column_stack([design, target]), mode="r")
            design, target = triangle[:, :-1], triangle[:, -1]
        U, singular, Vt = np.linalg.svd(design, full_matrices=False)
        largest = singular.max(initial=0.0)
        seen = singular > NULL * largest
        used = singular[seen] > RELATIVE_CUT * largest
        along = np.where(used, U[:, seen].T @ target / singular[seen], 0.0)
        self.coef_ = least_norm(along, Vt[seen].T, size)
        self.intercept_ = float(mean_y - mean @ self.coef_)
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Return f(x) for each row of `X`; shape (rows,)."""
        predicted: FloatArray = X @ self.coef_ + self.intercept_
        return predicted


def column_size(centred: FloatArray, largest: FloatArray) -> FloatArray:
    """Return the norm of each centred column, or infinity for a constant column.

    Parameters
    ----------
    centred : ndarray of shape (N, d)
        Columns minus their means.
    largest : ndarray of shape (d,)
        The largest absolute value in each column before centring.
    """
    # Entries as small as 1e-200 have squares that underflow.
    deviation = np.abs(centred).max(axis=0, initial=0.0)
    unit = np.where(deviation > 0, deviation, 1.0)
    size: FloatArray = unit * np.sqrt(((centred / unit) ** 2).sum(axis=0))
    size[deviation <= CONSTANT * largest] = np.inf
    return size


def least_norm(along: FloatArray, basis: FloatArray, size: FloatArray) -> FloatArray:
    """Return the weights w of minimum norm with basis' (size w) = along.

    Parameters
    ----------
    along : ndarray of shape (r,)
        The component along each vector of the basis of size w, the weights of the standardised
        columns.
    basis : ndarray of shape (d, r)
        An orthonormal basis of the space that the standardised rows span.
    size : ndarray of shape (d,)
        The size by which each column was divided.  If it is infinite, the weight is 0.

    Returns
    -------
    ndarray of shape (d,)
    """
    standard = basis @ along
    varies = np.isfinite(size)
    if 0 < basis.shape[1] < varies.sum():
        # w = D basis R^-1 R'^-1 along, with D basis = Q R.  One correction step removes rounding
        # errors, because R is ill-conditioned if the units of the columns differ.
        Q, R = np.linalg.qr(size[varies, None] * basis[varies])
        diagonal = np.abs(np.diag(R))
        if diagonal.min() > np.finfo(float).eps * diagonal.max():
            shortest = size[varies] * (Q @ solve_triangular(R, along, trans="T"))
            shortest += basis[varies] @ (along - basis[varies].T @ shortest)
            standard[varies] = shortest
    weights: FloatArray = standard / size
    return weights
