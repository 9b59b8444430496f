"""LASSO and elastic net on a Gram matrix: an exact active-set method that goes on from a near fit.

    minimise  1/2 w'Gw - b'w + sum_j l1_j |w_j| + 1/2 sum_j l2_j w_j^2

An active set A holds the weights that are not zero and those without an l1 penalty, such as an
intercept.  With their signs s the optimality conditions on A are linear equations, and the inverse
of their matrix, (G + diag(l2))_AA, is kept.  Two steps alternate:

1. *settle*: solve the equations of A.  Weights that would change their sign leave A (Newton step,
   block removal).
2. *enter*: a weight outside A with |slope_j| > l1_j moves away from zero, and those of A so that
   their equations stay solved, until its own equation holds and it joins A.  A weight that reaches
   zero on the way leaves A.  The objective falls with every step (Lawson and Hanson 1974, chapter
   23, with signs in place of non-negativity; Osborne, Presnell and Turlach 2000).

A weight enters or leaves by a rank-one update of the inverse, O(k^2) for k active weights, and so
does a row that joins or leaves the data.  So a fit to data in which one row has changed costs some
ten updates, where coordinate descent needs hundreds of sweeps: on one-hot designs with the small
penalties that cross-validation chooses it converges slowly.

A column that the active ones span, as a copy of one does, cannot join them: moving it against them
changes no prediction, until one of them is zero and leaves.  Where minimisers are many, all of them
fit the same; :func:`solve` returns the one with the least sum of sqrt(j + 1) |w_j|, the limit where
penalties grow ever so slightly with a column's number.  Of equal columns the first one gets the
weight, as in cyclic coordinate descent from zero.

:func:`solve` is NumPy; ``active_set_compiled.solve`` does the same steps in machine code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

from poisonbench.features import FloatArray, IntArray

ROUNDING = 1e-14
"""Relative fall of the objective below which a further weight was let in by rounding alone."""

TOLERANCE = 1e-10
"""Violation of the optimality conditions that counts as none, relative to :func:`scales`."""

ACCURACY = 1e-14
"""The same for the equations of the active set, which are refined as long as that helps."""

DEPENDENT = 1e-10
"""Share of a column outside the span of the active ones below which they span it."""

COPY = 1e-13
"""Squared distance of two columns, relative to their squared norm, below which they are equal."""

REFINED = 1e-4
"""Share of a column outside that span below which the inverse, with its rounding, may not tell."""

SHARE = 0.3
"""Weights enter in one pass if they violate their condition by this share of the most violated."""

LOST = 1e-8
"""Least 1 - z'Kz of a row that leaves, below which the others do not determine the active set."""


@dataclass
class ActiveSet:
    """Weights, which of them are active, and the inverse for those.

    Parameters
    ----------
    w : ndarray of shape (d,)
        The weights.
    order : ndarray of int of shape (d,)
        The active columns in the order in which they are kept, in the first ``size`` places.
    size : int
        The number k of active columns.
    store : ndarray of shape (d, d)
        Its leading k x k block is the inverse of (G + diag(l2))_AA.
    """

    w: FloatArray
    order: IntArray
    size: int
    store: FloatArray

    @classmethod
    def near(cls, G: FloatArray, l1: FloatArray, l2: FloatArray, w: FloatArray) -> ActiveSet:
        """Return the active set of the weights `w`, which become 0 where columns are dependent."""
        d = len(w)
        state = cls(w.copy(), np.zeros(d, dtype=np.intp), 0, np.empty((d, d)))
        engine().fill(G, l1, l2, state)
        return state

    @property
    def active(self) -> IntArray:
        """The active columns; shape (k,)."""
        return self.order[: self.size]

    @property
    def inverse(self) -> FloatArray:
        """The inverse of (G + diag(l2))_AA, in the order of ``active``; shape (k, k)."""
        return self.store[: self.size, : self.size]

    def copy(self) -> ActiveSet:
        """Return a copy that can be changed on its own."""
        store = np.empty_like(self.store)
        store[: self.size, : self.size] = self.inverse
        return ActiveSet(self.w.copy(), self.order.copy(), self.size, store)

    def add_row(self, z: FloatArray) -> None:
        """Bring the inverse up to date with a row `z` that joins: G becomes G + zz'."""
        k = self.inverse @ z[self.active]
        engine().add_outer(self.inverse, k, float(-1 / (1 + z[self.active] @ k)))

    def remove_row(self, z: FloatArray, l1: FloatArray) -> None:
        """Bring the inverse up to date with a row `z` that leaves: G becomes G - zz'.

        Where no other row has what makes an active column independent, one column is set to zero.
        """
        while True:
            k = self.inverse @ z[self.active]
            slack = 1 - z[self.active] @ k
            if slack > LOST:
                engine().add_outer(self.inverse, k, float(1 / slack))
                return
            # Kz is a direction in the weights that the other rows do not see.
            share = np.where(l1[self.active] > 0, np.abs(k), -1.0)
            alike = np.flatnonzero(share >= (1 - 1e-6) * share.max())
            place = int(alike[self.active[alike].argmax()])
            self.w[self.active[place]] = 0.0
            take_out(self, place)


@cache
def engine() -> ModuleType:
    """Return the module whose ``fill`` and ``solve`` are used: compiled with the extra ``fast``.

    Numba is loaded at the first solve, since that takes longer than most commands.
    """
    import importlib

    try:
        return importlib.import_module("poisonbench.models.engines.active_set_compiled")
    except ImportError:  # the extra `fast` is not installed
        return importlib.import_module(__name__)


def solve_elastic_net(
    G: FloatArray, b: FloatArray, l1: float, l2: float, start: FloatArray | None = None
) -> FloatArray:
    """Return the minimiser for penalties that are the same for all weights.

    Parameters
    ----------
    G : ndarray of shape (d, d)
        Gram matrix X'X of centred columns.
    b : ndarray of shape (d,)
        X'y, centred.
    l1, l2 : float
        Penalties; ``l1`` > 0, ``l2`` >= 0.
    start : ndarray of shape (d,), optional
        Where to start, the closer to the solution the fewer steps; 0 if None.

    Returns
    -------
    ndarray of shape (d,)

    Raises
    ------
    ArithmeticError
        The search does not end, which exact arithmetic excludes.
    """
    first, second = np.full(len(b), float(l1)), np.full(len(b), float(l2))
    state = ActiveSet.near(G, first, second, np.zeros(len(b)) if start is None else start)
    engine().solve(G, b, first, second, state)
    return state.w


def fill(G: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Make the active set anew from the weights: those that are not zero or not penalised.

    Of columns that depend on each other the later ones are left out, and their weights set to 0.
    """
    wanted = np.concatenate([np.flatnonzero(l1 == 0), np.flatnonzero((l1 > 0) & (state.w != 0))])
    state.size = 0
    for j in wanted:
        u, schur = _against(G, l2, state, j)
        if schur > DEPENDENT * (G[j, j] + l2[j]):
            take_in(state, j, u, schur)
        else:
            state.w[j] = 0.0


def solve(G: FloatArray, b: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Bring `state` to the minimiser.

    Parameters
    ----------
    G : ndarray of shape (d, d)
        Gram matrix.
    b : ndarray of shape (d,)
        Products of columns and response.
    l1, l2 : ndarray of shape (d,)
        Penalties; a weight with ``l1`` = 0 is always active.
    state : ActiveSet
        Where to start; its inverse is that for `G`.

    Raises
    ------
    ArithmeticError
        The search does not end, which exact arithmetic excludes.
    """
    scale = scales(G, b, l1)
    lowest, accuracy = np.inf, TOLERANCE
    for _ in range(50 * len(b) + 100):
        slope = settle(G, b, l1, l2, state, scale, accuracy)
        value = float(state.w @ (slope - b) / 2 + l1 @ np.abs(state.w))
        violation = (np.abs(slope) - l1) / scale
        violation[state.active] = 0.0
        most = violation.max(initial=0.0)
        if most <= TOLERANCE or value >= lowest - ROUNDING * abs(value):
            if accuracy == ACCURACY:
                prefer_first(G, l1, l2, state, slope, scale)
                return
            accuracy = ACCURACY
            continue
        lowest = value
        entering = np.flatnonzero(violation > max(SHARE * most, TOLERANCE))
        for j in entering[np.argsort(-violation[entering], kind="stable")]:
            enter(G, b, l1, l2, state, j, TOLERANCE * scale[j])
    raise ArithmeticError("the active-set search for the elastic net did not end")


def scales(G: FloatArray, b: FloatArray, l1: FloatArray) -> FloatArray:
    """Return for each column the size of a slope that its violations are relative to.

    Slopes of a column grow with its norm: so a column in small units is solved as well as others.
    """
    norm = np.sqrt(np.maximum(G.diagonal(), 0.0))
    most = np.divide(np.abs(b), norm, out=np.zeros_like(norm), where=norm > 0).max(initial=0.0)
    scale = l1 + most * norm
    return np.asarray(np.where(scale > 0, scale, 1.0))


def settle(
    G: FloatArray,
    b: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    state: ActiveSet,
    scale: FloatArray,
    accuracy: float,
) -> FloatArray:
    """Solve the equations of the active set, less the weights that would change their sign.

    Returns
    -------
    ndarray of shape (d,)
        The slopes of the smooth part, Gw - b + l2 w.
    """
    w, error, filled = state.w, np.inf, False
    while True:
        slope: FloatArray = G @ w - b + l2 * w
        A = state.active
        downhill = -(slope[A] + l1[A] * np.sign(w[A]))
        last, error = error, float((np.abs(downhill) / scale[A]).max(initial=0.0))
        if error <= accuracy or (error > last / 2 and error <= TOLERANCE):
            return slope
        if error > last / 2:
            if filled:
                return slope  # rounding allows no better
            fill(G, l1, l2, state)  # updates have spoilt the inverse
            error, filled = np.inf, True
            continue
        end = w[A] + state.inverse @ downhill
        crossing = np.flatnonzero((l1[A] > 0) & (end * w[A] <= 0))
        if not crossing.size:
            w[A] = end
            continue
        w[A[crossing]] = 0.0
        take_out_several(state, crossing)
        error = np.inf  # other equations now


def enter(
    G: FloatArray,
    b: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    state: ActiveSet,
    j: int,
    tolerance: float,
) -> None:
    """Move the weight of column `j` away from zero until its equation holds, and take it in."""
    w = state.w
    slope = G[j] @ w - b[j]
    violation = abs(slope) - l1[j]
    if violation <= tolerance:
        return
    sign = -np.sign(slope)
    u, schur = _against(G, l2, state, j)
    corner = G[j, j] + l2[j]
    while True:
        A = state.active
        length = violation / schur if schur > DEPENDENT * corner else np.inf
        step, place = _first_zero(w[A], -sign * u, l1[A])
        if min(step, length) == np.inf:
            w[j] = 0.0  # only rounding lets a column in that the active ones span
            return
        w[A] -= (sign * min(step, length)) * u
        w[j] += sign * min(step, length)
        if length <= step:
            take_in(state, j, u, schur)
            return
        violation -= step * schur
        w[A[place]] = 0.0
        u, schur = _without(state, u, schur, place)


def prefer_first(
    G: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    state: ActiveSet,
    slope: FloatArray,
    scale: FloatArray,
) -> None:
    """Go to the minimiser with the least sum of sqrt(j + 1) |w_j|, where there are several.

    They are reached through columns whose slope is l1 although their weight is 0, and which the
    active ones span: a linear program on the face of minimisers, by the simplex method.
    """
    w, cost = state.w, np.sqrt(np.arange(1.0, len(l1) + 1))
    idle = np.abs(slope) >= l1 - TOLERANCE * scale
    idle[state.active] = False
    idle &= l1 > 0
    waiting = np.flatnonzero(idle)
    at = 0
    while at < len(waiting):
        j = waiting[at]
        at += 1
        A = state.active
        copies = np.flatnonzero(G[A, A] + G[j, j] - 2 * G[j, A] <= COPY * G[j, j])
        if copies.size and l2[j] == 0:
            i = A[copies[0]]
            if j < i:
                w[j], w[i], state.order[copies[0]] = w[i], 0.0, j
            continue
        u, schur = _against(G, l2, state, j)
        if schur > DEPENDENT * (G[j, j] + l2[j]):
            continue
        sign = -np.sign(slope[j])
        if cost[j] >= sign * u @ (cost[A] * np.sign(w[A]) * (l1[A] > 0)) - 1e-9:
            continue
        step, place = _first_zero(w[A], -sign * u, l1[A])
        if step == np.inf:
            continue
        w[A] -= sign * step * u
        w[j] = sign * step
        waiting = np.append(waiting[at:], A[place])
        at = 0
        w[A[place]] = 0.0
        u, schur = _without(state, u, schur, place)
        take_in(state, j, u, schur)


def add_outer(K: FloatArray, v: FloatArray, factor: float) -> None:
    """Add factor * vv' to `K` in place."""
    K += np.outer(factor * v, v)


def take_in(state: ActiveSet, j: int, u: FloatArray, schur: float) -> None:
    """Make column `j` active; `u` is the inverse times G_Aj, `schur` G_jj + l2_j - G_jA u."""
    k, K = state.size, state.store
    K[:k, :k] += np.outer(u, u / schur)
    K[:k, k] = K[k, :k] = -u / schur
    K[k, k] = 1 / schur
    state.order[k] = j
    state.size = k + 1


def take_out(state: ActiveSet, place: int) -> None:
    """Make the column at a place of the active set inactive; the last one takes its place."""
    K, last = state.inverse, state.size - 1
    row = K[place].copy()
    K -= np.outer(row, row / row[place])
    K[place] = K[last]
    K[:, place] = K[:, last]
    K[place, place] = K[last, last]
    state.order[place] = state.order[last]
    state.size = last


def take_out_several(state: ActiveSet, places: IntArray) -> None:
    """Make the columns at several places inactive at once."""
    K, kept = state.inverse, np.delete(np.arange(state.size), places)
    border = K[kept][:, places]
    reduced = K[kept][:, kept] - border @ np.linalg.solve(K[places][:, places], border.T)
    state.size = len(kept)
    state.order[: state.size] = state.order[kept]
    state.inverse[:] = reduced


def _against(G: FloatArray, l2: FloatArray, state: ActiveSet, j: int) -> tuple[FloatArray, float]:
    """Return the inverse times G_Aj, and what of column `j` lies outside the span of A."""
    A, K, corner = state.active, state.inverse, G[j, j] + l2[j]
    column = G[j, A]
    u = K @ column
    schur = corner - column @ u
    if schur < REFINED * corner:
        u += K @ (column - G[np.ix_(A, A)] @ u - l2[A] * u)
        schur = corner - column @ u
    return u, float(schur)


def _without(state: ActiveSet, u: FloatArray, schur: float, place: int) -> tuple[FloatArray, float]:
    """Take a column out of the active set; return `u` and `schur` for those that are left."""
    row = state.inverse[place]
    factor = u[place] / row[place]
    schur += u[place] * factor
    u = u - factor * row
    u[place] = u[-1]
    take_out(state, place)
    return u[:-1], float(schur)


def _first_zero(w: FloatArray, direction: FloatArray, l1: FloatArray) -> tuple[float, int]:
    """Return the step at which the first of the penalised weights reaches zero, and its place."""
    falling = np.flatnonzero((w * direction < 0) & (l1 > 0))
    if not falling.size:
        return np.inf, -1
    steps = -w[falling] / direction[falling]
    first = int(steps.argmin())
    return float(steps[first]), int(falling[first])
