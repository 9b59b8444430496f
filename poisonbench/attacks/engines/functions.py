"""Outer objectives W as functions of the trained model theta = (w, b).

Most of them are quadratic in theta, plus a multiple of the learner's penalty:

    W(theta) = theta' A theta - 2 c' theta + k + gamma * Omega(w),

with A, c and k computed once from the rows.  So a value or a gradient costs O(d^2), however many
rows there are.  The others are a mean over rows of losses phi of the predictions,

    W(theta) = (1/m) sum_i phi_i(z_i.theta),

and cost O(d) a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import Sample

BEYOND = 2.0
"""How far outside the box the point lies that a climb of the clipped error first heads for."""


MARGIN = 0.5
"""How much wider than [0, 1] the box is, on both sides, in the climb of the clipped error after
that."""


def with_intercept(X: FloatArray) -> FloatArray:
    """Return Z = (X, 1), the rows with a column of ones; shape (rows, d + 1)."""
    return np.column_stack([X, np.ones(len(X))])


MANY_ROWS = 100_000
"""With at least this many rows, :func:`fast_moments` may use single precision."""

BLOCK = 1024
"""Number of rows that are read at a time; 100 features of them fit into the cache."""

FIRST_ROWS = 20_000
"""Number of rows after which :func:`fast_moments` decides whether to go on in single precision."""

LARGEST_ERROR = 0.01
"""Largest proved relative error of :func:`fast_moments`; the true one is below 1e-7."""


def moments(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y of the rows z = (x, 1), reading the rows once.

    The shapes are (d + 1, d + 1) and (d + 1,).
    """
    X, d = sample.X, sample.X.shape[1]
    rest = np.column_stack([np.ones(len(sample)), sample.y])
    sums = np.zeros((d + 2, d + 2))
    for start in range(0, len(sample), BLOCK):
        x, r = X[start : start + BLOCK], rest[start : start + BLOCK]
        sums[:d, :d] += x.T @ x
        sums[:d, d:] += x.T @ r
    sums[d, :d] = sums[:d, d]
    sums[d, d], sums[d, d + 1] = len(sample), sample.y.sum()
    return np.ascontiguousarray(sums[:-1, :-1]), np.ascontiguousarray(sums[:-1, -1])


def fast_moments(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y of the rows z = (x, 1), for many rows with a small relative error.

    With S the returned matrix and E its error, -eps S <= E <= eps S as quadratic forms, where eps
    is :data:`LARGEST_ERROR`.  If there are fewer than :data:`MANY_ROWS` rows, or if the error
    cannot be proved to be so small, everything is computed in double precision.  This is so for
    more than about 125 columns, for columns that are nearly collinear or vary little, and for
    complete one-hot groups.

    Notes
    -----
    Blocks of k = 1024 rows, minus their centre, are multiplied in single precision and added up in
    double precision.  An entry of the sum over a block has an error of at most gamma times the sum
    of the absolute products, with gamma = (k + 4) u / (1 - (k + 4) u) and u = 2^-24 (Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, section 3.5; two of the four are for
    the subtraction and the rounding of its result).  By Cauchy's inequality, the norm of the error
    of all sums, also those with y, is at most gamma times their trace.  Divided by the smallest
    eigenvalue of S this is eps, which does not change when the centre is added again.  The proof
    assumes that products are summed as usual, without Strassen's method, and that no number is too
    large or too small for single precision.
    """
    X, y, d = sample.X, sample.y, sample.X.shape[1]
    if len(sample) < MANY_ROWS:
        return moments(sample)
    centre = np.append(X[:BLOCK].mean(axis=0), y[:BLOCK].mean())
    sums, checked = np.zeros((d + 2, d + 2)), False
    block, centred = np.empty((BLOCK, d + 2), dtype=np.float32), np.empty((BLOCK, d))
    block[:, d + 1] = 1.0
    for start in range(0, len(sample), BLOCK):
        z = block[: len(y) - start]
        # In two steps, since NumPy is slow where it subtracts and rounds in one.
        z[:, :d] = np.subtract(X[start : start + BLOCK], centre[:d], out=centred[: len(z)])
        z[:, d] = y[start : start + BLOCK] - centre[d]
        sums += z.T @ z
        if start >= FIRST_ROWS and not checked:
            checked = True
            if _relative_error(sums) > LARGEST_ERROR:
                return moments(sample)
    if _relative_error(sums) > LARGEST_ERROR:
        return moments(sample)
    # From the moments of (x - centre, y - centre, 1) to those of (x, y, 1).
    back = np.eye(d + 2)
    back[:-1, -1] = centre
    whole = back @ sums @ back.T
    whole = (whole + whole.T) / 2
    order = [*range(d), d + 1]
    return whole[np.ix_(order, order)], whole[order, d]


def _relative_error(sums: FloatArray) -> float:
    """Return the bound eps for the moments of (x, 1); `sums` are those of (x, y, 1)."""
    columns = np.delete(np.arange(len(sums)), -2)
    unit = (BLOCK + 4) * 2.0**-24
    lowest = float(np.linalg.eigvalsh(sums[np.ix_(columns, columns)])[0])
    error = unit / (1 - unit) * float(sums.trace())
    return error / (lowest - error) if lowest > error else np.inf


class Function(ABC):
    """An outer objective of one problem as a function of theta."""

    def value(self, theta: FloatArray) -> float:
        """Return W(theta)."""
        return float(self.values(theta[None, :])[0])

    @abstractmethod
    def values(self, thetas: FloatArray) -> FloatArray:
        """Return W for each row of `thetas`; shape (candidates,)."""

    @abstractmethod
    def gradient(self, theta: FloatArray) -> FloatArray:
        """Return dW/dtheta; shape (d + 1,)."""


@dataclass(frozen=True)
class Quadratic(Function):
    """W(theta) = theta'A theta - 2 c'theta + k + gamma Omega(w).

    Parameters
    ----------
    A : ndarray of shape (d + 1, d + 1)
        Mean outer product of the rows z = (x, 1).
    c : ndarray of shape (d + 1,)
        Mean of y z.
    k : float
        Mean of y^2.
    gamma : float
        Weight of the learner's penalty.
    model : LinearModel
        The learner, for its penalty.
    """

    A: FloatArray
    c: FloatArray
    k: float
    gamma: float
    model: LinearModel

    @classmethod
    def mean_squared_error(
        cls, sample: Sample, model: LinearModel, gamma: float = 0.0
    ) -> Quadratic:
        """Return the mean squared error on `sample`, plus `gamma` times the penalty."""
        A, c = moments(sample)
        m = len(sample)
        return cls(A / m, c / m, float(sample.y @ sample.y) / m, gamma, model)

    def value(self, theta: FloatArray) -> float:
        """Return W(theta)."""
        W = float(theta @ (self.A @ theta - 2 * self.c)) + self.k
        return float(W + self.gamma * self.model.penalty(theta[:-1])) if self.gamma else W

    def values(self, thetas: FloatArray) -> FloatArray:
        """Return W for each row of `thetas`; shape (candidates,)."""
        products = thetas @ self.A
        products -= 2 * self.c
        W: FloatArray = np.einsum("ij,ij->i", products, thetas) + self.k
        if self.gamma:
            W += self.gamma * self.model.penalty(thetas[:, :-1])
        return W

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Return dW/dtheta; shape (d + 1,)."""
        gradient: FloatArray = 2 * (self.A @ theta - self.c)
        if self.gamma:
            gradient[:-1] += self.gamma * self.model.penalty_gradient(theta[:-1])
        return gradient


@dataclass(frozen=True)
class RowLosses(Function):
    """W(theta) = (1/m) sum_i phi_i(z_i.theta), a mean over rows; a subclass says what phi is.

    Parameters
    ----------
    Z : ndarray of shape (m, d + 1)
        The rows z = (x, 1).
    y : ndarray of shape (m,)
        Their responses.
    approach : tuple of Function, default=()
        Functions that an ascent should climb before W, one after the other.
    """

    Z: FloatArray
    y: FloatArray
    approach: tuple[Function, ...] = ()

    @abstractmethod
    def losses(self, predicted: FloatArray) -> FloatArray:
        """Return phi_i for predictions of shape (..., m); the same shape."""

    @abstractmethod
    def slopes(self, predicted: FloatArray) -> FloatArray:
        """Return the derivatives phi_i' for predictions of shape (m,); the same shape."""

    def values(self, thetas: FloatArray) -> FloatArray:
        """Return W for each row of `thetas`; shape (candidates,)."""
        W: FloatArray = self.losses(thetas @ self.Z.T).mean(axis=1)
        return W

    def gradient(self, theta: FloatArray) -> FloatArray:
        """Return dW/dtheta; shape (d + 1,)."""
        gradient: FloatArray = self.slopes(self.Z @ theta) @ self.Z / len(self.y)
        return gradient


@dataclass(frozen=True)
class ClippedError(RowLosses):
    """The mean squared error of predictions clipped to the box, (clip(f, 0, 1) - y)^2.

    Its gradient is that of the squared error on those rows whose predictions lie inside the box: a
    small change of the model does not change the clipped prediction of the others.

    Parameters
    ----------
    margin : float, default=0.0
        How much wider than [0, 1] the box is, on both sides.
    """

    margin: float = 0.0

    def losses(self, predicted: FloatArray) -> FloatArray:
        """Return the squared errors after clipping."""
        errors: FloatArray = np.clip(predicted, -self.margin, 1 + self.margin) - self.y
        return errors * errors

    def slopes(self, predicted: FloatArray) -> FloatArray:
        """Return 2 (f - y) inside the box, 0 outside it and on its boundary."""
        inside = (predicted > -self.margin) & (predicted < 1 + self.margin)
        slopes: FloatArray = np.where(inside, 2 * (predicted - self.y), 0.0)
        return slopes
