"""Exact coordinate ascent on poison rows for a learner with a quadratic penalty.

For ridge and full-rank OLS, theta is affine in the response y_c of a poison row.  So a quadratic
outer objective W = theta'A theta - 2 c'theta + const is convex in y_c, and the best response is 0
or 1.  While the other rows stay fixed, the effect of every single move (one numeric feature to
another level, or one one-hot group to another choice) with either response is computed exactly;
all moves together cost O(d).  Keep

    K = (Z'MZ + P)^{-1},   Q = K A K,   theta,   a = K dW/dtheta,   W,

where Z holds the rows z = (x, 1), clean and poisoned, the diagonal of M their multiplicities (m
identical rows cost no more than one), and P the penalty.  A visit to a row z with response y and
multiplicity m:

1. Take the row out.  With  u = Kz,  q = Qz,  g = m / (1 - m z.u),  rho = g (z.theta - y),

       K += g uu',   Q += up' + pu'  with  p = g q + (g^2/2) (z.q) u,   theta += rho u,
       W += rho a.z + rho^2 z.q,   a += 2 rho q + g (a.z + 2 rho z.q) u.

2. Score the moves.  If a row z with response y joins now, then with

       h = z'Kz,   qq = z'Qz,   az = a.z,   zt = theta.z,
       gain = m / (1 + m h),   s = gain (y - zt),

   W grows by s az + s^2 qq.  A block is the set of columns that one move sets (see ``moves``).  Let
   near_j be the entry j of Kz, and near'_j of Qz, each for z with the block of column j set to 0.
   Then a value v in column j of that z adds

       v (2 near_j + v K_jj),   v (2 near'_j + v Q_jj),   v a_j,   v theta_j

   to its h, qq, az and zt.

3. Make the best move, which changes near and near' in the other blocks by a multiple of one or two
   rows of K and Q, and go back to 2, until no move raises W.

4. Put the row in.  With  k = Kz,  q = Qz  and h, qq, az, zt, gain, s as above,

       K -= gain kk',   Q += rk' + kr'  with  r = (gain^2/2) qq k - gain q,   theta += s k,
       W += s az + s^2 qq,   a += 2 s q - gain (az + 2 s qq) k.

If the row has not changed, 4 would undo 1.  So K and Q stay as they are until the row has changed,
and then get both updates at once.

:func:`sweep` here is NumPy; ``sweeps_compiled.quadratic_sweep`` takes the same steps in machine
code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from poisonbench.attacks.engines.functions import Quadratic, with_intercept
from poisonbench.attacks.engines.moves import Moves, Row
from poisonbench.features import FloatArray, IntArray
from poisonbench.problem import Sample

TIE = 1e-10
"""Scores that differ by less than this, relative to W, count as equal, and the first move wins: so
rounding decides nothing."""

MAX_STEPS = 1000
"""Most moves in one visit to a row.  Every move raises W, so only rounding could need so many."""


@dataclass
class State:
    """The learner, trained on the clean rows and the current poison rows.

    Parameters
    ----------
    X, y, m : ndarray of shape (r, d), (r,) and (r,)
        The distinct poison rows, their responses and multiplicities.
    KQ : ndarray of shape (2, d + 1, d + 1)
        K and Q; see the module's docstring.
    theta, a : ndarray of shape (d + 1,)
        The weights and the intercept, and K dW/dtheta.
    W : float
        The outer objective.
    updates : int
        Number of changes to rows since the learner was trained from scratch.
    """

    X: FloatArray
    y: FloatArray
    m: FloatArray
    KQ: FloatArray
    theta: FloatArray
    a: FloatArray
    W: float
    updates: int = 0

    @classmethod
    def trained(
        cls,
        gram: FloatArray,
        moment: FloatArray,
        rows: Sample,
        m: FloatArray,
        penalty: FloatArray,
        W: Quadratic,
    ) -> State:
        """Train from scratch.

        Parameters
        ----------
        gram, moment : ndarray of shape (d + 1, d + 1) and (d + 1,)
            Z'Z and Z'y of the clean rows.
        rows : Sample
            The distinct poison rows; copied.
        m : ndarray of shape (r,)
            Their multiplicities.
        penalty : ndarray of shape (d,)
            scikit-learn's alpha, for each weight.
        W : Quadratic
            The outer objective, with all that is quadratic in A and gamma = 0.
        """
        K, theta = inverse(gram, moment, rows, m, penalty)
        KQ = np.empty((2, *K.shape))
        KQ[0] = K
        np.matmul(K @ W.A, K, out=KQ[1])
        a = K @ W.gradient(theta)
        return cls(rows.X.copy(), rows.y.copy(), m, KQ, theta, a, W.value(theta))


def with_rows(
    gram: FloatArray, moment: FloatArray, rows: Sample, m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y of the clean rows and of `rows`, each of which counts m times."""
    Z = with_intercept(rows.X)
    return gram + (Z * m[:, None]).T @ Z, moment + Z.T @ (m * rows.y)


def inverse(
    gram: FloatArray, moment: FloatArray, rows: Sample, m: FloatArray, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute K and theta from scratch; parameters as in :meth:`State.trained`."""
    H, moment = with_rows(gram, moment, rows, m)
    H[np.diag_indices(len(penalty))] += penalty
    # LAPACK expects columns first: it takes the transposed view without a copy, and fills the lower
    # triangle.
    lower, _ = linalg.cho_factor(H.T, lower=True, overwrite_a=True, check_finite=False)
    half, _ = linalg.lapack.dpotri(lower, lower=True, overwrite_c=True)
    K = np.triu(half.T)
    K += K.T
    K[np.diag_indices(len(K))] /= 2
    return K, K @ moment


def sweep(state: State, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    return np.array([c for c in visited if _visit(state, moves, c)], dtype=np.intp)


def _visit(state: State, moves: Moves, c: int) -> bool:
    """Climb to a local maximum in row `c`; return whether it changed."""
    m, y, row = state.m[c], state.y[c], Row(moves, state.X[c])
    out = _Without(state, row.z, y, m)
    # h, qq, az and zt of the row.
    totals = np.concatenate([out.products @ row.z, out.slopes @ row.z])
    near = out.products - out.held(row)
    # What each move would add to the totals, and after those what each block adds now.
    added = np.empty((4, len(row.column)))
    square = row.value**2 * out.diagonals.take(row.column, axis=1)
    added[2:] = row.value * out.slopes.take(row.column, axis=1)
    double = 2 * row.value

    gain = m / (1 + m * totals[0])
    best = _score(gain * (y - totals[3]), totals[2], totals[1])
    s = np.empty((2, row.n_moves))  # s for the responses 0 and 1
    moved = False
    for _ in range(MAX_STEPS):
        near.take(row.column, axis=1, out=added[:2], mode="clip")
        added[:2] *= double
        added[:2] += square
        reached = (totals[:, None] - added[:, row.n_moves :]).take(moves.block, axis=1)
        reached += added[:, : row.n_moves]
        gain = m / (1 + m * reached[0])
        np.multiply(-gain, reached[3], out=s[0])
        np.add(s[0], gain, out=s[1])
        scores = _score(s, reached[2], reached[1]).ravel()
        top = scores.max()
        tie = TIE * abs(out.W + best)
        if top <= best + tie:
            break
        first = int((scores >= top - tie).argmax())
        best, moved = scores[first], True
        response, move = divmod(first, row.n_moves)
        y, at = float(response), row.place(move)
        if row.holds(move):
            continue  # the row stays as it is, with the other response
        change = out.change(*row.entry(move), *row.entry(at))
        change[:, moves.columns_of[moves.block[move]]] = 0.0
        near += change
        totals = reached[:, move]
        row.make(move)
        square[:, at], added[2:, at], double[at] = square[:, move], added[2:, move], double[move]
    if not moved:
        return False
    out.put(state, row.z, y, m)
    state.X[c], state.y[c] = row.z[:-1], y
    return True


def _score(s: Any, az: Any, qq: Any) -> Any:
    """Return by how much W grows when a row joins; see the module's docstring."""
    return s * (az + s * qq)


class _Without:
    """The state without one row; its K + g uu' and Q + up' + pu' are not written out.

    Parameters
    ----------
    state : State
        The state with the row.
    z, y, m : ndarray of shape (d + 1,), float and float
        The row with its 1, its response and its multiplicity.

    Attributes
    ----------
    W : float
        The outer objective.
    slopes : ndarray of shape (2, d + 1)
        a and theta.
    products, diagonals : ndarray of shape (2, d + 1)
        Kz and Qz of the row taken out, and the diagonals of K and Q.
    """

    def __init__(self, state: State, z: FloatArray, y: float, m: float) -> None:
        self._KQ = state.KQ
        u, q = uq = _products(state.KQ, z)
        za, zq, zu = z @ state.a, z @ q, z @ u
        self._g = g = m / (1 - m * zu)
        rho = (z @ state.theta - y) * g
        p = g * q + (g**2 * zq / 2) * u
        self._up = np.array([u, p])
        self.W = state.W + rho * za + rho**2 * zq
        a = state.a + 2 * rho * q + (g * (za + 2 * rho * zq)) * u
        self.slopes = np.array([a, state.theta + rho * u])
        self.products = uq + self._correction(zu, z @ p)
        self.diagonals = np.array([g * u * u, 2 * p * u])
        self.diagonals += state.KQ.reshape(2, -1)[:, :: len(z) + 1]

    def _correction(self, u: float, p: float) -> FloatArray:
        """Return what g uu' and up' + pu' add to Kv and Qv, given u.v and p.v."""
        correction: FloatArray = np.array([[self._g * u, 0.0], [p, u]]).dot(self._up)
        return correction

    def change(self, column: int, value: float, old: int, held: float) -> FloatArray:
        """Return how Kz and Qz change when z gets `value` in `column` and loses `held` in `old`."""
        change = self._correction(*(value * self._up[:, column] - held * self._up[:, old]))
        change += value * self._KQ[:, column]
        if held:
            change -= held * self._KQ[:, old]
        return change

    def held(self, row: Row) -> FloatArray:
        """Return what the block of each column adds to that column's entries of Kz and Qz."""
        D, (u, p) = len(row.z), self._up
        column, value = (
            each[row.n_moves :].take(row.moves.block_of) for each in (row.column, row.value)
        )
        held: FloatArray = self._KQ.reshape(2, -1).take(np.arange(0, D * D, D) + column, axis=1)
        held[0] += self._g * u * u[column]
        held[1] += u * p[column] + p * u[column]
        held *= value
        return held

    def put(self, state: State, z: FloatArray, y: float, m: float) -> None:
        """Put a row in, and bring the state up to date with both changes at once."""
        k, q = _products(self._KQ, z) + self._correction(*(self._up @ z))
        (a, theta), (u, p) = self.slopes, self._up
        h, qq, az, zt = z @ k, z @ q, z @ a, z @ theta
        gain = m / (1 + m * h)
        s = gain * (y - zt)
        state.W = float(self.W + _score(s, az, qq))
        state.theta[:] = theta + s * k
        state.a[:] = a + 2 * s * q - (gain * (az + 2 * s * qq)) * k
        r = (gain**2 * qq / 2) * k - gain * q
        _add(state.KQ[0], [self._g * u, -gain * k], [u, k])
        _add(state.KQ[1], [p, u, r, k], [u, p, k, r])


def _products(KQ: FloatArray, z: FloatArray) -> FloatArray:
    """Return Kz and Qz."""
    products: FloatArray = KQ.reshape(-1, len(z)).dot(z).reshape(2, -1)
    return products


def _add(matrix: FloatArray, left: list[FloatArray], right: list[FloatArray]) -> None:
    """Add the sum of outer products left_i right_i' to a symmetric matrix, in place."""
    # BLAS expects columns first: it takes the transposed view without a copy.
    linalg.blas.dgemm(
        1.0, np.array(left).T, np.array(right), beta=1.0, c=matrix.T, overwrite_c=True
    )
