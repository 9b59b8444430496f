"""Sanitizers: score every row once, remove the p most suspicious rows, and fit to the others.

These are the usual first choices (Koh, Steinhardt and Liang 2022 break those marked *):

    loss*             r_i^2 of the learner fitted to all rows
    leverage          h_i, the derivative of the prediction for row i by its response
    cook              r_i^2 h_i / (1 - h_i)^2, Cook's distance up to a factor common to all rows
    knn*              distance to the k-th nearest other row
    svd*              distance from the subspace of the leading principal components
    isolation-forest  how few random splits isolate the row (Liu, Ting and Zhou 2008)

The last three are computed from the rows z_i = (x_i, y_i).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Lt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import smallest
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.defenses.engines.units import standardised
from poisonbench.features import FloatArray
from poisonbench.models import LinearModel
from poisonbench.models.ols import RELATIVE_CUT

UNEXPLAINED = 0.05
"""Share of the norm of the centred rows that the leading components leave unexplained (Koh et
al.)."""


class SanitizerDefense(Defense):
    """Sanitizer: remove the p rows with the most suspicious scores, once, before training.

    It assumes that each poison row looks unusual by itself, in data that already contain the
    poison.  Poison rows that agree with each other are kept: they pull the fit towards themselves
    (loss, cook), share their leverage, are each other's neighbours (knn) and span their own
    components (svd).  The breakdown point of the scores based on least squares is 0; none is known
    for the others, and attacks that imitate clean features defeat them.

    The scores knn and svd are distances in the given columns and response, so scale these to
    comparable units first.  The other scores depend on units only if the learner does.

    It costs two fits of the learner; in addition, one singular value decomposition for leverage,
    cook and svd, N^2 distances for knn, and 100 trees for isolation-forest.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to remove; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to remove, or "auto" to estimate it.
    score_by : {"loss", "leverage", "cook", "knn", "svd", "isolation-forest"}, default="loss"
        The score; it is called ``score`` in a config, but scikit-learn has a method of that name.
    n_neighbors : int, default=5
        The k of knn, at most the number of other rows.
    random_state : int, RandomState or None, default=None
        Grows the isolation forest.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept.
    scores_ : ndarray of shape (N,)
        The score of each row; a larger score is more suspicious.
    n_poison_ : int
        The number of rows removed.

    References
    ----------
    Koh, Steinhardt and Liang, "Stronger data poisoning attacks break data sanitization defenses",
    Machine Learning 2022; Cook, "Detection of influential observation in linear regression",
    1977; Liu, Ting and Zhou, "Isolation forest", 2008.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import SanitizerDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = SanitizerDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "sanitizer"
    reference = "Koh, Steinhardt and Liang 2022; Cook 1977; Liu, Ting and Zhou 2008"
    row_attributes = ("support_", "scores_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        score_by: Literal["loss", "leverage", "cook", "knn", "svd", "isolation-forest"] = "loss",
        n_neighbors: Annotated[int, Ge(1)] = 5,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.score_by = score_by
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        self.scores_ = self._scores(clone(estimator), X, y, rng)
        self.support_ = kept = smallest(self.scores_, len(y) - self.n_poison_)
        self._adopt(clone(estimator).fit(X[kept], y[kept]), X)

    def _scores(
        self, estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
    ) -> FloatArray:
        Z = np.column_stack([X, y])
        match self.score_by:
            case "knn":
                return neighbour_distance(Z, self.n_neighbors)
            case "svd":
                return distance_from_components(Z)
            case "isolation-forest":
                from sklearn.ensemble import IsolationForest  # takes a while

                forest = IsolationForest(random_state=rng.randint(2**31)).fit(Z)
                return np.asarray(-forest.score_samples(Z))
        fitted = estimator.fit(X, y)
        squared: FloatArray = (y - np.ravel(fitted.predict(X))) ** 2
        if self.score_by == "loss":
            return squared
        h = leverages(fitted, X)
        # A row that determines its own prediction, with h = 1, has residual 0 and no Cook distance.
        return h if self.score_by == "leverage" else squared * h / np.maximum(1 - h, 1e-6) ** 2


def leverages(fitted: Any, X: FloatArray) -> FloatArray:
    """Return df(x_i)/dy_i for each row of a fit, with the learner's active features held fixed.

    Parameters
    ----------
    fitted : estimator
        The learner fitted to `X`; if it is not one of :mod:`poisonbench.models`, it is treated as
        ordinary least squares.
    X : ndarray of shape (N, d)
        Its rows.

    Returns
    -------
    ndarray of shape (N,)
        Numbers in [1/N, 1]; the intercept contributes 1/N.
    """
    alpha, active = 0.0, np.ones(X.shape[1], dtype=bool)
    if isinstance(fitted, LinearModel):
        rho = fitted.l1_ratio()
        alpha = len(X) * fitted.lambda_for(len(X)) * (1 - rho) / 2
        active = fitted.coef_ != 0 if rho else active
    columns = X[:, active] if alpha > 0 else standardised(X[:, active])
    U, s, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    found = s > RELATIVE_CUT * s.max(initial=0.0)
    h: FloatArray = 1 / len(X) + U[:, found] ** 2 @ (s[found] ** 2 / (s[found] ** 2 + alpha))
    return h


def neighbour_distance(Z: FloatArray, k: int) -> FloatArray:
    """Return the distance from each row to its k-th nearest other row."""
    from sklearn.neighbors import NearestNeighbors  # takes a while

    search = NearestNeighbors(n_neighbors=min(k, len(Z) - 1)).fit(Z)
    distances: FloatArray = search.kneighbors()[0][:, -1]
    return distances


def distance_from_components(Z: FloatArray) -> FloatArray:
    """Return the distance of each row from the leading principal components.

    Their number is the smallest that leaves at most :data:`UNEXPLAINED` of the Frobenius norm.
    """
    centred = Z - Z.mean(axis=0)
    _, s, Vt = np.linalg.svd(centred, full_matrices=False)
    left = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])  # the norm without the first 0, 1, ... components
    V = Vt[: int((left > UNEXPLAINED * left[0]).sum())].T
    distances: FloatArray = np.linalg.norm(centred - centred @ V @ V.T, axis=1)
    return distances
