"""Robust low-rank regression (Liu, Li, Vorobeychik and Oprea 2017): clean the features, then trim.

The first part uses only the features: over sets I of n = N - p rows and matrices L of rank k,

    minimise ||X_I - L||_F,

by alternating between finding the best rank-k subspace for the rows kept (their first k principal
components V) and keeping the n rows nearest to it.  The second part is trimmed principal component
regression: least trimmed squares of y on the coordinates U = X V in that subspace, again over all N
rows; then w = V beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import best_run, small_starts, smallest
from poisonbench.defenses.engines.fits import fits
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import OLS
from poisonbench.models.ols import RELATIVE_CUT

ROUNDING = 1e-12
"""Squared distances below this share of a row's squared norm are rounding errors."""


@dataclass(frozen=True)
class Subspace:
    """An affine subspace, and the rows that it was fitted to.

    Parameters
    ----------
    mean : ndarray of shape (d,)
        A point in the subspace.
    basis : ndarray of shape (d, k)
        An orthonormal basis V.
    kept : ndarray of bool of shape (N,)
        The rows nearest to it.
    n_iter : int
        Number of alternations.
    """

    mean: FloatArray
    basis: FloatArray
    kept: BoolArray
    n_iter: int


class LowRankDefense(Defense):
    """Trimmed principal component regression in a subspace that poison cannot tilt far.

    It assumes that the clean features lie near a subspace of low rank k, that the response is
    linear in this subspace, and that p is known.  Poison rows away from the subspace are found
    without their responses, and poison rows in it by trimming; poison in other directions has no
    effect.  This also makes principal component regression strong on one-hot columns, where rare
    categories are directions of little variance.  The paper bounds the error for p < n and any
    poison, provided that the rows identify the clean subspace; the breakdown point is at most
    p/N = 1/2.

    It does not use the learner: the model is least squares on k principal components, whatever the
    learner's penalty is.  If the response depends on directions of little variance, it is biased
    even without poison.  Principal components depend on the units of the columns, so scale columns
    in different units first.

    It costs 2 to 20 singular value decompositions of the rows, and 20 to 60 least-squares fits with
    k features.

    Parameters
    ----------
    n_poison : int, optional
        Number p of rows to treat as poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        p as a share of the rows, or "auto" to estimate it with a ridge fit.
    rank : int, optional
        Dimension k of the subspace; overrides `variance`.
    variance : float, default=0.95
        Use the smallest k for which k directions explain this share of the variance of all rows'
        features.  In the paper, k is known.
    restarts : int, default=200
        Number of small fits from which the trimmed regression starts.
    max_iter : int, default=100
        Maximum number of alternations for the subspace, and of fits in a run of the regression.
    random_state : int, RandomState or None, default=None
        Draws the starts of the regression.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    components_ : ndarray of shape (k, d)
        An orthonormal basis of the subspace, the rows of V'.
    near_subspace_ : ndarray of bool of shape (N,)
        The rows that the subspace was fitted to.
    support_ : ndarray of bool of shape (N,)
        The rows that the regression was fitted to.
    n_poison_ : int
        The p that was used.
    rank_ : int
        The k that was used.
    n_iter_ : int
        Number of alternations for the subspace.
    note_ : str
        A short description of the model, for the tables.

    References
    ----------
    Liu, Li, Vorobeychik and Oprea, "Robust linear regression against training data poisoning",
    AISec 2017.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import LowRankDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = LowRankDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "low-rank"
    reference = "Liu, Li, Vorobeychik and Oprea 2017"
    row_attributes = ("near_subspace_", "support_")

    def __init__(
        self,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        rank: Annotated[int, Ge(1)] | None = None,
        variance: Annotated[float, Gt(0), Le(1)] = 0.95,
        restarts: Annotated[int, Ge(1)] = 200,
        max_iter: Annotated[int, Ge(1)] = 100,
        random_state: Any = None,
    ) -> None:
        self.n_poison = n_poison
        self.contamination = contamination
        self.rank = rank
        self.variance = variance
        self.restarts = restarts
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        n_kept = len(y) - self.n_poison_
        rank = explaining_rank(X, self.variance) if self.rank is None else self.rank
        found = subspace(X, rank, n_kept, self.max_iter)
        mean, V = found.mean, found.basis
        self.near_subspace_, self.n_iter_ = found.kept, found.n_iter
        self.components_, self.rank_ = V.T, V.shape[1]
        self.note_ = f"no learner; {self.rank_} of {X.shape[1]} principal components"
        U = (X - mean) @ V
        if not self.rank_:  # the rows do not vary, so the model is a constant
            U = np.zeros((len(y), 1))
        self.support_ = kept = np.ones(len(y), dtype=bool)
        if self.n_poison_:
            starts = small_starts(OLS(), U, y, n_kept, self.restarts, rng)
            self.support_ = kept = best_run(fits(OLS(), U, y), starts, self.max_iter).kept
        beta = OLS().fit(U[kept], y[kept])
        self.coef_ = V @ beta.coef_[: self.rank_]
        self.intercept_ = float(beta.intercept_ - mean @ self.coef_)


def explaining_rank(X: FloatArray, share: float) -> int:
    """Return the smallest number of principal components that explain `share` of the variance."""
    explained = np.cumsum(np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2)
    return 1 + int((explained[:-1] < share * explained[-1]).sum())


def subspace(X: FloatArray, rank: int, n_kept: int, max_iter: int = 100) -> Subspace:
    """Return the subspace nearest to the best `n_kept` of the rows, or a local minimum.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        The rows.
    rank : int
        Dimension k; it is reduced by the directions in which the rows kept do not vary.
    n_kept : int
        Number n of rows to keep.
    max_iter : int, default=100
        Maximum number of alternations, none of which increases the sum of squared distances of the
        rows kept.
    """
    kept = np.ones(len(X), dtype=bool)
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        mean = X[kept].mean(axis=0)
        centred = X - mean
        _, s, Vt = np.linalg.svd(centred[kept], full_matrices=False)
        basis = Vt[: min(rank, int((s > RELATIVE_CUT * s[0]).sum()))].T
        norm = (centred**2).sum(axis=1)
        squared = norm - ((centred @ basis) ** 2).sum(axis=1)
        # Otherwise, rounding errors would rank the rows that lie in the subspace.
        squared[squared <= ROUNDING * norm] = 0.0
        before, kept = kept, smallest(squared, n_kept)
        if np.array_equal(kept, before):
            break
    return Subspace(mean, basis, kept, n_iter)
