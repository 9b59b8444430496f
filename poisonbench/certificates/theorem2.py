"""Theorem 2 of Jagielski et al. 2018: bounds on a trimmed fit, beside what they bound.

A defense kept a set I of h of the N = n + p rows, and learned theta.  At least m = h - p rows of I
are clean, and for any m clean rows D' of I, m MSE(D', theta) <= h MSE(D_I, theta).  So if

    L(D_I, theta) <= L(D_tr, theta*),   theta* the learner on the n clean rows,

which the global minimiser of the trimmed objective over sets of h <= n rows satisfies where lambda
is the same for h rows as for n, then

    MSE(D', theta) <= (h/m) [L(D_tr, theta*) - lambda Omega(w)] <= (h/m) L(D_tr, theta*).

Where scikit-learn's alpha is held instead, lambda is larger for fewer rows, and for h < n even the
global minimiser can miss the premise, and then the bounds; ``bound_condition`` tells.

With h = n the last is the paper's bound (1 + alpha/(1 - alpha)) L(D_tr, theta*), alpha = p/n; the
middle one is sharper.  We know the clean rows and can check the premise.  So the bound also holds
for a local minimum that satisfies the premise, and we need no lower bound on the global minimum.
Cheap lower bounds are of no use here.  Relaxing the set I to weights in [0, 1] gains nothing, since
the trimmed objective is concave in the weights.  The bound from the largest eigenvalue of the
kernel and the least variance of h responses is less than a hundredth of what TRIM finds on house
prices, and a ten-thousandth on the health data.  Branch and bound is exponential in the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poisonbench.features import BoolArray, FloatArray

ROUNDING = 1e-12
"""Largest relative difference of two objectives that differ only by rounding."""


@dataclass(frozen=True)
class Certificate:
    """The bounds on a trimmed fit; the columns of the same names.

    Parameters
    ----------
    bound_lhs : float
        MSE(D', theta), the largest over all sets D' of m clean rows that were kept.
    bound_sharp : float
        (h/m) [L(D_tr, theta*) - lambda Omega(w)].
    bound_theorem2 : float
        (h/m) L(D_tr, theta*).
    bound_condition : float or None
        L(D_I, theta) / L(D_tr, theta*).  If it is at most 1, both bounds are proved.  None if the
        learner fits the clean rows exactly.
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
    # The m worst of the clean rows kept: no other m of them have a larger error.
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
