"""Theorem 2 of Jagielski et al. 2018: bounds on a trimmed fit, and the error that they bound.

A defense kept a set I of h of the N = n + p rows, and learned theta.  At least m = h - p rows of I
are clean, and for any m clean rows D' of I, m MSE(D', theta) <= h MSE(D_I, theta).  So if

    L(D_I, theta) <= L(D_tr, theta*),   where theta* is the learner on the n clean rows,

then

    MSE(D', theta) <= (h/m) [L(D_tr, theta*) - lambda Omega(w)] <= (h/m) L(D_tr, theta*).

The global minimiser of the trimmed objective over sets of h <= n rows satisfies the condition if
lambda is the same for h rows as for n.  If scikit-learn's alpha is held fixed instead, lambda is
larger for fewer rows, so for h < n even the global minimiser can violate the condition and the
bounds.  ``bound_condition`` shows whether the condition holds.

For h = n, the right-hand bound is the paper's (1 + alpha/(1 - alpha)) L(D_tr, theta*) with
alpha = p/n; the middle one is sharper.  The experiment knows the clean rows and can check the
condition, so the bounds also hold for a local minimum that satisfies it, and no lower bound on the
global minimum is needed.  Cheap lower bounds would not help.  Relaxing the set I to weights in
[0, 1] gains nothing, because the trimmed objective is concave in the weights.  The bound from the
largest eigenvalue of the kernel matrix and the smallest variance of h responses is less than 1/100
of TRIM's objective on house prices and 1/10,000 on the health data.  Branch and bound takes time
exponential in the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poisonbench.features import BoolArray, FloatArray

ROUNDING = 1e-12
"""Largest relative difference between two objectives that counts as rounding."""


@dataclass(frozen=True)
class Certificate:
    """The bounds on a trimmed fit; the columns of the same names.

    Parameters
    ----------
    bound_lhs : float
        The largest MSE(D', theta) over all sets D' of m clean rows that were kept.
    bound_sharp : float
        (h/m) [L(D_tr, theta*) - lambda Omega(w)].
    bound_theorem2 : float
        (h/m) L(D_tr, theta*).
    bound_condition : float or None
        L(D_I, theta) / L(D_tr, theta*).  If it is at most 1, both bounds hold.  None if the learner
        fits the clean rows exactly.
    """

    bound_lhs: float
    bound_sharp: float
    bound_theorem2: float
    bound_condition: float | None


def certificate(
    squared: FloatArray,
    kept: BoolArray,
    is_poison: BoolArray,
    penalty: float,
    clean_objective: float,
) -> Certificate | None:
    """Return the bounds, or None if h <= p, where all kept rows may be poison.

    Parameters
    ----------
    squared : ndarray of shape (N,)
        Squared residuals of the defended model.
    kept : ndarray of bool of shape (N,)
        The rows I that the defense kept.
    is_poison : ndarray of bool of shape (N,)
        Which rows are poison.
    penalty : float
        lambda Omega(w) of the defended model.
    clean_objective : float
        L(D_tr, theta*), with the same lambda.
    """
    h, m = int(kept.sum()), int(kept.sum() - is_poison.sum())
    if m <= 0:
        return None
    # The m clean rows with the largest errors among those kept.
    worst = np.sort(squared[kept & ~is_poison])[-m:]
    objective = float(squared[kept].mean()) + penalty
    return Certificate(
        bound_lhs=float(worst.mean()),
        bound_sharp=h / m * (clean_objective - penalty),
        bound_theorem2=h / m * clean_objective,
        bound_condition=_ratio(objective, clean_objective) if clean_objective > 0 else None,
    )


def _ratio(objective: float, clean_objective: float) -> float:
    """Return the quotient, and exactly 1 if it differs from 1 by rounding only."""
    ratio = objective / clean_objective
    return 1.0 if abs(ratio - 1) <= ROUNDING else ratio
