"""Huber regression (Huber 1964) with the learner's penalty and a threshold from held-out rows.

    minimise sum_i rho(r_i / s) s^2 + N lambda Omega(w),   rho(z) = z^2 if |z| <= epsilon,
                                                           2 epsilon |z| - epsilon^2 beyond,

with the scale of scikit-learn's ``HuberRegressor``, s^2 = sum_{inliers} r_i^2 / (N - epsilon^2
times the number of outliers).  With ridge, the solution is that of ``HuberRegressor`` with the
penalty alpha / s.  It is found by iterated reweighting, w_i = min(1, epsilon s / |r_i|), for two
reasons.  This works with every learner.  And if there are hardly more rows than features, the
L-BFGS of ``HuberRegressor`` takes thousands of steps, and its penalty, whose strength is relative
to s, vanishes as s decreases.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.fits import Refits, WeightedRefits, fits
from poisonbench.defenses.engines.held_out import folds, trimmed_mean
from poisonbench.defenses.engines.learner import learner
from poisonbench.features import FloatArray

EPSILONS = (np.inf, 2.5, 1.35, 1.1)
"""The thresholds to choose from; infinity means the learner itself."""

TUNING_ROUNDS = 20
TUNING_TOLERANCE = 1e-2
"""A tolerance that is sufficient to compare thresholds by their held-out errors."""

ROUNDING = 1e-12
"""Residuals below this share of the largest response are rounding errors."""


class HuberDefense(Defense):
    """Huber regression: the pull of a row is bounded, however large its residual.

    It assumes that poison rows have large residuals, and bounds the influence of each row's
    response.  It does not bound leverage: a single row far out in the features can move the model
    arbitrarily far, so the breakdown point is 0.  (It is about 1/2 if only responses are corrupted
    and the rows are well spread.)  It does not need the number of poison rows.

    A fit costs 10 to 100 weighted fits of the learner, more of them if there are hardly more rows
    than features.  Choosing epsilon on three folds costs up to 180.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    epsilon : float or "cv", default="cv"
        Residuals beyond epsilon times the scale count linearly.  It must be more than 1; 1.35 is
        usual.  "cv" chooses among 1.1, 1.35, 2.5 and infinity by the mean of the smallest three
        quarters of the squared errors on held-out rows.
    n_folds : int, default=3
        Number of folds for this choice; at most one for each row.
    max_iter : int, default=100
        Maximum number of rounds of reweighting.
    tol : float, default=1e-3
        Stop when no residual changes by more than this share of epsilon times the scale.
    random_state : int, RandomState or None, default=None
        Shuffles the rows into folds.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner, fitted to responses whose residuals are clipped at epsilon * s, which has the
        same solution.
    epsilon_ : float
        The threshold that was used.
    scale_ : float
        The scale s.
    n_iter_ : int
        Number of fits: the first one, with all weights 1, and those of the rounds of reweighting.
    errors_ : dict of float to float
        For each threshold that was compared, the trimmed mean of its held-out squared errors.
    note_ : str or None
        A remark for the tables if reweighting did not converge, or if the scale is 0.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964; the scale after Owen, "A robust
    hybrid of lasso and ridge regression", 2006; compared in Jagielski et al. 2018.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import HuberDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = HuberDefense(random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    """

    name = "huber"
    reference = "Huber 1964; Owen 2006"

    def __init__(
        self,
        estimator: Any = None,
        *,
        epsilon: Annotated[float, Gt(1)] | Literal["cv"] = "cv",
        n_folds: Annotated[int, Ge(2)] = 3,
        max_iter: Annotated[int, Ge(1)] = 100,
        tol: Annotated[float, Gt(0)] = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.epsilon = epsilon
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        estimator = learner(self.estimator)
        if self.epsilon == "cv":
            self.errors_ = self._held_out_errors(estimator, X, y)
            self.epsilon_ = min(self.errors_, key=lambda epsilon: self.errors_[epsilon])
        else:
            self.errors_, self.epsilon_ = {}, float(self.epsilon)
        everything = np.ones(len(y), dtype=bool)
        engine = fits(estimator, X, y)
        residual, rounds, converged = _reweighted(
            engine, engine.on_rows(everything).residual, self.epsilon_, self.max_iter, self.tol
        )
        self.n_iter_ = 1 + rounds
        self.scale_ = huber_scale(residual, self.epsilon_)
        self.note_ = None
        if not converged:
            self.note_ = f"not converged after {rounds} rounds of reweighting"
        elif self.scale_ <= rounding(y):
            self.note_ = "scale 0: most rows are fitted exactly"
        self._adopt(estimator.fit(X, _winsorised(y, residual, self.epsilon_, self.scale_)), X)

    def _held_out_errors(self, estimator: Any, X: FloatArray, y: FloatArray) -> dict[float, float]:
        errors = np.empty((len(y), len(EPSILONS)))
        for training, held_out in folds(len(y), self.n_folds):
            X_t, y_t = X[training], y[training]
            engine = fits(estimator, X_t, y_t)
            residual = engine.on_rows(np.ones(len(y_t), dtype=bool)).residual
            for column, epsilon in enumerate(EPSILONS):
                residual, _, _ = _reweighted(
                    engine, residual, epsilon, TUNING_ROUNDS, TUNING_TOLERANCE
                )
                target = _winsorised(y_t, residual, epsilon, huber_scale(residual, epsilon))
                fitted = clone(estimator).fit(X_t, target)
                errors[held_out, column] = (
                    y[held_out] - np.ravel(fitted.predict(X[held_out]))
                ) ** 2
        return dict(zip(EPSILONS, trimmed_mean(errors).tolist(), strict=True))


def huber_scale(residual: FloatArray, epsilon: float) -> float:
    """Return the s for which the mean of min((r_i / s)^2, epsilon^2) is 1; 0 if there is none.

    If the k largest residuals are beyond epsilon s, then s^2 is the sum of the squares of the
    others divided by N - k epsilon^2.  The result uses the smallest consistent k.
    """
    n = len(residual)
    if np.isinf(epsilon):
        return float(np.sqrt(np.mean(residual**2)))
    squared = np.sort(residual**2)
    k = np.arange(int(np.ceil(n / epsilon**2)))
    variance = np.cumsum(squared)[n - 1 - k] / (n - k * epsilon**2)
    consistent = squared[n - 1 - k] <= epsilon**2 * variance
    return float(np.sqrt(variance[consistent.argmax()])) if consistent.any() else 0.0


def rounding(y: FloatArray) -> float:
    """Return the size below which residuals of responses `y` are rounding errors."""
    return ROUNDING * float(np.abs(y).max())


def _winsorised(y: FloatArray, residual: FloatArray, epsilon: float, scale: float) -> FloatArray:
    """Return the responses with their residuals clipped at epsilon * scale."""
    cut = epsilon * scale if scale > 0 else np.inf
    target: FloatArray = y - residual + np.clip(residual, -cut, cut)
    return target


def _reweighted(
    engine: Refits, residual: FloatArray, epsilon: float, max_iter: int, tol: float
) -> tuple[FloatArray, int, bool]:
    """Iterate from the given residuals; return the last ones, the rounds, and convergence.

    A learner that takes no weights is fitted to winsorised responses instead (Huber's modified
    residuals), which takes more rounds to the same fixed point.
    """
    for iteration in range(max_iter):
        cut = epsilon * huber_scale(residual, epsilon)
        if not rounding(engine.y) < cut < np.inf:
            return residual, iteration, True
        if isinstance(engine, WeightedRefits):
            size = np.abs(residual)
            fitted = engine.on_weights(cut / np.maximum(size, cut))
        else:
            fitted = engine.on_responses(_winsorised(engine.y, residual, cut, 1.0))
        moved = np.abs(fitted.residual - residual).max()
        residual = fitted.residual
        if moved <= tol * cut:
            return residual, iteration + 1, True
    return residual, max_iter, False
