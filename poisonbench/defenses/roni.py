"""RONI, reject on negative impact: drop the rows that do most harm when added to a small fit.

The impact of a row is the increase of the error on held-out rows when the row is added to a small
training set, averaged over trials.  Both sets are drawn from the given rows, which include poison.
For ridge, adding a row is a rank-one update with K = (Z'Z + alpha D)^-1 over the t rows of the
trial,

    theta_i = theta + s_i K z_i,   s_i = (y_i - z_i.theta) / (1 + z_i'K z_i),

so the errors for all rows follow from one product Z_v K Z', without refits.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from joblib import Parallel, delayed
from scipy.linalg import cho_solve, solve_triangular
from sklearn.base import clone
from sklearn.linear_model import ElasticNet as SklearnElasticNet

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import smallest
from poisonbench.defenses.engines.core import rounding_scale
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.features import FloatArray, IntArray
from poisonbench.models import OLS, ElasticNet, Ridge
from poisonbench.models.elastic_net import MOST_COLUMNS
from poisonbench.models.engines.active_set import ActiveSet, engine


class RONIDefense(Defense):
    """RONI: remove the p rows that increase the error most when added to small training sets.

    It assumes that a single poison row does visible harm.  It keeps rows that are harmful only
    together, and rows whose copies are already in the training sets; moreover, the held-out rows
    contain poison themselves.  No breakdown point is known; copies of one harmful row defeat it.

    With ridge, a trial costs one factorisation and one product; with other learners, one refit for
    each row, with the trials in parallel.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to remove; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to remove, or "auto" to estimate it.
    rule : {"count", "threshold"}, default="count"
        Whether to remove the `n_poison` rows of largest impact, as in the paper, or all rows whose
        impact is beyond `threshold`, whatever their number.
    threshold : float, default=3.0
        Number of standard deviations above the median impact, where the standard deviation is
        estimated by 1.4826 times the median absolute deviation.  If that is 0, all rows above the
        median are removed.
    trials : int, default=5
        Number of random pairs of a training set and a validation set.
    train_share : float, default=0.05
        Share of the rows in a training set.
    validation_share : float, default=0.4
        Share of the rows in a validation set, disjoint from the training set.
    n_jobs : int, optional
        Number of processes for the trials of learners that are refitted; 1 if None.  It does not
        change any result.
    random_state : int, RandomState or None, default=None
        Draws the sets.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept.
    n_poison_ : int
        The number of rows removed.
    impact_ : ndarray of shape (N,)
        The mean increase of the validation error, in squared units of the response.
    note_ : str or None
        A remark for the tables if the scale of the impacts is 0.

    References
    ----------
    Nelson et al., "Exploiting machine learning to subvert your spam filter", 2008; Barreno et al.
    2010; compared in Jagielski et al. 2018.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import RONIDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = RONIDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "roni"
    reference = "Nelson et al. 2008"
    row_attributes = ("support_", "impact_")

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        rule: Literal["count", "threshold"] = "count",
        threshold: Annotated[float, Gt(0)] = 3.0,
        trials: Annotated[int, Ge(1)] = 5,
        train_share: Annotated[float, Gt(0), Lt(1)] = 0.05,
        validation_share: Annotated[float, Gt(0), Lt(1)] = 0.4,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.rule = rule
        self.threshold = threshold
        self.trials = trials
        self.train_share = train_share
        self.validation_share = validation_share
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        estimator = learner(self.estimator)
        self.note_ = None
        if self.rule == "count":
            self.n_poison_ = assumed_poison(self, X, y, rng)
        self.impact_ = self._impact(clone(estimator), X, y, rng)
        if self.rule == "threshold":
            above = self.impact_ - np.median(self.impact_)
            scale = 1.4826 * float(np.median(np.abs(above)))
            # Half of the rows are within the median deviation, so some rows are always kept.
            suspect = above > self.threshold * scale
            if scale <= rounding_scale(y) ** 2:
                self.note_ = "scale of the impacts 0: every impact above the median is removed"
            self.n_poison_ = int(suspect.sum())
        self.support_ = kept = smallest(self.impact_, len(y) - self.n_poison_)
        self._adopt(clone(estimator).fit(X[kept], y[kept]), X)

    def _sizes(self, n_rows: int) -> tuple[int, int]:
        """Return the numbers of training and validation rows of a trial."""
        return (
            max(1, round(self.train_share * n_rows)),
            max(1, round(self.validation_share * n_rows)),
        )

    def check_rows(self, n_rows: int) -> None:
        """Raise ValueError if a trial would need more rows than there are."""
        n_train, n_validation = self._sizes(n_rows)
        if n_train + n_validation > n_rows:
            raise ValueError(
                f"RONIDefense: train_share {self.train_share} and validation_share "
                f"{self.validation_share} need {n_train} + {n_validation} rows, expected at most "
                f"the {n_rows} given"
            )

    def _impact(
        self, estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
    ) -> FloatArray:
        n_rows = len(y)
        self.check_rows(n_rows)
        n_train, n_validation = self._sizes(n_rows)
        rises = rises_by_rank_one if isinstance(estimator, Ridge) else rises_by_refits
        if isinstance(estimator, ElasticNet) and X.shape[1] <= MOST_COLUMNS:
            rises = rises_by_active_set
        elif isinstance(estimator, OLS | ElasticNet):
            # The strength of these does not depend on the number of rows: skip the checks.
            estimator = estimator.solver(n_train + 1)
        if isinstance(estimator, SklearnElasticNet):
            estimator.set_params(warm_start=True)
        drawn = [rng.permutation(n_rows)[: n_train + n_validation] for _ in range(self.trials)]
        trials = [np.split(rows, [n_train]) for rows in drawn]
        if rises is rises_by_rank_one:  # faster than starting a process
            found = [rises(estimator, X, y, *trial) for trial in trials]
        else:
            found = Parallel(n_jobs=self.n_jobs)(
                delayed(rises)(clone(estimator), X, y, *trial) for trial in trials
            )
        # The rows of a training set were not added to it, so that trial says nothing about them.
        count = np.full(n_rows, float(self.trials))
        for training, _ in trials:
            count[training] -= 1
        impact: FloatArray = np.sum(found, axis=0) / np.maximum(count, 1)
        return impact


def rises_by_refits(
    estimator: Any, X: FloatArray, y: FloatArray, training: IntArray, validation: IntArray
) -> FloatArray:
    """Return, for each row, the increase of the validation error when it is added to the training.

    Parameters
    ----------
    estimator : estimator
        The learner; it is left fitted.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    training, validation : ndarray of int
        Row indices.  When a validation row is added, the validation error is computed without it.
        For a training row the increase is 0.

    Returns
    -------
    ndarray of shape (N,)
        Increases of the mean squared error.
    """
    base = _squared_errors(estimator, X, y, training, validation)
    rises = np.zeros(len(y))
    for row in np.setdiff1d(np.arange(len(y)), training):
        joined = _squared_errors(estimator, X, y, np.append(training, row), validation)
        others = validation != row
        if others.any():
            rises[row] = (joined - base)[others].mean()
    return rises


def _squared_errors(
    estimator: Any, X: FloatArray, y: FloatArray, training: IntArray, validation: IntArray
) -> FloatArray:
    fitted = estimator.fit(X[training], y[training])
    errors: FloatArray = (y[validation] - np.ravel(fitted.predict(X[validation]))) ** 2
    return errors


def rises_by_active_set(
    estimator: ElasticNet, X: FloatArray, y: FloatArray, training: IntArray, validation: IntArray
) -> FloatArray:
    """Return the result of :func:`rises_by_refits` for LASSO and elastic net.

    Adding a row adds one term to Z'Z, and few weights enter or leave the active set.
    """
    Z = np.column_stack([X - X[training].mean(axis=0), np.ones(len(y))])
    Z_t, Z_v, y_v = Z[training], Z[validation], y[validation]
    G, b, t = Z_t.T @ Z_t, y[training] @ Z_t, len(training)
    penalised = np.append(np.ones(X.shape[1]), 0.0)

    def penalties(n_rows: int) -> tuple[FloatArray, FloatArray]:
        strength, rho = n_rows * estimator.alpha_for(n_rows), estimator.l1_ratio()
        return strength * rho * penalised, strength * (1 - rho) * penalised

    l1, l2 = penalties(t)
    start = ActiveSet.near(G, l1, l2, np.zeros(len(b)))
    engine().solve(G, b, l1, l2, start)
    base = (y_v - Z_v @ start.w) ** 2
    l1, l2 = penalties(t + 1)
    start = ActiveSet.near(G, l1, l2, start.w)
    rises, joined = np.zeros(len(y)), np.empty_like(G)
    for row in np.setdiff1d(np.arange(len(y)), training):
        state, z = start.copy(), Z[row]
        state.add_row(z)
        np.copyto(joined, G)
        engine().add_outer(joined, z, 1.0)
        engine().solve(joined, b + y[row] * z, l1, l2, state)
        rise, others = (y_v - Z_v @ state.w) ** 2 - base, validation != row
        if others.any():
            rises[row] = rise[others].mean()
    return rises


def rises_by_rank_one(
    estimator: Ridge, X: FloatArray, y: FloatArray, training: IntArray, validation: IntArray
) -> FloatArray:
    """Return the result of :func:`rises_by_refits` for ridge, without refits.

    Let e be the validation errors of the fit to the training rows.  Adding row j changes them by
    a_j s_j with a_j = Z_v K z_j and s_j = (y_j - z_j.theta) / (1 + z_j'K z_j), so the sum of their
    squares increases by -2 s_j a_j.e + s_j^2 a_j.a_j.
    """
    n_rows, n_train, n_validation = len(y), len(training), len(validation)
    # Z = (X, 1), centred at the training rows to reduce rounding errors.
    Z = np.column_stack([X - X[training].mean(axis=0), np.ones(n_rows)])
    Z_t, Z_v = Z[training], Z[validation]
    system = Z_t.T @ Z_t
    # The strength of a fit to t + 1 rows: lambda is fixed, so alpha grows with the rows.
    system[np.diag_indices(len(system) - 1)] += estimator.alpha_for(n_train + 1)
    try:
        root = np.linalg.cholesky(system)
    except np.linalg.LinAlgError:  # the features are so large that the penalty is lost in rounding
        return rises_by_refits(estimator, X, y, training, validation)
    theta = cho_solve((root, True), Z_t.T @ y[training])
    base = _squared_errors(estimator, X, y, training, validation)
    error = y[validation] - Z_v @ theta
    half = solve_triangular(root, Z.T, lower=True)  # half' half = Z K Z'
    h = np.einsum("ij,ij->j", half, half)
    half_v = half[:, validation]  # a_j = half_v' half_j
    # Use the shorter of a_j and half_j; for many rows, all a_j at once would be too large.
    if n_validation < len(half):
        squares = ((half_v.T @ half) ** 2).sum(axis=0)
    else:
        squares = (half * ((half_v @ half_v.T) @ half)).sum(axis=0)
    step = (y - Z @ theta) / (1 + h)
    sums = error @ error - base.sum() - 2 * step * ((half_v @ error) @ half) + step**2 * squares
    # Leave a validation row out of its own validation error.
    sums[validation] -= (error - h[validation] * step[validation]) ** 2 - base
    counted = np.full(n_rows, n_validation)
    counted[validation] -= 1
    rises: FloatArray = np.where(counted > 0, sums / np.maximum(counted, 1), 0.0)
    rises[training] = 0.0
    return rises
