"""The steps of ``active_set`` in machine code; needs Numba, the extra ``fast``.

The same functions by the same names, on the arrays of an ``ActiveSet``:

    G      (d, d)  Gram matrix                     w      (d,)    weights, changed in place
    b      (d,)    products with the response      order  (d,)    active columns, the first k places
    l1, l2 (d,)    penalties                       K      (d, d)  inverse, the leading k x k block

Inside, only the lower triangle of K is kept up to date, which halves the traffic with the memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from poisonbench.features import FloatArray
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

SUMS = {"reassoc", "contract"}
"""Sums may be reordered, so that they run several entries at a time; NaN and infinity stay."""


def fill(G: FloatArray, l1: FloatArray, l2: FloatArray, state: ActiveSet) -> None:
    """Make the active set anew from the weights; see ``active_set.fill``."""
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _solve(G: Any, b: Any, l1: Any, l2: Any, w: Any, order: Any, k: int, K: Any) -> int:
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scales(G: Any, b: Any, l1: Any, scale: Any) -> None:
    """Fill `scale` (d,) with what violations are relative to."""
    most = 0.0
    for j in range(len(b)):
        if G[j, j] > 0:
            most = max(most, abs(b[j]) / np.sqrt(G[j, j]))
    for j in range(len(b)):
        scale[j] = l1[j] + most * np.sqrt(max(G[j, j], 0.0))
        if scale[j] == 0:
            scale[j] = 1.0


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _settle(
    G: Any,
    b: Any,
    l1: Any,
    l2: Any,
    w: Any,
    order: Any,
    k: int,
    K: Any,
    scale: Any,
    accuracy: float,
    slope: Any,
) -> int:
    """Solve the equations of the active set and fill `slope` (d,); return the new k."""
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
            k = _fill(G, l1, l2, w, order, K)  # updates have spoilt the inverse
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _enter(
    G: Any,
    b: Any,
    l1: Any,
    l2: Any,
    w: Any,
    order: Any,
    k: int,
    K: Any,
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
            w[j] = 0.0  # only rounding lets a column in that the active ones span
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _prefer_first(
    G: Any, l1: Any, l2: Any, w: Any, order: Any, k: int, K: Any, slope: Any, scale: Any
) -> int:
    """Go to the minimiser of least sum of sqrt(j + 1) |w_j|; return the new k."""
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _copy(G: Any, order: Any, k: int, j: int) -> int:
    """Return the place of an active column that equals column `j`; -1 if there is none."""
    for a in range(k):
        i = order[a]
        if G[i, i] + G[j, j] - 2 * G[j, i] <= COPY * G[j, j]:
            return a
    return -1


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _fill(G: Any, l1: Any, l2: Any, w: Any, order: Any, K: Any) -> int:
    """Make the active set anew from the weights; return its k."""
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _take_in(order: Any, k: int, K: Any, j: int, u: Any, schur: float) -> int:
    """Make column `j` active; `u` (k,) is K G_Aj and `schur` G_jj + l2_j - G_jA u."""
    for a in range(k):
        factor, row = u[a] / schur, K[a]
        for c in range(a + 1):
            row[c] += factor * u[c]
        K[k, a] = -factor
    K[k, k] = 1 / schur
    order[k] = j
    return k + 1


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _take_out(order: Any, k: int, K: Any, place: int) -> int:
    """Make the column at a place inactive; the last one takes its place."""
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _column(K: Any, k: int, place: int, column: Any) -> None:
    """Put a column of the symmetric K into `column` (k,)."""
    for a in range(place + 1):
        column[a] = K[place, a]
    for a in range(place + 1, k):
        column[a] = K[a, place]


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _mirror(K: Any, k: int) -> None:
    """Fill the upper triangle of K from the lower one."""
    for a in range(k):
        for c in range(a):
            K[c, a] = K[a, c]


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_outer(K: Any, v: Any, factor: float) -> None:
    """Add factor * vv' to K (k, k)."""
    for a in range(len(v)):
        x, row = factor * v[a], K[a]
        for c in range(len(v)):
            row[c] += x * v[c]


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _without(k: int, K: Any, u: Any, schur: float, place: int) -> Any:
    """Bring `u` (k,) up to date with a column that is about to leave; return the new `schur`."""
    column = np.empty(k)
    _column(K, k, place, column)
    factor = u[place] / column[place]
    schur += u[place] * factor
    for a in range(k):
        u[a] -= factor * column[a]
    u[place] = u[k - 1]
    return schur


@njit(cache=True, fastmath=SUMS, error_model="numpy")  # type: ignore[untyped-decorator]
def _against(G: Any, l2: Any, order: Any, k: int, K: Any, j: int, u: Any) -> Any:
    """Put K G_Aj into `u` (k,); return what of column `j` lies outside the span of A."""
    column = np.empty(k)
    for a in range(k):
        column[a] = G[j, order[a]]
    _product(K, k, column, u)
    schur = G[j, j] + l2[j]
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _first_zero(w: Any, order: Any, k: int, scale: float, u: Any, l1: Any) -> Any:
    """Return the least step along scale * u at which a penalised weight is zero, and its place."""
    least, place = np.inf, -1
    for a in range(k):
        j = order[a]
        if w[j] * scale * u[a] < 0 and l1[j] > 0:
            step = -w[j] / (scale * u[a])
            if step < least:
                least, place = step, a
    return least, place


@njit(cache=True, fastmath=SUMS, error_model="numpy")  # type: ignore[untyped-decorator]
def _product(K: Any, k: int, x: Any, y: Any) -> None:
    """Put the leading block of the symmetric K times `x` (k,) into `y` (k,)."""
    for a in range(k):
        row, total, factor = K[a], 0.0, x[a]
        for c in range(a):
            total += row[c] * x[c]
            y[c] += row[c] * factor
        y[a] = total + row[a] * factor


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _slopes(G: Any, b: Any, l2: Any, w: Any, order: Any, k: int, slope: Any) -> None:
    """Put Gw - b + l2 w into `slope` (d,)."""
    for j in range(len(b)):
        slope[j] = l2[j] * w[j] - b[j]
    for a in range(k):
        x, row = w[order[a]], G[order[a]]
        for j in range(len(b)):
            slope[j] += x * row[j]
