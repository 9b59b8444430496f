"""Weighted ridge regression on many rows, reweighted again and again; each fit reads them twice.

With weights w_i(theta), the end of iterated reweighting is the root theta of

    sum_i w_i r_i z_i - D theta = 0,    z = (x, 1),  r_i = y_i - z_i.theta,

where the diagonal matrix D has the penalties of the columns and a 0 for the intercept.  A round of
reweighting adds M^-1 times the left side to theta, with M = sum_i w_i z_i z_i' + D.  Computing M
takes far longer than the left side, but the root is the same for every positive definite M.  So M
is estimated from a sample; it determines only how many rounds are needed.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone

from poisonbench.defenses.engines.fits import Fitted
from poisonbench.features import FloatArray
from poisonbench.models import Ridge


class ManyRows:
    """Fits of ridge, each of which goes on from the last one.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    penalty : ndarray of shape (d,)
        The diagonal of D, without the intercept.
    sample : tuple of ndarray of shape (m, d) and (m,)
        Rows drawn at random, and their responses.
    weight : ndarray of shape (m,)
        Their weights, for the first fit and the estimate of M.
    """

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        penalty: FloatArray,
        sample: tuple[FloatArray, FloatArray],
        weight: FloatArray,
    ) -> None:
        self.X, self.y, self.penalty = X, y, np.append(penalty, 0.0)
        few_X, few_y = sample
        Z, factor = np.column_stack([few_X, np.ones(len(few_y))]), len(y) / len(few_y) * weight
        self._factor = cho_factor((Z * factor[:, None]).T @ Z + np.diag(self.penalty))
        self._theta = cho_solve(self._factor, Z.T @ (factor * few_y))
        self.residual = self._residual()

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Return the fit after a step towards that with these weights of all rows."""
        pull = weight * self.residual
        gradient = np.append(pull @ self.X, pull.sum()) - self.penalty * self._theta
        self._theta = self._theta + cho_solve(self._factor, gradient)
        self.residual = self._residual()
        return Fitted(self.residual, 0.0, self._theta[:-1], float(self._theta[-1]))

    def model(self, estimator: Ridge) -> Ridge:
        """Return the last fit as a fitted learner, whose predictions are for the columns of `X`."""
        model: Ridge = clone(estimator)
        model.coef_, model.intercept_ = self._theta[:-1], float(self._theta[-1])
        model.n_features_in_ = len(model.coef_)
        return model

    def _residual(self) -> FloatArray:
        residual: FloatArray = self.X @ self._theta[:-1]
        residual += self._theta[-1]
        return np.subtract(self.y, residual, out=residual)
