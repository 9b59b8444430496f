"""The steps of ``coordinate_ascent.sweep`` in machine code; needs Numba, the extra ``fast``.

The loops follow the NumPy text line by line and give the same poison rows: scores that differ by
rounding are ties in both, won by the first move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from poisonbench.attacks.coordinate_ascent import MAX_STEPS, TIE, Moves, State
from poisonbench.features import IntArray


def sweep(state: State, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    changed = np.zeros(len(visited), dtype=bool)
    state.W = _sweep(
        state.K.T,  # symmetric, so the transposed view is the same matrix in C order
        state.Q.T,
        state.theta,
        state.a,
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
    group: Any,
    may_drop: Any,
    group_of: Any,
    visited: Any,
    changed: Any,
) -> float:
    D = len(theta)
    d = D - 1
    z, u, p, k, q, r = np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D)
    a_out, theta_out = np.empty(D), np.empty(D)
    diagonal_K, diagonal_Q = np.empty(D), np.empty(D)
    choice = np.empty(len(may_drop), np.int64)
    scores = np.empty(2 * len(column))
    for v in range(len(visited)):
        c = visited[v]
        m, y = M[c], Y[c]
        z[:d], z[d] = X[c], 1.0
        choice[:] = -1
        for j in range(d):
            if group_of[j] >= 0 and z[j] == 1.0:
                choice[group_of[j]] = j
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
        h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
        s = m * (y - zt) / (1 + m * h)
        best = W_out + s * (az + s * qq)
        moved = False
        for _ in range(MAX_STEPS):
            top = -np.inf
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
                h_t = h + step * (2 * k[j] + step * diagonal_K[j])
                qq_t = qq + step * (2 * q[j] + step * diagonal_Q[j])
                az_t, zt_t = az + step * a_out[j], zt + step * theta_out[j]
                if old >= 0:
                    cross_K = K[old, j] + g * u[old] * u[j]
                    cross_Q = Q[old, j] + p[old] * u[j] + u[old] * p[j]
                    h_t += diagonal_K[old] - 2 * (k[old] + cross_K)
                    qq_t += diagonal_Q[old] - 2 * (q[old] + cross_Q)
                    az_t -= a_out[old]
                    zt_t -= theta_out[old]
                gain = m / (1 + m * h_t)
                low = -gain * zt_t
                high = low + gain
                scores[2 * t] = low * (az_t + low * qq_t)
                scores[2 * t + 1] = high * (az_t + high * qq_t)
                top = max(top, scores[2 * t], scores[2 * t + 1])
            tie = TIE * abs(best)
            if W_out + top <= best + tie:
                break
            first = 0
            while W_out + scores[first] < W_out + top - tie:
                first += 1
            t, y = first // 2, float(first % 2)
            best, moved = W_out + scores[first], True
            if t == 0:
                continue
            j = column[t]
            old = choice[group[t]] if group[t] >= 0 else -1
            step = value[t] - z[j]
            if old == j:
                step, old = -1.0, -1
            for i in range(D):
                k[i] += step * (K[j, i] + g * u[j] * u[i])
                q[i] += step * (Q[j, i] + p[j] * u[i] + u[j] * p[i])
            if old >= 0:
                for i in range(D):
                    k[i] -= K[old, i] + g * u[old] * u[i]
                    q[i] -= Q[old, i] + p[old] * u[i] + u[old] * p[i]
                z[old] = 0.0
            if group[t] >= 0:
                z[j] = 1.0 if step > 0 else 0.0
                choice[group[t]] = j if step > 0 else -1
            else:
                z[j] = value[t]
            h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
        if not moved:
            continue
        # Put the new row in, and bring K and Q up to date with both changes at once.
        changed[v] = True
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
