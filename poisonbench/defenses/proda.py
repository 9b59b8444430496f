"""Proda: fit to random draws until one of them is probably clean (Wen et al. 2021).

Draw a few rows and fit to them, keep the n = N - p rows that this model fits best, and fit to
those.  Of many such models, return the one with the smallest loss on the rows that it kept.  If p
of the N rows are poison, a draw of m rows is clean with probability

    q = C(N - p, m) / C(N, m),

so T = log(1 - confidence) / log(1 - q) draws contain a clean one with probability `confidence`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import smallest
from poisonbench.defenses.engines.fits import RANKING, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.features import FloatArray
from poisonbench.models import LinearModel


class ProdaDefense(Defense):
    """Proda: of many fits that start from a few random rows, the one with the smallest loss.

    It assumes that some draw is free of poison, that a model fitted to so few rows is near enough
    to the truth to distinguish poison from clean rows, and that p is known.  Like TRIM, of which
    this is the first step from small starts, it keeps rows that agree with a model of the poison.
    A clean draw is possible up to p/N = (N - m)/N, but the smallest loss can only be expected to
    belong to clean rows up to p/N = 1/2.

    It costs two fits of the learner for each draw; there are 28 draws at p/N = 1/6 with the default
    of ten rows.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to treat as poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to treat as poison, or "auto" to estimate it.
    subset_rows : int, default=10
        Number m of rows in a draw; at most d + 1 and n.
    confidence : float, default=0.99
        Probability that at least one draw is clean.
    max_draws : int, default=500
        Maximum number of draws, even if the confidence would need more.
    random_state : int, RandomState or None, default=None
        Draws the rows.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept.
    n_poison_ : int
        The number of rows removed.
    n_draws_ : int
        Number of draws.
    confidence_ : float
        Probability that at least one of the draws was clean, if p is right.
    objective_ : float
        L(D_I, theta) of the model, without the penalty if the learner is not one of
        :mod:`poisonbench.models`.

    References
    ----------
    Wen, Zhao, Xue, Oprea and Qian, "With great dispersion comes greater resilience: efficient
    poisoning attacks and defenses for linear regression models", IEEE TIFS 2021.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import ProdaDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = ProdaDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "proda"
    reference = "Wen et al. 2021"
    row_attributes = ("support_",)

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        subset_rows: Annotated[int, Ge(1)] = 10,
        confidence: Annotated[float, Gt(0), Lt(1)] = 0.99,
        max_draws: Annotated[int, Ge(1)] = 500,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.subset_rows = subset_rows
        self.confidence = confidence
        self.max_draws = max_draws
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        n_rows, d = X.shape
        self.n_poison_ = assumed_poison(self, X, y, rng)
        n_kept = n_rows - self.n_poison_
        m = min(self.subset_rows, d + 1, n_kept)
        clean = clean_probability(n_rows, self.n_poison_, m)
        self.n_draws_ = draws_needed(clean, self.confidence, self.max_draws)
        self.confidence_ = 1 - (1 - clean) ** self.n_draws_
        estimator = learner(self.estimator)
        engine = fits(estimator, X, y, RANKING)
        losses: dict[bytes, float] = {}  # because different draws often keep the same rows
        for _ in range(self.n_draws_):
            drawn = smallest(np.asarray(rng.random_sample(n_rows)), m)
            kept = smallest(engine.on_rows(drawn).residual ** 2, n_kept)
            if kept.tobytes() not in losses:
                losses[kept.tobytes()] = engine.on_rows(kept).objective(kept)
        best = min(losses, key=lambda rows: losses[rows])
        self.objective_ = losses[best]
        self.support_ = kept = np.frombuffer(best, dtype=bool)
        fitted = clone(estimator).fit(X[kept], y[kept])
        self._adopt(fitted, X)
        if isinstance(fitted, LinearModel):  # the losses above may be inexact
            self.objective_ = fitted.objective(X[kept], y[kept])


def clean_probability(n_rows: int, n_poison: int, n_drawn: int) -> float:
    """Return the probability that none of `n_drawn` rows, drawn without replacement, is poison."""
    return math.comb(n_rows - n_poison, n_drawn) / math.comb(n_rows, n_drawn)


def draws_needed(clean: float, confidence: float, most: int) -> int:
    """Return how many draws contain a clean one with probability `confidence`, at most `most`."""
    if clean >= 1:
        return 1
    # The bound on the divisor avoids a division by 0 if the probability is negligible.
    return min(most, math.ceil(math.log1p(-confidence) / min(math.log1p(-clean), -1e-12)))
