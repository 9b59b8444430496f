"""Exact coordinate ascent on poison rows for a learner with a quadratic penalty.

For ridge and full-rank OLS theta is affine in a response y_c, so every quadratic outer objective
is convex in it and the best response is 0 or 1.  With the other rows as they are, all changes of
one numeric feature to a level, or of one one-hot group to another choice, times both responses,
can be scored exactly in O(d).  Keep

    K = (Z'MZ + P)^{-1},   Q = K A K,   theta,   a = K dW/dtheta,   W,

where M holds multiplicities (m identical rows cost no more than one), P the penalty, and
W = theta'A theta - 2 c'theta + k.  With one row out, a candidate row z with response y gives

    k = Kz,  q = Qz,  h = z.k,  qq = z.q,  s = m (y - z.theta)/(1 + m h),
    W_new = W + s (a.z) + s^2 qq,

and a change of z in one or two columns changes h, qq, a.z and z.theta by O(1) terms.  Rows out and
in are rank-one updates of K and rank-two updates of Q; they are made once, when a row has changed.

:func:`sweep` here is NumPy; ``_compiled.sweep`` does the same steps in machine code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from poisonbench.attacks.objectives import Quadratic, with_intercept
from poisonbench.features import BoolArray, FeatureSpace, FloatArray, IntArray
from poisonbench.problem import Sample

TIE = 1e-10
"""Scores closer than this, relative to W, are a tie, won by the first: rounding decides nothing."""

MAX_STEPS = 1000
"""Changes to one row in one visit, a bound that rounding alone could reach."""


@dataclass(frozen=True)
class Moves:
    """The single changes to a row that keep it legal.

    Parameters
    ----------
    column : ndarray of shape (moves,)
        Which column is set.
    value : ndarray of shape (moves,)
        To what; 1 for a column of a one-hot group, whose other columns become 0.  Choosing the
        present choice again means dropping it.
    group : ndarray of shape (moves,)
        The group of the column; -1 for numeric and independent binary columns.
    may_drop : ndarray of bool of shape (groups,)
        Whether all zero is legal in a group.
    group_of : ndarray of shape (d,)
        The group of each column, or -1.
    """

    column: IntArray
    value: FloatArray
    group: IntArray
    may_drop: BoolArray
    group_of: IntArray

    @classmethod
    def within(
        cls, space: FeatureSpace, levels: tuple[float, ...], fixed: BoolArray | None = None
    ) -> Moves:
        """Return the moves in `space`, numeric columns to `levels`, `fixed` columns untouched."""
        group_of = np.full(space.n_features, -1, dtype=np.intp)
        for g, group in enumerate(space.choices):
            group_of[list(group.columns)] = g
        binary = set(space.binary.tolist())
        found = [(0, 0.0)]  # stay
        for j in range(space.n_features):
            if fixed is not None and fixed[j]:
                continue
            if group_of[j] >= 0:
                found.append((j, 1.0))
            else:
                found.extend((j, level) for level in ((0.0, 1.0) if j in binary else levels))
        column = np.array([j for j, _ in found], dtype=np.intp)
        groups = group_of[column]
        groups[0] = -1
        return cls(
            column,
            np.array([value for _, value in found]),
            groups,
            np.array([*(group.all_zero for group in space.choices), False], dtype=bool),
            group_of,
        )

    @cached_property
    def of_column(self) -> dict[int, IntArray]:
        """The moves of each column."""
        return {int(j): np.flatnonzero(self.column == j) for j in np.unique(self.column)}

    @cached_property
    def of_group(self) -> list[IntArray]:
        """The moves of each group."""
        return [np.flatnonzero(self.group == g) for g in range(len(self.may_drop))]


@dataclass
class State:
    """The learner trained on the clean rows and the present poison rows.

    Parameters
    ----------
    X, y, m : ndarray of shape (r, d), (r,) and (r,)
        The distinct poison rows, their responses and multiplicities.
    K, Q : ndarray of shape (d + 1, d + 1)
        As in the module's docstring.
    theta, a : ndarray of shape (d + 1,)
        As in the module's docstring.
    W : float
        The outer objective.
    """

    X: FloatArray
    y: FloatArray
    m: FloatArray
    K: FloatArray
    Q: FloatArray
    theta: FloatArray
    a: FloatArray
    W: float

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
        """Return the state trained from scratch.

        Parameters
        ----------
        gram, moment : ndarray of shape (d + 1, d + 1) and (d + 1,)
            Z'Z and Z'y of the clean rows.
        rows : Sample
            The distinct poison rows; copied.
        m : ndarray of shape (r,)
            Their multiplicities.
        penalty : ndarray of shape (d,)
            scikit-learn's alpha for each weight.
        W : Quadratic
            The outer objective, without a penalty term of its own.
        """
        K, theta = inverse(gram, moment, rows, m, penalty)
        Q = K @ W.A @ K
        return cls(
            rows.X.copy(),
            rows.y.copy(),
            m,
            np.asfortranarray(K),
            np.asfortranarray((Q + Q.T) / 2),
            theta,
            K @ W.gradient(theta),
            W.value(theta),
        )


def with_rows(
    gram: FloatArray, moment: FloatArray, rows: Sample, m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y with `rows`, each m times, beside the clean rows."""
    Z = with_intercept(rows.X)
    return gram + (Z * m[:, None]).T @ Z, moment + Z.T @ (m * rows.y)


def inverse(
    gram: FloatArray, moment: FloatArray, rows: Sample, m: FloatArray, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return K and theta from scratch; parameters as in :meth:`State.trained`."""
    H, moment = with_rows(gram, moment, rows, m)
    H[np.diag_indices(len(penalty))] += penalty
    lower, _ = linalg.cho_factor(H, lower=True, check_finite=False)
    K, _ = linalg.lapack.dpotri(lower, lower=True, overwrite_c=True)
    K = np.tril(K)
    K += np.tril(K, -1).T
    return K, K @ moment


def sweep(state: State, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    return np.array([c for c in visited if _visit(state, moves, c)], dtype=np.intp)


def _visit(state: State, moves: Moves, c: int) -> bool:
    """Climb to a local maximum in row `c`; return whether it changed."""
    K, Q, theta, a, m = state.K, state.Q, state.theta, state.a, state.m[c]
    z, y = np.append(state.X[c], 1.0), state.y[c]
    # Take the row out.  K and Q without it are K + g uu' and Q + p u' + u p'.
    u, q_in = K @ z, Q @ z
    za, zq, zu = z @ a, z @ q_in, z @ u
    g = m / (1 - m * zu)
    rho = (z @ theta - y) * g
    W = state.W + rho * za + rho**2 * zq
    theta_out = theta + rho * u
    a_out = a + 2 * rho * q_in + g * (za + 2 * rho * zq) * u
    p = g * q_in + (g**2 * zq / 2) * u

    row = Row(moves, z)
    # One more entry, 0, for the column that a move does not displace.
    kq = np.zeros((2, len(z) + 1))
    kq[0, :-1] = u + (g * zu) * u
    kq[1, :-1] = q_in + zu * p + (z @ p) * u
    k, q = kq[0, :-1], kq[1, :-1]
    terms = _Terms(K, Q, g, u, p, a_out, theta_out)
    fixed = terms.of(row, slice(None))
    h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
    s = m * (y - zt) / (1 + m * h)
    best = W + s * (az + s * qq)
    scores = np.empty((len(moves.column), 2))
    moved = False
    for _ in range(MAX_STEPS):
        shift = row.shift(kq)
        shift *= 2
        shift += fixed[:2]
        shift[0] += h
        shift[1] += qq
        gain = m / (1 + m * shift[0])
        slope = fixed[2] + az
        low = -gain * (fixed[3] + zt)  # s for the response 0; for 1 it is `gain` more
        high = low + gain
        scores[:, 0] = low * (slope + low * shift[1])
        scores[:, 1] = high * (slope + high * shift[1])
        scores[~row.legal] = -np.inf
        top = W + scores.max()
        tie = TIE * abs(best)
        if top <= best + tie:
            break
        first = int(np.argmax(W + scores.ravel() >= top - tie))
        move, y = first // 2, float(first % 2)
        best, moved = W + scores[move, first % 2], True
        j, step, old = int(moves.column[move]), float(row.step[move]), int(row.old[move])
        if step == 0:  # the row stays as it is, with the other response
            continue
        k += step * (K[:, j] + g * u[j] * u)
        q += step * (Q[:, j] + p[j] * u + u[j] * p)
        if old < len(z):
            k -= K[:, old] + g * u[old] * u
            q -= Q[:, old] + p[old] * u + u[old] * p
        touched = row.make(move)
        fixed[:, touched] = terms.of(row, touched)
        h, qq, az, zt = z @ k, z @ q, z @ a_out, z @ theta_out
    if not moved:
        return False
    # Put the new row in, and bring K and Q up to date with both changes at once.
    i = m / (1 + m * h)
    s = i * (y - zt)
    state.W = float(W + s * (az + s * qq))
    theta[:] = theta_out + s * k
    a[:] = a_out + 2 * s * q - (i * (az + 2 * s * qq)) * k
    r = (i**2 * qq / 2) * k - i * q
    state.K = _updated(K, [g * u, -i * k], [u, k])
    state.Q = _updated(Q, [p, u, r, k], [u, p, k, r])
    state.X[c], state.y[c] = z[:-1], y
    return True


def _updated(matrix: FloatArray, left: list[FloatArray], right: list[FloatArray]) -> FloatArray:
    """Add the sum of outer products left_i right_i' to a Fortran-ordered matrix, in place."""
    updated: FloatArray = linalg.blas.dgemm(
        1.0, np.array(left).T, np.array(right), beta=1.0, c=matrix, overwrite_c=True
    )
    return updated


class Row:
    """A row, and what each move would do to it.

    Parameters
    ----------
    moves : Moves
        The moves.
    z : ndarray of shape (d + 1,)
        The row with its 1; changed in place.

    Attributes
    ----------
    step : ndarray of shape (moves,)
        By how much the column of a move would change.
    old : ndarray of shape (moves,)
        The column whose 1 the move would displace; d + 1 for none.
    legal : ndarray of bool of shape (moves,)
        Whether the move is one.
    """

    def __init__(self, moves: Moves, z: FloatArray) -> None:
        self.moves, self.z = moves, z
        # The last entry, which group -1 finds, is for no group.
        self._choice = np.full(len(moves.may_drop), len(z), dtype=np.intp)
        ones = np.flatnonzero((moves.group_of >= 0) & (z[:-1] == 1))
        self._choice[moves.group_of[ones]] = ones
        self.step = np.empty(len(moves.column))
        self.old = np.empty(len(moves.column), dtype=np.intp)
        self.legal = np.empty(len(moves.column), dtype=bool)
        self._look(slice(None))

    def _look(self, at: IntArray | slice) -> None:
        """Find out what the moves `at` would do now."""
        moves = self.moves
        column, group = moves.column[at], moves.group[at]
        step = moves.value[at] - self.z[column]
        old = self._choice[group]
        again = old == column
        self.step[at] = np.where(again, -1.0, step)
        self.old[at] = np.where(again, len(self.z), old)
        self.legal[at] = np.where(again, moves.may_drop[group], step != 0)
        self.step[0], self.legal[0] = 0.0, True  # move 0: stay

    def shift(self, values: FloatArray) -> FloatArray:
        """Return the change of z.values under each move, for `values` of shape (..., d + 2)."""
        shifted: FloatArray = values[..., self.moves.column] * self.step
        shifted -= values[..., self.old]
        return shifted

    def make(self, move: int) -> IntArray:
        """Make a move, and return the moves that now do something else."""
        moves, z = self.moves, self.z
        j, group = moves.column[move], moves.group[move]
        if group < 0:
            z[j] = moves.value[move]
            touched = moves.of_column[j]
        else:
            if self.old[move] < len(z):
                z[self.old[move]] = 0.0
            dropped = self.step[move] < 0
            z[j] = 0.0 if dropped else 1.0
            self._choice[group] = len(z) if dropped else j
            touched = moves.of_group[group]
        self._look(touched)
        return touched


class _Terms:
    """The parts of the scores that do not change with k and q."""

    def __init__(
        self,
        K: FloatArray,
        Q: FloatArray,
        g: float,
        u: FloatArray,
        p: FloatArray,
        a: FloatArray,
        theta: FloatArray,
    ) -> None:
        self._K, self._Q, self._g = K, Q, g
        self._padded = np.zeros((6, len(u) + 1))
        self._padded[:4, :-1] = u, p, a, theta
        self._padded[4, :-1] = K.diagonal() + g * u * u
        self._padded[5, :-1] = Q.diagonal() + 2 * p * u

    def of(self, row: Row, at: IntArray | slice) -> FloatArray:
        """Return, for the moves `at`, the constant changes of h, qq, a.z and theta.z."""
        new, old, step = row.moves.column[at], row.old[at], row.step[at]
        u, p, a, theta, K_jj, Q_jj = self._padded[:, new]
        u_old, p_old, a_old, theta_old, K_old, Q_old = self._padded[:, old]
        inside = np.minimum(old, len(self._K) - 1)
        displaces = old < len(self._K)
        cross_K = displaces * self._K[inside, new] + self._g * u_old * u
        cross_Q = displaces * self._Q[inside, new] + p_old * u + u_old * p
        square = step**2
        return np.array(
            [
                square * K_jj + K_old - 2 * cross_K,
                square * Q_jj + Q_old - 2 * cross_Q,
                step * a - a_old,
                step * theta - theta_old,
            ]
        )
