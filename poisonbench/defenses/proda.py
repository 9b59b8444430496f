"""Proda: trust to luck often enough (Wen, Zhao, Xue, Oprea and Qian 2021).

Draw a few rows, fit, keep the n = N - p rows that this fit fits best, fit to them; of many such
models the one with the smallest loss on the rows that it kept is returned.  A draw of m rows out
of N, p of them poison, is clean with probability

    q = C(N - p, m) / C(N, m),

so T = log(1 - confidence) / log(1 - q) draws hold a clean one with the probability `confidence`.
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
    """Proda: of fits that grew out of a few random rows each, the one with the smallest loss.

    It assumes that some draw is free of poison and that a model fitted to so few rows is near
    enough to the truth to tell poison from clean rows, and that p is known.  Rows that fit well
    with the poison's own model pass, as they do in TRIM, whose first step from small starts this
    is.  The chance of a clean draw is positive up to p/N = (N - m)/N; that the best loss belongs
    to clean rows can be hoped for up to 1/2.

    It costs two fits of the learner for each draw: 28 draws at p/N = 1/6 and the default ten
    rows.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to take for poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to take for poison, or "auto" to estimate it.
    subset_rows : int, default=10
        Rows m in a draw; fewer where d + 1 or n are less.
    confidence : float, default=0.99
        Probability that at least one draw is clean.
    max_draws : int, default=500
        Most draws, whatever the confidence asks for.
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
        Draws made.
    confidence_ : float
        Probability that at least one of them was clean, if p was right.
    objective_ : float
        L(D_I, theta) of the model returned; without its penalty for a learner that is not one of
        ours.

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
        losses: dict[bytes, float] = {}  # different draws often end with the same rows
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
        if isinstance(fitted, LinearModel):  # losses that only rank are not quite exact
            self.objective_ = fitted.objective(X[kept], y[kept])


def clean_probability(n_rows: int, n_poison: int, n_drawn: int) -> float:
    """Return the probability that none of the rows drawn without replacement is poison."""
    return math.comb(n_rows - n_poison, n_drawn) / math.comb(n_rows, n_drawn)


def draws_needed(clean: float, confidence: float, most: int) -> int:
    """Return how many draws hold a clean one with the probability `confidence`, `most` at most."""
    if clean >= 1:
        return 1
    # The bound on the divisor only tells a chance of next to nothing from none.
    return min(most, math.ceil(math.log1p(-confidence) / min(math.log1p(-clean), -1e-12)))
