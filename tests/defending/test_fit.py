"""A defended file: the planted rows are found, and the model is that of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.groups import one_hot_groups
from poisonbench.defending.choice import CANDIDATES, WITHOUT, choose
from poisonbench.defending.fit import defend
from poisonbench.defending.reading import read_file
from poisonbench.defending.suspicion import ranking
from poisonbench.defenses.huber import HuberDefense
from poisonbench.features import FeatureSpace
from poisonbench.models import OLS, Ridge
from poisonbench.preparation import Choices


def line(n: int = 300, n_bad: int = 12, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Return rows y = 100 + 3 a - 5 b with noise 1, and the rows that are 40 too high."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.uniform(0, 50, n), rng.uniform(-10, 10, n)])
    y = 100 + X @ [3.0, -5.0] + rng.normal(0, 1, n)
    bad = rng.choice(n, n_bad, replace=False)
    y[bad] += 40
    return Dataset("line", X, y, FeatureSpace(("a", "b")), "y", "full"), np.sort(bad)


@pytest.mark.parametrize("defense", [None, *CANDIDATES])
def test_planted_rows_are_listed_and_do_not_move_the_model(defense: str | None) -> None:
    data, bad = line()
    found = defend(data, defense=defense, share=0.04)
    assert sorted(found.suspicious) == bad.tolist()
    # The penalty is small and the noise is 1, so the truth is met within a few standard errors.
    assert found.coef == pytest.approx([3, -5], abs=0.1)
    assert found.intercept == pytest.approx(100, abs=1)
    assert found.residual[bad] == pytest.approx(40, abs=4)
    assert found.scale == pytest.approx(1, rel=0.25)


def test_auto_lists_the_rows_that_stand_out_and_none_in_a_clean_file() -> None:
    data, bad = line()
    assert sorted(defend(data, share="auto").suspicious) == bad.tolist()
    clean, _ = line(n_bad=0)
    assert not defend(clean, share="auto").suspicious.size


def test_residuals_of_fitted_rows_are_those_of_fits_without_the_row() -> None:
    data, _ = line(40, n_bad=0)
    found = ranking(OLS().fit(data.X, data.y), OLS(), data.X, data.y)
    without = []
    for i in range(40):
        others = np.arange(40) != i
        fitted = LinearRegression().fit(data.X[others], data.y[others])
        without.append(data.y[i] - fitted.predict(data.X[i : i + 1])[0])
    assert found.residual == pytest.approx(without, abs=1e-5)
    assert found.order.tolist() == np.argsort(-np.abs(without)).tolist()


def test_rows_that_the_defense_left_out_come_first() -> None:
    data, _ = line(40, n_bad=0)
    fitted = OLS().fit(data.X, data.y)
    fitted.support_ = np.arange(40) >= 5
    assert sorted(ranking(fitted, OLS(), data.X, data.y).order[:5]) == [0, 1, 2, 3, 4]


def test_the_held_out_error_is_that_of_the_noise() -> None:
    data, _ = line(2000, n_bad=0)
    X, y = data.X / [50, 20], data.y
    choice = choose(OLS(), X, y, data.space, 0.05, random_state=1, names=("torrent",))
    # Of standard normal errors, the smallest 90% have the mean square 1 - 2 (1.645) phi / 0.9.
    expected = np.sqrt(1 - 2 * 1.6449 * np.exp(-(1.6449**2) / 2) / np.sqrt(2 * np.pi) / 0.9)
    errors = {one.name: one.error for one in choice.alternatives}
    assert choice.counted == pytest.approx(0.9)
    assert errors[WITHOUT] == pytest.approx(expected, rel=0.05)
    assert errors["torrent"] == pytest.approx(expected, rel=0.05)


def test_a_defense_that_costs_much_on_these_data_is_not_recommended() -> None:
    """Shrinking categories, as mm does, is costly where categories differ."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, 800)
    X = np.column_stack([rng.uniform(0, 1, 800), *(codes == k for k in range(4))]).astype(float)
    y = X @ [0.2, 0, 0.3, 0.6, 0.9] + rng.normal(0, 0.03, 800)
    names = ("x", "c:a", "c:b", "c:c", "c:d")
    space = FeatureSpace(names, one_hot_groups(names, X))
    choice = choose(Ridge(), X, y, space, 0.05, 0, names=("mm", "torrent"))
    ratios = {one.name: one.ratio for one in choice.alternatives}
    errors = {one.name: one.error for one in choice.alternatives}
    assert ratios["mm"] > 1.2
    assert ratios["mm"] == pytest.approx((errors["mm"] / errors["torrent"]) ** 2)
    assert choice.name == "torrent"
    assert ratios["torrent"] == 1


def test_a_typing_error_of_a_trillion_changes_nothing_but_is_listed() -> None:
    data, _ = line(n_bad=0)
    data.X[7, 0], data.y[9] = 1e12, -1e9
    found = defend(data, share=0.02)
    assert {7, 9} <= {*found.suspicious.tolist()}
    assert found.coef == pytest.approx([3, -5], abs=0.1)
    assert found.residual[9] == pytest.approx(-1e9, rel=1e-3)


def test_the_order_of_the_rows_makes_no_difference() -> None:
    data, bad = line()
    order = np.random.default_rng(1).permutation(len(data.y))
    shuffled = Dataset("line", data.X[order], data.y[order], data.space, "y", "full")
    one = defend(data, defense="torrent", share=0.1)
    other = defend(shuffled, defense="torrent", share=0.1)
    assert {*one.suspicious.tolist()} == {*order[other.suspicious].tolist()}
    assert {*bad.tolist()} <= {*one.suspicious.tolist()}


def test_rows_without_a_response_keep_their_numbers(tmp_path: Path) -> None:
    data, bad = line()
    path = tmp_path / "gaps.csv"
    cells = [f"{y:.3f}" for y in data.y]
    missing = [0, 5, int(bad[0]) - 1]
    for row in missing:
        cells[row] = "n/a"
    rows = [f"{a:.3f},{b:.3f},{y}" for (a, b), y in zip(data.X, cells, strict=True)]
    path.write_text("\n".join(["a,b,y", *rows, ""]))
    raw = read_file(path, Choices("y"))
    found = defend(raw.rows.data, share=len(bad) / 297)
    assert sorted(raw.rows.number[found.suspicious]) == (bad + 1).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"defense": "tirm"}, "no defense is named 'tirm'; did you mean 'trim'"),
        ({"model": "rigde"}, "no learner is named 'rigde'; did you mean 'ridge'"),
        ({"share": 0.5}, "share is 0.5, expected a share of the rows above 0 and below 0.5"),
        ({"share": 0}, "share is 0"),
        ({"share": float("nan")}, "share is nan"),
        ({"share": "half"}, "share is 'half'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    data, _ = line(30, n_bad=1)
    with pytest.raises(ValueError, match=message):
        defend(data, **arguments)


def test_too_few_rows_are_refused() -> None:
    data, _ = line(19, n_bad=1)
    with pytest.raises(DatasetError, match="19 rows that can be used, expected at least 20"):
        defend(data)


def test_a_defense_that_cannot_be_fitted_is_an_error_in_the_data(monkeypatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("300 rows are too few")

    monkeypatch.setattr(HuberDefense, "_fit_rows", refuse)
    with pytest.raises(DatasetError, match="line: huber cannot be fitted: 300 rows are too few"):
        defend(line()[0], defense="huber")
