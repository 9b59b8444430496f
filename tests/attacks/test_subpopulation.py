"""The subpopulation attack: which rows it copies, how often, and in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poisonbench.attacks.subpopulation import Subpopulation
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import Ridge
from poisonbench.problem import AttackProblem, Sample


@pytest.mark.parametrize("p", [7, 10, 13])
def test_rows_that_the_clean_model_fits_best_are_copied_first(make_problem, p):
    """So where p is no multiple of the group's rows, it is they that are copied once more."""
    problem = make_problem(n=40, n_poison=p, groups=(8,), numeric=2)
    poison = Subpopulation().generate(problem)
    (group,) = problem.space.groups
    (level,) = [j for j in group.columns if poison.X[:, j].all()]
    rows = np.flatnonzero(problem.train.X[:, level] == 1)
    assert 1 < len(rows) < p
    assert p % len(rows)
    size = np.abs(problem.model.predict(problem.train.X[rows]) - problem.train.y[rows])
    best_first = rows[np.argsort(size)]
    expected = problem.train.X[[best_first[i % len(rows)] for i in range(p)]]
    assert np.array_equal(poison.X, expected)


def of_levels(make_problem, p: int) -> AttackProblem:
    """Three levels: `a` with 3 training rows and 1 validation row, `b` with 20 and 20, and a level
    without a column with 7 and 9."""

    def sample(a: int, b: int, other: int) -> Sample:
        levels = np.repeat([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [a, b, other], axis=0)
        x = np.linspace(0, 1, len(levels))
        return Sample(np.column_stack([x, levels]), 0.2 + 0.5 * x)

    train = sample(3, 20, 7)
    return replace(
        make_problem(n_poison=p),
        train=train,
        validation=sample(1, 20, 9),
        model=Ridge(alpha=0.1).fit(train.X, train.y),
        space=FeatureSpace(("x", "g:a", "g:b"), (OneHotGroup("g", (1, 2), True),)),
    )


@pytest.mark.parametrize(
    ("p", "candidates", "level"),
    [
        (4, 1, [1, 0]),  # outnumbers `a` only, just so
        (9, 1, [0, 0]),  # outnumbers both small levels; the other one has more validation rows
        (22, 1, [0, 1]),  # outnumbers all; `b` has the most validation rows
    ],
)
def test_it_copies_the_rows_of_a_level_that_it_outnumbers(make_problem, p, candidates, level):
    problem = of_levels(make_problem, p)
    poison = Subpopulation(candidates=candidates).generate(problem)
    assert len(poison.X) == len(poison.y) == p
    assert (poison.X[:, 1:] == level).all()
    its_rows = {tuple(row) for row in problem.train.X if row[1:].tolist() == level}
    assert {tuple(row) for row in poison.X} <= its_rows


def test_without_a_budget_there_is_no_row(make_problem):
    poison = Subpopulation().generate(make_problem(n_poison=0))
    assert (poison.X.shape, poison.y.shape) == ((0, 6), (0,))
