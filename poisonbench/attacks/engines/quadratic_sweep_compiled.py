"""The steps of ``quadratic_sweep.sweep`` in machine code; needs Numba, the extra ``fast``.

The loops follow the NumPy text step by step and give the same poison rows: scores that differ by
rounding are ties in both, won by the first move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import MAX_STEPS, TIE, State
from poisonbench.features import IntArray


def sweep(state: State, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    changed = np.zeros(len(visited), dtype=bool)
    state.W = _sweep(
        state.KQ[0],
        state.KQ[1],
        state.theta,
        state.a,
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


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sweep(
    K: Any,
    Q: Any,
    theta: Any,
    a: Any,
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
    D, T, B = len(theta), len(column), len(first)
    d = D - 1
    z, u, p, k, q, r = np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D)
    a_out, theta_out = np.empty(D), np.empty(D)
    diagonal_K, diagonal_Q = np.empty(D), np.empty(D)
    near_K, near_Q = np.empty(D), np.empty(D)
    holds, held = np.empty(B, np.int64), np.empty(B)
    h_b, qq_b, az_b, zt_b = np.empty(B), np.empty(B), np.empty(B), np.empty(B)
    scores = np.empty(2 * T)
    for v in range(len(visited)):
        c = visited[v]
        m, y = M[c], Y[c]
        z[:d], z[d] = X[c], 1.0
        holds[:], held[:] = first, 0.0
        for j in range(d):
            if z[j] != 0.0:
                holds[block_of[j]], held[block_of[j]] = j, z[j]
        # Take the row out.
        u[:] = 0.0
        q[:] = 0.0
        for j in range(D):
            if z[j] != 0.0:
                for i in range(D):
                    u[i] += z[j] * K[j, i]
                    q[i] += z[j] * Q[j, i]
        za, zq, zu, zt = z @ a, z @ q, z @ u, z @ theta
        g = m / (1 - m * zu)
        rho = (zt - y) * g
        W_out = W + rho * za + rho * rho * zq
        for i in range(D):
            theta_out[i] = theta[i] + rho * u[i]
            a_out[i] = a[i] + 2 * rho * q[i] + g * (za + 2 * rho * zq) * u[i]
            p[i] = g * q[i] + g * g * zq / 2 * u[i]
            diagonal_K[i] = K[i, i] + g * u[i] * u[i]
            diagonal_Q[i] = Q[i, i] + 2 * p[i] * u[i]
        zp = z @ p
        for i in range(D):
            k[i] = u[i] + g * zu * u[i]
            q[i] = q[i] + p[i] * zu + u[i] * zp
            j, x = holds[block_of[i]], held[block_of[i]]
            near_K[i] = k[i] - x * (K[i, j] + g * u[i] * u[j])
            near_Q[i] = q[i] - x * (Q[i, j] + p[i] * u[j] + u[i] * p[j])
        h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
        s = m * (y - zt) / (1 + m * h)
        best = s * (az + s * qq)
        moved = False
        for _ in range(MAX_STEPS):
            for b in range(B):
                j, x = holds[b], held[b]
                h_b[b] = h - x * (2 * near_K[j] + x * diagonal_K[j])
                qq_b[b] = qq - x * (2 * near_Q[j] + x * diagonal_Q[j])
                az_b[b], zt_b[b] = az - x * a_out[j], zt - x * theta_out[j]
            top = -np.inf
            for t in range(T):
                j, x, b = column[t], value[t], block[t]
                h_t = h_b[b] + x * (2 * near_K[j] + x * diagonal_K[j])
                qq_t = qq_b[b] + x * (2 * near_Q[j] + x * diagonal_Q[j])
                az_t = az_b[b] + x * a_out[j]
                gain = m / (1 + m * h_t)
                low = -gain * (zt_b[b] + x * theta_out[j])
                high = low + gain
                scores[t] = low * (az_t + low * qq_t)
                scores[T + t] = high * (az_t + high * qq_t)
                top = max(top, scores[t], scores[T + t])
            tie = TIE * abs(W_out + best)
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
            h = h_b[b] + x * (2 * near_K[j] + x * diagonal_K[j])
            qq = qq_b[b] + x * (2 * near_Q[j] + x * diagonal_Q[j])
            az, zt = az_b[b] + x * a_out[j], zt_b[b] + x * theta_out[j]
            du, dp = x * u[j] - was * u[old], x * p[j] - was * p[old]
            gdu = g * du
            for i in range(D):
                # A factor, and no branch, so that the loop is done several entries at a time.
                other = 0.0 if block_of[i] == b else 1.0
                near_K[i] += other * (x * K[j, i] - was * K[old, i] + gdu * u[i])
                near_Q[i] += other * (x * Q[j, i] - was * Q[old, i] + du * p[i] + dp * u[i])
            z[old] = 0.0
            z[j] = x
            holds[b], held[b] = j, x
        if not moved:
            continue
        # Put the new row in, and bring K and Q up to date with both changes at once.
        changed[v] = True
        zu, zp = z @ u, z @ p
        for i in range(D):
            k[i], q[i] = g * zu * u[i], zu * p[i] + zp * u[i]
        for j in range(D):
            if z[j] != 0.0:
                for i in range(D):
                    k[i] += z[j] * K[j, i]
                    q[i] += z[j] * Q[j, i]
        h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
        i_ = m / (1 + m * h)
        s = i_ * (y - zt)
        W = W_out + s * (az + s * qq)
        for i in range(D):
            theta[i] = theta_out[i] + s * k[i]
            a[i] = a_out[i] + 2 * s * q[i] - i_ * (az + 2 * s * qq) * k[i]
            r[i] = i_ * i_ * qq / 2 * k[i] - i_ * q[i]
        for i in range(D):
            gu, ik, pi, ui, ri, ki = g * u[i], i_ * k[i], p[i], u[i], r[i], k[i]
            for j in range(D):
                K[i, j] += gu * u[j] - ik * k[j]
                Q[i, j] += pi * u[j] + ui * p[j] + ri * k[j] + ki * r[j]
        X[c], Y[c] = z[:d], y
    return W
