"""Robust thresholding regression (Chen, Caramanis and Mannor 2013).

The trimmed inner product h(a, b) is the sum of a_i b_i without the p terms of largest |a_i b_i|, so
p corrupted rows can only add terms of ordinary size.  The weights are
theta_j = h(y, x_j) / h(x_j, x_j); the k largest of them, relative to the columns' sizes, are kept.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Lt

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.held_out import folds, trimmed_mean
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.features import FloatArray, IntArray
from poisonbench.rounding import rows_at

SPREAD = 0.05
"""Smallest share of a column's sum of squares that must remain after trimming.

Below it, the column is nearly constant except in p rows.  The method does not apply to such a
column, and a weight learned from its small entries would be much too large for its large ones.
"""


class ChenDefense(Defense):
    """Robust thresholding: sparse regression from trimmed inner products.

    It assumes that the model is sparse, that the columns are nearly uncorrelated (each weight is
    computed from its column alone), and that p is known.  Then it tolerates arbitrary corruption of
    rows, including their features, up to a share of the rows that falls as k and d grow.  No
    breakdown point is known.  Correlated columns bias it even without poison: on clean house prices
    with 274 one-hot features, its test error is 1.5 times that of ridge.  A column that is nearly
    constant except in p rows gets weight 0.  It does not use the learner.

    It costs one partial sort of each column, and one more for each fold.

    Parameters
    ----------
    n_poison : int, optional
        Number p of terms to drop; overrides `contamination`.
    contamination : float or "auto", default=0.2
        p as a share of the rows, or "auto" to estimate it with a ridge fit.
    n_nonzero : int or "cv", default="cv"
        Number k of weights to keep; if it is larger than the number of columns, all are kept.  "cv"
        chooses k by the held-out squared errors without the p largest.
    n_folds : int, default=5
        Number of folds for this choice; at most one for each row.
    random_state : int, RandomState or None, default=None
        Shuffles the rows into folds.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model, in the caller's units; the intercept is the median of y - w.x.
    n_poison_ : int
        The p that was used.
    n_nonzero_ : int
        The k that was used.
    note_ : str
        A short description of the model, for the tables.

    References
    ----------
    Chen, Caramanis and Mannor, "Robust sparse regression under adversarial corruption", ICML
    2013; compared in Jagielski et al. 2018.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import ChenDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = ChenDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.18, 0.73])
    """

    name = "chen"
    reference = "Chen, Caramanis and Mannor 2013"

    def __init__(
        self,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        n_nonzero: Annotated[int, Ge(0)] | Literal["cv"] = "cv",
        n_folds: Annotated[int, Ge(2)] = 5,
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
            errors = np.empty((len(y), X.shape[1] + 1))
            for training, held_out in folds(len(y), self.n_folds):
                coef, ranking = _marginal(X[training], y[training], share)
                intercepts = np.median(_residuals(X[training], y[training], coef, ranking), axis=0)
                residuals = _residuals(X[held_out], y[held_out], coef, ranking)
                errors[held_out] = (residuals - intercepts) ** 2
            self.n_nonzero_ = int(trimmed_mean(errors, 1 - share).argmin())
        else:
            self.n_nonzero_ = min(int(self.n_nonzero), X.shape[1])
        coef, ranking = _marginal(X, y, share)
        self.coef_ = np.zeros_like(coef)
        self.coef_[ranking[: self.n_nonzero_]] = coef[ranking[: self.n_nonzero_]]
        self.intercept_ = float(np.median(y - X @ self.coef_))
        self.note_ = f"no learner; {self.n_nonzero_} of {X.shape[1]} columns"


def trimmed_sums(terms: FloatArray, n_dropped: int) -> FloatArray:
    """Return the column sums of `terms` without the `n_dropped` terms of largest absolute value."""
    n_kept = len(terms) - n_dropped
    kept = np.argpartition(np.abs(terms), n_kept - 1, axis=0)[:n_kept]
    sums: FloatArray = np.take_along_axis(terms, kept, axis=0).sum(axis=0)
    return sums


def _marginal(X: FloatArray, y: FloatArray, share: float) -> tuple[FloatArray, IntArray]:
    """Return theta_j for every column, and the columns ordered by decreasing importance."""
    n_dropped = min(rows_at(share, len(y)), len(y) - 1)
    X = X - np.median(X, axis=0)
    products = trimmed_sums(X * (y - np.median(y))[:, None], n_dropped)
    squares = trimmed_sums(X**2, n_dropped)
    used = squares > SPREAD * (X**2).sum(axis=0)
    coef = np.divide(products, squares, out=np.zeros_like(products), where=used)
    ranking = np.argsort(-np.abs(coef) * np.sqrt(squares), kind="stable")
    return coef, ranking


def _residuals(X: FloatArray, y: FloatArray, coef: FloatArray, ranking: IntArray) -> FloatArray:
    """Return y - w.x with only the k most important weights, in a column for each k = 0, ..., d."""
    predicted = np.cumsum(X[:, ranking] * coef[ranking], axis=1)
    return np.column_stack([y, y[:, None] - predicted])
