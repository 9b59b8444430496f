"""Ridge regression on many rows, reweighted again and again; each round reads the rows once.

With weights w_i(theta) of at most 1, the end of iterated reweighting is the root theta of

    sum_i w_i r_i z_i - D theta = 0,    z = (x, 1),  r_i = y_i - z_i.theta,

where the diagonal matrix D has the penalties of the columns and a 0 for the intercept.  A round
adds M^-1 times the left side to theta, where M is sum_i w_i z_i z_i' + D for the weights of the
round.  Computing M takes several times as long as the left side.  So this is done once, for the
weights at a start near the end, where they hardly change any more.  If they do, the steps do not
become shorter and shorter, and the iteration is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh
from sklearn.base import clone

from poisonbench.features import FloatArray
from poisonbench.models import Ridge

BLOCK = 1024
"""Number of rows that are read at a time; 100 features of them fit into the cache."""

ALIKE = 1.5
"""Largest factor between the sample's estimate of M and M itself, in any direction, up to which the
sample represents the rows.  If a column is 0 in nearly all rows, the factor is larger."""

Weight = Callable[[FloatArray], FloatArray]
"""Returns the weights that go with residuals."""


class UnlikeSampleError(ArithmeticError):
    """The sample does not represent the rows, or M is too ill-conditioned for single precision."""


class ManyRows:
    """Iterated reweighting of ridge regression, from the fit to a sample.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    penalty : ndarray of shape (d,)
        The diagonal of D, without the intercept.
    weight : callable
        Returns the weights for residuals.
    few_X, few_y, few_weights : ndarray of shape (m, d), (m,) and (m,)
        Rows drawn at random, their responses and their weights.

    Raises
    ------
    UnlikeSampleError
        The fit to the sample would be a bad start.
    """

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        penalty: FloatArray,
        weight: Weight,
        few_X: FloatArray,
        few_y: FloatArray,
        few_weights: FloatArray,
    ) -> None:
        self.X, self.y, self.penalty = X, y, np.append(penalty, 0.0)
        self._weight, self._centre = weight, few_X.mean(axis=0)
        Z, D = np.column_stack([few_X - self._centre, np.ones(len(few_y))]), np.diag(self.penalty)
        factor = len(y) / len(few_y) * few_weights
        estimate = (Z * factor[:, None]).T @ Z + D
        try:
            # The last entry of theta is the prediction at the centre.
            self._theta = cho_solve(cho_factor(estimate), Z.T @ (factor * few_y))
            M = self._gram() + D
            ratios = eigvalsh(estimate, M)
            self._factor = cho_factor(M)
        except LinAlgError as error:
            raise UnlikeSampleError("a Gram matrix is singular, up to rounding") from error
        if ratios[0] < 1 / ALIKE or ratios[-1] > ALIKE:
            raise UnlikeSampleError("the sample does not represent the rows")

    def reweighted(self, tolerance: float, max_iter: int) -> tuple[FloatArray, int, bool]:
        """Iterate; return the last residuals, the rounds, and whether the iteration converged.

        Parameters
        ----------
        tolerance : float
            The iteration has converged when no residual changes by more than this.
        max_iter : int
            Maximum number of rounds.
        """
        residual, moved, n_iter = np.full(len(self.y), np.inf), np.inf, 0
        while True:
            gradient, last, moved = -self.penalty * self._theta, moved, 0.0
            for rows in self._blocks():
                r = self._residual(rows)
                moved = max(moved, float(np.abs(r - residual[rows]).max()))
                residual[rows] = r
                pull = self._weight(r) * r
                total = pull.sum()
                gradient[:-1] += pull @ self.X[rows] - total * self._centre
                gradient[-1] += total
            if moved <= tolerance or n_iter == max_iter or (n_iter > 1 and moved > last):
                return residual, n_iter, moved <= tolerance
            self._theta, n_iter = self._theta + cho_solve(self._factor, gradient), n_iter + 1

    def model(self, estimator: Ridge) -> Ridge:
        """Return the fit at which the iteration ended as a fitted learner."""
        model: Ridge = clone(estimator)
        model.coef_ = self._theta[:-1]
        model.intercept_ = float(self._theta[-1] - self._centre @ self._theta[:-1])
        model.n_features_in_ = len(model.coef_)
        return model

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, len(self.y), BLOCK):
            yield slice(first, first + BLOCK)

    def _residual(self, rows: slice) -> FloatArray:
        coef = self._theta[:-1]
        intercept = self._theta[-1] - self._centre @ coef
        return np.asarray(self.y[rows] - self.X[rows] @ coef - intercept)

    def _gram(self) -> FloatArray:
        """Return the sum of w zz' over all rows, for centred columns, in single precision."""
        d = self.X.shape[1]
        gram, block = np.zeros((d + 1, d + 1)), np.empty((BLOCK, d + 1), dtype=np.float32)
        for rows in self._blocks():
            root = np.sqrt(self._weight(self._residual(rows))).astype(np.float32)
            z = block[: len(root)]
            np.subtract(self.X[rows], self._centre, out=z[:, :d], casting="same_kind")
            z[:, d] = 1.0
            z *= root[:, None]
            gram += z.T @ z
        return gram
