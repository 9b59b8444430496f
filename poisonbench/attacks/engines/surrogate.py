"""The ridge surrogate that stands in for rank-deficient OLS, and the check of what it found."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from poisonbench.attacks.engines.functions import Function, moments
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import AttackProblem, PoisonSet, Sample


def trained_value(problem: AttackProblem, poison: Sample | PoisonSet, W: Function) -> float:
    """Return W of the learner trained afresh on the clean rows and `poison`."""
    X = np.vstack([problem.train.X, poison.X])
    y = np.append(problem.train.y, poison.y)
    trained = clone(problem.model).fit(X, y)
    return W.value(np.append(trained.coef_, trained.intercept_))


def columns_not_to_touch(problem: AttackProblem) -> BoolArray:
    """Return which columns stay as they are: for deficient OLS those constant in D_tr.

    Minimum-norm OLS answers a value eps in such a column with a weight of 1/eps, which no
    surrogate foresees.
    """
    X = problem.train.X
    model, n_rows = problem.model, len(X) + problem.n_poison
    surrogate = model.l1_ratio() == 0 and (
        working_alpha(model, problem.train, n_rows) != model.alpha_for(n_rows)
    )
    if surrogate:
        constant: BoolArray = X.min(axis=0) == X.max(axis=0)
        return constant
    return np.zeros(X.shape[1], dtype=bool)


OLS_SURROGATE_ALPHA = 1e-2
"""Ridge penalty that stands in for OLS on a rank-deficient design.

Minimum-norm OLS is discontinuous there: a value eps in a null column moves predictions by
1/eps, until eps falls below the cut of the pseudo-inverse.  It must not be differentiated.
"""


NEGLIGIBLE = 1e-13
"""Ridge penalty, relative to the largest eigenvalue of the Gram matrix, that rounding drowns."""


RANK_CUT = 1e-10
"""Relative eigenvalue of the Gram matrix below which a design counts as rank-deficient."""


def working_alpha(model: LinearModel, train: Sample, n_rows: int) -> float:
    """Return the ridge penalty that an attack on OLS or ridge computes with.

    It is the learner's own, but where that is too small, or none, for a rank-deficient design: then
    it is :data:`OLS_SURROGATE_ALPHA`.

    Parameters
    ----------
    model : LinearModel
        The learner, OLS or ridge.
    train : Sample
        D_tr.
    n_rows : int
        N = n + p.
    """
    alpha = model.alpha_for(n_rows)
    largest = train.X.shape[0] * (train.X.shape[1] + 1)  # that an eigenvalue can be in the box
    if alpha >= NEGLIGIBLE * largest:
        return alpha
    eigenvalues = np.linalg.eigvalsh(moments(train)[0])
    deficient = eigenvalues[0] < RANK_CUT * eigenvalues[-1]
    too_small = alpha < NEGLIGIBLE * eigenvalues[-1]
    return OLS_SURROGATE_ALPHA if deficient and too_small else alpha


def quadratic_penalty(problem: AttackProblem) -> FloatArray:
    """Return the ridge penalty on each weight that stands for the learner's near the clean fit.

    For OLS and ridge it is that of :func:`working_alpha`; for LASSO and elastic net that of the
    first of the adaptive ridges, N alpha (rho / (|w_j| + 1) + 1 - rho).

    Parameters
    ----------
    problem : AttackProblem
        The learner, fitted on D_tr, and its rows.

    Returns
    -------
    ndarray of shape (d,)
        scikit-learn's alpha for each weight.
    """
    model, train = problem.model, problem.train
    n_rows, rho = len(train) + problem.n_poison, model.l1_ratio()
    if rho == 0:
        return np.full(len(model.coef_), working_alpha(model, train, n_rows))
    strength = n_rows * model.alpha_for(n_rows)
    penalty = strength * (rho / (np.abs(model.coef_) + 1.0) + 1 - rho)
    floor = NEGLIGIBLE * (float(np.vdot(train.X, train.X)) + len(train))
    return np.asarray(np.maximum(penalty, floor))
