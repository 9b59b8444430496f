"""Numbers that stand for a missing value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poisonbench.preparation.raw import RawColumn
from poisonbench.quality.profile import Profile
from poisonbench.quality.sentinels import sentinels


def of(values: object, kind: str = "number") -> list[float]:
    column = RawColumn("x", kind, np.asarray(values, dtype=np.float64))  # type: ignore[arg-type]
    return sentinels(Profile.of(column))


@pytest.mark.parametrize(
    ("column", "value", "rows"),
    [("size", -999, [3]), ("size", -99, [1, 5, 9]), ("age", 999, [0]), ("age", -1, [2, 4, 6]),
     ("salary", 9999999, [7]), ("salary", -1, [1, 2, 3]), ("size", 999.9, [1, 2, 3]),
     ("age", -9, [1, 2, 3]), ("size", 1e30, [1, 2, 3]), ("size", -5432.1, [1, 2, 3, 4, 5])],
)  # fmt: skip
def test_planted_sentinels(found, table, column: str, value: float, rows: list[int]) -> None:
    table[column] = table[column].astype(float)
    table.loc[rows, column] = value
    finding = found(table)["sentinel"]
    assert (finding.columns, finding.n_rows) == ((column,), len(rows))
    assert finding.rows == tuple(row + 2 for row in rows)
    assert f"'{column}' is {value:.15g} in {len(rows)} cell" in finding.message
    assert f"--missing-value {column}={value:.15g} " in finding.remedy
    dropped = "the rows are then dropped" in finding.remedy
    assert dropped == (column == "salary")


def test_dates(found, table) -> None:
    table.loc[[1, 2, 3], "since"] = "1900-01-01"
    finding = found(table)["sentinel"]
    assert (finding.columns, finding.rows) == (("since",), (3, 4, 5))
    assert "--missing-value since=1900-01-01" in finding.remedy


def test_several_in_one_column() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(50, 10, 500)
    values[:40] = -999
    values[40:60] = -888
    values[60] = 9999
    assert sorted(of(values)) == [-999, -888, 9999]


def test_a_large_share_of_the_rows() -> None:
    values = np.where(np.arange(500) % 10 < 4, -999.0, np.arange(500) % 37)
    assert of(values) == [-999]


@pytest.mark.parametrize("code", [99, -99, 999])
@pytest.mark.parametrize("answers", [[0, 1], [1, 2, 3, 4]])
def test_codes_among_few_answers(answers: list[int], code: int) -> None:
    values = np.resize(answers, 300)
    values[[5, 9, 100]] = code
    assert of(values) == [code]


CLEAN = {
    "two prices": [9.0, 99.0] * 100,
    "three prices": [29.0, 59.0, 99.0] * 100,
    "answers from 1 to 4 and 9": [*([1, 2, 3, 4] * 100), 9, 9, 9],
    "percentages": np.arange(400) % 101,
    "ages up to 99": 18 + np.arange(400) % 82,
    "ages up to 90 and 99": [*(18 + np.arange(400) % 73), 99, 99, 99],
    "answers from -1 to 1": np.arange(300) % 3 - 1,
    "answers from -2 to 9": np.arange(300) % 12 - 2,
    "zero and one": np.arange(300) % 2,
    "temperatures": np.arange(400) % 50 - 20,
    "a pool in one house of 50": [0] * 490 + list(480 + np.arange(10)),
    "areas of garages, some without": [0] * 60 + list(160 + 1.7 * np.arange(700)),
    "cut off at the top": np.minimum(np.arange(400), 350),
    "highways, as in Boston": [24] * 132 + list(1 + np.arange(374) % 8),
    "one outlier": [*np.arange(300), 100_000],
    "heavy tails with round numbers": np.round(np.exp(np.arange(500) / 45) / 100) * 100,
    "one loss of 99": [-99, *(np.arange(300) * 3 - 50)],
    "thousands": np.arange(1, 200) * 100_000.0,
}


@pytest.mark.parametrize("name", CLEAN)
def test_values_that_mean_what_they_say(name: str) -> None:
    assert of(CLEAN[name]) == []


def test_years_of_renovation_with_zeros() -> None:
    years = 1950.0 + np.arange(300) % 60
    years[::20] = 0  # 5%: perhaps missing
    assert of(years) == [0]
    years[::5] = 0  # 24%: no renovation
    assert of(years) == []


@pytest.mark.parametrize("seed", range(10))
def test_no_sentinels_in_random_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for values in (rng.normal(size=2000), rng.lognormal(3, 1, 2000).round(), rng.poisson(3, 2000),
                   rng.exponential(300, 2000).round(), rng.integers(0, 1000, 2000),
                   rng.normal(0, 100, 2000).round(), rng.geometric(0.1, 2000)):  # fmt: skip
        assert of(values) == []


def test_sentinels_can_be_made_missing(found, table: pd.DataFrame) -> None:
    table.loc[[2, 5], "size"] = -999
    assert found(table, missing_values=("size=-999",)) == {}
