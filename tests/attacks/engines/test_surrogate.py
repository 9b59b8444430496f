"""The ridge penalties with which attacks compute in place of the learner's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from poisonbench.attacks.engines.surrogate import (
    OLS_SURROGATE_ALPHA,
    quadratic_penalty,
    working_alpha,
)
from poisonbench.models import OLS, ElasticNet, Lasso, LinearModel, Ridge
from poisonbench.problem import AttackProblem, Sample

Make = Callable[..., AttackProblem]


def sample(*columns: Any) -> Sample:
    X = np.column_stack(columns)
    return Sample(X, np.linspace(0, 1, len(X)))


RNG = np.random.default_rng(0)
FULL = sample(RNG.random(30), RNG.random(30))
DEFICIENT = sample(FULL.X[:, 0], FULL.X[:, 0])


@pytest.mark.parametrize(
    ("model", "train", "expected"),
    [
        (Ridge(alpha=0.3), FULL, 0.3),
        (Ridge(alpha=0.3), DEFICIENT, 0.3),
        (Ridge(alpha=1e-9), DEFICIENT, 1e-9),  # small, but more than rounding swallows
        (Ridge(alpha=1e-13), DEFICIENT, OLS_SURROGATE_ALPHA),
        (Ridge(alpha=1e-13), FULL, 1e-13),
        (OLS(), FULL, 0.0),
        (OLS(), DEFICIENT, OLS_SURROGATE_ALPHA),
    ],
)
def test_only_without_a_penalty_that_counts_a_deficient_design_gets_another(
    model: LinearModel, train: Sample, expected: float
) -> None:
    assert working_alpha(model, train, 36) == expected


@pytest.mark.parametrize("rho", [1.0, 0.3])
def test_the_quadratic_penalty_of_a_sparse_learner(make_problem: Make, rho: float) -> None:
    """N alpha (rho / (|w| + 1) + 1 - rho), with N = n + p and scikit-learn's alpha = lambda / 2."""
    model = Lasso(lam=0.01) if rho == 1 else ElasticNet(lam=0.01, rho=rho)
    problem = make_problem(model, n=40, n_poison=6)
    w = np.abs(problem.model.coef_)
    assert w.max() > 0.05
    expected = 46 * 0.005 * (rho / (w + 1) + 1 - rho)
    assert quadratic_penalty(problem) == pytest.approx(expected, rel=1e-12)


def test_the_quadratic_penalty_of_ridge_is_its_own(make_problem: Make) -> None:
    problem = make_problem(Ridge(alpha=0.2))
    assert quadratic_penalty(problem).tolist() == [0.2] * problem.space.n_features
