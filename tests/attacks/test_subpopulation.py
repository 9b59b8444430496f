"""The subpopulation attack: which rows it copies, how often, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from poisonbench.attacks.subpopulation import Subpopulation


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
