"""Outer objectives W: what an attacker maximises, as a function of the trained model.

Most are a quadratic in theta = (w, b), plus a multiple of the learner's penalty:

    W(theta) = theta' A theta - 2 c' theta + k + gamma * Omega(w),

with A, c, k computed once from the rows.  So a value or a gradient costs O(d^2) however many
rows there are.  The others are a mean of losses phi of predictions on rows,

    W(theta) = (1/m) sum_i phi_i(z_i.theta),

and cost O(d) a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import AttackProblem, Sample

BEYOND = 2.0
"""How far outside the box lies the point that a climb of the clipped error first heads for."""

MARGIN = 0.5
"""How much wider the box is in which the clipped error is climbed next."""


def with_intercept(X: FloatArray) -> FloatArray:
    """Return Z = (X, 1), the rows with a column of ones; shape (rows, d + 1)."""
    return np.column_stack([X, np.ones(len(X))])


def moments(sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Return Z'Z and Z'y of rows z = (x, 1), without a copy of them.

    Shapes (d + 1, d + 1) and (d + 1,).
    """
    X, y = sample.X, sample.y
    gram = np.empty((X.shape[1] + 1, X.shape[1] + 1))
    gram[:-1, :-1] = X.T @ X
    gram[-1, :-1] = gram[:-1, -1] = X.sum(axis=0)
    gram[-1, -1] = len(y)
    return gram, np.append(y @ X, y.sum())


class Function(ABC):
    """An outer objective for one problem, as a function of theta: a quadratic, or row losses."""

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

    def values(self, thetas: FloatArray) -> FloatArray:
        """Return W for each row of `thetas`; shape (candidates,)."""
        W: FloatArray = np.einsum("ij,ij->i", thetas @ self.A - 2 * self.c, thetas) + self.k
        if self.gamma:
            W += self.gamma * np.array([self.model.penalty(theta[:-1]) for theta in thetas])
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
        What an ascent should climb first, one after the other, on its way to W.
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

    Its gradient is that of the plain error, of the rows whose predictions lie inside the box
    alone: the others do not feel a small change of the model.

    Parameters
    ----------
    margin : float, default=0.0
        How much wider the box is taken on both sides.
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


class OuterObjective(ABC):
    """A function of the trained model that an attacker maximises."""

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Sec. IV-A"

    needs_validation: ClassVar[bool] = False
    """Whether it is undefined without validation rows."""

    quadratic: ClassVar[bool] = True
    """Whether it is a quadratic in theta; else it is a mean of row losses."""

    @abstractmethod
    def function(self, problem: AttackProblem) -> Function:
        """Return W for this problem."""


class Training(OuterObjective):
    """The learner's regularised loss on the clean training rows, W_tr."""

    name = "training"

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W_tr, with the lambda of the learner's fit on all n + p rows."""
        n_rows = len(problem.train) + problem.n_poison
        gamma = problem.model.lambda_for(n_rows)
        return Quadratic.mean_squared_error(problem.train, problem.model, gamma)


class Validation(OuterObjective):
    """The mean squared error on the attacker's validation rows, W_val."""

    name = "validation"
    needs_validation = True

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W_val; no penalty."""
        return Quadratic.mean_squared_error(problem.validation, problem.model)


class PredictionShift(OuterObjective):
    """The mean squared change of the predictions on the clean training rows, W'_tr."""

    name = "prediction-shift"

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W'_tr, the squared distance from the predictions of the clean model."""
        predicted = problem.model.predict(problem.train.X)
        return Quadratic.mean_squared_error(Sample(problem.train.X, predicted), problem.model)


class Clipped(OuterObjective):
    """The mean squared error on the attacker's validation rows, predictions clipped to [0, 1].

    The error that is left where predictions are clipped to the known range of the response.  No
    row can lose more than the box is wide, so many rows have to be moved, not a few of them far.
    W does not change with a row that is clipped already, and has poor local maxima; an ascent
    does better where it first brings the predictions on validation and training rows towards a
    point far outside the box, on the side away from the mean response, and then climbs the error
    clipped to a wider box.
    """

    name = "clipped"
    reference = "this project"
    needs_validation = True
    quadratic = False

    def function(self, problem: AttackProblem) -> ClippedError:
        """Return W_val with clipped predictions; no penalty."""
        Z, y = with_intercept(problem.validation.X), problem.validation.y
        target = 1 + BEYOND if y.mean() < 0.5 else -BEYOND
        one, other = (
            Quadratic.mean_squared_error(Sample(X, np.full(len(X), target)), problem.model)
            for X in (problem.validation.X, problem.train.X)
        )
        nearness = replace(one, A=-(one.A + other.A) / 2, c=-(one.c + other.c) / 2, k=-one.k)
        return ClippedError(Z, y, (nearness, ClippedError(Z, y, margin=MARGIN)))
