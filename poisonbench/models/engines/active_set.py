"""LASSO and elastic net on a Gram matrix: an exact active-set method that can start from any fit.

    minimise  1/2 w'Gw - b'w + sum_j l1_j |w_j| + 1/2 sum_j l2_j w_j^2

The active set A holds the weights that are not zero and those without an l1 penalty, such as an
intercept.  Given the signs of the weights, the optimality conditions on A are linear equations.
The inverse of their matrix, (G + diag(l2))_AA, is kept.  Let slope be the gradient of the part of
the objective without l1.  Two steps alternate:

1. *settle*: solve the equations of A.  On the way to their solution, each weight that reaches zero
   leaves A.
2. *enter*: a weight outside A with |slope_j| > l1_j moves away from zero until its own equation
   holds, and joins A.  The weights of A move along, so that their equations stay solved.  If one of
   them reaches zero on the way, it leaves A.  Every step lowers the objective (Lawson and Hanson
   1974, chapter 23, with signs in place of non-negativity; Osborne, Presnell and Turlach 2000).

When a weight enters or leaves A, and when a row joins or leaves the data, the inverse gets a
rank-one update, in O(k^2) for k active weights.  So after a change of one row a new fit costs about
ten updates.  Coordinate descent would need hundreds of sweeps: it converges slowly on one-hot
designs with the small penalties that cross-validation selects.

A column in the span of the active ones, such as a copy of one of them, cannot join them.  Moving
its weight, and theirs against it, changes no prediction; it moves until one of them is zero and
leaves.  If there are several minimisers, all of them give the same predictions.  :func:`solve`
returns the one with the least sum of sqrt(j + 1) |w_j|.  It is the limit of the solutions for
penalties that increase slightly from column to column.  Of equal columns the first one gets the
weight, as in cyclic coordinate descent from zero.

:func:`solve` is NumPy; ``active_set_compiled.solve`` takes the same steps in machine code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
from scipy import linalg

from poisonbench.features import FloatArray, IntArray

ROUNDING = 1e-14
"""Relative decrease of the objective below which only rounding errors still let weights enter."""

TOLERANCE = 1e-10
"""Largest violation of an optimality condition, relative to :func:`scales`, that is accepted."""

ACCURACY = 1e-14
"""The same for the equations of the active set, which are solved again as long as that helps."""

DEPENDENT = 1e-10
"""Share of a column's squared norm outside the span of the active ones, up to which it counts as in
their span."""

COPY = 1e-13
"""Squared distance of two columns, relative to their squared norm, up to which they are equal."""

REFINED = 1e-4
"""Share of a column's squared norm outside that span, below which the share is computed again more
accurately, as the inverse has rounding errors."""

SHARE = 0.3
"""Weights enter in the same pass if their violation is more than this share of the largest one."""

LOST = 1e-4
"""Value of 1 - z'Kz, with K the inverse, up to which an active column leaves with a row z: the
other rows alone hardly determine the weights, and the updated inverse would be inaccurate."""


@dataclass
class ActiveSet:
    """Weights, which of them are active, and the inverse for the active ones.

    Parameters
    ----------
    w : ndarray of shape (d,)
        The weights.
    order : ndarray of int of shape (d,)
        Its first ``size`` entries are the active columns, in the order of the inverse.
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
        """Return the active set of the weights `w`; of dependent columns, some get weight 0."""
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
        """Update the inverse when a row `z` joins: G becomes G + zz'."""
        k = self.inverse @ z[self.active]
        engine().add_outer(self.store, k, float(-1 / (1 + z[self.active] @ k)))

    def remove_row(self, z: FloatArray, l1: FloatArray) -> None:
        """Update the inverse when a row `z` leaves: G becomes G - zz'.

        If the active columns are nearly dependent without this row, one of them gets weight 0 and
        leaves.
        """
        while True:
            k = self.inverse @ z[self.active]
            slack = 1 - z[self.active] @ k
            if slack > LOST:
                engine().add_outer(self.store, k, float(1 / slack))
                return
            # Moving the weights in the direction Kz changes the prediction of no other row.
            share = np.where(l1[self.active] > 0, np.abs(k), -1.0)
            alike = np.flatnonzero(share >= (1 - 1e-6) * share.max())
            place = int(alike[self.active[alike].argmax()])
            self.w[self.active[place]] = 0.0
            take_out(self, place)


@cache
def engine() -> ModuleType:
    """Return the module whose ``fill`` and ``solve`` are used: the compiled one if Numba is there.

    Numba is loaded only when something is solved, since loading it takes longer than most commands.
    """
    import importlib

    try:
        return importlib.import_module("poisonbench.models.engines.active_set_compiled")
    except ImportError:  # the extra `fast` is not installed
        return importlib.import_module(__name__)


def solve_elastic_net(
    G: FloatArray, b: FloatArray, l1: float, l2: float, start: FloatArray | None = None
) -> FloatArray:
    """Return the minimiser for penalties that are equal for all weights.

    Parameters
    ----------
    G : ndarray of shape (d, d)
        Gram matrix X'X of centred columns.
    b : ndarray of shape (d,)
        X'y, centred.
    l1, l2 : float
        Penalties; ``l1`` > 0, ``l2`` >= 0.
    start : ndarray of shape (d,), optional
        Weights to start from; the closer to the solution, the fewer steps.  Zeros if None.

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
    """Make the active set of the weights from scratch: those that are not zero or not penalised.

    Of linearly dependent columns the later ones are left out, and their weights set to 0.
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
    lowest, accuracy, known = np.inf, TOLERANCE, None
    for _ in range(50 * len(b) + 100):
        slope = settle(G, b, l1, l2, state, scale, accuracy, known)
        value = float(state.w @ (slope - b) / 2 + l1 @ np.abs(state.w))
        violation = (np.abs(slope) - l1) / scale
        violation[state.active] = 0.0
        most = violation.max(initial=0.0)
        if most <= TOLERANCE or value >= lowest - ROUNDING * abs(value):
            if accuracy == ACCURACY:
                if not np.isfinite(state.w).all():
                    break
                prefer_first(G, l1, l2, state, slope, scale)
                return
            accuracy, known = ACCURACY, slope
            continue
        lowest, known = value, None
        entering = np.flatnonzero(violation > max(SHARE * most, TOLERANCE))
        for j in entering[np.argsort(-violation[entering], kind="stable")]:
            enter(G, b, l1, l2, state, j, TOLERANCE * scale[j])
    raise ArithmeticError("the active-set search for the elastic net did not end")


def scales(G: FloatArray, b: FloatArray, l1: FloatArray) -> FloatArray:
    """Return, for each column, the size of its slope; violations are taken relative to it.

    The slope of a column is proportional to its norm.  So the solution is equally accurate for
    columns in large and in small units.
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
    known: FloatArray | None,
) -> FloatArray:
    """Solve the equations of the active set; weights that would change their sign leave it.

    Parameters
    ----------
    G, b, l1, l2, state
        As in :func:`solve`.
    scale : ndarray of shape (d,)
        See :func:`scales`.
    accuracy : float
        Largest violation of an equation, relative to `scale`, at which to stop.
    known : ndarray of shape (d,), optional
        The slopes, if they have been computed.

    Returns
    -------
    ndarray of shape (d,)
        The slopes Gw - b + l2 w.
    """
    w, error, filled = state.w, np.inf, False
    while True:
        slope: FloatArray = G @ w - b + l2 * w if known is None else known
        known, A = None, state.active
        downhill = -(slope[A] + l1[A] * np.sign(w[A]))
        last, error = error, float((np.abs(downhill) / scale[A]).max(initial=0.0))
        if error <= accuracy or (error > last / 2 and error <= TOLERANCE):
            return slope
        if not error <= last / 2:  # also if it is NaN, so that the search ends
            if filled:
                return slope  # rounding allows no better
            fill(G, l1, l2, state)  # the updates have made the inverse inaccurate
            error, filled = np.inf, True
            continue
        step = state.inverse @ downhill
        while True:
            length, place = _first_zero(w[A], step, l1[A])
            w[A] += min(length, 1.0) * step
            if length > 1:
                break
            w[A[place]] = 0.0
            row = state.inverse[place]
            step = (1 - length) * (step - (step[place] / row[place]) * row)
            step[place] = step[-1]
            step = step[:-1]
            take_out(state, place)
            A = state.active
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
            w[j] = 0.0  # in the span of the active ones; only rounding errors let it enter
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
    """If there are several minimisers, go to the one with the least sum of sqrt(j + 1) |w_j|.

    The others are reached through columns in the span of the active ones whose weight is 0 although
    the size of their slope is l1.  This is a linear program on the face of all minimisers, which
    the simplex method solves.
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
    """Add factor * vv' to the leading block of `K` in place; shapes (d, d) and (k,).

    BLAS needs whole rows of `K`, which is C-contiguous; what is beyond the block stays as it is.
    """
    if not len(v):
        return
    whole = np.zeros(len(K))
    whole[: len(v)] = v
    linalg.blas.dger(factor, whole, v, a=K[: len(v)].T, overwrite_a=True)


def exchange(G: FloatArray, z_in: FloatArray, z_out: FloatArray) -> tuple[IntArray, FloatArray]:
    """Let a row join the data and another leave: G becomes G + zz' - oo'.

    Returns
    -------
    tuple of ndarray
        The rows of `G` that change, and what they were, to take the exchange back exactly.
    """
    touched = np.flatnonzero((z_in != 0) | (z_out != 0))
    before = G[touched]
    both = np.array([z_in, z_out])
    G[touched] = before + (both[:, touched] * [[1.0], [-1.0]]).T @ both
    return touched, before


def take_in(state: ActiveSet, j: int, u: FloatArray, schur: float) -> None:
    """Make column `j` active; `u` is the inverse times G_Aj, `schur` is G_jj + l2_j - G_jA u."""
    k, K = state.size, state.store
    add_outer(K, u, 1 / schur)
    K[:k, k] = K[k, :k] = -u / schur
    K[k, k] = 1 / schur
    state.order[k] = j
    state.size = k + 1


def take_out(state: ActiveSet, place: int) -> None:
    """Make the column at `place` in the active set inactive; the last one takes its place."""
    K, last = state.inverse, state.size - 1
    row = K[place].copy()
    add_outer(state.store, row, -1 / row[place])
    K[place] = K[last]
    K[:, place] = K[:, last]
    K[place, place] = K[last, last]
    state.order[place] = state.order[last]
    state.size = last


def _against(G: FloatArray, l2: FloatArray, state: ActiveSet, j: int) -> tuple[FloatArray, float]:
    """Return the inverse times G_Aj, called u, and the Schur complement G_jj + l2_j - G_jA u.

    Without l2, the latter is the squared norm of column `j` outside the span of A.
    """
    A, K, corner = state.active, state.inverse, G[j, j] + l2[j]
    column = G[j, A]
    u = K @ column
    schur = corner - column @ u
    if schur < REFINED * corner:
        u += K @ (column - G[np.ix_(A, A)] @ u - l2[A] * u)
        schur = corner - column @ u
    return u, float(schur)


def _without(state: ActiveSet, u: FloatArray, schur: float, place: int) -> tuple[FloatArray, float]:
    """Take a column out of the active set; return `u` and `schur` for the remaining ones."""
    row = state.inverse[place]
    factor = u[place] / row[place]
    schur += u[place] * factor
    u = u - factor * row
    u[place] = u[-1]
    take_out(state, place)
    return u[:-1], float(schur)


def _first_zero(w: FloatArray, direction: FloatArray, l1: FloatArray) -> tuple[float, int]:
    """Return the step at which the first penalised weight reaches zero, and that weight's place."""
    falling = np.flatnonzero((w * direction < 0) & (l1 > 0))
    if not falling.size:
        return np.inf, -1
    steps = -w[falling] / direction[falling]
    first = int(steps.argmin())
    return float(steps[first]), int(falling[first])
