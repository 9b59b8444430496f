"""LASSO and elastic net on a Gram matrix, from a warm start, to working accuracy.

Feature-sign search (Lee, Battle, Raina & Ng 2006, "Efficient sparse coding algorithms", Alg. 1):
guess the active set and the signs of its weights, solve the equations that they imply, move
towards the solution as far as the objective falls, and correct the guess until the optimality
conditions hold.  One weight enters or leaves at a time, so the inverse of the active block is
updated in O(k^2).  With the small penalties that cross-validation chooses on one-hot designs,
coordinate descent needs thousands of sweeps where this needs tens of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from poisonbench.features import FloatArray, IntArray

ROUNDING = 1e-14
"""Relative fall of the objective below which a further weight was let in by rounding alone."""

TOLERANCE = 1e-10
"""Violation of the optimality conditions that counts as none, relative to max |b|."""

JITTER = 1e-11
"""Added to the diagonal of G, relative to its largest entry, or to 1 where that is smaller.

Collinear columns, of which one-hot designs have many, make the equations of an active set
singular; with this they are not, the minimiser is unique, and the search ends.
"""


DEPENDENT = 1e-3
"""Share of a column that lies outside the span of the active ones, below which they span it."""


@dataclass(frozen=True)
class Solution:
    """The minimiser, and the inverse of its active block.

    Parameters
    ----------
    w : ndarray of shape (d,)
        The weights.
    active : ndarray of shape (k,)
        Indices of the weights that are not zero.
    inverse : ndarray of shape (k, k)
        (G_AA + l2 I)^{-1}, rows and columns in the order of ``active``.
    """

    w: FloatArray
    active: IntArray
    inverse: FloatArray


def solve_elastic_net(
    G: FloatArray, b: FloatArray, l1: float, l2: float, start: FloatArray
) -> Solution:
    """Minimise 1/2 w'Gw - b'w + l1 ||w||_1 + l2/2 ||w||_2^2.

    Parameters
    ----------
    G : ndarray of shape (d, d)
        Gram matrix X'X of centred columns.
    b : ndarray of shape (d,)
        X'y, centred.
    l1, l2 : float
        Penalties; ``l1`` > 0, ``l2`` >= 0.
    start : ndarray of shape (d,)
        Where to start; the closer to the solution the fewer steps.

    Returns
    -------
    Solution

    Raises
    ------
    ArithmeticError
        The search does not end, which exact arithmetic excludes.
    """
    l2 = l2 + JITTER * float(G.diagonal().max(initial=1.0))
    tolerance = TOLERANCE * max(l1, float(np.abs(b).max(initial=0.0)))
    w = start.copy()
    sign = np.sign(w)
    active = np.flatnonzero(w)
    inverse = _inverse(G, l2, active)
    lowest, settled = np.inf, Solution(w, active, inverse)
    exact = True  # whether `inverse` has been computed, not updated
    error = np.inf  # violation of the active set's equations
    for _ in range(50 * len(b) + 100):
        slope = G @ w - b + l2 * w  # of the smooth part
        here, s = w[active], sign[active]
        downhill = -(slope[active] + l1 * s)
        last, error = error, float(np.abs(downhill).max(initial=0.0))
        if tolerance < error < last / 2:
            moved = _lowest(here, inverse @ downhill, slope[active], downhill, l1)
            w[active], sign[active] = moved, np.sign(moved)
            gone = np.flatnonzero(moved == 0)
            if gone.size:
                inverse = _without(inverse, gone)
                active = np.delete(active, gone)
                exact = False
            if gone.size or np.any(np.sign(moved) != s):
                error = np.inf  # other equations now
            continue
        if error > tolerance and not exact:
            # Updates have spoilt the inverse: refinement with it no longer converges.
            inverse, exact, error = _inverse(G, l2, active), True, np.inf
            continue
        # The active weights are optimal for their signs: does an inactive one want to move?
        value = float(w @ (slope - b)) / 2 + l1 * float(np.abs(w).sum())
        if value >= lowest - ROUNDING * abs(value):
            return settled
        lowest, settled = value, Solution(w.copy(), active, inverse)
        slope[active] = 0.0
        if np.abs(slope).max(initial=0.0) <= l1 + tolerance:
            return settled
        j = int(np.abs(slope).argmax())
        sign[j] = -np.sign(slope[j])
        u, corner = inverse @ G[active, j], G[j, j] + l2
        schur = corner - G[active, j] @ u
        active = np.append(active, j)
        # Of a column that hardly differs from the active ones an update keeps no digit.
        exact = schur < DEPENDENT * corner
        inverse = _inverse(G, l2, active) if exact else _with(inverse, u, schur)
        error = np.inf
    raise ArithmeticError("the active-set search for the elastic net did not end")


def _lowest(
    here: FloatArray, direction: FloatArray, slope: FloatArray, downhill: FloatArray, l1: float
) -> FloatArray:
    """Return the end of a Newton step, or the best of the points where a weight crosses zero.

    On the step the smooth part is a parabola, whose curvature the Newton equations give as
    ``direction @ downhill``.
    """
    end: FloatArray = here + direction
    crossing = np.flatnonzero(here * end < 0)
    if not crossing.size:
        return end
    steps = np.append(here[crossing] / (here[crossing] - end[crossing]), 1.0)
    points = here + steps[:, None] * direction
    points[np.arange(len(crossing)), crossing] = 0.0
    values = (
        steps * (slope @ direction)
        + steps**2 / 2 * (direction @ downhill)
        + l1 * np.abs(points).sum(axis=1)
    )
    lowest: FloatArray = points[values.argmin()]
    return lowest


def _inverse(G: FloatArray, l2: float, active: IntArray) -> FloatArray:
    """Return (G_AA + l2 I)^{-1}."""
    H = G[np.ix_(active, active)]
    H[np.diag_indices(len(active))] += l2
    if not len(active):
        return H
    inverse: FloatArray = linalg.cho_solve(linalg.cho_factor(H), np.eye(len(active)))
    return inverse


def _with(inverse: FloatArray, u: FloatArray, schur: float) -> FloatArray:
    """Return the inverse of the bordered block; `u` is the inverse times the border."""
    k = len(u)
    bordered = np.empty((k + 1, k + 1))
    bordered[:k, :k] = inverse + np.outer(u, u / schur)
    bordered[:k, k] = bordered[k, :k] = -u / schur
    bordered[k, k] = 1 / schur
    return bordered


def _without(inverse: FloatArray, gone: IntArray) -> FloatArray:
    """Return the inverse of the block without the rows and columns at positions `gone`."""
    kept = np.delete(np.arange(len(inverse)), gone)
    border = inverse[np.ix_(kept, gone)]
    corner = inverse[np.ix_(gone, gone)]
    reduced: FloatArray = inverse[np.ix_(kept, kept)] - border @ np.linalg.solve(corner, border.T)
    return reduced
