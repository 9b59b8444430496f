"""What a defense is: a scikit-learn regressor that expects some of its rows to be poison."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from poisonbench import registry
from poisonbench.defenses.engines.row_order import Keys, content_keys
from poisonbench.defenses.engines.units import column_units
from poisonbench.features import FeatureSpace, FloatArray
from poisonbench.models import LinearModel
from poisonbench.parameters import check_parameters

NOTHING_REMOVED = "0 poison rows estimated: nothing was removed"
"""What a defense says whose estimate of the number of poison rows makes it no defense."""

AFFINE = 1e-6
"""Largest deviation of predictions from a plane, relative to their spread, that is rounding."""


class Defense(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the defenses; a subclass has a ``name`` and a ``reference``.

    The pipeline passes what it knows to the parameters of these names, where ``__init__`` has
    them: ``estimator`` (the learner, unfitted), ``one_hot_groups`` (their column indices),
    ``n_poison`` (the number of poison rows to assume) or ``contamination="auto"`` (estimate it),
    and ``random_state``.  So does an attacker who tries a defense; see :meth:`init_arguments`.

    A subclass implements one of two hooks: :meth:`_estimator`, where the defense is an estimator
    that is there already, or :meth:`_fit_rows`.  Neither sees the caller's order of rows: they
    come sorted by keys made from what they hold and ``random_state``, which is a shuffled order.
    So with an int ``random_state`` the same set of rows gives the same model in any order, and no
    defense can profit from poison that happens to lie at the end.
    """

    name: ClassVar[str]
    reference: ClassVar[str]

    note_: str | None = None
    """What a fitted defense says of its model that parameters and numbers do not, in a few words: a
    reduced dimension, a fit that did not converge, categories to distrust.  :meth:`_fit_rows` sets
    it, and the pipeline writes it to the column ``defense_note``."""

    row_attributes: ClassVar[tuple[str, ...]] = ()
    """Learned arrays with one entry for each row: :meth:`fit` puts them in the caller's order."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows, some of which may be poison.

        Parameters
        ----------
        X : array-like of shape (N, d)
            The rows.
        y : array-like of shape (N,)
            Their responses.

        Returns
        -------
        self
            The fitted defense.

        Raises
        ------
        ValueError
            A parameter is out of its range, or the rows cannot be used.
        """
        check_parameters(self)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        y = y.astype(np.float64)
        n_poison = getattr(self, "n_poison", None)
        if n_poison is not None and n_poison >= len(y):
            raise ValueError(f"{type(self).__name__}: n_poison is {n_poison}, expected fewer than "
                             f"the {len(y)} rows given")  # fmt: skip
        # A defense that has no such parameter draws nothing, and needs a fixed order of rows.
        rng = check_random_state(getattr(self, "random_state", 0))
        self._fit_keyed(X, y, content_keys(X, y, rng), rng)
        estimated = getattr(self, "contamination", None) == "auto"
        if estimated and self.n_poison is None and not self.n_poison_:
            self.note_ = "; ".join(filter(None, [self.note_, NOTHING_REMOVED]))
        return self

    @classmethod
    def init_arguments(
        cls, estimator: Any, space: FeatureSpace, n_poison: int | str | None, random_state: int
    ) -> dict[str, Any]:
        """Return the arguments for those of the parameters above that ``__init__`` has.

        Parameters
        ----------
        estimator : LinearModel
            The learner, unfitted.
        space : FeatureSpace
            The columns; of its groups the defense gets the column indices.
        n_poison : int or "auto" or None
            The number of poison rows to assume, that it shall be estimated, or None for a defense
            that takes no such number.
        random_state : int
            Seed of the defense's random numbers.

        Returns
        -------
        dict of str to Any
            By parameter.
        """
        known: dict[str, Any] = {
            "estimator": estimator,
            "one_hot_groups": tuple(group.columns for group in space.groups) or None,
            "random_state": random_state,
            "contamination" if n_poison == "auto" else "n_poison": n_poison,
        }
        return {name: value for name, value in known.items() if registry.accepts(cls, name)}

    def check_rows(self, n_rows: int) -> None:
        """Raise ValueError if the defense cannot work with so many rows, whatever they are."""

    def predict(self, X: Any) -> FloatArray:
        """Return f(x) for each row of `X`; shape (rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if hasattr(self, "coef_"):
            return np.asarray(X @ self.coef_ + self.intercept_)
        return np.asarray(self.estimator_.predict(X))

    def _fit_keyed(
        self, X: FloatArray, y: FloatArray, keys: Keys, rng: np.random.RandomState
    ) -> None:
        """Put the rows in the order of their keys, learn, and put what was learned back."""
        order = np.argsort(keys, kind="stable")
        # C order, so that sums run alike whether an array came or a data frame.
        self._fit_rows(np.ascontiguousarray(X[order]), y[order], rng)
        original = np.argsort(order)
        for attribute in self.row_attributes:
            setattr(self, attribute, getattr(self, attribute)[original])

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        """Learn from rows in no particular order; a hook of a defense.

        Sets the learned attributes, those named in :attr:`row_attributes` in the order of `X`.
        Without a subclass's own it fits what :meth:`_estimator` returns.

        Parameters
        ----------
        X, y : ndarray of shape (N, d) and (N,)
            The rows.
        rng : RandomState
            The only source of random numbers.
        """
        estimator = self._estimator(rng)
        estimator.fit(X, y)
        self._adopt(estimator, X)

    def _estimator(self, rng: np.random.RandomState) -> Any:
        """Return the estimator that the defense is, unfitted; the other hook.

        Anything with ``fit(X, y)`` and ``predict(X)`` will do.

        Parameters
        ----------
        rng : RandomState
            The only source of random numbers, as ``random_state`` of the estimator, say.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither of the hooks of a defense, "
                                  "_estimator and _fit_rows")  # fmt: skip

    def _adopt(self, estimator: Any, X: FloatArray) -> None:
        """Take over a fitted estimator as ``estimator_``, with its weights where it is affine.

        One of our learners says its weights.  Any other may centre its features or have a link
        function beside its ``coef_``, so it is asked for its predictions at the centre of the rows
        and one unit along each column: where the plane through them fits all rows, that is it.
        Otherwise there is no ``coef_``, and :meth:`predict` asks the estimator.
        """
        self.estimator_ = estimator
        for name in ("coef_", "intercept_"):
            self.__dict__.pop(name, None)
        if isinstance(estimator, LinearModel):
            self.coef_, self.intercept_ = estimator.coef_, estimator.intercept_
            return
        centre, unit = column_units(X)
        around = np.vstack([centre, centre + np.diag(unit)])
        predicted = np.ravel(estimator.predict(np.vstack([around, X])))
        corners, rows = predicted[: len(around)], predicted[len(around) :]
        coef = (corners[1:] - corners[0]) / unit
        intercept = float(corners[0] - centre @ coef)
        size = float(np.abs(rows - corners[0]).max()) + 1e-6 * float(np.abs(rows).max())
        if np.abs(corners[0] + (X - centre) @ coef - rows).max() <= AFFINE * size:
            self.coef_, self.intercept_ = coef, intercept
