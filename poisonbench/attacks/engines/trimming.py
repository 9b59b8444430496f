"""The damage that poison does to TRIM with the true p; attacks on trimming choose rows by it.

TRIM (Jagielski et al. 2018, Algorithm 2) searches for those n of N = n + p rows that have the
lowest regularised loss L.  It is fooled if a set with poison has a lower loss than any set without:
then the poisoned fit is the one that TRIM searches for, and more restarts do not help.  An attacker
can test this without knowing the details of the defender's search: descend by C-steps (fit, keep
the n rows with the smallest residuals, repeat; L never increases), once from the clean rows and
once from the poison, and compare the losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import AttackProblem, PoisonSet

STEPS = 20
"""Largest number of C-steps.  A handful reaches a fixed point; with too few, an attack would seem
weaker than it is."""


@dataclass(frozen=True, order=True)
class Damage:
    """The damage of a poison set; of two, the larger one is worse for the defender.

    Parameters
    ----------
    fools : bool
        Whether TRIM prefers a set with this poison to the best set found from the clean rows.
    error : float
        Mean squared error on the attacker's validation rows.  If TRIM is fooled, it is that of the
        fit that TRIM prefers, otherwise that of the learner without a defense.
    """

    fools: bool
    error: float


def damage(problem: AttackProblem, poison: PoisonSet, doubted: BoolArray) -> Damage:
    """Return the damage of `poison` to TRIM, or to the learner alone if TRIM is not fooled.

    Parameters
    ----------
    problem : AttackProblem
        What the attacker knows; its validation rows must not be empty.
    poison : PoisonSet
        p rows, at least one.
    doubted : ndarray of bool, shape (n,)
        Clean rows that contradict the poison; the descent from the poison starts with a fit to the
        other rows.
    """
    n = len(problem.train)
    X = np.vstack([problem.train.X, poison.X])
    y = np.append(problem.train.y, poison.y)
    believed = np.flatnonzero(np.append(~doubted, np.ones(len(poison.y), dtype=bool)))
    misled = clone(problem.model).fit(X[believed], y[believed])
    residuals = np.abs(_residuals(misled, X, y))
    residuals[n:] -= residuals.max() + 1  # all poison first, then the clean rows that fit best
    wrong, wrong_loss = _descend(problem.model, X, y, _smallest(residuals, n))
    clean_loss = problem.model.objective(problem.train.X, problem.train.y)
    fools = wrong_loss < clean_loss and (
        wrong_loss < _descend(problem.model, X, y, np.arange(n))[1]
    )
    fitted = wrong if fools else clone(problem.model).fit(X, y)
    validation = problem.validation
    return Damage(fools, float(np.mean(_residuals(fitted, validation.X, validation.y) ** 2)))


def _descend(
    model: LinearModel, X: FloatArray, y: FloatArray, kept: IntArray
) -> tuple[LinearModel, float]:
    """Descend by C-steps from the rows `kept`; return the last fit and its regularised loss."""
    best, loss = model, np.inf
    lam = model.lambda_for(len(kept))
    for _ in range(STEPS):
        fitted = clone(model).fit(X[kept], y[kept])
        residuals = _residuals(fitted, X, y)
        reached = float(np.mean(residuals[kept] ** 2)) + lam * fitted.penalty(fitted.coef_)
        if reached >= loss:
            break
        best, loss = fitted, reached
        kept = _smallest(np.abs(residuals), len(kept))
    return best, loss


def _residuals(model: LinearModel, X: FloatArray, y: FloatArray) -> FloatArray:
    """Return f(x) - y, without the checks of ``predict``, which rows of the problem do not need."""
    residuals: FloatArray = X @ model.coef_ + model.intercept_ - y
    return residuals


def _smallest(values: FloatArray, k: int) -> IntArray:
    """Return the sorted indices of the `k` smallest values; of equal values, the first."""
    return np.sort(np.argsort(values, kind="stable")[:k])
