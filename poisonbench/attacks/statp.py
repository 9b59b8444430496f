"""StatP: the statistical attack of Jagielski et al. 2018, Sec. IV-C.

Rows are drawn from a Gaussian with the mean and covariance of the training features, rounded to
the nearest legal corner of the box, and given the response, 0 or 1, that is farthest from the
model's prediction.  It is a black-box attack: it needs only the moments and queries of the model,
and it is very cheap.
"""

from __future__ import annotations

import numpy as np

from poisonbench.attacks.base import Attack
from poisonbench.features import FeatureSpace, FloatArray
from poisonbench.problem import AttackProblem, PoisonSet

COVARIANCE_RIDGE = 0.01
"""Added to the diagonal of the covariance matrix, which is singular with one-hot features."""


class StatP(Attack):
    """Gaussian rows at the corners of the box with responses opposite to the model's.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import StatP
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> poison = StatP().poison(X, 3 * X[:, 0] + 1, n_poison=4, random_state=0)
    >>> poison.X.ravel(), poison.y
    (array([10.,  0., 10., 10.]), array([ 1., 31.,  1.,  1.]))
    """

    name = "statp"
    reference = "Jagielski et al. 2018, Sec. IV-C"

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows."""
        X, d = problem.train.X, problem.space.n_features
        covariance = np.atleast_2d(np.cov(X, rowvar=False)) + COVARIANCE_RIDGE * np.eye(d)
        drawn = problem.generator().multivariate_normal(
            X.mean(axis=0), covariance, size=problem.n_poison, method="cholesky"
        )
        corners = nearest_corners(problem.space, drawn)
        responses = np.round(1 - np.clip(problem.model.predict(corners), 0.0, 1.0))
        return PoisonSet(corners, responses)


def nearest_corners(space: FeatureSpace, X: FloatArray) -> FloatArray:
    """Return the legal corner of the box nearest to each row of `X`; shape (m, d).

    Each column is rounded.  The largest entry of a one-hot group becomes 1 if it is above one half.
    Otherwise the group becomes all zero if that is legal; if it is not, the largest entry becomes 1
    nevertheless.
    """
    corners: FloatArray = np.round(space.project(X))
    for group in space.choices:
        if group.all_zero:
            columns = list(group.columns)
            none = X[:, columns].max(axis=1) <= 0.5
            corners[np.ix_(none, columns)] = 0.0
    return corners
