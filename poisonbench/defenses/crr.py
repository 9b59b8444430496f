"""CRR: consistent robust regression (Bhatia, Jain, Kamalaruban and Kar 2017, Algorithm 1).

The model is y = Xw + b + noise with a vector b of corruptions, at most p of which are not 0:

    minimise over w and ||b||_0 <= p:   ||y - b - Xw||^2,

by iterating b_{t+1} = HT_p(P b_t + (I - P) y), where P is the projection onto the columns of X and
HT_p keeps the p entries of largest absolute value.  Since P b + (I - P) y = y - P (y - b), an
iteration fits to the responses y - b_t and sets b_{t+1} to the p largest residuals of y.  In this
form any learner can take the place of P.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import smallest
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.defenses.engines.units import columns_for
from poisonbench.features import FloatArray
from poisonbench.models import OLS, ElasticNet, Ridge
from poisonbench.models.ols import RELATIVE_CUT


class CRRDefense(Defense):
    """CRR: estimate how wrong the responses of p rows are, and fit to the corrected responses.

    It assumes that an oblivious adversary, who does not look at features and noise, corrupted the
    responses of at most a small constant share of the rows.  Then, unlike other methods of its
    kind, it is consistent: as the number of rows grows, the error goes to 0 even with noise.  The
    attacks here choose features and know everything, so this guarantee does not hold, and no
    breakdown point is known.  The residual of a row with leverage h is at first too small by the
    factor 1 - h, so its corruption is found slowly or never.

    The paper treats least squares with more rows than features.  With OLS, this is the paper's
    algorithm; if there are as many features as rows, it has no effect, since every residual is 0.
    With a penalised learner, the learner's fit takes the place of P, and every iteration still
    decreases the objective, including the penalty.

    With ridge and OLS it costs one singular value decomposition, and two matrix products for each
    iteration; with other learners, one fit for each iteration.  There are 10 to 300 iterations.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number p of corruptions; overrides `contamination`.
    contamination : float or "auto", default=0.2
        p as a share of the rows, or "auto" to estimate it.
    max_iter : int, default=1000
        Maximum number of iterations.
    tol : float, default=1e-4
        Stop when the corruptions change by less than this share of the range of the responses;
        also the relative duality gap of the LASSO and elastic-net fits in the iterations.
    random_state : int, RandomState or None, default=None
        Orders the rows, which breaks ties; draws random numbers to estimate p.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the responses minus `corruption_`.
    corruption_ : ndarray of shape (N,)
        The estimate of b, in units of the response.
    support_ : ndarray of bool of shape (N,)
        The rows whose responses were not corrected.
    n_poison_ : int
        The p that was used.
    n_iter_ : int
        Number of iterations.
    note_ : str or None
        A remark for the tables if the iterations did not converge.

    References
    ----------
    Bhatia, Jain, Kamalaruban and Kar, "Consistent robust regression", NIPS 2017.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import CRRDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = CRRDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "crr"
    reference = "Bhatia, Jain, Kamalaruban and Kar 2017, Algorithm 1"
    row_attributes = ("support_", "corruption_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        max_iter: Annotated[int, Ge(1)] = 1000,
        tol: Annotated[float, Gt(0)] = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        fitted_to = smoother(estimator, X, self.tol)
        b, enough = np.zeros(len(y)), self.tol * float(np.ptp(y))
        self.note_ = f"not converged after {self.max_iter} iterations"
        for n_iter in range(1, self.max_iter + 1):  # noqa: B007
            residual = y - fitted_to(y - b)
            kept = smallest(np.abs(residual), len(y) - self.n_poison_)
            before, b = b, np.where(kept, 0.0, residual)
            if np.linalg.norm(b - before) <= enough:
                self.note_ = None
                break
        self.n_iter_ = n_iter
        self.support_, self.corruption_ = kept, b
        self._adopt(clone(estimator).fit(X, y - b), X)


def smoother(estimator: Any, X: FloatArray, tol: float) -> Callable[[FloatArray], FloatArray]:
    """Return the function from responses to the learner's predictions for the rows.

    Parameters
    ----------
    estimator : estimator
        The learner, unfitted.
    X : ndarray of shape (N, d)
        The rows.
    tol : float
        Relative duality gap at which coordinate descent stops; it need not be small, because a fit
        is only one of many steps.

    Returns
    -------
    callable
        From responses of shape (N,) to predictions of shape (N,).
    """
    if isinstance(estimator, Ridge | OLS):
        # f = mean + U diag(s^2 / (s^2 + alpha)) U' (y - mean), with X centred = U diag(s) V'.
        columns = columns_for(estimator, X)
        U, s, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
        found = s > RELATIVE_CUT * s[0] if isinstance(estimator, OLS) else s > 0
        U, s = U[:, found], s[found]
        shrunk = U * (s**2 / (s**2 + estimator.alpha_for(len(X))))
        return lambda y: y.mean() + shrunk @ (U.T @ (y - y.mean()))
    solver = clone(estimator)
    if isinstance(estimator, ElasticNet):
        solver = estimator.solver(len(X)).set_params(warm_start=True, tol=tol)
    return lambda y: np.ravel(solver.fit(X, y).predict(X))
