"""N-LID weighting (Weerasinghe, Erfani, Alpcan, Leckie and Kopacz 2020), convex weights.

The local intrinsic dimensionality of a row z_i = (x_i, y_i), from the distances r_1 <= ... <= r_k
to its nearest other rows, is estimated by

    LID_i = -1 / ((1/k) sum_j log(r_j / r_k)),

and N-LID_i is the mean LID of these neighbours over LID_i, as the local outlier factor is one of
densities: large where a few rows crowd in a place where their neighbours do not.  With u the N-LID
scaled to [0, 1] over the rows below a cutoff, a row has the weight 1 - (2u - u^2)^.07.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.fits import Refits, WeightedRefits, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.features import FloatArray

LEAST_WEIGHT = 1e-6
"""Weights do not vanish, so that the design does not lose rank."""


class NLIDDefense(Defense):
    """N-LID: fit with less weight on rows that crowd where their neighbours do not.

    It assumes that poison rows lie nearer to each other than clean rows around them do, as rows do
    that were pushed to the same corner of the box: a small local dimensionality amid larger ones.
    It needs neither p nor a model.  A row with an exact copy has dimensionality 0 and the least
    weight, a clean one as well as a poison one; a jitter hides copies from that, and poison spread
    out like clean rows has clean rows' weights.  The row of least N-LID has weight 1, nearly all
    others less than .3, so that a fit rests on few rows and, with its penalty as it is, is shrunk
    the more.  No breakdown point is known.

    The paper's other variant (likelihood-ratio weights, "LR") is fitted to the N-LID values of
    clean and of poison rows, known apart, which no defender has.  The direction of the ratio, the
    curve, the 35 neighbours and the cutoff are those of the code that the paper's first author has
    published (sandamal/lid-regression), which chose cutoffs of 2.5 to 5 by data set.  There a row
    beyond the cutoff is left out; here it has weight 1e-6, and all weights are 1 where no row is
    below it.

    Distances depend on the units of the columns and of the response: scale both first.

    It costs N^2 distances and one weighted fit; up to `max_iter` fits with a learner that takes no
    weights.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_neighbors : int, default=35
        Neighbours k; fewer where there are not so many other rows.
    cutoff : float, default=5
        Rows of this N-LID or more have the least weight.
    exponent : float, default=0.07
        Exponent of the curve; the smaller, the fewer rows have much weight.
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
        The ratios; infinite for rows with a copy.
    n_iter_ : int
        Fits made to find the weighted one.

    References
    ----------
    Weerasinghe, Erfani, Alpcan, Leckie and Kopacz, "Defending regression learners against
    poisoning attacks", arXiv:2008.09279, 2020; the estimate after Amsaleg et al., "Estimating
    local intrinsic dimensionality", KDD 2015.

    Examples
    --------
    Twenty poison rows crowd in a corner of the box, and get less weight than most others.

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
    """Return 1 - (2u - u^2)^exponent, u being the N-LID scaled to [0, 1] below the cutoff."""
    weight = np.full(len(ratio), LEAST_WEIGHT)
    below = ratio < cutoff
    if not below.any():
        return np.ones(len(ratio))
    lowest, spread = ratio[below].min(), np.ptp(ratio[below])
    u = (ratio[below] - lowest) / spread if spread > 0 else np.zeros(int(below.sum()))
    weight[below] = np.maximum(1 - (2 * u - u**2) ** exponent, LEAST_WEIGHT)
    return weight


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
    """Return the mean LID of each row's `k` nearest other rows over the LID of the row.

    Parameters
    ----------
    Z : ndarray of shape (N, d + 1)
        The rows, responses among them.
    k : int
        Neighbours; at most N - 1.

    Returns
    -------
    ndarray of shape (N,)
        Ratios, at least 0; infinite for rows with a copy, whose LID is 0.
    """
    k = min(k, len(Z) - 1)
    neighbours = NearestNeighbors(n_neighbors=k).fit(Z).kneighbors(return_distance=False)
    # The search may take products for differences, by which copies are not quite at distance 0.
    distances = np.sort([np.linalg.norm(Z - Z[near], axis=1) for near in neighbours.T], axis=0).T
    apart = distances[:, 0] > 0
    steepness = -np.log(distances[apart] / distances[apart, -1:]).mean(axis=1)
    lid = np.zeros(len(Z))
    # With N rows no more than N dimensions can be seen, where all distances are equal.
    lid[apart] = 1 / np.maximum(steepness, 1 / len(Z))
    ratio = np.full(len(Z), np.inf)
    ratio[apart] = lid[neighbours[apart]].mean(axis=1) / lid[apart]
    return ratio
