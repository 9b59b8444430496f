"""The grid of an audit: from the size of the data, and made smaller step by step."""

from __future__ import annotations

import pytest

from poisonbench.auditing.request import Grid, Request, grid_of, smaller, split_of
from poisonbench.config import load

DATA = {"name": "synthetic", "n": 200}


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [(20, (10, 5, 5)), (101, (50, 25, 26)), (7000, (3500, 1750, 1750)),
     (50_000, (4000, 4000, 4000))],
)  # fmt: skip
def test_half_of_the_rows_are_for_training_up_to_a_limit(n_rows, sizes):
    assert split_of(n_rows) == sizes


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="19 rows are too few for an audit; expected at least 20"):
        split_of(19)


def test_the_config_is_a_normal_one():
    grid = grid_of(Request(), DATA, 200)
    config = load(grid.config())
    assert [rate.value for rate in config.rates] == [0, 0.01, 0.04, 0.08, 0.16]
    assert {"none", "oracle", "median", "mm", "trim"} <= {one.name for one in config.defenses}
    # Nobody knows the number of bad rows, so no defense is told it.
    sources = [one.parameters.get("n_poison") for one in config.defenses]
    assert "oracle" not in sources
    assert {"rate": 0.16} in sources


def test_a_rate_of_less_than_one_row_is_left_out():
    grid = grid_of(Request(rates=(0.01, 0.1)), DATA, 40)
    assert grid.rates == (0.1,)
    assert grid.rate == 0.1
    assert any("0.01 was left out" in line for line in grid.left_out)
    with pytest.raises(ValueError, match="less than one row"):
        grid_of(Request(rates=(0.01,)), DATA, 40)


def test_every_smaller_grid_is_smaller_and_says_what_is_missing():
    def size(grid: Grid) -> tuple[int, ...]:
        return (grid.train * len(grid.rates) * len(grid.attacks) * len(grid.defenses),)

    grid = grid_of(Request(), DATA, 50_000)
    steps = 0
    while (less := smaller(grid)) is not None:
        assert size(less) < size(grid)
        assert less.left_out != grid.left_out
        assert 0.04 in less.rates
        assert {"coordinate", "statp"} <= set(less.attacks)
        assert set(less.defenses) <= set(grid.defenses)
        grid, steps = less, steps + 1
    assert steps > 5
    assert grid.defenses


def test_a_grid_survives_json():
    grid = grid_of(Request(), DATA, 300)
    assert Grid.from_json(grid.as_json()) == grid


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rates": (4.0,)}, "rate: 4 is not a share of the training rows"),
        ({"rates": ()}, "rate: none is given"),
        ({"model": "rigde"}, "there is no learner 'rigde'; did you mean 'ridge'"),
        ({"splits": 0}, "splits: 0, expected at least 1"),
        ({"budget": 0}, "budget: 0 minutes"),
    ],
)
def test_what_cannot_be_asked_for(given, message):
    with pytest.raises(ValueError, match=message):
        Request(**given)
