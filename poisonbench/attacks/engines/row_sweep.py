"""Exact coordinate ascent where the outer objective is a mean of row losses.

The steps are those of ``quadratic_sweep``.  But W is not quadratic in theta, so a move is scored by
the predictions that it leads to.  Keep

    K = (Z'MZ + P)^{-1},   R = K Z_v',   theta,   F = Z_v theta,   W = (1/m_v) sum_i phi_i(F_i),

where Z_v are the m_v rows that W is a mean over.  A visit to a row z with response y and
multiplicity m:

1. Take the row out.  With  u = Kz,  w = z'R,  g = m / (1 - m z.u),  rho = g (z.theta - y),

       K += g uu',   R += g uw',   theta += rho u,   F += rho w.

2. Score the moves.  If a row z with response y joins now, then with

       h = z'Kz,   zt = theta.z,   v = z'R,   gain = m / (1 + m h),   s = gain (y - zt),

   F becomes F + s v.  A value in a column adds a multiple of a row of R to v.  So a move costs
   O(m_v), for any phi.

3. Make the best move and go back to 2, until no move raises W.

4. Put the row in.  With  k = Kz  and v, gain, s as above,

       K -= gain kk',   R -= gain kv',   theta += s k,   F += s v.

Only the responses 0 and 1 are tried.  Where a loss is not convex in the prediction, as after
clipping, a response between them may be better.

:func:`sweep` here is NumPy and takes any row losses; ``sweeps_compiled.row_sweep`` takes the same
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
    """The learner, trained on the clean rows and the current poison rows.

    Parameters
    ----------
    X, y, m : ndarray of shape (r, d), (r,) and (r,)
        The distinct poison rows, their responses and multiplicities.
    K, R : ndarray of shape (d + 1, d + 1) and (d + 1, m_v)
        See the module's docstring.
    theta, F : ndarray of shape (d + 1,) and (m_v,)
        The weights and the intercept, and the predictions on the rows that W is a mean over.
    W : float
        The value of the outer objective.
    objective : RowLosses
        The outer objective.
    updates : int
        Number of changes to rows since the learner was trained from scratch.
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
        """Train from scratch; parameters as in ``quadratic_sweep.State.trained``."""
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
        # What each block holds, and h, v and zt without it.
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
    # Put the new row in.
    k, v = K @ z, z @ R
    gain = m / (1 + m * (z @ k))
    s = gain * (y - z @ theta)
    state.K = K - np.outer(gain * k, k)
    state.R = R - np.outer(gain * k, v)
    state.theta, state.F = theta + s * k, F + s * v
    state.W = float(losses(state.F).mean())
    state.X[c], state.y[c] = z[:-1], y
    return True
