"""Columns that give the response in most rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

OTHERS = np.arange(10, 1000, 25)


def spoilt(values: pd.Series, share: float = 0.04, seed: int = 0) -> pd.Series:
    """Return values that are wrong in the rows OTHERS, or in a share of the rows."""
    values = values.copy()
    rows = OTHERS
    if share != 0.04:
        rows = np.random.default_rng(seed).choice(len(values), int(share * len(values)), False)
    values.iloc[rows] += 0.3 * np.ptp(values)
    return values


@pytest.mark.parametrize(
    ("leak", "how"),
    [
        (lambda y: (0.92 * y).round(2), "1.08696 * leak in 960 of 1000 rows"),
        (lambda y: (0.92 * y / 1000).round(1), "1086."),
        (lambda y: (100 - y / 1000).round(3), "-999.99"),
        (lambda y: np.log(y), "a monotone function of leak in 9"),
        (lambda y: -(y**3), "a monotone function of leak in 9"),
    ],
)
def test_planted_leaks(found, table, leak, how: str) -> None:
    table["leak"] = spoilt(leak(table["salary"]))
    finding = found(table)["near-leak"]
    assert finding.columns == ("leak", "salary")
    assert how in finding.message
    assert "--drop leak" in finding.remedy
    if "monotone" not in how:
        assert (finding.n_rows, finding.rows) == (40, tuple(OTHERS[:5] + 2))
    else:  # a few of the other rows fit, and a few may be taken for the wrong ones
        assert 36 <= finding.n_rows <= 44


def test_the_response_is_the_wrong_one(found, table) -> None:
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    table.loc[OTHERS, "salary"] = table["salary"].max() + table["salary"].min() - table["salary"]
    finding = found(table)["near-leak"]
    assert (finding.n_rows, finding.rows) == (40, tuple(OTHERS[:5] + 2))


def test_a_leak_in_every_row(found, table) -> None:
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    finding = found(table)["near-leak"]
    assert (finding.n_rows, finding.rows) == (0, ())
    assert "in every row" in finding.message


@pytest.mark.parametrize(("share", "seen"), [(0.17, True), (0.25, False)])
def test_most_rows_are_four_fifths(found, table, share: float, seen: bool) -> None:
    table["leak"] = spoilt((0.92 * table["salary"]).round(2), share)
    assert ("near-leak" in found(table)) == seen


def correlated(rng: np.random.Generator) -> pd.DataFrame:
    x = rng.normal(size=3000)
    return pd.DataFrame({"x": x, "y": x + 0.04 * rng.normal(size=3000)})  # correlation .9992


CLEAN = {
    "a correlation of .999": correlated,
    "whole numbers that nearly agree": lambda rng: pd.DataFrame(
        {"x": (x := rng.integers(0, 31, 2000)), "y": x + rng.integers(-2, 3, 2000)}),
    "mostly zeros": lambda rng: pd.DataFrame((rng.random((1000, 3)) < 0.1) * rng.random((1000, 3))
                                             ).set_axis(["a", "b", "y"], axis=1),
    "grades": lambda rng: pd.DataFrame({"x": np.arange(600) % 7, "y": np.arange(600) % 7 // 2}),
    "series that grow": lambda rng: pd.DataFrame(
        {"gdp": np.exp(0.02 * np.arange(200) + 0.004 * rng.normal(size=200)),
         "prices": 5 * np.exp(0.02 * np.arange(200) + 0.004 * rng.normal(size=200)),
         "y": np.exp(0.02 * np.arange(200) + 0.004 * rng.normal(size=200))}),
    "growth with time": lambda rng: pd.DataFrame(
        {"year": 1800.5 + np.arange(200), "x": rng.normal(size=200),
         "y": np.exp(0.02 * np.arange(200))}),
    "units that are lengths": lambda rng: pd.DataFrame(
        {"length": (w := rng.lognormal(1, 0.3, 2000)), "y": w**3 * rng.lognormal(0, 0.05, 2000)}),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLEAN)
def test_strong_relations_are_no_leaks(found, name: str, seed: int) -> None:
    assert "near-leak" not in found(CLEAN[name](np.random.default_rng(seed)), "y")


def test_missing_cells_do_not_count(found, table) -> None:
    table["leak"] = spoilt((0.92 * table["salary"]).round(2))
    table.loc[[0, 1, 2, 35], "leak"] = np.nan
    finding = found(table)["near-leak"]
    assert "in 957 of 996 rows" in finding.message
    assert finding.rows[:2] == (12, 62)
