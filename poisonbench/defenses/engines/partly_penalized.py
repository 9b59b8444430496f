"""Least squares with a ridge penalty on some columns and none on the others.

    minimise sum_i weight_i (y_i - b.q_i - c.z_i)^2 + G ||c||^2

over the free columns q, which include the intercept, and the penalised columns z.  A tiny penalty
on the free columns would shrink differences between nearly collinear columns.  Instead, the free
columns are projected out of z and y; c is a ridge solution on what remains, and b is least squares
on y - c.z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from poisonbench.defenses.engines.fits import Fitted, Refits
from poisonbench.defenses.engines.units import standardised
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models import OLS
from poisonbench.models.ols import RELATIVE_CUT

NOTHING = 1e-9
"""Lower bound on 1 - leverage, to avoid a division by 0."""

START_PENALTY = 1e-2
"""Ridge penalty of a start on the free columns, relative to their total variance."""


class PartlyPenalized(Refits):
    """Fits of least squares with a ridge penalty on some columns.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    penalized : ndarray of bool of shape (d,)
        The columns with the penalty; at least one.
    strength : float
        The penalty G.
    """

    def __init__(self, X: FloatArray, y: FloatArray, penalized: BoolArray, strength: float) -> None:
        super().__init__(OLS(), X, y)
        self.penalized, self.strength = penalized, strength
        columns = standardised(X[:, ~penalized])
        # Starts are ridge fits with a single penalty, so z is scaled down for them.
        spread = START_PENALTY * float(np.var(columns, axis=0).sum())
        shrunk = np.sqrt(spread / (spread + strength)) if spread > 0 else 1.0
        self._starting = np.empty_like(X)
        self._starting[:, ~penalized] = columns
        self._starting[:, penalized] = shrunk * X[:, penalized]
        U, singular, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
        used = singular > RELATIVE_CUT * singular.max(initial=0.0)
        self._free = np.column_stack([np.ones(len(y)), np.sqrt(len(y)) * U[:, used]])
        self._z = X[:, penalized]

    @property
    def start_columns(self) -> FloatArray:
        """The standardised free columns and the scaled penalised columns; shape (N, d)."""
        return self._starting

    def subset(self, rows: IntArray) -> PartlyPenalized:
        """Return the same for some of the rows."""
        return PartlyPenalized(self.X[rows], self.y[rows], self.penalized, self.strength)

    def on_rows(self, kept: BoolArray) -> Fitted:
        """Fit to the rows `kept`."""
        return self._solve(kept.astype(np.float64))

    def on_weights(self, weight: FloatArray) -> Fitted:
        """Fit to all rows with the given weights."""
        return self._solve(weight)

    def left_out(self, kept: BoolArray, fitted: Fitted) -> FloatArray:
        """Return the residual of each row under the fit to the other rows; shape (n,)."""
        U, _, z, factor = self._projected(kept.astype(np.float64))
        leverage = (U**2).sum(axis=1) + np.einsum("ij,ji->i", z, cho_solve(factor, z.T))
        return np.asarray(fitted.residual[kept] / np.maximum(1 - leverage[kept], NOTHING))

    def elsewhere(self, kept: BoolArray, fitted: Fitted, X: FloatArray) -> FloatArray:
        """Return the predictions of a fit to the rows `kept` for the rows of `X`."""
        model = self.model(kept, fitted)
        return np.asarray(X @ model.coef_ + model.intercept_)

    def model(self, kept: BoolArray, fitted: Fitted) -> Any:
        """Return the fit to the rows `kept` as a fitted learner."""
        return self.weighted_model(kept.astype(np.float64), fitted)

    def weighted_model(self, weight: FloatArray, fitted: Fitted) -> Any:
        """Return `fitted`, a fit to all rows with these weights, as a fitted OLS."""
        model = OLS()
        model.coef_ = np.zeros(len(self.penalized))
        model.coef_[self.penalized] = fitted.coef
        left = self.y - self._z @ model.coef_[self.penalized]
        free = model.solver(len(left)).fit(self.X[:, ~self.penalized], left, weight)
        model.coef_[~self.penalized], model.intercept_ = free.coef_, free.intercept_
        model.n_features_in_ = len(model.coef_)
        return model

    def _projected(self, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, Any]:
        """Return the parts of the projection that removes the free columns from the weighted rows.

        These are a basis U of the weighted free columns, the map from U'y to their weights, the
        projected penalised columns z, and a factorisation of z'z + G.
        """
        root = np.sqrt(weight)
        U, singular, Vt = np.linalg.svd(root[:, None] * self._free, full_matrices=False)
        used = singular > RELATIVE_CUT * singular[0]
        U, back = U[:, used], Vt[used].T / singular[used]
        z = root[:, None] * self._z
        z = z - U @ (U.T @ z)
        system = z.T @ z
        system[np.diag_indices(len(system))] += self.strength
        return U, back, z, cho_factor(system, lower=True)

    def _solve(self, weight: FloatArray) -> Fitted:
        root = np.sqrt(weight)
        U, back, z, factor = self._projected(weight)
        c = cho_solve(factor, z.T @ (root * self.y))
        left = self.y - self._z @ c
        residual = left - self._free @ (back @ (U.T @ (root * left)))
        return Fitted(residual, self.strength * float(c @ c) / float(weight.sum()), c)
