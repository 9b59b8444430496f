"""Outer objectives W: what an attacker maximises, as a function of the trained model.

Every one is a quadratic in theta = (w, b), plus a multiple of the learner's penalty:

    W(theta) = theta' A theta - 2 c' theta + k + gamma * Omega(w),

with A, c, k computed once from the rows.  So a value or a gradient costs O(d^2) however many
rows there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import AttackProblem, Sample


def with_intercept(X: FloatArray) -> FloatArray:
    """Return Z = (X, 1), the rows with a column of ones; shape (rows, d + 1)."""
    return np.column_stack([X, np.ones(len(X))])


@dataclass(frozen=True)
class Quadratic:
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
        Z, y = with_intercept(sample.X), sample.y
        return cls(Z.T @ Z / len(y), Z.T @ y / len(y), float(np.mean(y * y)), gamma, model)

    def value(self, theta: FloatArray) -> float:
        """Return W(theta)."""
        return float(self.values(theta[None, :])[0])

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


class OuterObjective(ABC):
    """A function of the trained model that an attacker maximises."""

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Sec. IV-A"

    needs_validation: ClassVar[bool] = False
    """Whether it is undefined without validation rows."""

    @abstractmethod
    def quadratic(self, problem: AttackProblem) -> Quadratic:
        """Return W for this problem."""


class Training(OuterObjective):
    """The learner's regularised loss on the clean training rows, W_tr."""

    name = "training"

    def quadratic(self, problem: AttackProblem) -> Quadratic:
        """Return W_tr, with the lambda of the learner's fit on all n + p rows."""
        n_rows = len(problem.train) + problem.n_poison
        gamma = problem.model.lambda_for(n_rows)
        return Quadratic.mean_squared_error(problem.train, problem.model, gamma)


class Validation(OuterObjective):
    """The mean squared error on the attacker's validation rows, W_val."""

    name = "validation"
    needs_validation = True

    def quadratic(self, problem: AttackProblem) -> Quadratic:
        """Return W_val; no penalty."""
        return Quadratic.mean_squared_error(problem.validation, problem.model)


class PredictionShift(OuterObjective):
    """The mean squared change of the predictions on the clean training rows, W'_tr."""

    name = "prediction-shift"

    def quadratic(self, problem: AttackProblem) -> Quadratic:
        """Return W'_tr, the squared distance from the predictions of the clean model."""
        predicted = problem.model.predict(problem.train.X)
        return Quadratic.mean_squared_error(Sample(problem.train.X, predicted), problem.model)
