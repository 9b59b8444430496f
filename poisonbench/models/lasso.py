"""LASSO: Omega(w) = ||w||_1, the elastic net with rho = 1."""

from __future__ import annotations

from poisonbench.models.elastic_net import ElasticNet


class Lasso(ElasticNet):
    """LASSO in the paper's objective.

    Parameters
    ----------
    lam : float, optional
        The paper's lambda, held fixed whatever the number of rows; 1e-3 if neither is given.
    alpha : float, optional
        scikit-learn's alpha = lambda / 2.
    """

    name = "lasso"

    def __init__(self, lam: float | None = None, *, alpha: float | None = None) -> None:
        super(ElasticNet, self).__init__(lam, alpha=alpha)

    def l1_ratio(self) -> float:
        """Return 1: the penalty is the l1 norm alone."""
        return 1.0
