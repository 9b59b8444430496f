"""The problem behind a ceiling: a learner, its clean rows, a budget of poison rows, and a loss.

The n clean rows z = (x, 1) enter only through the moments Z'Z, Z'y and y'y, so the cost of a
ceiling does not depend on n once they are known.  The learner minimises, with the sum over clean
and poison rows,

    1/2 sum (z.theta - y)^2 + l1 ||w||_1 + l2/2 ||w||_2^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonbench.attacks.engines.functions import moments
from poisonbench.certificates.legal_set import LegalSet
from poisonbench.features import FeatureSpace, FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import Sample


@dataclass(frozen=True)
class Poisoning:
    """A learner trained on n clean rows and on legal poison rows of total weight at most p.

    Parameters
    ----------
    gram : ndarray of shape (d + 1, d + 1)
        Z'Z of the clean rows z = (x, 1).
    moment : ndarray of shape (d + 1,)
        Z'y.
    square : float
        y'y.
    n_rows : int
        Number of clean rows n.
    n_poison : float
        The budget p; rows may have fractional weights.
    l1, l2 : float
        The learner's penalties in the objective above, for a fit on n + p rows; both 0 for OLS.
    space : FeatureSpace
        Which rows are legal.
    """

    gram: FloatArray
    moment: FloatArray
    square: float
    n_rows: int
    n_poison: float
    l1: float
    l2: float
    space: FeatureSpace

    @classmethod
    def of(cls, train: Sample, model: LinearModel, n_poison: int, space: FeatureSpace) -> Poisoning:
        """Return the problem of `model` on clean rows `train` with `n_poison` poison rows.

        Parameters
        ----------
        train : Sample
            D_tr, in the box.
        model : LinearModel
            The learner, with its strength fixed.
        n_poison : int
            The budget p.
        space : FeatureSpace
            Which rows are legal.
        """
        gram, moment = moments(train)
        n_rows = len(train) + n_poison
        strength = n_rows * model.lambda_for(n_rows) / 2
        rho = model.l1_ratio()
        return cls(
            gram,
            moment,
            float(train.y @ train.y),
            len(train),
            n_poison,
            strength * rho,
            strength * (1 - rho),
            space,
        )

    @cached_property
    def legal(self) -> LegalSet:
        """The legal rows."""
        return LegalSet(self.space)

    @cached_property
    def hessian(self) -> FloatArray:
        """A = Z'Z + l2 D, of shape (d + 1, d + 1); D does not penalise the intercept."""
        return with_penalty(self.gram, self.l2)


@dataclass(frozen=True)
class Loss:
    """W(theta) = theta'M theta - 2 c.theta + k + l1 ||w||_1 + l2/2 ||w||_2^2.

    Parameters
    ----------
    matrix : ndarray of shape (d + 1, d + 1)
        M, positive semidefinite.
    vector : ndarray of shape (d + 1,)
        c.
    constant : float
        k.
    l1, l2 : float, default=0.0
        Penalties that are part of the loss.
    n_rows : int, default=0
        Number of rows in the sums for M, c and k, for their rounding error; 0 if they are exact.
    share : float or None, default=None
        If M is a multiple of the clean rows' Gram matrix, that multiple.
    centre : ndarray of shape (d + 1,) or None, default=None
        If c = M theta_0 and k = theta_0'M theta_0, that theta_0, for their rounding error.
    """

    matrix: FloatArray
    vector: FloatArray
    constant: float
    l1: float = 0.0
    l2: float = 0.0
    n_rows: int = 0
    share: float | None = None
    centre: FloatArray | None = None

    @classmethod
    def mean_squared_error(cls, rows: Sample) -> Loss:
        """Return the mean squared error on `rows`, which are validation or test rows."""
        gram, moment = moments(rows)
        m = len(rows)
        return cls(gram / m, moment / m, float(rows.y @ rows.y) / m, n_rows=m)

    @classmethod
    def training(cls, problem: Poisoning) -> Loss:
        """Return W_tr: the error on the clean rows plus the penalty of the fit on n + p rows."""
        n, weight = problem.n_rows, 2 / (problem.n_rows + problem.n_poison)
        return cls(
            problem.gram / n,
            problem.moment / n,
            problem.square / n,
            l1=weight * problem.l1,
            l2=weight * problem.l2,
            n_rows=n,
            share=1 / n,
        )

    @classmethod
    def prediction_shift(cls, problem: Poisoning, theta: FloatArray) -> Loss:
        """Return W'_tr: the mean squared distance from the predictions of `theta` = (w, b)."""
        n = problem.n_rows
        matrix = problem.gram / n
        vector = matrix @ theta
        return cls(matrix, vector, float(theta @ vector), n_rows=n, share=1 / n, centre=theta)

    @classmethod
    def prediction(cls, z: FloatArray, sign: float) -> Loss:
        """Return sign * z.theta, where z.theta is the prediction for one row z = (x, 1)."""
        return cls(np.zeros((len(z), len(z))), -sign / 2 * z, 0.0)

    @cached_property
    def hessian(self) -> FloatArray:
        """C = M + l2/2 D; shape (d + 1, d + 1)."""
        return with_penalty(self.matrix, self.l2 / 2)

    def value(self, theta: FloatArray) -> float:
        """Return W(theta)."""
        quadratic = (self.hessian @ theta - 2 * self.vector) @ theta + self.constant
        return float(quadratic + self.l1 * np.abs(theta[:-1]).sum())


def with_penalty(matrix: FloatArray, l2: float) -> FloatArray:
    """Return `matrix` with `l2` added to the diagonal, except for the intercept."""
    penalised: FloatArray = matrix.copy()
    penalised.flat[: -1 : len(matrix) + 1] += l2
    return penalised
