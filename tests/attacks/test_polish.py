"""The end of `coordinate` on small problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from poisonbench import registry
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.attacks.engines.climb import Climb
from poisonbench.attacks.engines.polish import (
    Learner,
    best_on_a_line,
    by_refits,
    joined,
    real_valued,
)
from poisonbench.attacks.statp import nearest_corners
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import ElasticNet, Lasso, Ridge
from poisonbench.problem import Sample

Problems = Callable[..., Any]


def made(make_problem: Problems, objective: str, model: Any = None, **size: Any) -> Any:
    """Return a small problem, its climb, rows to start from and their multiplicities."""
    sizes = {"n": 20, "n_validation": 15, "n_poison": 3, "numeric": 3, **size}
    problem = make_problem(model or Ridge(lam=0.01), **sizes)
    W = registry.components("outer_objective")[objective]().function(problem)
    ascent = Climb(problem, W, levels=(0.0, 1.0), anneal=(), sweeps=50, tol=1e-2, kappa=0.0)
    rows = Sample(problem.train.X[:3].copy(), np.round(problem.train.y[:3]))
    return problem, ascent, rows, np.ones(3)


@pytest.mark.parametrize("objective", ["training", "validation", "prediction-shift"])
@pytest.mark.parametrize("seed", range(3))
def test_a_line_is_searched_exactly(make_problem: Problems, objective: str, seed: int) -> None:
    """No value on a fine grid does better in any column, and W is that of a refit."""
    problem, ascent, rows, m = made(make_problem, objective, seed=seed)
    learner = Learner(ascent.gram, ascent.moment, ascent.penalty, ascent.stages[-1].climbed)
    out = learner.trained(Sample(rows.X[1:], rows.y[1:]), m[1:])
    W, j, value, response = best_on_a_line(out, rows.X[0], 1.0, problem.space.numeric)
    x = rows.X[0].copy()
    x[j] = value
    assert joined(out, x, response, 1.0) == pytest.approx(W, rel=1e-9)
    refit = Sample(np.vstack([x, rows.X[1:]]), np.append(response, rows.y[1:]))
    assert ascent.objective(refit, m) == pytest.approx(W, rel=1e-8)
    for column in problem.space.numeric:
        for other in np.linspace(0, 1, 101):
            x = rows.X[0].copy()
            x[column] = other
            assert max(joined(out, x, y, 1.0) for y in (0.0, 1.0)) <= W * (1 + 1e-9)


def test_real_values_never_lower_the_objective(make_problem: Problems) -> None:
    for seed in range(3):
        problem, ascent, rows, m = made(make_problem, "validation", seed=seed)
        learner = Learner(ascent.gram, ascent.moment, ascent.penalty, ascent.stages[-1].climbed)
        found = real_valued(learner, rows, m, problem.space.numeric)
        assert ascent.objective(found, m) >= ascent.objective(rows, m)
        assert not problem.space.violations(found.X)


@pytest.mark.parametrize("model", [Lasso(lam=0.01), ElasticNet(lam=0.01)], ids=str)
def test_no_single_move_raises_w_of_a_sparse_learner(make_problem: Problems, model: Any) -> None:
    problem, ascent, rows, m = made(make_problem, "validation", model, seed=1)
    found, W = by_refits(lambda rows: ascent.objective(rows, m), rows, ascent.moves, 10)
    assert ascent.objective(rows, m) <= W == ascent.objective(found, m)
    assert not problem.space.violations(found.X)
    for c in range(3):
        for j in problem.space.numeric:
            for value in (0.0, 1.0):
                X = found.X.copy()
                X[c, j] = value
                assert ascent.objective(Sample(X, found.y), m) <= W * (1 + 1e-5)


@pytest.mark.parametrize("model", [Ridge(lam=0.01), Lasso(lam=0.01), ElasticNet(lam=0.01)], ids=str)
def test_the_objective_reported_is_that_of_a_fresh_fit(make_problem: Problems, model: Any) -> None:
    problem = make_problem(model, n=25, n_poison=4, duplicates=1)
    poison = Coordinate().generate(problem)
    fitted = clone(problem.model).fit(
        np.vstack([problem.train.X, poison.X]), np.append(problem.train.y, poison.y)
    )
    theta = np.append(fitted.coef_, fitted.intercept_)
    W = registry.components("outer_objective")["validation"]().function(problem)
    assert poison.objective_final == pytest.approx(W.value(theta), rel=1e-12)
    assert poison.objective_final >= poison.objective_initial


def test_corners_are_the_nearest_legal_ones() -> None:
    names = ("a", "g:0", "g:1", "h:0", "h:1", "h:2")
    groups = (OneHotGroup("g", (1, 2), True), OneHotGroup("h", (3, 4, 5), False))
    space = FeatureSpace(names, groups)
    rng = np.random.default_rng(0)
    drawn = rng.uniform(-0.5, 1.5, (200, 6))
    corners = nearest_corners(space, drawn)
    g, h = [[0, 0], [1, 0], [0, 1]], np.eye(3)
    legal = np.array([[a, *one, *other] for a in (0, 1) for one in g for other in h], dtype=float)
    distance = ((drawn[:, None] - legal) ** 2).sum(axis=2)
    np.testing.assert_allclose(((drawn - corners) ** 2).sum(axis=1), distance.min(axis=1))
