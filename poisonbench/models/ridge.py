"""Ridge regression: Omega(w) = 1/2 ||w||_2^2.

N times the paper's objective, (1/N) ||y - Xw - b||^2 + (lambda/2) ||w||^2, is scikit-learn's
objective with alpha = N lambda / 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV

from poisonbench.features import FloatArray
from poisonbench.models.base import PenalizedModel

ALPHAS = np.logspace(-4, 3, 29)
"""The values of scikit-learn's alpha that cross-validation compares."""


class Ridge(PenalizedModel):
    """Ridge regression in the paper's objective.

    Parameters
    ----------
    lam : float, optional
        The paper's lambda, which is the same for every number of rows; 1e-3 if neither is given.
    alpha : float, optional
        scikit-learn's alpha, which is the same for every number of rows.

    Examples
    --------
    >>> from poisonbench.models import Ridge
    >>> model = Ridge(alpha=0.5).fit([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0])
    >>> model.coef_.round(3)
    array([0.909])
    >>> model.lambda_for(n_rows=4)
    0.25
    """

    name = "ridge"

    def l1_ratio(self) -> float:
        """Return 0, because the penalty is the squared norm."""
        return 0.0

    @staticmethod
    def _alpha_per_lambda(n_rows: int) -> float:
        return n_rows / 2

    def solver(self, n_rows: int) -> Any:
        """Return scikit-learn's ``Ridge`` with alpha = N lambda / 2."""
        return SklearnRidge(alpha=self.alpha_for(n_rows))

    def select_lambda(self, X: FloatArray, y: FloatArray, *, random_state: int) -> float:
        """Select lambda by leave-one-out cross-validation (scikit-learn's ``RidgeCV``)."""
        return 2 * float(RidgeCV(alphas=ALPHAS).fit(X, y).alpha_) / len(y)
