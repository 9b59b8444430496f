"""A closed form for how far any p poison rows can move single predictions of ridge regression.

With the model without poison, theta_0 = A^{-1} b, as the reference in ``ceiling``,

    ||theta - theta_0||_A^2 <= (p/4) R(theta_0)^2,   so
    |z.theta - z.theta_0| <= (R(theta_0) / 2) sqrt(p z'A^{-1}z)   for every row z = (x, 1).

For a single row, the ceiling on ``Loss.prediction`` is tighter, because it optimises the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from poisonbench.certificates.ceiling import NoCeilingError
from poisonbench.certificates.check import lowest_eigenvalue
from poisonbench.certificates.legal_set import rounding
from poisonbench.certificates.poisoning import Poisoning
from poisonbench.features import FloatArray


@dataclass(frozen=True)
class PredictionShifts:
    """Bounds on predictions.

    Parameters
    ----------
    predicted : ndarray of shape (rows,)
        z.theta_0, the predictions without poison, with the penalty strength of the poisoned fit.
    bound : ndarray of shape (rows,)
        The most by which p legal poison rows can change each prediction.
    """

    predicted: FloatArray
    bound: FloatArray


def prediction_shifts(problem: Poisoning, X: FloatArray) -> PredictionShifts:
    """Return bounds on how far p legal poison rows can move the prediction for each row of `X`.

    Parameters
    ----------
    problem : Poisoning
        Ridge, its clean rows, the budget and the legal rows.
    X : ndarray of shape (rows, d)
        The rows, in the box.

    Raises
    ------
    NoCeilingError
        The learner has an l1 penalty, or A is singular in double precision.
    """
    if problem.l1:
        raise NoCeilingError("no ceiling: expected a learner without an l1 penalty")
    A, b, p = problem.hessian, problem.moment, problem.n_poison
    u = rounding(problem.n_rows + 4 * len(b) + 40)
    sigma = lowest_eigenvalue(A, u * float(np.linalg.norm(A)))
    if not sigma > 0:
        raise NoCeilingError("no ceiling: A is singular in double precision; expected a penalty")
    factor = linalg.cho_factor(A)
    theta = linalg.cho_solve(factor, b)
    # The computed theta is only near theta_0: its residual r adds delta.r to ||delta||_A^2.
    rest = float(
        np.linalg.norm(np.abs(A @ theta - b) + u * (np.abs(A) @ np.abs(theta) + np.abs(b)))
    ) / np.sqrt(sigma)
    R = problem.legal.reach(theta)
    radius = (rest + np.sqrt(rest * rest + p * R * R)) / 2
    # z'A^{-1}z = 2 z.v - v'Av + ||z - Av||^2 in the norm of A^{-1}, for any v.
    Z = np.column_stack([X, np.ones(len(X))])
    V = linalg.cho_solve(factor, Z.T).T
    AV, size = V @ A, np.abs(V) @ np.abs(A)
    residual = np.linalg.norm(np.abs(Z - AV) + u * (np.abs(Z) + size), axis=1)
    width = np.einsum("ij,ij->i", 2 * Z - AV, V)
    width += u * np.einsum("ij,ij->i", 2 * np.abs(Z) + size, np.abs(V)) + residual**2 / sigma
    return PredictionShifts(Z @ theta, radius * np.sqrt(width) * (1 + 4 * u))
