"""The bound that a multiplier and a reference prove, including bounds on all rounding errors.

Notation: A = Z'Z + l2 D and b = Z'y belong to the clean rows, C and c to the loss W; theta_r =
(w_r, b_r) is the reference, m > 0 the multiplier, and R = R(theta_r) the largest residual of any
legal point.  Every model theta that poison rows of total weight at most p can cause satisfies

    (theta - theta_r).(A theta - b) + l1 ||w||_1 - l1 ||w_r||_1 <= p R^2 / 4,

so W(theta) <= L(theta) + m l1 ||w_r||_1 + m p R^2 / 4, where

    L(theta) = W(theta) - m [(theta - theta_r).(A theta - b) + l1 ||w||_1].

L is concave if S = mA - C is positive semidefinite and m l1 is at least the loss's own l1.  It is
not necessary to find its maximum.  At any point theta_*, split the gradient of its quadratic part
into a part that the l1 terms can cancel and a rest r'; then

    max L <= L(theta_*) + ||r'||^2 / (4 sigma)     if S's eigenvalues are at least sigma > 0,
    max L <= L(theta_*) + ||r'|| T + epsilon T^2   if at least -epsilon, and |theta - theta_*| <= T.

OLS drops the directions in which its standardised rows have a singular value below a cut.  In these
directions the residual of the normal equations is s_i u_i.y, where s_i is the singular value and
u_i the left singular vector.  The left side above can therefore exceed the right side, but by at
most sum_i (s_i v_i.Dw_r) (u_i.y), where v_i is the right singular vector and D the diagonal matrix
of the columns' norms.  This is at most cut sqrt(d) (sqrt(N) / 2)^2 ||w_r|| with N = n + p.  The
check adds this bound, times m.

A successful Cholesky factorisation proves that S - sigma I is positive definite (Rump 2006,
"Verification of positive definiteness").  The proof does not depend on the solver that proposed m,
theta_r and theta_*: a poor proposal gives a loose bound, but never a wrong one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from poisonbench.certificates.legal_set import UNIT, rounding
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.features import FloatArray
from poisonbench.models.ols import RELATIVE_CUT

LONGEST = 1e6
"""For OLS, a ceiling allows for its own rounding up to this norm of the weights, if the clean rows
do not determine them.  In the box, models with larger weights are themselves lost in rounding."""


@dataclass(frozen=True)
class Proved:
    """A proved bound and its parts.

    Parameters
    ----------
    bound : float
        W(theta) is at most this for every model that p legal rows can cause; infinite if nothing
        could be proved.
    reach : float
        R(theta_r), rounded up.
    slack : float
        The part of ``bound`` that allows for rounding and for an inexact theta_*.
    """

    bound: float
    reach: float
    slack: float


def proved(
    problem: Poisoning, loss: Loss, multiplier: float, reference: FloatArray, peak: FloatArray
) -> Proved:
    """Return the bound on `loss` that a multiplier, a reference and a peak prove.

    Parameters
    ----------
    problem : Poisoning
        The learner, its clean rows, the budget and the legal rows.
    loss : Loss
        The loss to bound.
    multiplier : float
        m > 0.
    reference, peak : ndarray of shape (d + 1,)
        theta_r and theta_*.
    """
    m = float(multiplier)
    reach = problem.legal.reach(reference)
    # What remains of the multiplied l1 terms after subtracting the loss's own, rounded down.
    budget = m * problem.l1 - loss.l1 - 4 * UNIT * (m * problem.l1 + loss.l1)
    finite = np.isfinite(reference).all() and np.isfinite(peak).all()
    if not (m > 0 and budget >= 0 and finite):
        return Proved(math.inf, reach, math.inf)
    A, C, b, c = problem.hessian, loss.hessian, problem.moment, loss.vector
    size_A, size_C, size_b = np.abs(A), np.abs(C), np.abs(b)
    size_c, size_k = np.abs(c), abs(loss.constant)
    if loss.centre is not None:
        size_c = size_c + np.abs(loss.matrix) @ np.abs(loss.centre)
        size_k += float(np.abs(loss.centre) @ size_c)
    # Bound on the relative error of every sum below: one over the rows, then two over the columns.
    u = rounding(max(problem.n_rows, loss.n_rows) + 4 * len(b) + 40)

    gap = peak - reference
    length, gap_length = np.abs(peak), np.abs(peak) + np.abs(reference)
    pull = A @ peak - b
    gradient = 2 * (C @ peak - c) - m * (pull + A @ gap)
    gradient_error = u * (
        2 * (size_C @ length + size_c) + m * (size_A @ (length + gap_length) + size_b)
    )
    absorbed = np.clip(gradient, -budget, budget)
    absorbed[-1] = 0.0
    rest = float(np.linalg.norm(np.abs(gradient - absorbed) + gradient_error)) * (1 + u)

    value = (
        (C @ peak - 2 * c) @ peak
        + loss.constant
        - m * (gap @ pull)
        - absorbed @ peak
        + m * problem.l1 * np.abs(reference[:-1]).sum()
    )
    poison = m * problem.n_poison / 4 * reach * reach
    size = (
        (size_C @ length + 2 * size_c) @ length
        + size_k
        + m * (gap_length @ (size_A @ length + size_b))
        + np.abs(absorbed) @ length
        + m * problem.l1 * np.abs(reference[:-1]).sum()
        + poison
    )
    slack = u * float(size) + _from_peak(problem, loss, m, rest, peak)
    slack += m * _dropped(problem, reference)
    bound = float(value) + poison + slack
    if not math.isfinite(bound):
        return Proved(math.inf, reach, math.inf)
    return Proved(float(np.nextafter(bound, math.inf)), reach, slack)


def _from_peak(problem: Poisoning, loss: Loss, m: float, rest: float, peak: FloatArray) -> float:
    """Return by how much L can exceed L(theta_*) if the gradient's rest has a norm of `rest`."""
    sure = 1 - 8 * UNIT
    if loss.share is not None and m * sure >= loss.share and m * sure * problem.l2 >= loss.l2 / 2:
        lowest = 0.0  # S is a sum of squares
    else:
        lowest = -math.inf
    if lowest < 0 or problem.l2 > 0:
        A, C = problem.hessian, loss.hessian
        error = rounding(max(problem.n_rows, loss.n_rows) + 8) * (
            m * float(np.linalg.norm(A)) + float(np.linalg.norm(C))
        )
        lowest = max(lowest, lowest_eigenvalue(m * A - C, error))
    if lowest > 0:
        return rest * rest / (4 * lowest) * (1 + 8 * UNIT)
    distance = _longest(problem) + float(np.linalg.norm(peak)) * (1 + 1e-12)
    if not math.isfinite(distance) or not math.isfinite(lowest):
        return math.inf
    return (rest * distance - lowest * distance * distance) * (1 + 8 * UNIT)


def lowest_eigenvalue(S: FloatArray, error: float) -> float:
    """Return a proved lower bound on the eigenvalues of a matrix; -inf if none can be proved.

    Parameters
    ----------
    S : ndarray of shape (d, d)
        The matrix, symmetric except for rounding.
    error : float
        Bound on the spectral norm of the error in S.
    """
    S = (S + S.T) / 2
    d = len(S)
    of_factor = 2 * rounding(d + 4) * float(np.abs(np.diagonal(S)).sum())
    error = (error + of_factor) * (1 + 1e-8)
    near = float(linalg.eigvalsh(S, subset_by_index=(0, 0))[0])
    for shift in (near / 2, -4 * error):
        if shift > 2 * error or shift < 0:
            try:
                np.linalg.cholesky(S - shift * np.eye(d))
            except np.linalg.LinAlgError:
                continue
            return shift - 2 * error
    return -math.inf


def _dropped(problem: Poisoning, reference: FloatArray) -> float:
    """Return a bound on what the directions that OLS drops add to the left side."""
    if problem.l1 > 0 or problem.l2 > 0:
        return 0.0
    rows, d = problem.n_rows + problem.n_poison, problem.space.n_features
    length = float(np.linalg.norm(reference[:-1]))
    return RELATIVE_CUT * math.sqrt(d) * rows / 4 * length * (1 + 1e-8)


def _longest(problem: Poisoning) -> float:
    """Return a bound on the norm of every model that poison can cause.

    The model's objective is at most that of the constant mean(y), which is at most N/8.  OLS has no
    penalty that this would bound, so :data:`LONGEST` is used.  The intercept is
    mean(y) - w.mean(x).
    """
    N = problem.n_rows + problem.n_poison
    weights = LONGEST
    if problem.l1 > 0:
        weights = N / (8 * problem.l1)
    if problem.l2 > 0:
        weights = min(weights, math.sqrt(N / (4 * problem.l2)))
    d = problem.space.n_features
    return (1 + (1 + math.sqrt(d)) * weights) * (1 + 1e-8)
