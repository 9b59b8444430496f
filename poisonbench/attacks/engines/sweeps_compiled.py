"""``quadratic_sweep`` and ``row_sweep`` in machine code; needs Numba, the extra ``fast``.

The NumPy modules come first: their docstrings have the formulas, and the steps and the names here
are theirs.  So are the poison rows: scores that differ only by rounding count as ties in both, and
the first move wins.  ``row_sweep`` is compiled for the clipped squared error alone.

A visit to a poison row z, with response y and multiplicity m, takes the row out of the fit, makes
the best move until none helps, and puts the row in again.  With K, Q, R, a and theta as they are
without the row, the visit keeps track of

    h = z'Kz,   zt = theta.z      for every objective,
    qq = z'Qz,  az = a.z          for a quadratic,
    v = z'R                       for a mean of row losses.

``near`` holds the entries of Kz or Qz, each without what the block of its own column adds to it.
``h_b`` holds h as it would be without block b, for every b, and so do ``zt_b``, ``qq_b``, ``az_b``.

The comment on each array gives its shape: d columns and the intercept make d + 1, and there are B
blocks, T moves, r distinct poison rows, and m_v rows over which a mean of row losses is taken.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from poisonbench.attacks.engines import row_sweep as numpy_row_sweep
from poisonbench.attacks.engines.functions import ClippedError
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import MAX_STEPS, TIE, State
from poisonbench.attacks.engines.row_sweep import RowState
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models.engines.machine_code import compiled, part

IndexArray = npt.NDArray[np.uintp]
"""Indices without a sign.  Numba checks at each use of a signed one whether it counts from the end,
which would make a sweep a tenth slower."""

FAST = {"reassoc", "contract", "nnan", "nsz"}
"""Errors may be added in any order, so several at a time, and none of the numbers is NaN."""


def quadratic_sweep(state: State, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    changed = np.zeros(len(visited), dtype=bool)
    state.W = _quadratic_sweep(
        Poison(state.X, state.y, state.m),
        Fit(state.KQ[0], state.theta),
        Quadratic(state.KQ[1], state.a),
        state.W,
        _arrays(moves),
        visited,
        changed,
    )
    return visited[changed]


def row_sweep(state: RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    W = state.objective
    if not isinstance(W, ClippedError):
        return numpy_row_sweep.sweep(state, moves, visited)
    changed = np.zeros(len(visited), dtype=bool)
    state.W = _row_sweep(
        Poison(state.X, state.y, state.m),
        Fit(state.K, state.theta),
        Predictions(state.R, state.F, W.y, -W.margin, 1 + W.margin),
        state.W,
        _arrays(moves),
        visited,
        changed,
    )
    return visited[changed]


class MoveArrays(NamedTuple):
    """The arrays of ``Moves``."""

    column: IndexArray  # (T,): the column in which a move puts a value
    value: FloatArray  # (T,): the value
    block: IndexArray  # (T,): the block, whose other columns become 0
    block_of: IndexArray  # (d + 1,): the block of each column
    first: IndexArray  # (B,): the first column of each block


class Poison(NamedTuple):
    """The distinct poison rows."""

    X: FloatArray  # (r, d)
    y: FloatArray  # (r,): responses
    m: FloatArray  # (r,): multiplicities


class Fit(NamedTuple):
    """The learner, trained on the clean rows and all poison rows."""

    K: FloatArray  # (d + 1, d + 1): (Z'MZ + P)^{-1}
    theta: FloatArray  # (d + 1,): weights and intercept


class Quadratic(NamedTuple):
    """What is kept for a quadratic objective besides the fit."""

    Q: FloatArray  # (d + 1, d + 1): K A K
    a: FloatArray  # (d + 1,): K dW/dtheta


class Predictions(NamedTuple):
    """What is kept for a mean of clipped squared errors besides the fit."""

    R: FloatArray  # (d + 1, m_v): K Z_v'
    F: FloatArray  # (m_v,): predictions Z_v theta
    y: FloatArray  # (m_v,): responses
    floor: float
    ceiling: float


class Row(NamedTuple):
    """The row that is visited, as it is now."""

    z: FloatArray  # (d + 1,): the row and its 1
    column: IndexArray  # (B,): the column in which each block holds a value
    value: FloatArray  # (B,): the value


class FitOut(NamedTuple):
    """The fit after the row has been taken out.

    Its K would be K + g uu' with the K of ``Fit``, and is not written out.
    """

    u: FloatArray  # (d + 1,): Kz of the row before any move, with the K of ``Fit``
    k: FloatArray  # (d + 1,): Kz of the row before any move, and of the new row in _put_in
    theta: FloatArray  # (d + 1,): weights and intercept
    diagonal: FloatArray  # (d + 1,): the diagonal of K
    near: FloatArray  # (d + 1,): Kz of the row as it is now, without each column's own block
    h_b: FloatArray  # (B,): h of the row as it is now, without each block
    zt_b: FloatArray  # (B,): zt of the row as it is now, without each block


class QuadraticOut(NamedTuple):
    """The same of the quadratic objective.

    Its Q would be Q + up' + pu' with the Q of ``Quadratic``, and is not written out.
    """

    p: FloatArray  # (d + 1,)
    q: FloatArray  # (d + 1,): Qz of the row before any move, and of the new row in _put_in
    a: FloatArray  # (d + 1,): K dW/dtheta
    diagonal: FloatArray  # (d + 1,): the diagonal of Q
    near: FloatArray  # (d + 1,): Qz of the row as it is now, without each column's own block
    qq_b: FloatArray  # (B,): qq of the row as it is now, without each block
    az_b: FloatArray  # (B,): az of the row as it is now, without each block


class PredictionsOut(NamedTuple):
    """The same of the predictions.

    Their R would be R + g uw' with the R of ``Predictions``, and is not written out.
    """

    w: FloatArray  # (m_v,): z'R of the row before any move, with the R of ``Predictions``
    F: FloatArray  # (m_v,): predictions
    v: FloatArray  # (m_v,): z'R of the row as it is now
    v_b: FloatArray  # (m_v,): the same without the block whose moves are being scored


def _arrays(moves: Moves) -> MoveArrays:
    return MoveArrays(
        moves.column.view(np.uintp),
        moves.value,
        moves.block.view(np.uintp),
        moves.block_of.view(np.uintp),
        moves.first.view(np.uintp),
    )


# For every objective: the row itself, and the fit.


@part()
def _room(D: int, B: int) -> tuple[Row, FitOut]:
    """Return arrays for D = d + 1 columns and B blocks, yet to be filled."""
    row = Row(np.empty(D), np.empty(B, np.uintp), np.empty(B))
    out = FitOut(
        np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(B), np.empty(B)
    )
    return row, out


@part()
def _read(poison: Poison, c: int, moves: MoveArrays, row: Row) -> None:
    """Read poison row `c`."""
    d = poison.X.shape[1]
    for b in range(len(row.column)):
        row.column[b], row.value[b] = moves.first[b], 0.0
    for j in range(d):
        row.z[j] = poison.X[c, j]
        if row.z[j] != 0.0:
            b = moves.block_of[j]
            row.column[b], row.value[b] = j, row.z[j]
    row.z[d] = 1.0


@part()
def _write(poison: Poison, c: int, row: Row, y: float) -> None:
    """Write poison row `c`, with its response."""
    for j in range(poison.X.shape[1]):
        poison.X[c, j] = row.z[j]
    poison.y[c] = y


@part()
def _holds(row: Row, moves: MoveArrays, t: int) -> bool:
    """Return whether move `t` would change nothing."""
    j, x, b = moves.column[t], moves.value[t], moves.block[t]
    return bool(x == row.value[b] and (j == row.column[b] or x == 0.0))


@part()
def _make(row: Row, moves: MoveArrays, t: int) -> None:
    """Make move `t`."""
    j, x, b = moves.column[t], moves.value[t], moves.block[t]
    row.z[row.column[b]] = 0.0
    row.z[j] = x
    row.column[b], row.value[b] = j, x


@part()
def _first(scores: FloatArray, least: float) -> tuple[int, int]:
    """Return the response and the move of the first score that is `least` or more.

    The shape of `scores` is (2, T): one row for the response 0, one for 1.
    """
    flat, first, T = scores.ravel(), 0, scores.shape[1]
    while flat[first] < least:
        first += 1
    return first // T, first % T


@part()
def _added(x: float, near: float, diagonal: float) -> float:
    """Return what a value x adds to z'Mz, for M = K or Q, in a column whose block is empty.

    ``near`` and ``diagonal`` are the column's.
    """
    return x * (2 * near + x * diagonal)


@part()
def _add_product(z: FloatArray, M: FloatArray, total: FloatArray) -> None:
    """Add z'M to `total`; shapes (d + 1,), (d + 1, l) and (l,).

    Two rows of M are added at a time, so that `total` is read and written half as often.
    """
    other = -1
    for j in range(len(z)):
        if z[j] == 0.0:
            continue
        if other < 0:
            other = j
            continue
        for i in range(len(total)):
            total[i] = total[i] + z[other] * M[other, i] + z[j] * M[j, i]
        other = -1
    if other >= 0:
        for i in range(len(total)):
            total[i] += z[other] * M[other, i]


@part()
def _exchange(
    M: FloatArray,
    g: float,
    u: FloatArray,
    w: FloatArray,
    gain: float,
    k: FloatArray,
    v: FloatArray,
) -> None:
    """Add g uw' - gain kv' to M, of shape (d + 1, l); u and k have shape (d + 1,), w and v (l,)."""
    for i in range(len(u)):
        left, right = g * u[i], gain * k[i]
        for c in range(len(w)):
            M[i, c] += left * w[c] - right * v[c]


@part()
def _take_out(
    fit: Fit, row: Row, y: float, m: float, moves: MoveArrays, out: FitOut
) -> tuple[float, float, float, float]:
    """Take the row out of the fit and fill `out`; return h, zt, g and rho."""
    z, K, u, k = row.z, fit.K, out.u, out.k
    u[:] = 0.0
    _add_product(z, K, u)
    zu = np.dot(z, u)
    g = m / (1 - m * zu)
    rho = (np.dot(z, fit.theta) - y) * g
    for i in range(len(z)):
        k[i] = u[i] + g * zu * u[i]
        out.theta[i] = fit.theta[i] + rho * u[i]
        out.diagonal[i] = K[i, i] + g * u[i] * u[i]
        j, x = row.column[moves.block_of[i]], row.value[moves.block_of[i]]
        out.near[i] = k[i] - x * (K[i, j] + g * u[i] * u[j])
    return np.dot(z, k), np.dot(z, out.theta), g, rho


@part()
def _empty_blocks(row: Row, h: float, zt: float, out: FitOut) -> None:
    """Fill ``h_b`` and ``zt_b``."""
    for b in range(len(row.column)):
        j, x = row.column[b], row.value[b]
        out.h_b[b] = h - _added(x, out.near[j], out.diagonal[j])
        out.zt_b[b] = zt - x * out.theta[j]


@part()
def _move(
    K: FloatArray, g: float, row: Row, moves: MoveArrays, t: int, out: FitOut
) -> tuple[float, float]:
    """Update ``near`` for move `t`; return h and zt after it.

    K, of shape (d + 1, d + 1), is that of ``Fit``.
    """
    j, x, b = moves.column[t], moves.value[t], moves.block[t]
    old, held = row.column[b], row.value[b]
    u, near = out.u, out.near
    h = out.h_b[b] + _added(x, near[j], out.diagonal[j])
    zt = out.zt_b[b] + x * out.theta[j]
    gdu = g * (x * u[j] - held * u[old])
    for i in range(len(near)):
        # A factor in place of a branch: so several entries are computed at a time.
        elsewhere = 0.0 if moves.block_of[i] == b else 1.0
        near[i] += elsewhere * (x * K[j, i] - held * K[old, i] + gdu * u[i])
    return h, zt


@part()
def _put_in(fit: Fit, row: Row, y: float, m: float, g: float, out: FitOut) -> tuple[float, float]:
    """Put the new row in; return gain and s.

    K of ``Fit`` gets both updates at once: that for the row taken out, and that for the new one.
    """
    z, K, u, k = row.z, fit.K, out.u, out.k
    zu = np.dot(z, u)
    for i in range(len(z)):
        k[i] = g * zu * u[i]
    _add_product(z, K, k)
    gain = m / (1 + m * np.dot(z, k))
    s = gain * (y - np.dot(z, out.theta))
    for i in range(len(z)):
        fit.theta[i] = out.theta[i] + s * k[i]
    _exchange(K, g, u, u, gain, k, k)
    return gain, s


# For a quadratic objective.


@compiled
def _quadratic_sweep(
    poison: Poison,
    fit: Fit,
    objective: Quadratic,
    W: float,
    moves: MoveArrays,
    visited: IntArray,
    changed: BoolArray,
) -> float:
    """Visit the rows `visited`, of shape (visits,); return the new W.

    Arrays of `poison`, `fit` and `objective` change in place.  ``changed``, of shape (visits,), is
    filled with which rows did.
    """
    D, B = len(fit.theta), len(moves.first)
    row, out = _room(D, B)
    objective_out = QuadraticOut(
        np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(D), np.empty(B), np.empty(B)
    )
    scores = np.empty((2, len(moves.column)))
    for i in range(len(visited)):
        W, changed[i] = _visit_quadratic(
            poison, visited[i], fit, objective, W, moves, row, out, objective_out, scores
        )
    return W


@part()
def _visit_quadratic(
    poison: Poison,
    c: int,
    fit: Fit,
    objective: Quadratic,
    W: float,
    moves: MoveArrays,
    row: Row,
    out: FitOut,
    objective_out: QuadraticOut,
    scores: FloatArray,
) -> tuple[float, bool]:
    """Climb to a local maximum in poison row `c`; return W, and whether the row changed.

    `row`, `out`, `objective_out` and `scores`, of shape (2, T), need not hold anything before.
    """
    m, y = poison.m[c], poison.y[c]
    _read(poison, c, moves, row)
    h, zt, g, rho = _take_out(fit, row, y, m, moves, out)
    qq, az, W_out = _take_out_quadratic(objective, row, W, g, rho, moves, out, objective_out)
    best, moved = _score(m * (y - zt) / (1 + m * h), az, qq), False
    for _ in range(MAX_STEPS):
        _empty_blocks(row, h, zt, out)
        _empty_blocks_quadratic(row, qq, az, objective_out)
        top = _score_moves_quadratic(moves, m, out, objective_out, scores)
        tie = TIE * abs(W_out + best)
        if top <= best + tie:
            break
        response, t = _first(scores, top - tie)
        best, y, moved = scores[response, t], float(response), True
        if _holds(row, moves, t):
            continue  # the row stays as it is, with the other response
        h, zt = _move(fit.K, g, row, moves, t, out)
        qq, az = _move_quadratic(objective.Q, row, moves, t, out, objective_out)
        _make(row, moves, t)
    if not moved:
        return W, False
    gain, s = _put_in(fit, row, y, m, g, out)
    W = W_out + _put_in_quadratic(objective, row, gain, s, out, objective_out)
    _write(poison, c, row, y)
    return W, True


@part()
def _score(s: float, az: float, qq: float) -> float:
    """Return by how much W grows when the row joins."""
    return s * (az + s * qq)


@part()
def _take_out_quadratic(
    objective: Quadratic,
    row: Row,
    W: float,
    g: float,
    rho: float,
    moves: MoveArrays,
    out: FitOut,
    objective_out: QuadraticOut,
) -> tuple[float, float, float]:
    """Take the row out of the objective and fill `objective_out`; return qq, az and W."""
    z, Q, u = row.z, objective.Q, out.u
    p, q, a = objective_out.p, objective_out.q, objective_out.a
    q[:] = 0.0
    _add_product(z, Q, q)
    za, zq, zu = np.dot(z, objective.a), np.dot(z, q), np.dot(z, u)
    for i in range(len(z)):
        a[i] = objective.a[i] + 2 * rho * q[i] + g * (za + 2 * rho * zq) * u[i]
        p[i] = g * q[i] + g * g * zq / 2 * u[i]
        objective_out.diagonal[i] = Q[i, i] + 2 * p[i] * u[i]
    zp = np.dot(z, p)
    for i in range(len(z)):
        q[i] = q[i] + p[i] * zu + u[i] * zp
        j, x = row.column[moves.block_of[i]], row.value[moves.block_of[i]]
        objective_out.near[i] = q[i] - x * (Q[i, j] + p[i] * u[j] + u[i] * p[j])
    return np.dot(z, q), np.dot(z, a), W + rho * za + rho * rho * zq


@part()
def _empty_blocks_quadratic(row: Row, qq: float, az: float, out: QuadraticOut) -> None:
    """Fill ``qq_b`` and ``az_b``."""
    for b in range(len(row.column)):
        j, x = row.column[b], row.value[b]
        out.qq_b[b] = qq - _added(x, out.near[j], out.diagonal[j])
        out.az_b[b] = az - x * out.a[j]


@part()
def _score_moves_quadratic(
    moves: MoveArrays, m: float, out: FitOut, objective_out: QuadraticOut, scores: FloatArray
) -> float:
    """Fill `scores` with how much W grows, by response and move; return the highest score.

    The shape of `scores` is (2, T).
    """
    near_Q, diagonal_Q = objective_out.near, objective_out.diagonal
    top = -np.inf
    for t in range(len(moves.column)):
        j, x, b = moves.column[t], moves.value[t], moves.block[t]
        h = out.h_b[b] + _added(x, out.near[j], out.diagonal[j])
        zt = out.zt_b[b] + x * out.theta[j]
        qq = objective_out.qq_b[b] + _added(x, near_Q[j], diagonal_Q[j])
        az = objective_out.az_b[b] + x * objective_out.a[j]
        gain = m / (1 + m * h)
        s = -gain * zt  # for the response 0; for 1 it is `gain` more
        scores[0, t], scores[1, t] = _score(s, az, qq), _score(s + gain, az, qq)
        top = max(top, scores[0, t], scores[1, t])
    return top


@part()
def _move_quadratic(
    Q: FloatArray, row: Row, moves: MoveArrays, t: int, out: FitOut, objective_out: QuadraticOut
) -> tuple[float, float]:
    """Update ``near`` for move `t`; return qq and az after it.

    Q, of shape (d + 1, d + 1), is that of ``Quadratic``.
    """
    j, x, b = moves.column[t], moves.value[t], moves.block[t]
    old, held = row.column[b], row.value[b]
    u, p, near = out.u, objective_out.p, objective_out.near
    qq = objective_out.qq_b[b] + _added(x, near[j], objective_out.diagonal[j])
    az = objective_out.az_b[b] + x * objective_out.a[j]
    du, dp = x * u[j] - held * u[old], x * p[j] - held * p[old]
    for i in range(len(near)):
        elsewhere = 0.0 if moves.block_of[i] == b else 1.0
        near[i] += elsewhere * (x * Q[j, i] - held * Q[old, i] + du * p[i] + dp * u[i])
    return qq, az


@part()
def _put_in_quadratic(
    objective: Quadratic, row: Row, gain: float, s: float, out: FitOut, objective_out: QuadraticOut
) -> float:
    """Put the new row in; return by how much W grows."""
    z, Q, u, k = row.z, objective.Q, out.u, out.k
    p, q, r = objective_out.p, objective_out.q, np.empty(len(z))
    zu, zp = np.dot(z, u), np.dot(z, p)
    for i in range(len(z)):
        q[i] = zu * p[i] + zp * u[i]
    _add_product(z, Q, q)
    qq, az = np.dot(z, q), np.dot(z, objective_out.a)
    for i in range(len(z)):
        objective.a[i] = objective_out.a[i] + 2 * s * q[i] - gain * (az + 2 * s * qq) * k[i]
        r[i] = gain * gain * qq / 2 * k[i] - gain * q[i]
    for i in range(len(z)):
        p_i, u_i, r_i, k_i = p[i], u[i], r[i], k[i]
        for j in range(len(z)):
            Q[i, j] += p_i * u[j] + u_i * p[j] + r_i * k[j] + k_i * r[j]
    return _score(s, az, qq)


# For a mean of clipped squared errors.


@compiled
def _row_sweep(
    poison: Poison,
    fit: Fit,
    objective: Predictions,
    W: float,
    moves: MoveArrays,
    visited: IntArray,
    changed: BoolArray,
) -> float:
    """Visit the rows `visited`, of shape (visits,); return the new W.

    Arrays of `poison`, `fit` and `objective` change in place.  ``changed``, of shape (visits,), is
    filled with which rows did.
    """
    D, B, m_v = len(fit.theta), len(moves.first), len(objective.F)
    row, out = _room(D, B)
    objective_out = PredictionsOut(np.empty(m_v), np.empty(m_v), np.empty(m_v), np.empty(m_v))
    scores = np.empty((2, len(moves.column)))
    for i in range(len(visited)):
        W, changed[i] = _visit_predictions(
            poison, visited[i], fit, objective, W, moves, row, out, objective_out, scores
        )
    return W


@part()
def _visit_predictions(
    poison: Poison,
    c: int,
    fit: Fit,
    objective: Predictions,
    W: float,
    moves: MoveArrays,
    row: Row,
    out: FitOut,
    objective_out: PredictionsOut,
    scores: FloatArray,
) -> tuple[float, bool]:
    """Climb to a local maximum in poison row `c`; return W, and whether the row changed.

    `row`, `out`, `objective_out` and `scores`, of shape (2, T), need not hold anything before.
    """
    m, y = poison.m[c], poison.y[c]
    _read(poison, c, moves, row)
    h, zt, g, rho = _take_out(fit, row, y, m, moves, out)
    _take_out_predictions(objective, row, g, rho, out, objective_out)
    best, moved = W, False
    for _ in range(MAX_STEPS):
        _empty_blocks(row, h, zt, out)
        top = _score_moves_predictions(objective, row, moves, m, g, out, objective_out, scores)
        tie = TIE * abs(best)
        if top <= best + tie:
            break
        response, t = _first(scores, top - tie)
        best, y, moved = scores[response, t], float(response), True
        if _holds(row, moves, t):
            continue  # the row stays as it is, with the other response
        h, zt = _move(fit.K, g, row, moves, t, out)
        _move_predictions(objective.R, g, row, moves, t, out, objective_out)
        _make(row, moves, t)
    if not moved:
        return W, False
    gain, s = _put_in(fit, row, y, m, g, out)
    W = _put_in_predictions(objective, g, gain, s, out, objective_out)
    _write(poison, c, row, y)
    return W, True


@part()
def _take_out_predictions(
    objective: Predictions,
    row: Row,
    g: float,
    rho: float,
    out: FitOut,
    objective_out: PredictionsOut,
) -> None:
    """Take the row out of the predictions and fill `objective_out`."""
    w = objective_out.w
    w[:] = 0.0
    _add_product(row.z, objective.R, w)
    zu = np.dot(row.z, out.u)
    for i in range(len(w)):
        objective_out.F[i] = objective.F[i] + rho * w[i]
        objective_out.v[i] = w[i] + g * zu * w[i]


@part()
def _score_moves_predictions(
    objective: Predictions,
    row: Row,
    moves: MoveArrays,
    m: float,
    g: float,
    out: FitOut,
    objective_out: PredictionsOut,
    scores: FloatArray,
) -> float:
    """Fill `scores` with W, by response and move; return the highest score.

    The shape of `scores` is (2, T).
    """
    R, u, w, v_b = objective.R, out.u, objective_out.w, objective_out.v_b
    top = -np.inf
    for t in range(len(moves.column)):
        j, x, b = moves.column[t], moves.value[t], moves.block[t]
        if t == 0 or b != moves.block[t - 1]:  # the moves of a block follow each other
            old, held = row.column[b], row.value[b]
            for i in range(len(v_b)):
                v_b[i] = objective_out.v[i] - held * (R[old, i] + g * u[old] * w[i])
        h = out.h_b[b] + _added(x, out.near[j], out.diagonal[j])
        zt = out.zt_b[b] + x * out.theta[j]
        gain = m / (1 + m * h)
        s = -gain * zt  # for the response 0; for 1 it is `gain` more
        scores[0, t], scores[1, t] = _mean_errors(
            objective, objective_out, j, x, x * g * u[j], s, s + gain
        )
        top = max(top, scores[0, t], scores[1, t])
    return top


@part(fastmath=FAST)
def _squared_error(f: float, y: float, floor: float, ceiling: float) -> float:
    """Return the squared error of a prediction f after clipping."""
    f = f if f > floor else floor
    f = f if f < ceiling else ceiling
    return (f - y) * (f - y)


@part(fastmath=FAST)
def _mean_errors(
    objective: Predictions,
    objective_out: PredictionsOut,
    j: int,
    x: float,
    xgu: float,
    s_0: float,
    s_1: float,
) -> tuple[float, float]:
    """Return W of the predictions F + s v for the s of both responses.

    ``v`` is that of the row with the value x in column j of an empty block; ``xgu`` is x g u_j.
    """
    F, v_b, w, R_j = objective_out.F, objective_out.v_b, objective_out.w, objective.R[j]
    y, floor, ceiling = objective.y, objective.floor, objective.ceiling
    total_0, total_1 = 0.0, 0.0
    for i in range(len(F)):
        v = v_b[i] + x * R_j[i] + xgu * w[i]
        total_0 += _squared_error(F[i] + s_0 * v, y[i], floor, ceiling)
        total_1 += _squared_error(F[i] + s_1 * v, y[i], floor, ceiling)
    return total_0 / len(F), total_1 / len(F)


@part()
def _move_predictions(
    R: FloatArray,
    g: float,
    row: Row,
    moves: MoveArrays,
    t: int,
    out: FitOut,
    objective_out: PredictionsOut,
) -> None:
    """Update ``v`` for move `t`; R, of shape (d + 1, m_v), is that of ``Predictions``."""
    j, x, b = moves.column[t], moves.value[t], moves.block[t]
    old, held = row.column[b], row.value[b]
    u, v, w = out.u, objective_out.v, objective_out.w
    gdu = g * (x * u[j] - held * u[old])
    for i in range(len(v)):
        v[i] += x * R[j, i] - held * R[old, i] + gdu * w[i]


@part()
def _put_in_predictions(
    objective: Predictions,
    g: float,
    gain: float,
    s: float,
    out: FitOut,
    objective_out: PredictionsOut,
) -> float:
    """Put the new row in; return W."""
    F, y, v = objective.F, objective.y, objective_out.v
    total = 0.0
    for i in range(len(F)):
        F[i] = objective_out.F[i] + s * v[i]
        total += _squared_error(F[i], y[i], objective.floor, objective.ceiling)
    _exchange(objective.R, g, out.u, objective_out.w, gain, out.k, v)
    return total / len(F)
