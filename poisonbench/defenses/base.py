"""The base class of defenses, scikit-learn regressors that expect poison among their rows."""

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
"""The remark of a defense that estimates 0 poison rows and therefore removes nothing."""

AFFINE = 1e-6
"""Deviations of predictions from a plane that are below this share of their spread are rounding."""


class Defense(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base class of the defenses; a subclass has a ``name`` and a ``reference``.

    If ``__init__`` has parameters of the following names, the pipeline sets them: ``estimator``
    (the unfitted learner), ``one_hot_groups`` (column indices), ``n_poison`` (the number of poison
    rows to assume) or ``contamination="auto"`` (to estimate that number), and ``random_state``.  An
    attack that tries out a defense sets them in the same way; see :meth:`init_arguments`.

    A subclass implements one of two hooks: :meth:`_estimator`, if the defense is an existing
    estimator, or :meth:`_fit_rows`.  Neither hook sees the caller's order of rows: the rows are
    sorted by keys that are computed from their content and from ``random_state``, which amounts to
    a random order.  So with an int as ``random_state``, the same set of rows gives the same model
    in any order (with many rows, up to rounding), and no defense can profit from poison that
    happens to be at the end.
    """

    name: ClassVar[str]
    reference: ClassVar[str]

    note_: str | None = None
    """A short remark on the fitted model, such as a reduced dimension, a fit that did not converge,
    or categories to distrust.  :meth:`_fit_rows` sets it, and the pipeline writes it to the column
    ``defense_note``."""

    row_attributes: ClassVar[tuple[str, ...]] = ()
    """Names of learned arrays with an entry for each row, which :meth:`fit` puts in the caller's
    order."""

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
            A parameter is out of range, or the rows cannot be used.
        """
        check_parameters(self)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        y = y.astype(np.float64)
        n_poison = getattr(self, "n_poison", None)
        if n_poison is not None and n_poison >= len(y):
            raise ValueError(f"{type(self).__name__}: n_poison is {n_poison}, expected fewer than "
                             f"the {len(y)} rows given")  # fmt: skip
        # A defense without this parameter draws nothing, and gets the rows in a fixed order.
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
        """Return the arguments that an experiment passes to ``__init__``.

        Parameters
        ----------
        estimator : LinearModel
            The learner, unfitted.
        space : FeatureSpace
            The columns; the defense gets the column indices of its groups.
        n_poison : int or "auto" or None
            The number of poison rows to assume, "auto" to estimate it, or None for a defense that
            uses no such number.
        random_state : int
            Seed of the defense's random numbers.

        Returns
        -------
        dict of str to Any
            The arguments by name: those of the class docstring that ``__init__`` has.
        """
        known: dict[str, Any] = {
            "estimator": estimator,
            "one_hot_groups": tuple(group.columns for group in space.groups) or None,
            "random_state": random_state,
            "contamination" if n_poison == "auto" else "n_poison": n_poison,
        }
        return {name: value for name, value in known.items() if registry.accepts(cls, name)}

    def check_rows(self, n_rows: int) -> None:
        """Raise ValueError if the defense cannot work with this number of rows."""

    def predict(self, X: Any) -> FloatArray:
        """Return the prediction f(x) for each row of `X`; shape (rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if hasattr(self, "coef_"):
            return np.asarray(X @ self.coef_ + self.intercept_)
        return np.asarray(self.estimator_.predict(X))

    def _fit_keyed(
        self, X: FloatArray, y: FloatArray, keys: Keys, rng: np.random.RandomState
    ) -> None:
        """Sort the rows by their keys, fit, and put the learned arrays into the caller's order."""
        order = np.argsort(keys, kind="stable")
        # C order, so that sums are computed in the same way for arrays and for data frames.
        self._fit_rows(np.ascontiguousarray(X[order]), y[order], rng)
        original = np.argsort(order)
        for attribute in self.row_attributes:
            setattr(self, attribute, getattr(self, attribute)[original])

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        """Fit to rows that come in a random order; a hook for subclasses.

        It sets the learned attributes; those named in :attr:`row_attributes` are in the order of
        `X`.  If a subclass does not implement it, it fits the estimator that :meth:`_estimator`
        returns.

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
        """Return an unfitted estimator that is the defense; the other hook for subclasses.

        Anything with ``fit(X, y)`` and ``predict(X)`` will do.

        Parameters
        ----------
        rng : RandomState
            The only source of random numbers, for example as ``random_state`` of the estimator.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither of the hooks of a "
                                  "defense, _estimator and _fit_rows")  # fmt: skip

    def _adopt(self, estimator: Any, X: FloatArray) -> None:
        """Set ``estimator_`` to a fitted estimator, and ``coef_`` if its predictions are affine.

        The weights of a learner of :mod:`poisonbench.models` are known.  Any other estimator may
        centre its features or apply a link function, so that its ``coef_`` would be misleading.
        Therefore this computes its predictions at the centre of the rows and one unit away along
        each column.  If the plane through these fits the predictions for all rows, it gives
        ``coef_`` and ``intercept_``.  Otherwise there is no ``coef_``, and :meth:`predict` uses the
        estimator.
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
