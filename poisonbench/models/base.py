"""The base class of learners: the objective, the penalty, and two conventions for its strength."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from poisonbench.features import FloatArray


class LinearModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear regression f(x) = w.x + b fitted by a penalised least-squares objective.

    The penalty is Omega(w) = rho ||w||_1 + (1 - rho)/2 ||w||_2^2, with ``rho`` = 0 for ridge and
    1 for LASSO.  Subclasses give the scikit-learn estimator with the same minimiser.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        The weights w.
    intercept_ : float
        The intercept b, never penalised.
    """

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Eq. 1"

    def l1_ratio(self) -> float:
        """Return rho, the share of the l1 norm in the penalty."""
        raise NotImplementedError

    def alpha_for(self, n_rows: int) -> float:
        """Return scikit-learn's ``alpha`` for a fit on `n_rows` rows."""
        raise NotImplementedError

    def lambda_for(self, n_rows: int) -> float:
        """Return the paper's lambda for a fit on `n_rows` rows."""
        raise NotImplementedError

    def solver(self, n_rows: int) -> Any:
        """Return the unfitted scikit-learn estimator with the same minimiser on `n_rows` rows."""
        raise NotImplementedError

    def select_lambda(self, X: FloatArray, y: FloatArray, *, random_state: int) -> float:
        """Select lambda by cross-validation on these rows.

        Parameters
        ----------
        X, y : ndarray of shape (N, d) and (N,)
            The rows.
        random_state : int
            Seed for shuffling the rows into folds, if there are folds.

        Returns
        -------
        float
            The paper's lambda.
        """
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows `X` of shape (N, d) and responses `y` of shape (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        solved = self.solver(len(y)).fit(X, y)
        self.coef_ = np.asarray(solved.coef_, dtype=np.float64)
        self.intercept_ = float(solved.intercept_)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return f(x) for each row of `X`; shape (rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        predicted: FloatArray = X @ self.coef_ + self.intercept_
        return predicted

    def with_strength(self, **strength: float | None) -> Self:
        """Return an unfitted copy with another ``lam`` or ``alpha``."""
        copy: Self = clone(self).set_params(**strength)
        return copy

    def penalty(self, w: FloatArray) -> Any:
        """Return Omega(w), for a vector of weights or for each vector in an array (..., d)."""
        rho = self.l1_ratio()
        return rho * np.abs(w).sum(axis=-1) + (1 - rho) / 2 * (w * w).sum(axis=-1)

    def penalty_gradient(self, w: FloatArray) -> FloatArray:
        """Return the gradient of Omega, with sign(0) = 0 at the kinks; shape (d,)."""
        rho = self.l1_ratio()
        gradient: FloatArray = rho * np.sign(w) + (1 - rho) * w
        return gradient

    def objective(self, X: FloatArray, y: FloatArray) -> float:
        """Return L(D, theta) of the fitted model on rows `X`, `y` (Eq. 1)."""
        loss = float(np.mean((self.predict(X) - y) ** 2))
        return loss + self.lambda_for(len(y)) * float(self.penalty(self.coef_))


class PenalizedModel(LinearModel):
    """A learner with a regularisation strength, given as ``lam`` or as ``alpha``.

    Parameters
    ----------
    lam : float, optional
        The paper's lambda, which is the same for every number of rows.
    alpha : float, optional
        scikit-learn's alpha, which is the same for every number of rows.  Give at most one of the
        two.
    """

    DEFAULT_LAMBDA: ClassVar[float] = 1e-3

    def __init__(self, lam: float | None = None, *, alpha: float | None = None) -> None:
        self.lam = lam
        self.alpha = alpha

    @staticmethod
    def _alpha_per_lambda(n_rows: int) -> float:
        """Return the factor from lambda to alpha on `n_rows` rows."""
        raise NotImplementedError

    def _check_strength(self) -> None:
        if self.lam is not None and self.alpha is not None:
            raise ValueError("both lam (the paper's lambda) and alpha (scikit-learn's) are given; "
                             "expected at most one of them")  # fmt: skip
        for name, value in (("lam", self.lam), ("alpha", self.alpha)):
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{name} is {value}, expected a positive number")

    def alpha_for(self, n_rows: int) -> float:
        """Return scikit-learn's ``alpha`` for a fit on `n_rows` rows."""
        self._check_strength()
        if self.alpha is not None:
            return self.alpha
        lam = self.DEFAULT_LAMBDA if self.lam is None else self.lam
        return self._alpha_per_lambda(n_rows) * lam

    def lambda_for(self, n_rows: int) -> float:
        """Return the paper's lambda for a fit on `n_rows` rows."""
        return self.alpha_for(n_rows) / self._alpha_per_lambda(n_rows)
