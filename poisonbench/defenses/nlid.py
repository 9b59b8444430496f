"""N-LID weighting with convex weights (Weerasinghe, Erfani, Alpcan, Leckie and Kopacz 2020).

The local intrinsic dimensionality of a row z_i = (x_i, y_i) is estimated from the distances
r_1 <= ... <= r_k to its nearest other rows by

    LID_i = -1 / ((1/k) sum_j log(r_j / r_k)),

and N-LID_i is the mean LID of these neighbours divided by LID_i, in the same way as the local
outlier factor compares densities.  It is large if a few rows are crowded at a place where their
neighbours are not.  With u the N-LID scaled to [0, 1] over the rows below a cutoff, the weight of a
row is 1 - (2u - u^2)^0.07.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.fits import Refits, WeightedRefits, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.features import FloatArray

LEAST_WEIGHT = 1e-6
"""Smallest weight; it is not 0, so that the weighted design keeps its rank."""


class NLIDDefense(Defense):
    """N-LID: fit with less weight on rows that are more crowded than their neighbours.

    It assumes that poison rows are nearer to each other than the clean rows around them, like rows
    that were pushed to the same corner of the box; their local dimensionality is then smaller than
    that of their neighbours.  It needs neither p nor a model.  A row with an exact copy, clean or
    poison, has dimensionality 0 and the smallest weight.  A small jitter avoids this for copies,
    and poison that is spread out like clean rows gets the weights of clean rows.  The row with the
    smallest N-LID has weight 1 and nearly all others less than 0.3, so the fit depends on few rows,
    and a penalty of fixed strength shrinks it more.  No breakdown point is known.

    The paper's other variant, likelihood-ratio weights ("LR"), has to be fitted to the N-LID values
    of known clean rows and known poison rows, which no defender has.  The direction of the ratio,
    the curve, the 35 neighbours and the cutoff are those of the code published by the paper's first
    author (sandamal/lid-regression), which uses cutoffs of 2.5 to 5, depending on the data set.
    That code drops rows beyond the cutoff; here they have weight 1e-6, and all weights are 1 if no
    row is below the cutoff.

    Distances depend on the units of the columns and of the response, so scale both first.

    It costs N^2 distances and one weighted fit, or up to `max_iter` fits for a learner that takes
    no weights.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_neighbors : int, default=35
        Number k of neighbours, at most the number of other rows.
    cutoff : float, default=5
        Rows with at least this N-LID have the smallest weight.
    exponent : float, default=0.07
        Exponent of the curve; with a smaller exponent, fewer rows have a large weight.
    max_iter : int, default=100
        Maximum number of fits for a learner that takes no weights.
    random_state : int, RandomState or None, default=None
        Orders the rows, which breaks ties; nothing else is random.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner, fitted to responses f_i + weight_i (y_i - f_i), where f is the weighted fit;
        this has the same solution.
    weights_ : ndarray of shape (N,)
        The weights, in [1e-6, 1].
    nlid_ : ndarray of shape (N,)
        The ratios; infinite for rows with a copy.
    n_iter_ : int
        Number of fits that the weighted fit took.

    References
    ----------
    Weerasinghe, Erfani, Alpcan, Leckie and Kopacz, "Defending regression learners against
    poisoning attacks", arXiv:2008.09279, 2020; the estimate after Amsaleg et al., "Estimating
    local intrinsic dimensionality", KDD 2015.

    Examples
    --------
    Twenty poison rows are crowded in a corner of the box, and get less weight than most others.

    >>> import numpy as np
    >>> from poisonbench.defenses import NLIDDefense
    >>> X = np.random.default_rng(0).random((200, 2))
    >>> y = X.sum(axis=1) / 2
    >>> X[:20] = 1 - X[:20] / 1000
    >>> y[:20] = 0.0
    >>> model = NLIDDefense(random_state=0).fit(X, y)
    >>> bool(np.median(model.weights_[:20]) < np.median(model.weights_[20:]))
    True
    """

    name = "nlid"
    reference = "Weerasinghe et al. 2020"
    row_attributes = ("weights_", "nlid_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_neighbors: Annotated[int, Ge(2)] = 35,
        cutoff: Annotated[float, Gt(0)] = 5.0,
        exponent: Annotated[float, Gt(0)] = 0.07,
        max_iter: Annotated[int, Ge(1)] = 100,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_neighbors = n_neighbors
        self.cutoff = cutoff
        self.exponent = exponent
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        estimator = learner(self.estimator)
        self.nlid_ = nlid(np.column_stack([X, y]), self.n_neighbors)
        self.weights_ = weights(self.nlid_, self.cutoff, self.exponent)
        residual, self.n_iter_ = _weighted(fits(estimator, X, y), self.weights_, self.max_iter)
        self._adopt(clone(estimator).fit(X, y - residual + self.weights_ * residual), X)


def weights(ratio: FloatArray, cutoff: float, exponent: float) -> FloatArray:
    """Return 1 - (2u - u^2)^exponent, where u is the N-LID scaled to [0, 1] below the cutoff."""
    weight = np.full(len(ratio), LEAST_WEIGHT)
    below = ratio < cutoff
    if not below.any():
        return np.ones(len(ratio))
    lowest, spread = ratio[below].min(), np.ptp(ratio[below])
    u = (ratio[below] - lowest) / spread if spread > 0 else np.zeros(int(below.sum()))
    weight[below] = np.maximum(1 - (2 * u - u**2) ** exponent, LEAST_WEIGHT)
    return weight


def _weighted(engine: Refits, weight: FloatArray, max_iter: int) -> tuple[FloatArray, int]:
    """Return the residuals of the fit that minimises sum_i weight_i r_i^2 plus the penalty.

    The second value is the number of fits.

    A learner that takes no weights is fitted to f + weight (y - f), where f are its last
    predictions, until they no longer change; the fixed point is the weighted fit.
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
    """Return the mean LID of each row's `k` nearest other rows, divided by the row's own LID.

    Parameters
    ----------
    Z : ndarray of shape (N, d + 1)
        The rows, including the responses.
    k : int
        Number of neighbours; at most N - 1 are used.

    Returns
    -------
    ndarray of shape (N,)
        Ratios, at least 0; infinite for rows with a copy, whose LID is 0.
    """
    from sklearn.neighbors import NearestNeighbors  # takes a while

    k = min(k, len(Z) - 1)
    neighbours = NearestNeighbors(n_neighbors=k).fit(Z).kneighbors(return_distance=False)
    # The search may compute distances from inner products, so that copies are not exactly at
    # distance 0; compute them again from differences.
    distances = np.sort([np.linalg.norm(Z - Z[near], axis=1) for near in neighbours.T], axis=0).T
    apart = distances[:, 0] > 0
    steepness = -np.log(distances[apart] / distances[apart, -1:]).mean(axis=1)
    lid = np.zeros(len(Z))
    # Bound the dimensionality by N, for rows whose distances are all equal.
    lid[apart] = 1 / np.maximum(steepness, 1 / len(Z))
    ratio = np.full(len(Z), np.inf)
    ratio[apart] = lid[neighbours[apart]].mean(axis=1) / lid[apart]
    return ratio
