"""TRIM: fit to the rows that fit best (Jagielski et al. 2018, Algorithm 2).

    minimise L(D_I, theta) over theta and over sets I of n = N - p rows.

Starting from a set I_0, alternate between theta = argmin L(D_I, theta) and I = the n rows with the
smallest residuals.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Lt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import (
    LEAST_SQUARES_STARTS,
    NESTED_ROWS,
    NESTED_TOLERANCE,
    Run,
    best_run,
    concentrate,
    determined,
    exchanged,
    least_squares_run,
    n_nested,
    nested_start,
    small_starts,
    smallest,
    stand_in,
    well_searched,
)
from poisonbench.defenses.engines.fits import RidgeFits, fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.defenses.engines.row_order import Keys
from poisonbench.features import BoolArray, FloatArray

TRUSTED_RATIO = 1.75
"""With more rows to keep for each parameter than this, least squares itself chooses the rows.  On
simulated rows with 6 to 24 parameters and four kinds of poison, it then keeps as little poison as
the ridge regression that chooses otherwise; with 1.25 rows for each parameter it keeps more."""


class TRIMRegressor(Defense):
    """TRIM: fit the n = N - p rows that the model itself fits best.

    It assumes that poison fits badly once the model is not fitted to it, and that p is known.  If p
    is at least the true number and the global minimum is found, the error on clean rows is bounded
    (Theorem 2) up to a breakdown point of p/N = 1/2.  The algorithm finds a local minimum, which
    the default start makes a good one.  It keeps poison that is cheaper to fit than the clean rows
    that it displaces, such as copies of rows of a rare category with shifted responses.

    It keeps some poison even if its error is that of the clean rows, because this lowers the
    trimmed objective: on house prices with 20% of ``bgd`` poison, runs that start from exactly the
    clean rows add 2% to 7% of the poison on their way down, and the result, with 8% to 10% of it,
    has an objective 40% to 57% below that of the clean rows.  More search does not change this.  If
    poison lowers the minimum in this way, the model is the learner fitted to n rows with poison
    among them, and ``objective_`` does not show it.

    A start of ``"subsets"`` costs one small matrix product for all fits to 30 rows, and then 20 to
    60 fits of the learner.  This takes ten to twenty-five times as long as scikit-learn's
    ``Ridge.fit`` for 360 rows and 274 features, least if the poison is obvious.  With ridge and at
    most 5000 rows, the best run is continued by exchanges of single rows as long as one lowers the
    objective, because a row may fit well only because it is kept, and may have to change places
    with a similar clean row.  With more rows, the starts are found in 20 samples of about 2000
    rows, the samples are merged to compare them, and one to three rounds over all rows follow.  For
    a million rows and 100 features, this takes 1.3 times as long as a repeated ``Ridge.fit`` of
    scikit-learn (``tests/benchmarks/scale.py``).  The penalty's lambda is the same for all fits.

    With OLS, it is least trimmed squares and does not depend on the units of the columns.  If it
    keeps more than 1.75 rows for each parameter, the starts are fits to as many rows as there are
    parameters and fits to ten rows, ranked after five concentration steps, and the best runs are
    continued by exchanges; on 37 classic data sets, 99% to 100% of the runs find the lowest known
    objective (``tests/benchmarks/classic.py``).  With fewer rows, a start of ``"subsets"`` chooses
    rows with a ridge regression on standardised columns, whose penalty is 1/100 of their total
    variance, because least squares of minimum norm would fit any row that has a direction of its
    own.  Therefore the sum of squares on these rows is not the smallest possible.  The model is
    then least squares on these rows, after further rounds with least squares if the rows determine
    it in every direction.  If they do not, a single poison row in such a direction can still move
    it far away, and so can a rare clean row.  With a penalised learner, the result depends on the
    units of the columns because the penalty does, so scale the columns first.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to treat as poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to treat as poison, or "auto" to estimate it.
    start : {"subsets", "random", "all"}, default="subsets"
        How runs start: from the best ten of many fits to few rows; from random sets of n rows, as
        in the paper; or from the n rows that a fit to all rows fits best.
    restarts : int, optional
        Number of small fits (if None, 200, or 500 of each kind for least squares with more than
        1.75 rows for each parameter), or of random sets (if None, 1, as in the paper).
    max_iter : int, default=100
        Maximum number of fits in a run.
    tol : float, default=1e-9
        A run ends when the objective decreases by less than this share of itself.
    random_state : int, RandomState or None, default=None
        Draws the starts.

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
    objective_ : float
        L(D_I, theta) at the end, without the penalty if the learner is not one of
        :mod:`poisonbench.models`.
    objective_path_ : tuple of float
        L(D_I, theta) after each fit of the best run; it never increases.  For OLS on rows that do
        not determine it, this is the objective of the ridge regression that chose the rows.
    n_iter_ : int
        Number of fits in the best run that lowered the objective, including the first one.
    start_ : str
        The kind of start.

    References
    ----------
    Jagielski et al., "Manipulating Machine Learning", IEEE S&P 2018, Algorithm 2; the starts
    after Rousseeuw and Van Driessen, "Computing LTS regression for large data sets", 2006; the
    exchanges after Hawkins, "The feasible solution algorithm for least trimmed squares", 1994.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import TRIMRegressor
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = TRIMRegressor(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "trim"
    reference = "Jagielski et al. 2018, Algorithm 2"
    row_attributes = ("support_",)

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        start: Literal["subsets", "random", "all"] = "subsets",
        restarts: Annotated[int, Ge(1)] | None = None,
        max_iter: Annotated[int, Ge(1)] = 100,
        tol: Annotated[float, Ge(0)] = 1e-9,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.start = start
        self.restarts = restarts
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_keyed(
        self, X: FloatArray, y: FloatArray, keys: Keys, rng: np.random.RandomState
    ) -> None:
        if self.start != "subsets" or len(y) <= NESTED_ROWS or self.contamination == "auto":
            super()._fit_keyed(X, y, keys, rng)
            return
        # With many rows, the order hardly affects the sums, and sorting all rows would take longer
        # than the fit, so only the sample is sorted.
        self.n_poison_ = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        n_kept = len(y) - self.n_poison_
        m = n_nested(*X.shape)
        sample = np.argpartition(keys, m - 1)[:m]
        sample = sample[np.argsort(keys[sample])]
        start, found = nested_start(
            estimator, X[sample], y[sample], n_kept / len(y), self.restarts or 200, rng
        )
        kept = smallest((y - start.elsewhere(found.kept, found.fitted, X)) ** 2, n_kept)
        engine = fits(estimator, X, y)
        run = best_run(engine, [kept], self.max_iter, max(self.tol, NESTED_TOLERANCE))
        self._keep(run, engine.model(run.kept, run.fitted), X)

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        run = self._best_run(estimator, X, y, rng)
        self._keep(run, clone(estimator).fit(X[run.kept], y[run.kept]), X)

    def _best_run(
        self, estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
    ) -> Run:
        n_kept = len(y) - self.n_poison_
        engine = fits(estimator, X, y)
        # Exchanges need the derivatives of all predictions by all responses, N^2 numbers.
        thorough = self.start == "subsets" and self.n_poison_ > 0 and len(y) <= NESTED_ROWS
        if thorough and well_searched(engine, n_kept, TRUSTED_RATIO):
            restarts = self.restarts or LEAST_SQUARES_STARTS
            return least_squares_run(engine, n_kept, restarts, rng, self.max_iter, self.tol)
        chooser, columns = stand_in(estimator, X) if self.start == "subsets" else (estimator, X)
        if chooser is not estimator:
            engine = fits(chooser, columns, y)
        starts = self._starts(chooser, columns, y, rng)
        run = best_run(engine, starts, self.max_iter, self.tol)
        if thorough and isinstance(engine, RidgeFits):
            run = exchanged(engine, run, self.max_iter, self.tol)
        if chooser is not estimator and determined(X[run.kept]):
            run = concentrate(fits(estimator, X, y), run.kept, self.max_iter, self.tol, set())
        return run

    def _keep(self, run: Run, fitted: Any, X: FloatArray) -> None:
        """Set the attributes to the result of a run."""
        self._adopt(fitted, X)
        self.objective_path_ = run.objective_path
        self.objective_ = run.objective
        self.n_iter_ = len(run.objective_path)
        self.start_ = self.start
        self.support_ = run.kept

    def _starts(
        self, estimator: Any, X: FloatArray, y: FloatArray, rng: np.random.RandomState
    ) -> list[BoolArray]:
        n_kept = len(y) - self.n_poison_
        if n_kept == len(y):
            return [np.ones(len(y), dtype=bool)]
        if self.start == "subsets":
            return small_starts(estimator, X, y, n_kept, self.restarts or 200, rng)
        if self.start == "random":
            return [smallest(rng.random_sample(len(y)), n_kept) for _ in range(self.restarts or 1)]
        residual = fits(estimator, X, y).on_rows(np.ones(len(y), dtype=bool)).residual
        return [smallest(residual**2, n_kept)]
