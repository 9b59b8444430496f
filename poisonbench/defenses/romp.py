"""Robust matching pursuit, RoMP (Chen, Caramanis and Mannor 2013).

This is orthogonal matching pursuit with trimmed inner products, which drop the p terms a_i b_i of
largest absolute value.  Each round adds the column with the largest trimmed correlation with the
residual.  The weights of the chosen columns solve G w = g, where G contains their trimmed inner
products with each other and g those with the response.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Lt

from poisonbench.defenses.base import Defense
from poisonbench.defenses.chen import SPREAD, trimmed_sums
from poisonbench.defenses.engines.held_out import folds, trimmed_mean
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.features import FloatArray
from poisonbench.rounding import rows_at

MOST_CHOSEN = 30
"""Largest number of columns that cross-validation considers."""

LEAST_EIGENVALUE = 1e-2
"""Eigenvectors of the trimmed Gram matrix whose eigenvalue is below this share of the largest get
no weight.  Trimmed products are not an inner product, so eigenvalues may even be negative."""


class RoMPDefense(Defense):
    """Robust matching pursuit: sparse regression on trimmed inner products, column by column.

    It assumes that the model is sparse, that the columns are nearly uncorrelated, and that p is
    known.  Then it tolerates arbitrary corruption of rows, including their features: the paper
    recovers which k of d weights are not 0 with up to O(N / (sqrt(k) log d)) corrupted rows.  No
    breakdown point is known.  Trimming also shrinks the products of clean rows, unevenly for
    columns that are mostly 0, so on one-hot data it costs accuracy even without poison, and a
    column that is nearly constant except in p rows is never chosen.  It does not use the learner;
    its own model has no penalty.

    The trimmed inner product is the paper's.  Between rounds, this computes residuals and solves
    for the weights, like orthogonal matching pursuit, and has its cost.  Whether the paper does so,
    or chooses the k columns with the largest correlation with y at once, could not be checked
    against its text; the latter is ``chen``.

    A round costs a partition of every column; choosing k costs `n_folds` runs of 30 rounds.

    Parameters
    ----------
    n_poison : int, optional
        Number p of terms to drop; overrides `contamination`.
    contamination : float or "auto", default=0.2
        p as a share of the rows, or "auto" to estimate it with a ridge fit.
    n_nonzero : int or "cv", default="cv"
        Number k of columns to choose, at most the number of columns.  "cv" chooses k from 0 to 30
        by the held-out squared errors without the p largest.
    n_folds : int, default=3
        Number of folds for this choice; at most one for each row.
    random_state : int, RandomState or None, default=None
        Shuffles the rows into folds.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model; the intercept is the median of y - w.x.
    n_poison_ : int
        The p that was used.
    n_nonzero_ : int
        The number of columns that were chosen.
    note_ : str
        A short description of the model, for the tables.

    References
    ----------
    Chen, Caramanis and Mannor, "Robust high dimensional sparse regression and matching pursuit",
    arXiv 1301.2725, 2013.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import RoMPDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = RoMPDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.18, 0.73])
    """

    name = "romp"
    reference = "Chen, Caramanis and Mannor 2013"

    def __init__(
        self,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        n_nonzero: Annotated[int, Ge(0)] | Literal["cv"] = "cv",
        n_folds: Annotated[int, Ge(2)] = 3,
        random_state: Any = None,
    ) -> None:
        self.n_poison = n_poison
        self.contamination = contamination
        self.n_nonzero = n_nonzero
        self.n_folds = n_folds
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        share = self.n_poison_ / len(y)
        if self.n_nonzero == "cv":
            most = min(MOST_CHOSEN, X.shape[1])
            errors = np.empty((len(y), most + 1))
            for training, held_out in folds(len(y), self.n_folds):
                path = pursue(X[training], y[training], most, share)
                medians = np.median(y[training] - path @ X[training].T, axis=1)
                errors[held_out] = (y[held_out] - path @ X[held_out].T - medians[:, None]).T ** 2
            self.n_nonzero_ = int(trimmed_mean(errors, 1 - share).argmin())
        else:
            self.n_nonzero_ = min(int(self.n_nonzero), X.shape[1])
        self.coef_ = pursue(X, y, self.n_nonzero_, share)[-1]
        self.intercept_ = float(np.median(y - X @ self.coef_))
        self.note_ = f"no learner; {self.n_nonzero_} of {X.shape[1]} columns"


def pursue(X: FloatArray, y: FloatArray, most: int, share: float) -> FloatArray:
    """Return the weights after 0, 1, ..., `most` rounds.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    most : int
        Number of rounds.
    share : float
        Share of the terms that every inner product drops.

    Returns
    -------
    ndarray of shape (most + 1, d)
        Row k has at most k weights; fewer if no column is left to choose.
    """
    n_dropped = min(rows_at(share, len(y)), len(y) - 1)
    X, y = X - np.median(X, axis=0), y - np.median(y)
    squares = trimmed_sums(X**2, n_dropped)
    usable = squares > SPREAD * (X**2).sum(axis=0)
    scale = np.where(usable, np.sqrt(np.where(usable, squares, 1.0)), 1.0)
    columns = X / scale
    path = np.zeros((most + 1, X.shape[1]))
    chosen: list[int] = []
    gram = np.empty((most, most))
    with_y = np.where(usable, trimmed_sums(columns * y[:, None], n_dropped), 0.0)
    for k in range(1, most + 1):
        residual = y - X @ path[k - 1]
        correlation = np.abs(trimmed_sums(columns * residual[:, None], n_dropped))
        correlation[~usable] = 0.0
        correlation[chosen] = 0.0
        path[k] = path[k - 1]
        if not correlation.any():
            continue
        chosen.append(int(correlation.argmax()))
        m = len(chosen)
        products = columns[:, chosen] * columns[:, chosen[-1:]]
        gram[m - 1, :m] = gram[:m, m - 1] = trimmed_sums(products, n_dropped)
        values, vectors = np.linalg.eigh(gram[:m, :m])
        used = values > LEAST_EIGENVALUE * values[-1]
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=used)
        path[k, chosen] = vectors @ (inverse * (vectors.T @ with_y[chosen])) / scale[chosen]
    return path
