"""Theil-Sen regression: the spatial median of many exact fits (Dang, Peng, Wang and Zhang 2008).

Fit least squares to many subsets of k + 1 rows, and take the spatial median of their weights.  With
many features such subsets would have to be large, so the fits use the first k principal components,
and the weights are mapped back.
"""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import TheilSenRegressor

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.held_out import folds, trimmed_mean
from poisonbench.features import FloatArray

COMPONENTS = (1, 2, 4, 8, 16)
"""Numbers of principal components to choose from, at most the number of features."""

TUNING_SUBSETS = 200

ROUNDING = 1e-14
"""Deviations below this share of the largest entry are rounding errors."""


class TheilSenDefense(Defense):
    """Theil-Sen: the spatial median of least-squares fits to small subsets.

    It assumes that more than half of the subsets are free of poison: with k components the
    breakdown point is 1 - (1/2)^(1/(k+1)), which is 29% for one and 4% for sixteen.  It does not
    use the learner and has no penalty.  With more than a few features, it works on principal
    components of the given rows, including poison, and rows far out in the features can rotate
    these components.  The information in the other components is lost: on clean house prices with
    274 one-hot features, its test error is 1.4 times that of ridge.  It does not need the number of
    poison rows.  Both the components and the spatial median depend on the units of the columns, so
    scale columns in different units first.

    It costs `max_subsets` least-squares fits of k + 1 rows, and up to 15 times 200 to choose k.

    Parameters
    ----------
    n_components : int or "cv", default="cv"
        Number k of principal components, at most the number of features and at most the number of
        rows less two.  "cv" chooses among 1, 2, 4, 8 and 16 by the mean of the smallest three
        quarters of the squared errors on held-out rows.
    max_subsets : int, default=2000
        Maximum number of subsets.
    n_folds : int, default=3
        Number of folds for this choice; at most one for each row.
    random_state : int, RandomState or None, default=None
        Draws the subsets and shuffles the rows into folds.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model, in the caller's features.
    n_components_ : int
        The number of components that was used.
    errors_ : dict of int to float
        For each number that was compared, the trimmed mean of its held-out squared errors.
    note_ : str
        A short description of the model, for the tables.

    References
    ----------
    Dang, Peng, Wang and Zhang, "Theil-Sen estimators in a multiple linear regression model",
    2008; computed by scikit-learn's ``TheilSenRegressor``.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import TheilSenDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = TheilSenDefense(random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    """

    name = "theil-sen"
    reference = "Dang, Peng, Wang and Zhang 2008"

    def __init__(
        self,
        *,
        n_components: Annotated[int, Ge(1)] | Literal["cv"] = "cv",
        max_subsets: Annotated[int, Ge(1)] = 2000,
        n_folds: Annotated[int, Ge(2)] = 3,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.max_subsets = max_subsets
        self.n_folds = n_folds
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        seed = rng.randint(2**31)
        self.errors_: dict[int, float] = {}
        if self.n_components == "cv":
            self.errors_ = self._held_out_errors(X, y, seed)
            self.n_components_ = min(self.errors_, key=lambda k: self.errors_[k])
        else:
            self.n_components_ = min(int(self.n_components), _most_components(X))
        self.coef_, self.intercept_, converged = _spatial_median(
            X, y, self.n_components_, self.max_subsets, seed
        )
        self.note_ = f"no penalty; {self.n_components_} of {X.shape[1]} principal components"
        if not converged:
            self.note_ += "; the spatial median did not converge"

    def _held_out_errors(self, X: FloatArray, y: FloatArray, seed: int) -> dict[int, float]:
        splits = list(folds(len(y), self.n_folds))
        most = min(_most_components(X[training]) for training, _ in splits)
        compared = [k for k in COMPONENTS if k <= most] or [most]
        errors = np.empty((len(y), len(compared)))
        subsets = min(self.max_subsets, TUNING_SUBSETS)
        for training, held_out in splits:
            for column, k in enumerate(compared):
                coef, intercept, _ = _spatial_median(X[training], y[training], k, subsets, seed)
                errors[held_out, column] = (y[held_out] - X[held_out] @ coef - intercept) ** 2
        return dict(zip(compared, trimmed_mean(errors).tolist(), strict=True))


def _most_components(X: FloatArray) -> int:
    """Return the number of components that subsets of the rows of `X` can determine."""
    return max(min(int(X.shape[1]), len(X) - 2), 0)


def _spatial_median(
    X: FloatArray, y: FloatArray, k: int, max_subsets: int, seed: int
) -> tuple[FloatArray, float, bool]:
    """Return the weights and intercept of Theil-Sen on k components, and whether it converged."""
    mean = X.mean(axis=0)
    _, singular, directions = np.linalg.svd(X - mean, full_matrices=False)
    rounding = ROUNDING * float(np.abs(X).max()) * np.sqrt(len(X))
    k = min(k, int((singular > max(1e-9 * singular[0], rounding)).sum()))
    if k == 0:  # all rows are equal, or there are too few
        return np.zeros(X.shape[1]), float(np.median(y)), True
    directions = directions[:k]
    # scikit-learn's spatial median has absolute tolerances, which suit numbers of ordinary size.
    unit, unit_y = thousands(float(singular[0]) / np.sqrt(len(X))), thousands(float(np.std(y)))
    scores = (X - mean) @ directions.T / unit
    fit = TheilSenRegressor(max_subpopulation=max_subsets, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit.fit(scores, y / unit_y)
    coef: FloatArray = fit.coef_ @ directions * (unit_y / unit)
    return coef, float(fit.intercept_ * unit_y - mean @ coef), fit.n_iter_ < fit.max_iter - 1


def thousands(size: float) -> float:
    """Return the power of a thousand nearest to a size; 1 for 0."""
    return float(1000.0 ** round(np.log10(size) / 3)) if size > 0 else 1.0
