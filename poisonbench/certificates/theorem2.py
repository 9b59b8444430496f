"""What Theorem 2 of Jagielski et al. 2018 promises for a trimmed fit, beside what it did.

A defense kept h of the N = n + p rows, I, and learned theta.  Of its rows at least m = h - p are
clean, and for any m clean rows D' among them m MSE(D', theta) <= h MSE(D_I, theta).  So if

    L(D_I, theta) <= L(D_tr, theta*),   theta* the learner on the n clean rows,

which the global minimiser of the trimmed objective over sets of h <= n rows always satisfies, then

    MSE(D', theta) <= (h/m) [L(D_tr, theta*) - lambda Omega(w)] <= (h/m) L(D_tr, theta*).

With h = n the last is the paper's bound (1 + alpha/(1 - alpha)) L(D_tr, theta*), alpha = p/n; the
middle one is sharper.  Whoever knows the clean rows can check the premise, so the bound holds for
a local minimum too wherever the premise does, and no lower bound on the global minimum is needed.
None that is cheap is of use: with weights in [0, 1] in place of sets the trimmed objective is
concave in the weights, so relaxing sets gains nothing; what the largest eigenvalue of the kernel
and the least variance of h responses give is less than a hundredth of what TRIM finds on house
prices, and a ten-thousandth on the health data; branch and bound is exponential in the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poisonbench.features import BoolArray, FloatArray

ROUNDING = 1e-12
"""Relative difference of two objectives that are the same sum in another order."""


@dataclass(frozen=True)
class Certificate:
    """The bounds on a trimmed fit; the columns of the same names.

    Parameters
    ----------
    bound_lhs : float
        MSE(D', theta), the largest over sets D' of m clean rows among those kept.
    bound_sharp : float
        (h/m) [L(D_tr, theta*) - lambda Omega(w)].
    bound_theorem2 : float
        (h/m) L(D_tr, theta*).
    bound_condition : float or None
        L(D_I, theta) / L(D_tr, theta*): where it is at most 1, both bounds are proved; None if
        the learner fits the clean rows exactly.
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
    """Return the bounds, or None where no clean row need be among those kept.

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
    # Of the clean rows kept, the m worst: any other m of them have a smaller error.
    worst = np.sort(squared[kept & ~is_poison])[-m:]
    objective = float(squared[kept].mean()) + penalty
    return Certificate(
        bound_lhs=float(worst.mean()),
        bound_sharp=h / m * (clean_objective - penalty),
        bound_theorem2=h / m * clean_objective,
        bound_condition=_ratio(objective, clean_objective) if clean_objective > 0 else None,
    )


def _ratio(objective: float, clean_objective: float) -> float:
    """Return the quotient; 1 where it is so but for rounding, which the condition must survive."""
    ratio = objective / clean_objective
    return 1.0 if abs(ratio - 1) <= ROUNDING else ratio
