"""The ridge surrogate for rank-deficient OLS, and W of the learner itself to check its results."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from poisonbench.attacks.engines.functions import Function, moments
from poisonbench.features import BoolArray, FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.problem import AttackProblem, PoisonSet, Sample


def trained_value(problem: AttackProblem, poison: Sample | PoisonSet, W: Function) -> float:
    """Return W of the learner fitted to the clean rows and `poison` from scratch."""
    X = np.vstack([problem.train.X, poison.X])
    y = np.append(problem.train.y, poison.y)
    trained = clone(problem.model).fit(X, y)
    return W.value(np.append(trained.coef_, trained.intercept_))


def columns_not_to_touch(problem: AttackProblem) -> BoolArray:
    """Return which columns an attack must leave unchanged; shape (d,).

    With a surrogate for rank-deficient OLS, these are the columns that are constant in D_tr.  If a
    poison row has another value there, at a distance eps, minimum-norm OLS can give the column a
    weight of about 1/eps, which the surrogate does not predict.
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

Minimum-norm OLS is discontinuous there, so no gradient describes it: a value eps in a null column
changes predictions by 1/eps, until eps falls below the cut of the pseudo-inverse.
"""


NEGLIGIBLE = 1e-13
"""Ridge penalty, relative to the largest eigenvalue of the Gram matrix, that rounding swallows."""


RANK_CUT = 1e-10
"""Relative eigenvalue of the Gram matrix below which a design counts as rank-deficient."""


def working_alpha(model: LinearModel, train: Sample, n_rows: int) -> float:
    """Return the ridge penalty with which an attack on OLS or ridge computes.

    It is the learner's own.  Only if the design is rank-deficient and the learner's penalty is zero
    or negligible, it is :data:`OLS_SURROGATE_ALPHA`.

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
    largest = train.X.shape[0] * (train.X.shape[1] + 1)  # no eigenvalue is larger in the box
    if alpha >= NEGLIGIBLE * largest:
        return alpha
    eigenvalues = np.linalg.eigvalsh(moments(train)[0])
    deficient = eigenvalues[0] < RANK_CUT * eigenvalues[-1]
    too_small = alpha < NEGLIGIBLE * eigenvalues[-1]
    return OLS_SURROGATE_ALPHA if deficient and too_small else alpha


def quadratic_penalty(problem: AttackProblem) -> FloatArray:
    """Return a quadratic penalty that stands in for the learner's penalty near the clean fit.

    For OLS and ridge it is that of :func:`working_alpha`.  For LASSO and elastic net it is
    N alpha (rho / (|w_j| + 1) + 1 - rho), the penalty of the adaptive ridge in ``climb`` with
    eps = 1.

    Parameters
    ----------
    problem : AttackProblem
        The learner, fitted on D_tr, and its rows.

    Returns
    -------
    ndarray of shape (d,)
        scikit-learn's alpha, for each weight.
    """
    model, train = problem.model, problem.train
    n_rows, rho = len(train) + problem.n_poison, model.l1_ratio()
    if rho == 0:
        return np.full(len(model.coef_), working_alpha(model, train, n_rows))
    strength = n_rows * model.alpha_for(n_rows)
    penalty = strength * (rho / (np.abs(model.coef_) + 1.0) + 1 - rho)
    floor = NEGLIGIBLE * (float(np.vdot(train.X, train.X)) + len(train))
    return np.asarray(np.maximum(penalty, floor))
