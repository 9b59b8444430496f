"""Exact coordinate ascent where the outer objective is a mean of row losses.

The steps are those of ``quadratic_sweep``, but W is no quadratic in theta, so a change is scored
on the predictions that it makes.  Keep

    K = (Z'MZ + P)^{-1},   R = K Z_v',   theta,   F = Z_v theta,   W = (1/m_v) sum_i phi_i(F_i),

where Z_v are the rows that W is about.  With one poison row out, a candidate row z with response y
and multiplicity m gives

    h = z'Kz,  v = z'R,  s = m (y - z.theta)/(1 + m h),   W_new = (1/m_v) sum_i phi_i(F_i + s v_i),

and a value in a column adds a multiple of a row of R to v: O(m_v) a change, for any phi.  Only
responses 0 and 1 are tried; for losses that are not convex in the prediction, as after clipping,
others may be better.

:func:`sweep` here is NumPy and takes any row losses; ``row_sweep_compiled.sweep`` does the same
steps in machine code for the clipped squared error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poisonbench.attacks.engines.functions import RowLosses
from poisonbench.attacks.engines.moves import Moves, Row
from poisonbench.attacks.engines.quadratic_sweep import MAX_STEPS, TIE, inverse
from poisonbench.features import FloatArray, IntArray
from poisonbench.problem import Sample


@dataclass
class RowState:
    """The learner trained on the clean rows and the present poison rows.

    Parameters
    ----------
    X, y, m : ndarray of shape (r, d), (r,) and (r,)
        The distinct poison rows, their responses and multiplicities.
    K : ndarray of shape (d + 1, d + 1)
        As in the module's docstring.
    R : ndarray of shape (d + 1, m_v)
        As in the module's docstring.
    theta, F : ndarray of shape (d + 1,) and (m_v,)
        As in the module's docstring.
    W : float
        The outer objective.
    objective : RowLosses
        What it is.
    updates : int
        Rows that have changed since it was trained from scratch.
    """

    X: FloatArray
    y: FloatArray
    m: FloatArray
    K: FloatArray
    R: FloatArray
    theta: FloatArray
    F: FloatArray
    W: float
    objective: RowLosses
    updates: int = 0

    @classmethod
    def trained(
        cls,
        gram: FloatArray,
        moment: FloatArray,
        rows: Sample,
        m: FloatArray,
        penalty: FloatArray,
        W: RowLosses,
    ) -> RowState:
        """Return the state trained from scratch; see ``quadratic_sweep.State.trained``."""
        K, theta = inverse(gram, moment, rows, m, penalty)
        F = W.Z @ theta
        R = np.ascontiguousarray(K @ W.Z.T)
        return cls(rows.X.copy(), rows.y.copy(), m, K, R, theta, F, float(W.losses(F).mean()), W)


def sweep(state: RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    return np.array([c for c in visited if _visit(state, moves, c)], dtype=np.intp)


def _visit(state: RowState, moves: Moves, c: int) -> bool:
    """Climb to a local maximum in row `c`; return whether it changed."""
    losses, m = state.objective.losses, state.m[c]
    row = Row(moves, state.X[c])
    z, y = row.z, state.y[c]
    # Take the row out.
    u, w = state.K @ z, z @ state.R
    g = m / (1 - m * (z @ u))
    rho = (z @ state.theta - y) * g
    K = state.K + np.outer(g * u, u)
    R = state.R + np.outer(g * u, w)
    theta, F = state.theta + rho * u, state.F + rho * w

    diagonal = K.diagonal()
    best, moved = state.W, False
    for _ in range(MAX_STEPS):
        k, v = K @ z, z @ R
        # What each block holds, and what h, v and z.theta are without it.
        j, x = row.column[row.n_moves :], row.value[row.n_moves :]
        near = k - x[moves.block_of] * K[np.arange(len(k)), j[moves.block_of]]
        h_b = z @ k - x * (2 * near[j] + x * diagonal[j])
        v_b = v - x[:, None] * R[j]
        zt_b = z @ theta - x * theta[j]
        j, x, b = row.column[: row.n_moves], row.value[: row.n_moves], moves.block
        h = h_b[b] + x * (2 * near[j] + x * diagonal[j])
        V = v_b[b] + x[:, None] * R[j]
        gain = m / (1 + m * h)
        low = -gain * (zt_b[b] + x * theta[j])  # s for the response 0; for 1 it is `gain` more
        scores = np.append(*(losses(F + s[:, None] * V).mean(axis=1) for s in (low, low + gain)))
        top = scores.max()
        tie = TIE * abs(best)
        if top <= best + tie:
            break
        first = int((scores >= top - tie).argmax())
        best, moved = scores[first], True
        response, move = divmod(first, row.n_moves)
        y = float(response)
        if not row.holds(move):
            row.make(move)
    if not moved:
        return False
    k, v = K @ z, z @ R
    i = m / (1 + m * (z @ k))
    s = i * (y - z @ theta)
    state.K = K - np.outer(i * k, k)
    state.R = R - np.outer(i * k, v)
    state.theta, state.F = theta + s * k, F + s * v
    state.W = float(losses(state.F).mean())
    state.X[c], state.y[c] = z[:-1], y
    return True
