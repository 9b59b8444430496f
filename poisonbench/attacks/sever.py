"""Sever: copies of one or two rows, which a regularised fit has to follow.

Diakonikolas, Kamath, Kane, Li, Steinhardt & Stewart, "Sever: A Robust Meta-Algorithm for
Stochastic Optimization" (ICML 2019), attack regression with p copies of one point, chosen so that
the poisoned model fits it well.  A defense that looks for large losses, leverages or gradients does
not notice it.  Their point lies far outside the data.  Within the box, a training row with a
response of 0 or 1 has the same effect if it is copied often enough, and so do two such rows with
p/2 copies each.

This breaks TRIM if fitting the copied point and removing the p worst clean rows gives a lower
trimmed loss than removing the poison.  The copies then have residuals near 0, and the trimmed
optimum keeps them, although p is known.  Sever's own filter sees gradients near 0.  Removing
duplicates does not help, because slightly perturbed copies work as well.

With K the inverse Gram matrix of the clean fit theta, adding m copies of (Z_S, y_S) gives exactly

    theta + K Z_S' (I/m + Z_S K Z_S')^{-1} (y_S - Z_S theta),

so all rows, and all pairs of the best rows, are scored on the validation rows without a refit.
Only the best of them are tried on TRIM.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from scipy import linalg

from poisonbench.attacks.base import Attack
from poisonbench.attacks.engines.functions import Quadratic, with_intercept
from poisonbench.attacks.engines.surrogate import quadratic_penalty
from poisonbench.attacks.engines.trimming import damage
from poisonbench.features import FloatArray
from poisonbench.problem import AttackProblem, PoisonSet

SCREENED = 5000
"""Maximum number of training rows that are scored; of more rows, only every second, third, ... is
scored."""

PAIRED = 40
"""Number of best single points from which pairs are formed."""


class Sever(Attack):
    """Copies of one or two training rows with responses at the boundary.

    The rows and responses are those that do the most damage, on validation rows, to a TRIM that
    knows p; or to the learner without a defense, if no candidate deceives TRIM.

    Parameters
    ----------
    candidates : int, default=12
        Number of single rows, and of pairs, that are tried on TRIM: those whose copies do the most
        damage to the undefended learner.  A trial costs about ten fits of the learner.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Sever
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> poison = Sever().poison(X, y, n_poison=4, X_val=X, y_val=y, random_state=0)
    >>> poison.X.ravel().round(1), poison.y
    (array([10., 10., 10., 10.]), array([1., 1., 1., 1.]))
    """

    name = "sever"
    reference = "Diakonikolas et al. 2019, Sever, in the box"
    fixed_axes: ClassVar[Mapping[str, str]] = {"outer_objective": "validation"}

    def __init__(self, *, candidates: Annotated[int, Ge(1)] = 12) -> None:
        self.candidates = candidates

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the copies that do the most damage."""
        train, p = problem.train, problem.n_poison
        if not p:
            return PoisonSet(train.X[:0].copy(), train.y[:0].copy())
        nobody = np.zeros(len(train), dtype=bool)
        sets = [
            PoisonSet(np.resize(X, (p, X.shape[1])), np.resize(y, p))
            for X, y in _points(problem, self.candidates)
        ]
        return max(sets, key=lambda poison: damage(problem, poison, nobody))


def _points(problem: AttackProblem, most: int) -> list[tuple[FloatArray, FloatArray]]:
    """Return the `most` single points, and as many pairs, whose copies do the most damage."""
    train, p = problem.train, problem.n_poison
    fit = _CleanFit(problem)
    screened = train.X[:: -(-len(train) // SCREENED)]
    points = np.repeat(np.unique(screened, axis=0), 2, axis=0)
    y = np.tile([0.0, 1.0], len(points) // 2)
    order = np.argsort(-fit.moved(points[:, None], y[:, None], p), kind="stable")
    chosen = [(points[[i]], y[[i]]) for i in order[:most]]
    if p > 1:
        pairs = np.array(list(combinations(order[:PAIRED], 2)), dtype=np.intp).reshape(-1, 2)
        scores = fit.moved(points[pairs], y[pairs], p / 2)
        chosen += [(points[i], y[i]) for i in pairs[np.argsort(-scores, kind="stable")[:most]]]
    return chosen


class _CleanFit:
    """The clean fit as a ridge regression, and the effect of adding copies of points."""

    def __init__(self, problem: AttackProblem) -> None:
        model, train = problem.model, problem.train
        Z = with_intercept(train.X)
        penalty = quadratic_penalty(problem)
        factor = linalg.cho_factor(Z.T @ Z + np.diag(np.append(penalty, 0.0)))
        self.K = linalg.cho_solve(factor, np.eye(Z.shape[1]))
        self.theta = linalg.cho_solve(factor, Z.T @ train.y)
        self.W = Quadratic.mean_squared_error(problem.validation, model)

    def moved(self, X: FloatArray, y: FloatArray, m: float) -> FloatArray:
        """Return the validation error after adding m copies of each of k points.

        Parameters
        ----------
        X, y : ndarray of shape (candidates, k, d) and (candidates, k)
            The points.
        m : float
            Number of copies of each point.
        """
        Z = np.concatenate([X, np.ones((*X.shape[:2], 1))], axis=2)
        ZK = Z @ self.K
        slack = np.eye(X.shape[1]) / m + ZK @ Z.transpose(0, 2, 1)
        weights = np.linalg.solve(slack, (y - Z @ self.theta)[:, :, None])
        thetas = self.theta + (ZK * weights).sum(axis=1)
        return self.W.values(thetas)
