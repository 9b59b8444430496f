"""N-LID weighting (Weerasinghe, Erfani, Alpcan, Leckie and Kopacz 2020).

The local intrinsic dimensionality of a row z_i = (x_i, y_i), from the distances r_1 <= ... <= r_k
to its nearest other rows, is estimated by

    LID_i = -1 / ((1/k) sum_j log(r_j / r_k)),

and N-LID_i is LID_i over the mean LID of these neighbours: large where a row does not lie in the
data as its neighbours do.  Rows are weighted by a convex falling function of it.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from poisonbench.defenses._estimate import learner
from poisonbench.defenses._fits import Refits, WeightedRefits, fits
from poisonbench.defenses.base import Defense
from poisonbench.features import FloatArray

LEAST_WEIGHT = 1e-6
"""Weights do not vanish, so that the design does not lose rank."""

LEAST_RATIO = 1e-6
"""Distances below this share of r_k, those to copies above all, count as this share."""


class NLIDDefense(Defense):
    """N-LID: fit with less weight on rows whose neighbourhood is unlike their neighbours'.

    It assumes that poison lies where clean rows do not, so that its local dimensionality
    differs from that of the rows around it, and nothing else: it needs neither p nor a model.
    Copies have small distances, a small LID and full weight, so crowds of poison pass; and no
    row is ever removed.  No breakdown point is known.

    The paper fits its weights to N-LID distributions of clean and of poisoned rows where both are
    known, which no defender has; of its variants this is the one without (convex weights, "CVX").
    Its curve is (1 - u)^power here, u being N-LID scaled to [0, 1] over the rows.

    It costs N^2 distances and one weighted fit; up to `max_iter` fits with a learner that takes no
    weights.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_neighbors : int, default=40
        Neighbours k; fewer where there are not so many other rows.
    power : float, default=2
        Exponent of the weights; 1 is linear.
    max_iter : int, default=100
        Most fits with a learner that takes no weights.
    random_state : int, RandomState or None, default=None
        Breaks ties by the order of rows; nothing is drawn.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner, fitted to responses f_i + weight_i (y_i - f_i), f being the weighted fit,
        which has the same solution.
    weights_ : ndarray of shape (N,)
        The weights, in [1e-6, 1].
    nlid_ : ndarray of shape (N,)
        The ratios.
    n_iter_ : int
        Fits made to find the weighted one.

    References
    ----------
    Weerasinghe, Erfani, Alpcan, Leckie and Kopacz, "Defending regression learners against
    poisoning attacks", arXiv:2008.09279, 2020; the estimate after Amsaleg et al., "Estimating
    local intrinsic dimensionality", KDD 2015.
    """

    name = "nlid"
    reference = "Weerasinghe et al. 2020"
    row_attributes = ("weights_", "nlid_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_neighbors: Annotated[int, Ge(2)] = 40,
        power: Annotated[float, Gt(0)] = 2.0,
        max_iter: Annotated[int, Ge(1)] = 100,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_neighbors = n_neighbors
        self.power = power
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        estimator = learner(self.estimator)
        self.nlid_ = nlid(np.column_stack([X, y]), self.n_neighbors)
        lowest, spread = self.nlid_.min(), np.ptp(self.nlid_)
        u = (self.nlid_ - lowest) / spread if spread > 0 else np.zeros(len(y))
        self.weights_ = np.maximum((1 - u) ** self.power, LEAST_WEIGHT)
        residual, self.n_iter_ = _weighted(fits(estimator, X, y), self.weights_, self.max_iter)
        self._adopt(clone(estimator).fit(X, y - residual + self.weights_ * residual), X)


def _weighted(engine: Refits, weight: FloatArray, max_iter: int) -> tuple[FloatArray, int]:
    """Return the residuals of the fit that minimises sum_i weight_i r_i^2 and the penalty.

    The second value is the number of fits.

    A learner that takes no weights is fitted to f + weight (y - f), f its last predictions, until
    they stay: the fixed point is the weighted fit.
    """
    if isinstance(engine, WeightedRefits):
        return engine.on_weights(weight).residual, 1
    residual = engine.on_rows(np.ones(len(weight), dtype=bool)).residual
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        following = engine.on_responses(engine.y - residual + weight * residual).residual
        moved = np.abs(following - residual).max()
        residual = following
        if moved <= 1e-9 * np.abs(residual).max():
            break
    return residual, n_iter


def nlid(Z: FloatArray, k: int) -> FloatArray:
    """Return the LID of each row over the mean LID of its `k` nearest other rows.

    Parameters
    ----------
    Z : ndarray of shape (N, d + 1)
        The rows, responses among them.
    k : int
        Neighbours; at most N - 1.

    Returns
    -------
    ndarray of shape (N,)
        Positive ratios; 1 everywhere if all rows are equal.
    """
    search = NearestNeighbors(n_neighbors=min(k, len(Z) - 1)).fit(Z)
    distances, neighbours = search.kneighbors()
    farthest = distances[:, -1:]
    ratios = np.divide(distances, farthest, out=np.zeros_like(distances), where=farthest > 0)
    steepness = -np.log(np.maximum(ratios, LEAST_RATIO)).mean(axis=1)
    # With N rows no more than N dimensions can be seen, where all distances are equal.
    lid = 1 / np.maximum(steepness, 1 / len(Z))
    ratio: FloatArray = lid / lid[neighbours].mean(axis=1)
    return ratio
