"""Final steps on small problems: real values for numeric columns, and moves judged by refits.

Sweeps try only the ends of a numeric column's range, and with LASSO and elastic net they judge a
move by an adaptive ridge.  Both lose a little of W, which is cheap to regain with few rows and
columns.

With a quadratic penalty and one row taken out, W after a row z joins with response y is

    W_out + s a.z + s^2 z'Qz,    s = m (y - z.theta) / (1 + m z'Kz),

in the notation of ``quadratic_sweep``.  So as a function of the value v that z has in one column,
it is W_out + N(v) / D(v)^2, with N of degree 4 and D = 1 + m z'Kz of degree 2.  Its stationary
points are the real roots of the quartic N'D - 2 N D'.  The best value in [0, 1] is one of them, or
0, or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from poisonbench.attacks.engines.functions import Quadratic, with_intercept
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import State
from poisonbench.features import FloatArray, IntArray
from poisonbench.problem import Sample

GAIN = 1e-6
"""Relative gain of W below which a move is not made."""

FAR = 1e-12
"""Leading coefficient of a quartic, relative to its largest one, up to which it counts as zero."""

SWEEPS = 20
"""Largest number of sweeps over all rows, and of moves in one visit to a row."""


@dataclass(frozen=True)
class Learner:
    """A learner with a quadratic penalty, and the objective that is climbed.

    Parameters
    ----------
    gram, moment : ndarray of shape (d + 1, d + 1) and (d + 1,)
        Z'Z and Z'y of the clean rows.
    penalty : ndarray of shape (d,)
        scikit-learn's alpha, for each weight.
    W : Quadratic
        The outer objective, with gamma = 0.
    """

    gram: FloatArray
    moment: FloatArray
    penalty: FloatArray
    W: Quadratic

    def trained(self, rows: Sample, m: FloatArray) -> State:
        """Return the learner's state after training on the clean rows and `rows`."""
        return State.trained(self.gram, self.moment, rows, m, self.penalty, self.W)


def real_valued(learner: Learner, rows: Sample, m: FloatArray, columns: IntArray) -> Sample:
    """Return rows in which no change of one value, with either response, raises W.

    Parameters
    ----------
    learner : Learner
        The learner that is poisoned.
    rows : Sample
        The distinct rows to start from.
    m : ndarray of shape (r,)
        Their multiplicities.
    columns : ndarray of int
        The numeric columns, whose values may be any number in [0, 1].
    """
    X, y = rows.X.copy(), rows.y.copy()
    for _ in range(SWEEPS):
        before = learner.trained(Sample(X, y), m).W
        for c in range(len(y)):
            others = np.arange(len(y)) != c
            out = learner.trained(Sample(X[others], y[others]), m[others])
            for _ in range(SWEEPS):
                least = joined(out, X[c], y[c], m[c])
                W, j, value, response = best_on_a_line(out, X[c], m[c], columns)
                if W - least <= GAIN * abs(least):
                    break
                X[c, j], y[c] = value, response
        if learner.trained(Sample(X, y), m).W - before <= GAIN * abs(before):
            break
    return Sample(X, y)


def joined(out: State, x: FloatArray, y: float, m: float) -> float:
    """Return W after a row (x, y) joins m times."""
    z = np.append(x, 1.0)
    s = m * (y - z @ out.theta) / (1 + m * (z @ out.KQ[0] @ z))
    return float(out.W + s * (out.a @ z) + s**2 * (z @ out.KQ[1] @ z))


def best_on_a_line(
    out: State, x: FloatArray, m: float, columns: IntArray
) -> tuple[float, int, float, float]:
    """Return the highest W that a row reaches by another value in one column, and how.

    Parameters
    ----------
    out : State
        The learner without the row.
    x : ndarray of shape (d,)
        The row.
    m : float
        Its multiplicity.
    columns : ndarray of int of shape (J,)
        Columns to try.

    Returns
    -------
    tuple of float, int, float and float
        W, the column, its value and the row's response.
    """
    z, j = np.append(x, 1.0), columns
    held, responses = z[j], np.array([[0.0], [1.0]])
    # Coefficients by rising powers of the value v that column j gets, one entry for each column,
    # and of what depends on the response one row for each; v = held leaves the row as it is.
    (K, k), (Q, q) = ((M[j, j], (M @ z)[j]) for M in out.KQ)
    kz = [z @ out.KQ[0] @ z - 2 * held * k + held**2 * K, 2 * (k - held * K), K]
    qz = [z @ out.KQ[1] @ z - 2 * held * q + held**2 * Q, 2 * (q - held * Q), Q]
    az = [out.a @ z - held * out.a[j], out.a[j]]
    tz = [z @ out.theta - held * out.theta[j], out.theta[j]]
    D = [1 + m * kz[0], m * kz[1], m * kz[2]]
    r = [m * (responses - tz[0]), np.tile(-m * tz[1], (2, 1))]
    N = _sum(_product(_product(r, az), D), _product(_product(r, r), qz))
    slope = _sum(_product(_derived(N), D), [-2 * c for c in _product(N, _derived(D))])
    # Of degree 4: the terms of degree 5 cancel.
    roots = _real_roots(np.array(slope[:5]).reshape(5, -1).T).reshape(2, len(j), 4)
    ends = np.tile([0.0, 1.0], (2, len(j), 1))
    values = np.clip(np.concatenate([ends, roots], axis=2), 0.0, 1.0)
    W = out.W + _value(N, values) / _value(D, values) ** 2
    best = []
    for y, reached in enumerate(W):
        row, at = np.unravel_index(int(reached.argmax()), reached.shape)
        best.append((float(reached[row, at]), int(j[row]), float(values[y, row, at]), float(y)))
    return max(best)


def _product(a: list[FloatArray], b: list[FloatArray]) -> list[FloatArray]:
    """Return the products of polynomials, given by lists of coefficients by rising powers."""
    terms: list[FloatArray] = []
    for i, left in enumerate(a):
        for k, right in enumerate(b):
            if i + k < len(terms):
                terms[i + k] = terms[i + k] + left * right
            else:
                terms.append(left * right)
    return terms


def _sum(a: list[FloatArray], b: list[FloatArray]) -> list[FloatArray]:
    return [left + right for left, right in zip(a, b, strict=True)]


def _derived(a: list[FloatArray]) -> list[FloatArray]:
    return [power * each for power, each in enumerate(a)][1:]


def _value(a: list[FloatArray], at: FloatArray) -> FloatArray:
    """Return the values of polynomials at points, which have one axis more than coefficients."""
    total = np.zeros_like(at)
    for each in reversed(a):
        total = total * at + each[..., None]
    return total


def _real_roots(coefficients: FloatArray) -> FloatArray:
    """Return the real parts of the roots of quartics.

    Parameters
    ----------
    coefficients : ndarray of shape (J, 5)
        By rising powers.

    Returns
    -------
    ndarray of shape (J, 4)
    """
    size = np.abs(coefficients).max(axis=1, keepdims=True)
    monic = coefficients / np.where(size > 0, size, 1.0)
    # A cubic, taken as a quartic with a tiny leading coefficient, has one more root, far away.
    leading = np.where(np.abs(monic[:, 4]) > FAR, monic[:, 4], FAR)
    companion = np.zeros((len(monic), 4, 4))
    companion[:, [1, 2, 3], [0, 1, 2]] = 1.0
    companion[:, :, 3] = -monic[:, :4] / leading[:, None]
    return np.asarray(np.linalg.eigvals(companion).real)


def by_refits(
    value: Callable[[Sample], float], rows: Sample, moves: Moves, sweeps: int
) -> tuple[Sample, float]:
    """Return rows for which no single move raises W of a refitted learner, and that W.

    Parameters
    ----------
    value : callable
        Takes the distinct rows and returns W of the learner fitted with them.
    rows : Sample
        The rows to start from.
    moves : Moves
        The moves to try.
    sweeps : int
        Largest number of sweeps over all rows.
    """
    best, highest = rows, value(rows)
    for _ in range(sweeps):
        before = highest
        for c in range(len(rows)):
            for other in changed(best, c, moves):
                W = value(other)
                if W - highest > GAIN * abs(highest):
                    best, highest = other, W
        if highest - before <= GAIN * abs(before):
            break
    return best, highest


def changed(rows: Sample, c: int, moves: Moves) -> Iterator[Sample]:
    """Yield the rows after each move of row `c`, with each of the two responses."""
    for move in range(len(moves.column)):
        X = rows.X.copy()
        z = with_intercept(X[c : c + 1])[0]
        if move:  # move 0 is the row as it is
            z[moves.columns_of[moves.block[move]]] = 0.0
            z[moves.column[move]] = moves.value[move]
        X[c] = z[:-1]
        for response in (0.0, 1.0):
            y = rows.y.copy()
            y[c] = response
            if (X[c] != rows.X[c]).any() or response != rows.y[c]:
                yield Sample(X, y)
