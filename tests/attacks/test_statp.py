"""StatP: its Gaussian, seen in the corners that it is rounded to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poisonbench.attacks.statp import StatP, nearest_corners
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import Ridge
from poisonbench.problem import Sample


@pytest.mark.parametrize(("value", "expected"), [(0.4, 0.1587), (0.5, 0.5), (0.6, 0.8413)])
def test_a_column_that_never_varies_is_drawn_with_the_ridge_as_its_variance(
    make_problem, value, expected
):
    """0.01 on the diagonal: a standard deviation of 0.1, the distance of 0.4 and 0.6 from 1/2."""
    problem = make_problem(n_poison=4000, numeric=3, groups=())
    X = problem.train.X.copy()
    X[:, 1] = value
    poison = StatP().generate(replace(problem, train=Sample(X, problem.train.y)))
    assert poison.X[:, 1].mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))


def test_columns_that_vary_together_do_so_in_the_poison(make_problem):
    problem = make_problem(n_poison=4000, numeric=2, duplicates=1, groups=())
    X = StatP().generate(problem).X
    assert np.mean(X[:, 0] == X[:, 2]) > 0.7 > 0.6 > np.mean(X[:, 0] == X[:, 1])


@pytest.mark.parametrize(
    ("row", "expected", "without_zeros"),
    [
        ([0.3, 0.6, 0.2], [0, 1, 0], [0, 1, 0]),
        ([0.7, 0.2, 0.9], [1, 0, 1], [1, 0, 1]),
        ([0.7, 0.4, 0.45], [1, 0, 0], [1, 0, 1]),
        ([1.4, 0.5, -0.3], [1, 0, 0], [1, 1, 0]),  # one half is not above one half
    ],
)
def test_the_nearest_corner_by_hand(row, expected, without_zeros):
    for all_zero, corner in ((True, expected), (False, without_zeros)):
        space = FeatureSpace(("x", "g:a", "g:b"), (OneHotGroup("g", (1, 2), all_zero),))
        assert nearest_corners(space, np.array([row])).tolist() == [corner]


def test_the_response_is_the_corner_opposite_to_the_prediction(make_problem):
    problem = make_problem(n_poison=50, numeric=4)
    X = problem.train.X
    train, model = Sample(X, X[:, 0]), Ridge(alpha=0.1).fit(X, X[:, 0])
    poison = StatP().generate(replace(problem, train=train, model=model))
    predicted = model.predict(poison.X)
    assert 0 < poison.y.mean() < 1
    assert np.array_equal(poison.y == 1, predicted < 0.5)
