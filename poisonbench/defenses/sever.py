"""SEVER: filter rows whose gradients stand out (Diakonikolas et al. 2019, Algorithms 1 and 2).

At the fit to the rows S, with gradients g_i = r_i (x_i, 1) of the losses and v the direction in
which they vary most, the score of a row is

    tau_i = ((g_i - mean g) . v)^2,

and the rows of the largest scores are removed; then it fits again.  A penalty adds the same to
all gradients, so it drops out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from scipy.linalg import eigh
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import smallest
from poisonbench.defenses.engines.fits import fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.defenses.engines.units import columns_for
from poisonbench.features import FloatArray
from poisonbench.rounding import rows_at


class SEVERDefense(Defense):
    """SEVER: remove, in a few rounds, the rows whose gradients vary most in one direction.

    It assumes that clean gradients have a bounded covariance, so that poison which moves the
    model shows in their leading direction: then the error grows with the root of p/N, below some
    constant p/N.  Copies of few rows that the model interpolates have residuals, and gradients,
    near 0 and pass; so do rows that split their pull among many directions.  With features about
    as many as rows every model interpolates, and little is left to see.

    Algorithm 2 draws its threshold at random and stops by a bound on the variance, which needs
    constants that nobody knows.  Done here is what the paper's experiments do: four rounds, each
    of which removes the p/2 rows of largest score, twice p in all.

    Gradients depend on the units of the columns.  With OLS they are taken by weights in units of
    their own, with a penalised learner by the weights as they are: scale the columns first.

    A round costs a fit of the learner and the first eigenvector of a matrix as large as the
    smaller of rows and features.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number p of rows to take for poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows that p is, or "auto" to estimate it.
    rounds : int, default=4
        Rounds of removal.
    removal : float, default=2
        Rows removed in all rounds, in units of p; never more than half of the rows, unless
        that is p.
    random_state : int, RandomState or None, default=None
        Breaks ties by the order of rows; draws for the estimate of the count.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept.
    n_poison_ : int
        The p used.

    References
    ----------
    Diakonikolas, Kamath, Kane, Li, Steinhardt and Stewart, "Sever: a robust meta-algorithm for
    stochastic optimization", ICML 2019.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import SEVERDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = SEVERDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    """

    name = "sever"
    reference = "Diakonikolas et al. 2019, Algorithm 1"
    row_attributes = ("support_",)

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        rounds: Annotated[int, Ge(1)] = 4,
        removal: Annotated[float, Gt(0)] = 2.0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.rounds = rounds
        self.removal = removal
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        n_rows = len(y)
        self.n_poison_ = p = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        engine = fits(estimator, X, y)
        Z = np.column_stack([columns_for(estimator, X), np.ones(n_rows)])
        n_removed = min(rows_at(self.removal, p), max(p, n_rows // 2))
        kept = np.ones(n_rows, dtype=bool)
        for left in n_rows - np.linspace(0, n_removed, self.rounds + 1).round().astype(int)[1:]:
            rows = np.flatnonzero(kept)
            if left == len(rows):
                continue
            scores = gradient_scores(Z[rows], engine.on_rows(kept).residual[rows])
            kept[rows[~smallest(scores, left)]] = False
        self.support_ = kept
        self._adopt(clone(estimator).fit(X[kept], y[kept]), X)


def gradient_scores(Z: FloatArray, residual: FloatArray) -> FloatArray:
    """Return tau_i, how far each gradient r_i z_i lies from their mean along their main direction.

    Parameters
    ----------
    Z : ndarray of shape (n, d + 1)
        The rows (x_i, 1).
    residual : ndarray of shape (n,)
        Their residuals.

    Returns
    -------
    ndarray of shape (n,)
        Squared projections on the first right singular vector of the centred gradients.
    """
    G = residual[:, None] * Z
    G -= G.mean(axis=0)
    n, d = G.shape
    if n <= d:  # G v = s u, with u the first left singular vector
        value, vector = eigh(G @ G.T, subset_by_index=[n - 1, n - 1])
        scores: FloatArray = value[0] * vector[:, 0] ** 2
    else:
        _, vector = eigh(G.T @ G, subset_by_index=[d - 1, d - 1])
        scores = (G @ vector[:, 0]) ** 2
    return scores
