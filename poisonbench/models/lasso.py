"""LASSO: Omega(w) = ||w||_1, the elastic net with rho = 1."""

from __future__ import annotations

from poisonbench.models.elastic_net import ElasticNet


class Lasso(ElasticNet):
    """LASSO in the paper's objective.

    Parameters
    ----------
    lam : float, optional
        The paper's lambda, which is the same for every number of rows; 1e-3 if neither is given.
    alpha : float, optional
        scikit-learn's alpha = lambda / 2.

    Examples
    --------
    >>> from poisonbench.models import Lasso
    >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    >>> model = Lasso(lam=0.5).fit(X, [0.0, 1.0, 2.0, 3.0])
    >>> (model.coef_ + 0.0).round(3)
    array([0.8, 0. ])
    >>> model.alpha_for(n_rows=4)
    0.25
    """

    name = "lasso"

    def __init__(self, lam: float | None = None, *, alpha: float | None = None) -> None:
        super(ElasticNet, self).__init__(lam, alpha=alpha)

    def l1_ratio(self) -> float:
        """Return 1, because the penalty is the l1 norm."""
        return 1.0
