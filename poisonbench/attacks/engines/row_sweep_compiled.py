"""The steps of ``row_sweep.sweep`` in machine code, for the clipped squared error.

Needs Numba, the extra ``fast``.  The poison rows are the same: scores that differ by rounding are
ties in both, won by the first move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from poisonbench.attacks.engines import row_sweep
from poisonbench.attacks.engines.functions import ClippedError
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import MAX_STEPS, TIE
from poisonbench.attacks.engines.row_sweep import RowState
from poisonbench.features import IntArray


def sweep(state: RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    if not isinstance(state.objective, ClippedError):
        return row_sweep.sweep(state, moves, visited)
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
        moves.block,
        moves.block_of,
        moves.first,
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
    block: Any,
    block_of: Any,
    first: Any,
    visited: Any,
    changed: Any,
) -> float:
    D = len(theta)
    d = D - 1
    n_v = len(F)
    z, u, k, theta_out = np.empty(D), np.empty(D), np.empty(D), np.empty(D)
    w, v, F_out, without = np.empty(n_v), np.empty(n_v), np.empty(n_v), np.empty(n_v)
    T, B = len(column), len(first)
    near, diagonal = np.empty(D), np.empty(D)
    holds, held = np.empty(B, np.int64), np.empty(B)
    h_b, zt_b = np.empty(B), np.empty(B)
    scores = np.empty(2 * T)
    for visit in range(len(visited)):
        c = visited[visit]
        m, y = M[c], Y[c]
        z[:d], z[d] = X[c], 1.0
        holds[:], held[:] = first, 0.0
        for j in range(d):
            if z[j] != 0.0:
                holds[block_of[j]], held[block_of[j]] = j, z[j]
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
            j, x = holds[block_of[i]], held[block_of[i]]
            near[i] = k[i] - x * (K[i, j] + g * u[i] * u[j])
            diagonal[i] = K[i, i] + g * u[i] * u[i]
        for i in range(n_v):
            F_out[i] = F[i] + rho * w[i]
            v[i] = w[i] + g * zu * w[i]
        h, zt = z @ k, z @ theta_out
        best = W
        moved = False
        for _ in range(MAX_STEPS):
            for b in range(B):
                j, x = holds[b], held[b]
                h_b[b] = h - x * (2 * near[j] + x * diagonal[j])
                zt_b[b] = zt - x * theta_out[j]
            top = -np.inf
            emptied = -1  # `without` is v without what this block holds
            for t in range(T):
                j, x, b = column[t], value[t], block[t]
                if b != emptied:
                    emptied = b
                    old, was = holds[b], held[b]
                    for i in range(n_v):
                        without[i] = v[i] - was * (R[old, i] + g * u[old] * w[i])
                gain = m / (1 + m * (h_b[b] + x * (2 * near[j] + x * diagonal[j])))
                low = -gain * (zt_b[b] + x * theta_out[j])
                scores[t], scores[T + t] = _scores(
                    F_out,
                    without,
                    R[j],
                    w,
                    x,
                    x * g * u[j],
                    low,
                    low + gain,
                    y_v,
                    floor,
                    ceiling,
                )
                top = max(top, scores[t], scores[T + t])
            tie = TIE * abs(best)
            if top <= best + tie:
                break
            t = 0
            while scores[t] < top - tie:
                t += 1
            best, moved = scores[t], True
            y = float(t // T)
            t %= T
            j, x, b = column[t], value[t], block[t]
            old, was = holds[b], held[b]
            if x == was and (j == old or x == 0.0):
                continue
            h = h_b[b] + x * (2 * near[j] + x * diagonal[j])
            zt = zt_b[b] + x * theta_out[j]
            du = x * u[j] - was * u[old]
            for i in range(D):
                if block_of[i] != b:
                    near[i] += x * K[j, i] - was * K[old, i] + g * du * u[i]
            for i in range(n_v):
                v[i] += x * R[j, i] - was * R[old, i] + g * du * w[i]
            z[old] = 0.0
            z[j] = x
            holds[b], held[b] = j, x
        if not moved:
            continue
        # Put the new row in, and bring K and R up to date with both changes at once.
        changed[visit] = True
        zu = z @ u
        for i in range(D):
            k[i] = g * zu * u[i]
        for j in range(D):
            if z[j] != 0.0:
                for i in range(D):
                    k[i] += z[j] * K[j, i]
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
