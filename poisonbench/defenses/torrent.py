"""TORRENT: regression by hard thresholding (Bhatia, Jain and Kar 2015, Algorithm 1).

From S_0 = all rows, alternate a step on the rows S_t, w_{t+1} = UPDATE(w_t, S_t), and
S_{t+1} = HT(r_{t+1}), the N - p rows of smallest residual.  The step is either the whole fit
(TORRENT-FC, Algorithm 2), or one of gradient descent (TORRENT-GD, Algorithm 3):

    w_{t+1} = w_t - eta grad L(D_S, w_t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Lt
from sklearn.base import clone

from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.concentration import concentrate, smallest
from poisonbench.defenses.engines.fits import fits
from poisonbench.defenses.engines.learner import learner
from poisonbench.defenses.engines.rate_search import assumed_poison
from poisonbench.defenses.engines.units import columns_for
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models import LinearModel


class TORRENTDefense(Defense):
    """TORRENT: alternate a step of the fit and keeping the N - p rows that fit best.

    It assumes that the responses of at most p rows are wrong, however they were chosen, and that
    the features are clean and well spread: then it recovers the true weights as long as p/N stays
    below a small constant that the extreme eigenvalues of subsets of rows set.  Poison that
    chooses its features is outside of that, and no breakdown point is known there.

    With the whole fit as its step it is the iteration of TRIM from all rows: leverage drags the
    first fit, and what fits well then stays.  Gradient steps start at w = 0 and leave poison
    behind before they could learn to fit it, wherever most rows agree on the way; they are far
    the stronger against rows that a full fit interpolates.

    Full steps cost 3 to 30 fits of the learner; gradient steps two products with the rows each,
    and there are up to `max_iter` of them.  The paper has no penalty: the objective here is the
    learner's, its lambda fixed, with a proximal step for an l1 norm, and the intercept at its
    optimum after each step.  After the last gradient step the learner is fitted to the rows kept.
    With OLS gradient steps work on columns in units of their own; with a penalty the units matter
    as they do to the penalty.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    n_poison : int, optional
        Number of rows to take for poison; overrides `contamination`.
    contamination : float or "auto", default=0.2
        Share of the rows to take for poison, or "auto" to estimate it.
    step : {"auto", "full", "gradient"}, default="auto"
        TORRENT-FC or TORRENT-GD; the latter needs a learner of :mod:`poisonbench.models`, and is
        what "auto" means with one.
    max_iter : int, default=1000
        Most steps.
    tol : float, default=1e-6
        Full steps end when the objective falls by less than this share of itself; gradient steps
        when the set stays and no prediction moves by more than this share of the spread of y.
    random_state : int, RandomState or None, default=None
        Breaks ties by the order of rows; draws for the estimate of the count.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept, S_t at the end.
    n_poison_ : int
        The number of rows removed.
    step_ : str
        The step used, "full" or "gradient".
    n_iter_ : int
        Steps made.
    note_ : str or None
        That gradient steps did not converge, where it is so, for the tables.

    References
    ----------
    Bhatia, Jain and Kar, "Robust regression via hard thresholding", NIPS 2015.

    Examples
    --------
    Every fifth response is 1; the others lie on a line from 0.2 to 0.7.

    >>> import numpy as np
    >>> from poisonbench.defenses import TORRENTDefense
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> y = np.where(np.arange(40) % 5 == 0, 1.0, 0.2 + X[:, 0] / 2)
    >>> model = TORRENTDefense(n_poison=8, random_state=0).fit(X, y)
    >>> model.predict([[0.0], [1.0]]).round(2)
    array([0.2, 0.7])
    >>> int(model.support_.sum())
    32
    """

    name = "torrent"
    reference = "Bhatia, Jain and Kar 2015, Algorithm 1"
    row_attributes = ("support_",)

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_poison: Annotated[int, Ge(0)] | None = None,
        contamination: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = 0.2,
        step: Literal["auto", "full", "gradient"] = "auto",
        max_iter: Annotated[int, Ge(1)] = 1000,
        tol: Annotated[float, Ge(0)] = 1e-6,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_poison = n_poison
        self.contamination = contamination
        self.step = step
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_rows(self, X: FloatArray, y: FloatArray, rng: np.random.RandomState) -> None:
        self.n_poison_ = assumed_poison(self, X, y, rng)
        estimator = learner(self.estimator)
        n_kept = len(y) - self.n_poison_
        self.step_, self.note_ = self.step, None
        if self.step == "auto":
            self.step_ = "gradient" if isinstance(estimator, LinearModel) else "full"
        if self.step_ == "gradient":
            if not isinstance(estimator, LinearModel):
                raise ValueError(
                    f"TORRENTDefense: step is 'gradient', expected 'full' or 'auto' with a "
                    f"{type(estimator).__name__}, whose gradient is not known"
                )
            descent = descend(estimator, X, y, n_kept, self.max_iter, self.tol)
            kept, self.n_iter_ = descent.kept, descent.n_iter
            if not descent.converged:
                self.note_ = f"not converged after {self.n_iter_} gradient steps"
        else:
            engine = fits(estimator, X, y)
            residual = engine.on_rows(np.ones(len(y), dtype=bool)).residual
            start = smallest(residual**2, n_kept)
            run = concentrate(engine, start, self.max_iter, self.tol, set())
            kept, self.n_iter_ = run.kept, len(run.objective_path) + 1
        self.support_ = kept
        self._adopt(clone(estimator).fit(X[kept], y[kept]), X)


@dataclass(frozen=True)
class Descent:
    """Where gradient steps ended.

    Parameters
    ----------
    kept : ndarray of bool of shape (N,)
        The rows S_t.
    residual : ndarray of shape (N,)
        The residuals of all rows.
    n_iter : int
        Steps made, t.
    converged : bool
        Whether the set and the predictions stayed.
    """

    kept: BoolArray
    residual: FloatArray
    n_iter: int
    converged: bool


def descend(
    model: LinearModel, X: FloatArray, y: FloatArray, n_kept: int, max_iter: int, tol: float
) -> Descent:
    """Alternate proximal gradient steps on L(D_S, w), from w = 0, and hard thresholding.

    Parameters
    ----------
    model : LinearModel
        The learner, whose objective L is.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    n_kept : int
        Rows in S, from the first step on.
    max_iter : int
        Most steps.
    tol : float
        Stop when S stays and no residual moves by more than this share of the spread of `y`.
    """
    lam, rho = model.lambda_for(n_kept), model.l1_ratio()
    X = columns_for(model, X)
    X = X - X.mean(axis=0)
    gram = X.T @ X if X.shape[0] > X.shape[1] else X @ X.T
    # No subset's loss bends more than this, so a step of its inverse never overshoots.
    curvature = 2 / n_kept * float(np.linalg.eigvalsh(gram)[-1]) + lam * (1 - rho)
    eta = 1 / curvature if curvature > 0 else 0.0
    enough = tol * float(np.ptp(y))
    w, kept = np.zeros(X.shape[1]), np.ones(len(y), dtype=bool)
    residual = y - y.mean()
    for n_iter in range(1, max_iter + 1):
        gradient = lam * (1 - rho) * w - 2 / kept.sum() * (X[kept].T @ residual[kept])
        w = w - eta * gradient
        w = np.sign(w) * np.maximum(np.abs(w) - eta * lam * rho, 0.0)
        before, residual = residual, y - X @ w
        residual -= residual[kept].mean()
        stayed, kept = kept, smallest(residual**2, n_kept)
        if np.array_equal(kept, stayed) and np.abs(residual - before).max() <= enough:
            return Descent(kept, residual, n_iter, converged=True)
    return Descent(kept, residual, max_iter, converged=False)
