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
    diag    (d,)    diagonal of G
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

LARGEST = {"nnan", "nsz"}
"""The largest entry may be searched for in several entries at a time; none of them is NaN."""


def fill(G: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Make the active set of the weights from scratch; see ``active_set.fill``."""
    state.size = _fill(G, G.diagonal(), l1, l2, state.w, state.order, state.store)
    _mirror(state.store, state.size)


def solve(G: FloatArray, b: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Bring `state` to the minimiser; see ``active_set.solve``."""
    k = _solve(G, b, l1, l2, state.w, state.order, state.size, state.store)
    if k < 0 or not np.isfinite(state.w).all():
        raise ArithmeticError("the active-set search for the elastic net did not end")
    state.size = k


def add_outer(K: FloatArray, v: FloatArray, factor: float) -> None:
    """Add factor * vv' to the leading block of `K` in place; see ``active_set.add_outer``."""
    _add_outer(K, v, factor)


def exchange(G: FloatArray, z_in: FloatArray, z_out: FloatArray) -> tuple[IntArray, FloatArray]:
    """Let a row join the data and another leave; see ``active_set.exchange``."""
    touched = np.flatnonzero((z_in != 0) | (z_out != 0))
    before = np.empty((len(touched), len(G)))
    _exchange(G, z_in, z_out, touched, before)
    return touched, before


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
    diag, scale = np.diag(G).copy(), np.empty(d)
    _scales(diag, b, l1, scale)
    slope, violation = np.empty(d), np.empty(d)
    lowest, accuracy, known = np.inf, TOLERANCE, False
    for _ in range(50 * d + 100):
        k = _settle(G, diag, b, l1, l2, w, order, k, K, scale, accuracy, slope, known)
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
                k = _prefer_first(G, diag, l1, l2, w, order, k, K, slope, scale)
                _mirror(K, k)
                return k
            accuracy, known = ACCURACY, True
            continue
        lowest, known = value, False
        entering = np.flatnonzero(violation > max(SHARE * most, TOLERANCE))
        for j in entering[np.argsort(-violation[entering], kind="mergesort")]:
            k = _enter(G, diag, b, l1, l2, w, order, k, K, j, TOLERANCE * scale[j])
    return -1


@part()
def _scales(diag: FloatArray, b: FloatArray, l1: FloatArray, scale: FloatArray) -> None:
    """Fill `scale`."""
    most = 0.0
    for j in range(len(b)):
        if diag[j] > 0:
            most = max(most, abs(b[j]) / np.sqrt(diag[j]))
    for j in range(len(b)):
        scale[j] = l1[j] + most * np.sqrt(max(diag[j], 0.0))
        if scale[j] == 0:
            scale[j] = 1.0


@part()
def _settle(
    G: FloatArray,
    diag: FloatArray,
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
    known: bool,
) -> int:
    """Solve the equations of the active set up to `accuracy`; return the new k.

    It fills `slope`; if `known`, then `slope` holds the slopes of `w` already.
    """
    downhill, step, column = np.empty(len(b)), np.empty(len(b)), np.empty(len(b))
    error, filled = np.inf, False
    while True:
        if not known:
            _slopes(G, b, l2, w, order, k, slope)
        known = False
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
            k = _fill(G, diag, l1, l2, w, order, K)  # the updates have made the inverse inaccurate
            error, filled = np.inf, True
            continue
        _product(K, k, downhill, step)
        while True:
            length, place = _first_zero(w, order, k, 1.0, step, l1)
            for a in range(k):
                w[order[a]] += min(length, 1.0) * step[a]
            if length > 1:
                break
            w[order[place]] = 0.0
            _column(K, k, place, column)
            factor = step[place] / column[place]
            for a in range(k):
                step[a] = (1 - length) * (step[a] - factor * column[a])
            step[place] = step[k - 1]
            k = _take_out(order, k, K, place)
            error = np.inf  # other equations now


@part()
def _enter(
    G: FloatArray,
    diag: FloatArray,
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
    slope = _slope(G, b, w, order, k, j)
    violation = abs(slope) - l1[j]
    if violation <= tolerance:
        return k
    sign = -np.sign(slope)
    u = np.empty(k)
    schur = _against(G, diag, l2, order, k, K, j, u)
    corner = diag[j] + l2[j]
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


@part(fastmath=SUMS)
def _slope(G: FloatArray, b: FloatArray, w: FloatArray, order: IntArray, k: int, j: int) -> float:
    """Return the slope of column `j`, whose weight is 0."""
    slope: float = -b[j]
    for a in range(k):
        slope += G[j, order[a]] * w[order[a]]
    return slope


@part()
def _prefer_first(
    G: FloatArray,
    diag: FloatArray,
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
        place = _copy(G, diag, order, k, j) if l2[j] == 0 else -1
        if place >= 0:
            i = order[place]
            if j < i:
                w[j], w[i], order[place] = w[i], 0.0, j
            continue
        schur = _against(G, diag, l2, order, k, K, j, u)
        if schur > DEPENDENT * (diag[j] + l2[j]):
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
def _copy(G: FloatArray, diag: FloatArray, order: IntArray, k: int, j: int) -> int:
    """Return the place of an active column that equals column `j`; -1 if there is none."""
    for a in range(k):
        i = order[a]
        if diag[i] + diag[j] - 2 * G[j, i] <= COPY * diag[j]:
            return a
    return -1


@compiled
def _fill(
    G: FloatArray,
    diag: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    w: FloatArray,
    order: IntArray,
    K: FloatArray,
) -> int:
    """Make the active set of the weights from scratch; return its k."""
    k = 0
    u = np.empty(len(w))
    for penalised in (False, True):
        for j in range(len(w)):
            if (l1[j] > 0) != penalised or (penalised and w[j] == 0.0):
                continue
            schur = _against(G, diag, l2, order, k, K, j, u)
            if schur > DEPENDENT * (diag[j] + l2[j]):
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
    """Add factor * vv' to the leading block of K."""
    for a in range(len(v)):
        x, row = factor * v[a], K[a]
        for c in range(len(v)):
            row[c] += x * v[c]


@compiled
def _exchange(
    G: FloatArray, z_in: FloatArray, z_out: FloatArray, touched: IntArray, before: FloatArray
) -> None:
    """Fill `before` with the rows `touched` of G and change them."""
    for a in range(len(touched)):
        x, o, row, old = z_in[touched[a]], z_out[touched[a]], G[touched[a]], before[a]
        for j in range(len(G)):
            old[j] = row[j]
            row[j] += x * z_in[j] - o * z_out[j]


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
    G: FloatArray,
    diag: FloatArray,
    l2: FloatArray,
    order: IntArray,
    k: int,
    K: FloatArray,
    j: int,
    u: FloatArray,
) -> float:
    """Fill `u` for column `j`; return `schur`."""
    column = np.empty(k)
    for a in range(k):
        column[a] = G[j, order[a]]
    _product(K, k, column, u)
    corner: float = diag[j] + l2[j]
    schur = corner
    for a in range(k):
        schur -= column[a] * u[a]
    if schur < REFINED * corner:
        rest, change, full = column.copy(), np.empty(k), np.zeros(len(order))
        for a in range(k):
            full[order[a]] = u[a]
        for a in range(k):
            row, total = G[order[a]], l2[order[a]] * u[a]
            for i in range(len(order)):
                total += row[i] * full[i]
            rest[a] -= total
        _product(K, k, rest, change)
        schur = corner
        for a in range(k):
            u[a] += change[a]
            schur -= column[a] * u[a]
    return schur


@part()
def _first_zero(
    w: FloatArray, order: IntArray, k: int, factor: float, u: FloatArray, l1: FloatArray
) -> tuple[float, int]:
    """Return the least step along factor * u at which a penalised weight is 0, and its place."""
    fastest = (1 - 1e-15) * _fastest(w, order, k, factor, u, l1)
    for a in range(k):
        j = order[a]
        if l1[j] > 0 and w[j] != 0 and -factor * u[a] / w[j] >= fastest > 0:
            return -w[j] / (factor * u[a]), a
    return np.inf, -1


@part(fastmath=LARGEST)
def _fastest(
    w: FloatArray, order: IntArray, k: int, factor: float, u: FloatArray, l1: FloatArray
) -> float:
    """Return the largest rate at which a penalised weight shrinks, as a share of its size."""
    most = 0.0
    for a in range(k):
        j = order[a]
        counts = l1[j] > 0 and w[j] != 0
        rate = -factor * u[a] / (w[j] if counts else np.inf)
        most = rate if rate > most else most
    return most


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
    whole = k - k % 4
    for a in range(0, whole, 4):  # four columns at a time, for fewer passes over `slope`
        p, q, r, s = order[a], order[a + 1], order[a + 2], order[a + 3]
        for j in range(len(b)):
            slope[j] += w[p] * G[p, j] + w[q] * G[q, j] + w[r] * G[r, j] + w[s] * G[s, j]
    for a in range(whole, k):
        x, row = w[order[a]], G[order[a]]
        for j in range(len(b)):
            slope[j] += x * row[j]
