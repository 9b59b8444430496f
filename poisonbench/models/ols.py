"""Ordinary least squares: no penalty, the minimum-norm solution where the design is deficient.

One-hot designs with few rows are rank-deficient, and the minimum-norm solution is then what the
pseudo-inverse gives once singular values below a relative cut are taken as zero.  The cut is
1e-6: with a much smaller one, directions that are null but for rounding get coefficients of 1e12.
"""

from __future__ import annotations

from typing import Any

from sklearn.linear_model import LinearRegression

from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel

RELATIVE_CUT = 1e-6
"""Singular values of the centred design below this share of the largest count as zero."""


class OLS(LinearModel):
    """Ordinary least squares, minimum norm; lambda = 0."""

    name = "ols"

    def l1_ratio(self) -> float:
        """Return 0; there is no penalty."""
        return 0.0

    def alpha_for(self, n_rows: int) -> float:
        """Return 0."""
        return 0.0

    def lambda_for(self, n_rows: int) -> float:
        """Return 0."""
        return 0.0

    def solver(self, n_rows: int) -> Any:
        """Return scikit-learn's ``LinearRegression`` with a cut of 1e-6."""
        return LinearRegression(tol=RELATIVE_CUT)

    def select_lambda(self, X: FloatArray, y: FloatArray, *, random_state: int) -> float:
        """Return 0: there is nothing to select."""
        return 0.0
