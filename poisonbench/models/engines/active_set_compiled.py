"""``active_set`` in machine code; needs Numba, the extra ``fast``.

The functions have the names of those in ``active_set`` and take the same steps, on the arrays of an
``ActiveSet`` with k active columns:

    G       (d, d)  Gram matrix
    b       (d,)    products of columns and response
    l1, l2  (d,)    penalties
    w       (d,)    weights, changed in place
    order   (d,)    its first k entries are the active columns
    K       (d, d)  its leading k x k block is the inverse
    slope   (d,)    Gw - b + l2 w
    scale   (d,)    size of the slopes, see ``active_set.scales``
    u       (k,)    K G_Aj for a column j; schur is G_jj + l2_j - G_jA u

`place`, and the loop variables a and c, count active columns: the column is ``order[place]``.
Between these functions only the lower triangle of K is up to date, which halves the memory traffic.
"""

from __future__ import annotations

import numpy as np

from poisonbench.features import FloatArray, IntArray
from poisonbench.models.engines.active_set import (
    ACCURACY,
    COPY,
    DEPENDENT,
    REFINED,
    ROUNDING,
    SHARE,
    TOLERANCE,
    ActiveSet,
)
from poisonbench.models.engines.machine_code import compiled, part

SUMS = {"reassoc", "contract"}
"""Sums may be taken in any order, so several entries at a time; NaN and infinity are kept."""


def fill(G: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Make the active set of the weights from scratch; see ``active_set.fill``."""
    state.size = _fill(G, l1, l2, state.w, state.order, state.store)
    _mirror(state.store, state.size)


def solve(G: FloatArray, b: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Bring `state` to the minimiser; see ``active_set.solve``."""
    k = _solve(G, b, l1, l2, state.w, state.order, state.size, state.store)
    if k < 0:
        raise ArithmeticError("the active-set search for the elastic net did not end")
    state.size = k


def add_outer(K: FloatArray, v: FloatArray, factor: float) -> None:
    """Add factor * vv' to `K` in place; see ``active_set.add_outer``."""
    _add_outer(K, v, factor)


@compiled
def _solve(
    G: FloatArray,
    b: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    k: int,
    K: FloatArray,
) -> int:
    """Return the number of active columns at the minimiser; -1 if the search does not end."""
    d = len(b)
    scale = np.empty(d)
    _scales(G, b, l1, scale)
    slope, violation = np.empty(d), np.empty(d)
    lowest, accuracy = np.inf, TOLERANCE
    for _ in range(50 * d + 100):
        k = _settle(G, b, l1, l2, w, order, k, K, scale, accuracy, slope)
        value, most = 0.0, 0.0
        for j in range(d):
            value += w[j] * (slope[j] - b[j]) / 2 + l1[j] * abs(w[j])
            violation[j] = (abs(slope[j]) - l1[j]) / scale[j]
        for a in range(k):
            violation[order[a]] = 0.0
        for j in range(d):
            most = max(most, violation[j])
        if most <= TOLERANCE or value >= lowest - ROUNDING * abs(value):
            if accuracy == ACCURACY:
                k = _prefer_first(G, l1, l2, w, order, k, K, slope, scale)
                _mirror(K, k)
                return k
            accuracy = ACCURACY
            continue
        lowest = value
        entering = np.flatnonzero(violation > max(SHARE * most, TOLERANCE))
        for j in entering[np.argsort(-violation[entering], kind="mergesort")]:
            k = _enter(G, b, l1, l2, w, order, k, K, j, TOLERANCE * scale[j])
    return -1


@part()
def _scales(G: FloatArray, b: FloatArray, l1: FloatArray, scale: FloatArray) -> None:
    """Fill `scale`."""
    most = 0.0
    for j in range(len(b)):
        if G[j, j] > 0:
            most = max(most, abs(b[j]) / np.sqrt(G[j, j]))
    for j in range(len(b)):
        scale[j] = l1[j] + most * np.sqrt(max(G[j, j], 0.0))
        if scale[j] == 0:
            scale[j] = 1.0


@part()
def _settle(
    G: FloatArray,
    b: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    k: int,
    K: FloatArray,
    scale: FloatArray,
    accuracy: float,
    slope: FloatArray,
) -> int:
    """Solve the equations of the active set up to `accuracy` and fill `slope`; return the new k."""
    downhill, step = np.empty(len(b)), np.empty(len(b))
    error, filled = np.inf, False
    while True:
        _slopes(G, b, l2, w, order, k, slope)
        last, error = error, 0.0
        for a in range(k):
            j = order[a]
            downhill[a] = -(slope[j] + l1[j] * np.sign(w[j]))
            error = max(error, abs(downhill[a]) / scale[j])
        if error <= accuracy or (error > last / 2 and error <= TOLERANCE):
            return k
        if error > last / 2:
            if filled:
                return k  # rounding allows no better
            k = _fill(G, l1, l2, w, order, K)  # the updates have made the inverse inaccurate
            error, filled = np.inf, True
            continue
        _product(K, k, downhill, step)
        crossed = False
        for a in range(k - 1, -1, -1):
            j = order[a]
            if l1[j] > 0 and (w[j] + step[a]) * w[j] <= 0:
                crossed = True
                w[j] = 0.0
                step[a] = step[k - 1]
                k = _take_out(order, k, K, a)
        if crossed:
            error = np.inf  # other equations now
        else:
            for a in range(k):
                w[order[a]] += step[a]


@part()
def _enter(
    G: FloatArray,
    b: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    k: int,
    K: FloatArray,
    j: int,
    tolerance: float,
) -> int:
    """Move the weight of column `j` away from zero until its equation holds; return the new k."""
    slope = -b[j]
    for a in range(k):
        slope += G[j, order[a]] * w[order[a]]
    violation = abs(slope) - l1[j]
    if violation <= tolerance:
        return k
    sign = -np.sign(slope)
    u = np.empty(k)
    schur = _against(G, l2, order, k, K, j, u)
    corner = G[j, j] + l2[j]
    while True:
        length = violation / schur if schur > DEPENDENT * corner else np.inf
        step, place = _first_zero(w, order, k, -sign, u, l1)
        if min(step, length) == np.inf:
            w[j] = 0.0  # in the span of the active ones; only rounding errors let it enter
            return k
        moved = sign * min(step, length)
        for a in range(k):
            w[order[a]] -= moved * u[a]
        w[j] += moved
        if length <= step:
            return int(_take_in(order, k, K, j, u, schur))
        violation -= step * schur
        w[order[place]] = 0.0
        schur = _without(k, K, u, schur, place)
        k = _take_out(order, k, K, place)


@part()
def _prefer_first(
    G: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    k: int,
    K: FloatArray,
    slope: FloatArray,
    scale: FloatArray,
) -> int:
    """Go to the minimiser with the least sum of sqrt(j + 1) |w_j|; return the new k."""
    d = len(w)
    idle = np.abs(slope) >= l1 - TOLERANCE * scale
    for a in range(k):
        idle[order[a]] = False
    for j in range(d):
        idle[j] = idle[j] and l1[j] > 0
    waiting = np.flatnonzero(idle)
    u = np.empty(d)
    at = 0
    while at < len(waiting):
        j = waiting[at]
        at += 1
        place = _copy(G, order, k, j) if l2[j] == 0 else -1
        if place >= 0:
            i = order[place]
            if j < i:
                w[j], w[i], order[place] = w[i], 0.0, j
            continue
        schur = _against(G, l2, order, k, K, j, u)
        if schur > DEPENDENT * (G[j, j] + l2[j]):
            continue
        sign = -np.sign(slope[j])
        fall = 0.0
        for a in range(k):
            i = order[a]
            if l1[i] > 0:
                fall += sign * u[a] * np.sqrt(i + 1.0) * np.sign(w[i])
        if np.sqrt(j + 1.0) >= fall - 1e-9:
            continue
        step, place = _first_zero(w, order, k, -sign, u, l1)
        if step == np.inf:
            continue
        for a in range(k):
            w[order[a]] -= sign * step * u[a]
        w[j] = sign * step
        waiting = np.append(waiting[at:], order[place])
        at = 0
        w[order[place]] = 0.0
        schur = _without(k, K, u, schur, place)
        k = _take_out(order, k, K, place)
        k = _take_in(order, k, K, j, u, schur)
    return k


@part()
def _copy(G: FloatArray, order: IntArray, k: int, j: int) -> int:
    """Return the place of an active column that equals column `j`; -1 if there is none."""
    for a in range(k):
        i = order[a]
        if G[i, i] + G[j, j] - 2 * G[j, i] <= COPY * G[j, j]:
            return a
    return -1


@compiled
def _fill(
    G: FloatArray, l1: FloatArray, l2: FloatArray, w: FloatArray, order: IntArray, K: FloatArray
) -> int:
    """Make the active set of the weights from scratch; return its k."""
    k = 0
    u = np.empty(len(w))
    for penalised in (False, True):
        for j in range(len(w)):
            if (l1[j] > 0) != penalised or (penalised and w[j] == 0.0):
                continue
            schur = _against(G, l2, order, k, K, j, u)
            if schur > DEPENDENT * (G[j, j] + l2[j]):
                k = _take_in(order, k, K, j, u, schur)
            else:
                w[j] = 0.0
    return k


@part()
def _take_in(order: IntArray, k: int, K: FloatArray, j: int, u: FloatArray, schur: float) -> int:
    """Make column `j` active; return the new k."""
    for a in range(k):
        factor, row = u[a] / schur, K[a]
        for c in range(a + 1):
            row[c] += factor * u[c]
        K[k, a] = -factor
    K[k, k] = 1 / schur
    order[k] = j
    return k + 1


@part()
def _take_out(order: IntArray, k: int, K: FloatArray, place: int) -> int:
    """Make the column at `place` inactive; the last one takes its place.  Return the new k."""
    last = k - 1
    gone = np.empty(k)
    _column(K, k, place, gone)
    for a in range(k):
        factor, row = gone[a] / gone[place], K[a]
        for c in range(a + 1):
            row[c] -= factor * gone[c]
    for c in range(place):
        K[place, c] = K[last, c]
    for a in range(place + 1, last):
        K[a, place] = K[last, a]
    K[place, place] = K[last, last]
    order[place] = order[last]
    return last


@part()
def _column(K: FloatArray, k: int, place: int, column: FloatArray) -> None:
    """Fill `column`, of shape (k,), with the column of K at `place`."""
    for a in range(place + 1):
        column[a] = K[place, a]
    for a in range(place + 1, k):
        column[a] = K[a, place]


@compiled
def _mirror(K: FloatArray, k: int) -> None:
    """Fill the upper triangle of K from the lower one."""
    for a in range(k):
        for c in range(a):
            K[c, a] = K[a, c]


@compiled
def _add_outer(K: FloatArray, v: FloatArray, factor: float) -> None:
    """Add factor * vv' to K; shapes (k,) and (k, k)."""
    for a in range(len(v)):
        x, row = factor * v[a], K[a]
        for c in range(len(v)):
            row[c] += x * v[c]


@part()
def _without(k: int, K: FloatArray, u: FloatArray, schur: float, place: int) -> float:
    """Bring `u` up to date with a column that is about to leave; return the new `schur`."""
    column = np.empty(k)
    _column(K, k, place, column)
    factor = u[place] / column[place]
    schur += u[place] * factor
    for a in range(k):
        u[a] -= factor * column[a]
    u[place] = u[k - 1]
    return schur


@part(fastmath=SUMS)
def _against(
    G: FloatArray, l2: FloatArray, order: IntArray, k: int, K: FloatArray, j: int, u: FloatArray
) -> float:
    """Fill `u` for column `j`; return `schur`."""
    column = np.empty(k)
    for a in range(k):
        column[a] = G[j, order[a]]
    _product(K, k, column, u)
    schur: float = G[j, j] + l2[j]
    for a in range(k):
        schur -= column[a] * u[a]
    if schur < REFINED * (G[j, j] + l2[j]):
        rest, change = column.copy(), np.empty(k)
        for a in range(k):
            rest[a] -= l2[order[a]] * u[a]
            for c in range(k):
                rest[a] -= G[order[a], order[c]] * u[c]
        _product(K, k, rest, change)
        schur = G[j, j] + l2[j]
        for a in range(k):
            u[a] += change[a]
            schur -= column[a] * u[a]
    return schur


@part()
def _first_zero(
    w: FloatArray, order: IntArray, k: int, factor: float, u: FloatArray, l1: FloatArray
) -> tuple[float, int]:
    """Return the least step along factor * u at which a penalised weight is 0, and its place."""
    least, place = np.inf, -1
    for a in range(k):
        j = order[a]
        if w[j] * factor * u[a] < 0 and l1[j] > 0:
            step = -w[j] / (factor * u[a])
            if step < least:
                least, place = step, a
    return least, place


@part(fastmath=SUMS)
def _product(K: FloatArray, k: int, x: FloatArray, y: FloatArray) -> None:
    """Fill `y` with the leading block of K times `x`; both have shape (k,)."""
    for a in range(k):
        row, total, factor = K[a], 0.0, x[a]
        for c in range(a):
            total += row[c] * x[c]
            y[c] += row[c] * factor
        y[a] = total + row[a] * factor


@part()
def _slopes(
    G: FloatArray,
    b: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    k: int,
    slope: FloatArray,
) -> None:
    """Fill `slope`."""
    for j in range(len(b)):
        slope[j] = l2[j] * w[j] - b[j]
    for a in range(k):
        x, row = w[order[a]], G[order[a]]
        for j in range(len(b)):
            slope[j] += x * row[j]
