"""The steps of ``coordinate_rows.sweep`` in machine code, for the clipped squared error.

Needs Numba, the extra ``fast``.  The poison rows are the same: scores that differ by rounding are
ties in both, won by the first move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from poisonbench.attacks import coordinate_rows
from poisonbench.attacks.coordinate_ascent import MAX_STEPS, TIE, Moves
from poisonbench.attacks.coordinate_rows import RowState
from poisonbench.attacks.objectives import ClippedError
from poisonbench.features import IntArray


def sweep(state: RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    if not isinstance(state.objective, ClippedError):
        return coordinate_rows.sweep(state, moves, visited)
    changed = np.zeros(len(visited), dtype=bool)
    state.W = _sweep(
        state.K,
        state.R,
        state.theta,
        state.F,
        state.objective.y,
        -state.objective.margin,
        1 + state.objective.margin,
        state.W,
        state.X,
        state.y,
        state.m,
        moves.column,
        moves.value,
        moves.group,
        moves.may_drop,
        moves.group_of,
        visited,
        changed,
    )
    return visited[changed]


@njit(cache=True, fastmath={"reassoc", "contract", "nnan", "nsz"})  # type: ignore[untyped-decorator]
def _scores(
    F: Any,
    v: Any,
    r: Any,
    w: Any,
    step: float,
    c: float,
    s: float,
    t: float,
    y: Any,
    floor: float,
    ceiling: float,
) -> Any:
    """Return W of the predictions F + s V and F + t V, where V = v + step r + c w."""
    low, high = 0.0, 0.0
    for i in range(len(F)):
        V = v[i] + step * r[i] + c * w[i]
        f = F[i] + s * V
        f = f if f > floor else floor
        f = (f if f < ceiling else ceiling) - y[i]
        low += f * f
        f = F[i] + t * V
        f = f if f > floor else floor
        f = (f if f < ceiling else ceiling) - y[i]
        high += f * f
    return low / len(F), high / len(F)


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sweep(
    K: Any,
    R: Any,
    theta: Any,
    F: Any,
    y_v: Any,
    floor: float,
    ceiling: float,
    W: float,
    X: Any,
    Y: Any,
    M: Any,
    column: Any,
    value: Any,
    group: Any,
    may_drop: Any,
    group_of: Any,
    visited: Any,
    changed: Any,
) -> float:
    D = len(theta)
    d = D - 1
    n_v = len(F)
    z, u, k, theta_out = np.empty(D), np.empty(D), np.empty(D), np.empty(D)
    w, v, F_out, without = np.empty(n_v), np.empty(n_v), np.empty(n_v), np.empty(n_v)
    choice = np.empty(len(may_drop), np.int64)
    scores = np.empty(2 * len(column))
    for visit in range(len(visited)):
        c = visited[visit]
        m, y = M[c], Y[c]
        z[:d], z[d] = X[c], 1.0
        choice[:] = -1
        for j in range(d):
            if group_of[j] >= 0 and z[j] == 1.0:
                choice[group_of[j]] = j
        # Take the row out: K and R without it are K + g uu' and R + g u w'.
        u[:] = 0.0
        w[:] = 0.0
        for j in range(D):
            if z[j] != 0.0:
                for i in range(D):
                    u[i] += z[j] * K[j, i]
                for i in range(n_v):
                    w[i] += z[j] * R[j, i]
        zu, zt = z @ u, z @ theta
        g = m / (1 - m * zu)
        rho = (zt - y) * g
        for i in range(D):
            theta_out[i] = theta[i] + rho * u[i]
            k[i] = u[i] + g * zu * u[i]
        for i in range(n_v):
            F_out[i] = F[i] + rho * w[i]
            v[i] = w[i] + g * zu * w[i]
        best = W
        moved = False
        for _ in range(MAX_STEPS):
            h, zt = z @ k, z @ theta_out
            top = -np.inf
            displaced = -1  # `without` is v with this choice's 1 taken from z
            for t in range(len(column)):
                j = column[t]
                old = choice[group[t]] if group[t] >= 0 else -1
                step = value[t] - z[j]
                if t == 0:
                    step = 0.0
                elif old == j:
                    step, old = -1.0, -1
                    if not may_drop[group[t]]:
                        scores[2 * t] = scores[2 * t + 1] = -np.inf
                        continue
                elif step == 0.0:
                    scores[2 * t] = scores[2 * t + 1] = -np.inf
                    continue
                h_t = h + step * (2 * k[j] + step * (K[j, j] + g * u[j] * u[j]))
                zt_t = zt + step * theta_out[j]
                base = v
                if old >= 0:
                    cross = K[old, j] + g * u[old] * u[j]
                    h_t += K[old, old] + g * u[old] * u[old] - 2 * (k[old] + cross)
                    zt_t -= theta_out[old]
                    if displaced != old:
                        displaced = old
                        for i in range(n_v):
                            without[i] = v[i] - R[old, i] - g * u[old] * w[i]
                    base = without
                gain = m / (1 + m * h_t)
                low = -gain * zt_t
                scores[2 * t], scores[2 * t + 1] = _scores(
                    F_out,
                    base,
                    R[j],
                    w,
                    step,
                    step * g * u[j],
                    low,
                    low + gain,
                    y_v,
                    floor,
                    ceiling,
                )
                top = max(top, scores[2 * t], scores[2 * t + 1])
            tie = TIE * abs(best)
            if top <= best + tie:
                break
            first = 0
            while scores[first] < top - tie:
                first += 1
            t, y = first // 2, float(first % 2)
            best, moved = scores[first], True
            if t == 0:
                continue
            j = column[t]
            old = choice[group[t]] if group[t] >= 0 else -1
            step = value[t] - z[j]
            if old == j:
                step, old = -1.0, -1
            for i in range(D):
                k[i] += step * (K[j, i] + g * u[j] * u[i])
            for i in range(n_v):
                v[i] += step * (R[j, i] + g * u[j] * w[i])
            if old >= 0:
                for i in range(D):
                    k[i] -= K[old, i] + g * u[old] * u[i]
                for i in range(n_v):
                    v[i] -= R[old, i] + g * u[old] * w[i]
                z[old] = 0.0
            if group[t] >= 0:
                z[j] = 1.0 if step > 0 else 0.0
                choice[group[t]] = j if step > 0 else -1
            else:
                z[j] = value[t]
        if not moved:
            continue
        # Put the new row in, and bring K and R up to date with both changes at once.
        changed[visit] = True
        i_ = m / (1 + m * (z @ k))
        s = i_ * (y - z @ theta_out)
        W = 0.0
        for i in range(n_v):
            F[i] = F_out[i] + s * v[i]
            W += (min(max(F[i], floor), ceiling) - y_v[i]) ** 2
        W /= n_v
        for i in range(D):
            theta[i] = theta_out[i] + s * k[i]
            gu, ik = g * u[i], i_ * k[i]
            for j in range(D):
                K[i, j] += gu * u[j] - ik * k[j]
            for j in range(n_v):
                R[i, j] += gu * w[j] - ik * v[j]
        X[c], Y[c] = z[:d], y
    return W
