"""SEVER: remove rows whose gradients are outliers (Diakonikolas et al. 2019, Algorithms 1 and 2).

At the fit to the rows S, let g_i = r_i (x_i, 1) be the gradients of the losses and v the direction
in which they vary most.  The score of a row is

    tau_i = ((g_i - mean g) . v)^2.

The rows with the largest scores are removed, and the fit is repeated.  A penalty adds the same term
to all gradients, so it cancels.
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

    It assumes that the covariance of clean gradients is bounded, so that poison that moves the
    model is visible in the direction of largest variance.  Then the error grows like the square
    root of p/N, up to some constant p/N.  If the model interpolates copies of a few rows, their
    residuals and gradients are near 0, so they are kept; so are rows whose pull is divided among
    many directions.  If there are about as many features as rows, every model interpolates, and
    there is little to detect.

    Algorithm 2 draws its threshold at random, and its stopping rule, a bound on the variance, needs
    constants that are not known.  This follows the paper's experiments instead: four rounds, each
    of which removes the p/2 rows with the largest scores, 2p rows in all.

    Gradients depend on the units of the columns.  With OLS, the columns are standardised for them.
    With a penalised learner they are not, so scale the columns first.

    A round costs one fit of the learner, and the first eigenvector of a matrix whose size is the
    smaller of the numbers of rows and features.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number p of rows to treat as poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        p as a share of the rows, or "auto" to estimate it.
    rounds : int, default=4
        Number of rounds of removal.
    removal : float, default=2
        Number of rows to remove in all rounds together, in units of p; at most half of the rows, or
        p if that is more.
    random_state : int, RandomState or None, default=None
        Orders the rows, which breaks ties; draws random numbers to estimate p.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept.
    n_poison_ : int
        The p that was used.

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
    """Return tau_i, the squared distance of each gradient r_i z_i from the mean, along v.

    Parameters
    ----------
    Z : ndarray of shape (n, d + 1)
        The rows (x_i, 1).
    residual : ndarray of shape (n,)
        Their residuals.

    Returns
    -------
    ndarray of shape (n,)
        Squared projections of the centred gradients on their first right singular vector v.
    """
    G = residual[:, None] * Z
    G -= G.mean(axis=0)
    n, d = G.shape
    if n <= d:  # G v = s u, where u is the first left singular vector
        value, vector = eigh(G @ G.T, subset_by_index=[n - 1, n - 1])
        scores: FloatArray = value[0] * vector[:, 0] ** 2
    else:
        _, vector = eigh(G.T @ G, subset_by_index=[d - 1, d - 1])
        scores = (G @ vector[:, 0]) ** 2
    return scores
