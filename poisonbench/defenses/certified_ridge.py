"""Ridge whose penalty minimises a proved bound on the error after any p poison rows.

``poisonbench.certificates.ceiling`` bounds the error that ridge can have on given rows if legal
rows of a given total weight are added to its clean training rows.  The rows are split into folds.
For every penalty, this defense takes the mean of the ceilings of the models that are trained
without a fold, each on its fold and weighted by its size, and chooses the penalty with the smallest
mean.  A model that is trained on a share of the rows has the same share of the penalty and of the p
poison rows, so that the mean estimates the ceiling on the error of the model of all rows on new
ones.

A ceiling needs trusted rows, and says what p *further* rows can do.  An experiment's defense gets
poisoned rows, and does not know which of them are clean.  What can be proved about the clean rows
then is this.  If at most p of the N rows are poison, then for any model, however it was trained,
its mean squared error on the clean ones is at most the mean of the N - p largest squared errors.
No smaller bound can be proved from these rows alone, because the N - p rows with the largest errors
may be the clean ones.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from scipy import linalg

from poisonbench.certificates.ceiling import NoCeilingError, ceiling
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.held_out import folds
from poisonbench.defenses.engines.indicator_columns import Groups, indicator_columns
from poisonbench.features import BOX_TOLERANCE, FeatureSpace, FloatArray, OneHotGroup
from poisonbench.models import Ridge
from poisonbench.problem import Sample

SHARES = 10.0 ** np.arange(-3, 3)
"""The penalties that are compared, as shares of the number of rows; with the largest, the model is
nearly constant."""


NOTHING = 1e-9
"""A column whose range is below this share of its largest value is constant up to rounding."""


class CertifiedRidge(Defense):
    """Ridge with the penalty that minimises the proved error after p poison rows.

    What is proved for **trusted rows**: let the N rows given to :meth:`fit` be clean.  Ridge with
    the penalty ``alpha_`` on rows scaled to the box, trained on them and on any p legal rows, has a
    mean squared error on them of at most ``ceiling_``.  The error on new rows is larger, so the
    penalty is chosen by another bound: for each fold, train ridge on the m rows outside it and on
    any legal rows of total weight p m/N, with the penalty ``alpha_`` m/N.  Then the mean squared
    error on the folds' rows is at most ``held_out_ceiling_``, even if the legal rows differ between
    the folds.  For the model of all rows and for new rows like these, this number is an estimate,
    as in any cross-validation.  Neither bound holds if clean rows are changed or deleted.

    What is proved for **poisoned rows**, as in an experiment: if at most p of the rows given are
    poison, then the mean squared error of the model on the clean ones is at most
    ``certified_mse_``, whichever these are.  That is all: the ceilings then take poison rows for
    clean ones and bound nothing of interest, and the poison has influenced ``alpha_``.  The bound
    counts the poison rows' own residuals, so it is far above the error that is measured.

    The penalties that have small ceilings are large, so the model is robust, but not accurate.  Its
    promise is not better than that of a constant: the ceiling on the test error is 1.2 times the
    worst error of the median response on house prices at p/n = 0.04, and at least three times it at
    0.2 and on the health data (``tests/benchmarks/ceiling.py --penalties``).  If it is known which
    rows are trusted, a model trained on these alone is better than any promise.  It does not use
    the learner.

    Fitting costs ``n_folds`` x 6 ceilings, about 400 ridge fits.

    Parameters
    ----------
    n_poison : int, default=0
        The number p of poison rows.
    one_hot_groups : iterable of sequences of int, optional
        One-hot groups as column indices; a legal row has at most one 1 in each, unless the rows
        given have more.  If None, every column counts as numeric, which is safe, but makes the
        ceiling higher.
    box : {"auto", "rows", "unit"}, default="auto"
        The values that legal rows may have in the other columns and in the response: those between
        the smallest and the largest of the rows given (rows), or those from 0 to 1 (unit), where
        all rows given must lie.  The latter is the box of an experiment; auto takes it if it can.
    n_folds : int, default=5
        Number of folds; at most one for each row.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model, trained on all rows given.
    estimator_ : Ridge
        The same in the box: features and responses are scaled to [0, 1].
    alpha_ : float
        The penalty, scikit-learn's alpha for rows in the box.
    ceiling_, held_out_ceiling_ : float
        For trusted rows, the bounds on the error on them and on the held-out error after p further
        rows; infinite if none could be proved.  With p = 0 these are the errors themselves.
    certified_mse_ : float
        The bound on the error of this model on the clean ones of the rows given: the mean of the
        N - p largest squared errors.
    folds_ : ndarray of int of shape (N,)
        The fold of each row, from 0.
    note_ : str
        The penalty and ``certified_mse_``, for the tables.

    References
    ----------
    The ceiling is new in poisonbench (``results/reference/ceiling.md``).

    Examples
    --------
    A promise for fifty trusted rows; then five rows are added that nobody has checked.

    >>> import numpy as np
    >>> from poisonbench.defenses import CertifiedRidge
    >>> from poisonbench.models import Ridge
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((50, 1))
    >>> y = 0.3 + 0.4 * X[:, 0]
    >>> promise = CertifiedRidge(n_poison=5, box="unit").fit(X, y)
    >>> promise.alpha_
    0.5
    >>> round(promise.ceiling_, 3)
    0.013
    >>> X, y = np.vstack([X, np.ones((5, 1))]), np.append(y, np.zeros(5))
    >>> model = Ridge(alpha=promise.alpha_).fit(X, y)
    >>> float(np.mean((model.predict(X[:50]) - y[:50]) ** 2).round(3))
    0.01
    """

    name = "certified-ridge"
    reference = "new in poisonbench"
    row_attributes = ("folds_",)

    def __init__(
        self,
        *,
        n_poison: Annotated[int, Ge(0)] = 0,
        one_hot_groups: Groups = None,
        box: Literal["auto", "rows", "unit"] = "auto",
        n_folds: Annotated[int, Ge(2)] = 5,
    ) -> None:
        self.n_poison = n_poison
        self.one_hot_groups = one_hot_groups
        self.box = box
        self.n_folds = n_folds

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        space = self._space(X)
        low, span = self._box(X, y, space)
        rows = Sample((X - low[:-1]) / span[:-1], (y - low[-1]) / span[-1])
        alphas = [float(share * len(y)) for share in SHARES]
        ceilings, self.folds_ = np.zeros(len(alphas)), np.empty(len(y), dtype=np.intp)
        for fold, (training, held_out) in enumerate(folds(len(y), self.n_folds)):
            self.folds_[held_out] = fold
            clean = Sample(rows.X[training], rows.y[training])
            problem = Poisoning.of(clean, Ridge(), self.n_poison, space)
            on_fold = Loss.mean_squared_error(Sample(rows.X[held_out], rows.y[held_out]))
            share = len(training) / len(y)
            found = self._ceilings(problem, on_fold, share, alphas)
            ceilings += len(held_out) / len(y) * found
        # Sums of proved bounds and products are themselves rounded.
        unit = span[-1] ** 2 * (1 + 1e-12)
        best = int(ceilings.argmin()) if np.isfinite(ceilings).any() else -1
        self.alpha_ = alphas[best]
        self.held_out_ceiling_ = float(ceilings[best] * unit)
        problem = Poisoning.of(rows, Ridge(), self.n_poison, space)
        on_rows = Loss.mean_squared_error(rows)
        self.ceiling_ = float(self._ceilings(problem, on_rows, 1.0, [self.alpha_])[0] * unit)
        self.estimator_ = Ridge(alpha=self.alpha_).fit(rows.X, rows.y)
        self.coef_ = self.estimator_.coef_ * span[-1] / span[:-1]
        self.intercept_ = float(
            low[-1] + span[-1] * self.estimator_.intercept_ - self.coef_ @ low[:-1]
        )
        squared = np.sort((X @ self.coef_ + self.intercept_ - y) ** 2)
        self.certified_mse_ = float(squared[self.n_poison :].mean())
        self.note_ = (f"alpha {self.alpha_:.3g}; proved: error on clean training rows at most "
                      f"{rounded_up(self.certified_mse_)}")  # fmt: skip

    def _space(self, X: FloatArray) -> FeatureSpace:
        """Return the columns; a group may have no 1, because the rows given may lack such a row."""
        groups = [tuple(group) for group in self.one_hot_groups or ()]
        indicator_columns(groups, None, X)  # refuses what is no column
        made = [
            OneHotGroup(str(g), columns, True, bool((X[:, columns].sum(axis=1) <= 1).all()))
            for g, columns in enumerate(groups)
        ]
        return FeatureSpace(tuple(map(str, range(X.shape[1]))), tuple(made))

    def _box(
        self, X: FloatArray, y: FloatArray, space: FeatureSpace
    ) -> tuple[FloatArray, FloatArray]:
        """Return the lower bounds and the ranges of the columns and, last, of the response."""
        rows = np.column_stack([X, y])
        low, span = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        inside = bool((np.abs(rows - 0.5) <= 0.5 + BOX_TOLERANCE).all())
        if self.box == "unit" or (self.box == "auto" and inside):
            if not inside:
                raise ValueError("box is 'unit', but some rows have features or responses outside "
                                 "[0, 1]; expected scaled rows, or box='rows'")  # fmt: skip
            return low, span
        scaled = np.append(space.numeric, -1)
        low[scaled], span[scaled] = rows[:, scaled].min(axis=0), np.ptp(rows[:, scaled], axis=0)
        rounding = NOTHING * np.abs(rows).max(axis=0)
        return low, np.where(span > rounding, span, 1.0)

    def _ceilings(
        self, problem: Poisoning, loss: Loss, share: float, alphas: list[float]
    ) -> FloatArray:
        """Return the ceilings on the loss for this share of the budget and of each penalty."""
        found = np.full(len(alphas), np.inf)
        for k, alpha in enumerate(alphas):
            model = replace(problem, n_poison=share * self.n_poison, l2=share * alpha)
            if self.n_poison:
                with suppress(NoCeilingError):
                    found[k] = ceiling(model, loss).bound
            else:
                # From moments, so a tiny error may come out as 0 or less.
                found[k] = max(loss.value(linalg.solve(model.hessian, model.moment)), 0.0)
        return found


def rounded_up(bound: float) -> str:
    """Return a bound with three digits, not below it."""
    text = f"{bound:.3g}"
    return text if float(text) >= bound else f"{bound * 1.005:.3g}"
