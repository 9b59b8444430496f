"""Elastic net: Omega(w) = rho ||w||_1 + (1 - rho)/2 ||w||_2^2.

Half the paper's objective is scikit-learn's objective with alpha = lambda / 2 and l1_ratio = rho.
If LASSO has several minimisers, for example because of copies of a column, the result is that of
``engines/active_set``: the first columns get the weights, for any order of the rows.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Gt, Le
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import ElasticNetCV
from sklearn.model_selection import KFold
from sklearn.utils.validation import validate_data

from poisonbench.features import FloatArray
from poisonbench.models.base import PenalizedModel
from poisonbench.models.engines.active_set import solve_elastic_net

TOLERANCE = 1e-12
"""Duality gap, relative to the sum of squares of y, at which coordinate descent stops.

The error in the weights is about the square root of the gap.
"""

MAX_ITERATIONS = 100_000

MOST_COLUMNS = 2000
"""With at most this many columns, a fit uses the Gram matrix; with more, which might not fit into
memory twice, it is scikit-learn's coordinate descent on the rows."""


class ElasticNet(PenalizedModel):
    """Elastic net in the paper's objective.

    Parameters
    ----------
    lam : float, optional
        The paper's lambda, which is the same for every number of rows; 1e-3 if neither is given.
    alpha : float, optional
        scikit-learn's alpha = lambda / 2.
    rho : float, default=0.5
        Share of the l1 norm in the penalty, in (0, 1].

    Examples
    --------
    >>> from poisonbench.models import ElasticNet
    >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    >>> model = ElasticNet(lam=0.5, rho=0.5).fit(X, [0.0, 1.0, 2.0, 3.0])
    >>> (model.coef_ + 0.0).round(3)
    array([0.818, 0.   ])
    >>> round(float(model.penalty(model.coef_)), 3)
    0.576
    """

    name = "elastic-net"

    def __init__(
        self,
        lam: float | None = None,
        *,
        alpha: float | None = None,
        rho: Annotated[float, Gt(0), Le(1)] = 0.5,
    ) -> None:
        super().__init__(lam, alpha=alpha)
        self.rho = rho

    def l1_ratio(self) -> float:
        """Return ``rho``."""
        if not 0 < self.rho <= 1:
            raise ValueError(f"rho is {self.rho}, expected 0 < rho <= 1 (for 0 use ridge)")
        return self.rho

    @staticmethod
    def _alpha_per_lambda(n_rows: int) -> float:
        return 0.5

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows `X` of shape (N, d) and responses `y` of shape (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        mean, mean_y = X.mean(axis=0), float(y.mean())
        self.coef_ = self.weights(X - mean, y - mean_y)
        self.intercept_ = mean_y - float(mean @ self.coef_)
        return self

    def weights(self, X: FloatArray, y: FloatArray) -> FloatArray:
        """Return the weights for centred rows and responses, without checking these."""
        n_rows = len(y)
        if X.shape[1] > MOST_COLUMNS:
            solver = self.solver(n_rows).set_params(fit_intercept=False)
            return np.asarray(solver.fit(X, y).coef_)
        strength, rho = n_rows * self.alpha_for(n_rows), self.l1_ratio()
        return solve_elastic_net(X.T @ X, y @ X, strength * rho, strength * (1 - rho))

    def solver(self, n_rows: int) -> Any:
        """Return scikit-learn's ``ElasticNet`` with alpha = lambda / 2."""
        return SklearnElasticNet(
            alpha=self.alpha_for(n_rows),
            l1_ratio=self.l1_ratio(),
            tol=TOLERANCE,
            max_iter=MAX_ITERATIONS,
        )

    def select_lambda(self, X: FloatArray, y: FloatArray, *, random_state: int) -> float:
        """Select lambda by 5-fold cross-validation (scikit-learn's ``ElasticNetCV``)."""
        folds = KFold(5, shuffle=True, random_state=random_state)
        search = ElasticNetCV(l1_ratio=self.l1_ratio(), cv=folds, max_iter=MAX_ITERATIONS)
        return 2 * float(search.fit(X, y).alpha_)
