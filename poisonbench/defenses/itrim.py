"""iTRIM: TRIM with an estimated poisoning rate (Mueller, Kao and Boettinger 2020).

Run TRIM at rates 0, 0.02, ..., compute the training error of the rows kept at each, and choose the
smallest rate after which this error stops falling steeply.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from poisonbench.defenses.base import NOTHING_REMOVED, Defense
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import MAX_RATE, RELATIVE_FALL, STEP, search_rates
from poisonbench.defenses.trim import TRIMRegressor
from poisonbench.features import FloatArray

ABSOLUTE_FALL = 1e-3
"""The paper's threshold, for responses in [0, 1]."""


class ITRIMRegressor(Defense):
    """iTRIM: TRIM at the rate after which removing more rows stops paying off.

    It makes the assumptions of TRIM, except that it does not need p.  It assumes that poison rows
    fit much worse than the worst clean rows once the model is not fitted to them, so that the
    training error has an elbow.  There is no elbow if the residuals of poison rows have all sizes,
    if groups of copies are fitted (then the error falls only when a whole group is removed), if the
    clean responses have heavy tails, or if there are nearly as many features as rows, so that every
    row kept is fitted.  Then the estimate is several steps too small or too large.  Poison rows
    must have residuals of more than five times the size of those of clean rows; otherwise no step
    is a steep fall, the estimate is 0, and iTRIM is no defense at all.  This is so on the diabetes
    data, under nearly every attack.  TRIM with ``contamination="auto"`` uses a further estimate,
    which sees smaller residuals.  iTRIM cannot find more poison than `max_rate`, so the breakdown
    point is at most `max_rate`, and at most TRIM's.

    It costs about 10 fits of the learner for each rate, and TRIM at the end.  With more than 5000
    rows, the rate is estimated from 5000 of them.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    criterion : {"relative", "absolute"}, default="relative"
        Whether a fall is measured relative to the error before it, or in squared units of the
        response, as in the paper.
    threshold : float, optional
        If the training error falls by more than this in a step, the fall is steep.  If None, 0.35
        ("relative") or the paper's 1e-3 ("absolute").
    step : float, default=0.02
        Distance between the rates to compare, which are shares of all rows.
    max_rate : float, default=0.3
        Largest rate to compare.
    max_iter : int, default=100
        Maximum number of fits in a run of TRIM.
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
    contamination_ : float
        The estimated share of poison rows.
    n_poison_ : int
        The number of rows removed.
    rates_, errors_ : ndarray of shape (K,)
        The rates that were compared, and TRIM's objective at each; for LASSO and elastic net, it is
        computed to a relative duality gap of 1e-4.
    objective_ : float
        TRIM's objective at the end.
    n_iter_ : int
        Number of fits in the last run of TRIM.
    note_ : str or None
        A remark for the tables if the estimated rate is 0, so that nothing was removed.

    References
    ----------
    Mueller, Kao and Boettinger, "Data poisoning attacks on regression learning and corresponding
    defenses", PRDC 2020.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import ITRIMRegressor
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = ITRIMRegressor(random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    >>> model.n_poison_
    8
    """

    name = "itrim"
    reference = "Mueller, Kao and Boettinger 2020"
    row_attributes = ("support_",)

    def __init__(
        self,
        estimator: Any = None,
        *,
        criterion: Literal["relative", "absolute"] = "relative",
        threshold: Annotated[float, Gt(0)] | None = None,
        step: Annotated[float, Gt(0), Lt(1)] = STEP,
        max_rate: Annotated[float, Gt(0), Lt(1)] = MAX_RATE,
        max_iter: Annotated[int, Ge(1)] = 100,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.criterion = criterion
        self.threshold = threshold
        self.step = step
        self.max_rate = max_rate
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.check_rows(len(y))
        relative = self.criterion == "relative"
        threshold = self.threshold or (RELATIVE_FALL if relative else ABSOLUTE_FALL)
        search = search_rates(learner(self.estimator), X, y, rng, self.step, self.max_rate)
        self.rates_, self.errors_ = search.rates, search.errors
        self.contamination_ = search.elbow(threshold, relative=relative)
        trim = TRIMRegressor(
            self.estimator,
            contamination=self.contamination_,
            max_iter=self.max_iter,
            random_state=rng.randint(2**31),
        ).fit(X, y)
        self._adopt(trim.estimator_, X)
        self.support_, self.n_poison_ = trim.support_, trim.n_poison_
        self.objective_, self.n_iter_ = trim.objective_, trim.n_iter_
        self.note_ = None if self.n_poison_ else NOTHING_REMOVED

    def check_rows(self, n_rows: int) -> None:
        """Raise ValueError if 0 is the only rate to compare; `n_rows` does not matter."""
        if self.step > self.max_rate:
            raise ValueError(
                f"ITRIMRegressor: step is {self.step}, expected at most max_rate, {self.max_rate}"
            )
