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


def moments(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y of the rows z = (x, 1), without a copy of the rows.

    The shapes are (d + 1, d + 1) and (d + 1,).
    """
    X, y = sample.X, sample.y
    gram = np.empty((X.shape[1] + 1, X.shape[1] + 1))
    gram[:-1, :-1] = X.T @ X
    gram[-1, :-1] = gram[:-1, -1] = X.sum(axis=0)
    gram[-1, -1] = len(y)
    return gram, np.append(y @ X, y.sum())


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
        A, c, weights = self.A, self.c, thetas
        used = np.flatnonzero(thetas.any(axis=0))
        if 4 * len(used) < 3 * len(c):  # all candidates for a sparse model have zeros in common
            A, c, weights = A[used][:, used], c[used], thetas[:, used]
        W: FloatArray = np.einsum("ij,ij->i", weights @ A - 2 * c, weights) + self.k
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
