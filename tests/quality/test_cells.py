"""Extreme values, units, mixed notations, and categories with a large effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poisonbench.preparation import Choices, read_raw
from poisonbench.preparation.robust_range import RobustRange, robust_range
from poisonbench.quality import findings_in

# ---- extreme values


def test_a_value_that_sets_the_range(found, table) -> None:
    table.loc[[4, 9], "rent"] = [123456.5, 200000.0]
    finding = found(table)["extreme values"]
    assert (finding.columns, finding.n_rows, finding.rows) == (("rent",), 2, (6, 11))
    low, high = table.drop([4, 9])["rent"].agg(["min", "max"])
    assert f"'rent' ranges from {low:.15g} to 200000, but 2 rows are outside" in finding.message
    assert f"{low:.15g} to {high:.15g}, where all others are" in finding.message
    assert "--clip" in finding.remedy


def test_a_wrong_unit_in_some_rows(found, table) -> None:
    rows = np.arange(0, 1000, 30)  # 3.4%
    table.loc[rows, "size"] *= 1000
    finding = found(table)["extreme values"]
    assert (finding.n_rows, finding.rows) == (34, tuple(rows[:5] + 2))


def test_an_extreme_response_is_not_clipped(found, table) -> None:
    table.loc[7, "salary"] = 1e8
    finding = found(table)["extreme values"]
    assert (finding.columns, finding.rows) == (("salary",), (9,))
    assert "--clip does not change the response" in finding.remedy


def test_with_clip_only_an_extreme_response_is_reported(tmp_path, table) -> None:
    table.loc[7, ["rent", "salary"]] = 1e8
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    file = read_raw(path, Choices("salary", clip=True))
    columns = [one.columns for one in findings_in(file) if one.kind == "extreme values"]
    assert columns == [("salary",)]


def test_sentinels_are_not_reported_again(found, table) -> None:
    table.loc[[1, 2, 3], "size"] = -99999
    assert set(found(table)) == {"sentinel"}
    table.loc[[5, 8], "size"] = [4321.5, 5432.5]
    assert found(table)["extreme values"].rows == (7, 10)


def test_the_robust_range() -> None:
    numbers = np.arange(200.0)
    assert robust_range(numbers) == RobustRange(0, 199)
    assert robust_range(np.append(numbers, 5000)) == RobustRange(0, 199, 0, 1)
    assert robust_range(np.append(numbers, -5000)) == RobustRange(0, 199, 1, 0)
    assert robust_range(np.append(numbers, 1500)) == RobustRange(0, 1500)
    zeros = np.zeros(5000)
    assert robust_range(np.append(zeros, numbers)) == RobustRange(0, 199)
    assert robust_range(np.append(zeros, [*numbers, 1e5])) == RobustRange(0, 199, 0, 1)
    many = np.zeros(50_000)
    assert robust_range(np.append(many, [*numbers, 1e5])) == RobustRange(0, 199, 0, 1)
    assert robust_range(np.full(30, 7.0)) == RobustRange(7, 7)
    assert robust_range(np.append(zeros, np.arange(10))) == RobustRange(0, 9)


@pytest.mark.parametrize("seed", range(20))
def test_long_tails_have_no_extremes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for n in (30, 300, 10_000):
        for values in (rng.normal(size=n), rng.lognormal(0, 1, n), rng.exponential(size=n),
                       rng.standard_t(4, n), rng.poisson(0.2, n), rng.gamma(0.3, size=n)
                       ):  # fmt: skip
            assert not robust_range(np.asarray(values, dtype=np.float64)).n_extremes


# ---- units


def test_a_unit_in_every_cell(found, table) -> None:
    table["size"] = table["size"].map("{} m²".format)
    finding = found(table)["units"]
    assert (finding.columns, finding.n_rows, finding.rows) == (("size",), 1000, (2, 3, 4, 5, 6))
    assert "'m2' in 1000 cells" in finding.message
    assert "--unit size=m2 " in finding.remedy
    assert found(table, units=("size=m2",)) == {}


def test_two_units(found, table) -> None:
    table["size"] = table["size"].map("{} m2".format)
    table.loc[[4, 9], "size"] = "1690 sq ft"
    finding = found(table)["units"]
    assert (finding.n_rows, finding.rows) == (2, (6, 11))
    assert "'m2' in 998 cells" in finding.message
    assert "'sq ft' in 2" in finding.message


def test_a_unit_in_a_few_cells(found, table) -> None:
    table["size"] = table["size"].astype(str)
    table.loc[[4, 9], "size"] = ["12.5 m2", "44 m2"]
    finding = found(table)["units"]
    assert (finding.n_rows, finding.rows) == (2, (6, 11))
    assert "no unit in 998" in finding.message


def test_more_units_than_a_vocabulary_holds(found) -> None:
    numbers = np.random.default_rng(0).normal(100, 30, 12_000)
    table = pd.DataFrame({"w": [f"{w:.6f} kg" for w in numbers], "x": numbers**2,
                          "y": np.arange(12_000) % 977})  # fmt: skip
    assert found(table, "y")["units"].n_rows == 12_000


def test_signs(found, table) -> None:
    table["rent"] = table["rent"].map("${:,.2f}".format)
    assert found(table) == {}
    table.loc[[4, 9], "rent"] = ["€1,200", "€15,000"]
    finding = found(table)["units"]
    assert (finding.n_rows, finding.rows) == (2, (6, 11))
    assert "'$' in 998 cells, '€' in 2 cells" in finding.message


@pytest.mark.parametrize(
    "texts",
    [["36 months", "60 months"], ["1st", "2nd", "3rd"], [f"ID{k}" for k in range(300)],
     [f"{k}{'abcdefgh'[k % 8]}" for k in range(300)], ["4x4", "2x4"],
     [f"{k % 90}{'a' * (k % 7 == 0)}" for k in range(300)], [f"{1000 + k} AB" for k in range(4)],
     ["1 to 5", "6 to 9", "10 or more"], [*map(str, range(1, 20)), "1 and 2"],
     [f"{hour} {half}" for hour in range(1, 13) for half in ("AM", "PM")]],
)  # fmt: skip
def test_texts_that_are_no_numbers_with_units(found, table, texts: list[str]) -> None:
    table["code"] = [texts[k % len(texts)] for k in range(len(table))]
    assert found(table) == {}


# ---- notations


def test_dates_in_two_orders(found, table) -> None:
    table.loc[[1, 2, 3], "since"] = "31.12.2020"
    finding = found(table)["notations"]
    assert (finding.columns, finding.n_rows, finding.rows) == (("since",), 3, (3, 4, 5))
    assert "997 cells such as" in finding.message
    assert "are then missing" in finding.message


def test_so_many_dates_in_another_order_that_the_column_is_none_of_dates(found, table) -> None:
    since = pd.to_datetime(table["since"])
    rows = np.arange(0, 1000, 3)
    table.loc[rows, "since"] = since[rows].dt.strftime("%d/%m/%Y")
    finding = found(table)["notations"]
    assert (finding.n_rows, finding.rows) == (334, (2, 5, 8, 11, 14))
    assert "no column of dates" in finding.message


def test_decimal_marks(found, table) -> None:
    table["size"] = table["size"].astype(str)
    rows = np.arange(0, 1000, 3)
    table.loc[rows, "size"] = table.loc[rows, "size"].str.replace(".", ",")
    finding = found(table)["notations"]
    assert (finding.columns, finding.n_rows) == (("size",), 334)


def test_a_few_dates_among_texts(found, table) -> None:
    texts = ["2020-12-31", "31.12.2020", "soon", "never", "unknown", "in spring", "next year"]
    table["end"] = [texts[k % 7] for k in range(len(table))]
    assert found(table) == {}


def test_spellings(found, table) -> None:
    names = {"A": "New York", "B": "Köln", "C": "Rome", "D": "A+", "E": "A-"}
    table["city"] = table["city"].map(names)
    assert found(table) == {}
    table.loc[[1, 2], "city"] = "new-york"
    table.loc[5, "city"] = "Koln"
    finding = found(table)["notations"]
    assert (finding.n_rows, finding.rows) == (3, (3, 4, 7))
    assert "'new-york' (2 rows)" in finding.message


def test_names_are_not_compared(found, table) -> None:
    table["name"] = [f"Name {chr(65 + k % 26)}{k}" for k in range(len(table))]
    table.loc[[1, 2], "name"] = ["Mac Leod", "Macleod"]
    assert found(table) == {}


# ---- strong categories


def grouped(share: float, n: int = 1050, seed: int = 0) -> pd.DataFrame:
    """Return rows in which a category explains a share of the variance of the response."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 7, n)
    x = rng.normal(size=(n, 2))
    y = np.sqrt(0.9 - share) * x.mean(axis=1) * np.sqrt(2) + np.sqrt(0.1) * rng.normal(size=n)
    y += np.sqrt(share) * (group - 3) / 2
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "group": np.array(list("ABCDEFG"))[group],
                         "y": y}).round(5)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_category_that_explains_a_third(found, seed: int) -> None:
    table = grouped(1 / 3, seed=seed)
    finding = found(table, "y")["strong categories"]
    assert finding.columns == ("group",)
    label = "A" if "by 'A'" in finding.message else "G"  # those with the largest effects
    rows = np.flatnonzero(table["group"] == label)
    assert f"'{label}' in {len(rows)} rows" in finding.message
    assert (finding.n_rows, finding.rows) == (len(rows), tuple(rows[:5] + 2))
    assert "group_shrinkage of mm" in finding.remedy


@pytest.mark.parametrize("seed", range(3))
def test_a_category_with_little_effect(found, seed: int) -> None:
    assert found(grouped(0.05, seed=seed), "y") == {}


def test_an_effect_that_only_exact_data_show_is_not_large(found) -> None:
    table = grouped(0.6)
    exact = 0.02 * table["y"] + 2 * table["a"] - table["b"]
    assert found(table.assign(y=exact), "y") == {}


def test_the_same_after_the_preparation(found) -> None:
    table = grouped(1 / 3)
    for label in "ABCDEF":
        table[f"group:{label}"] = (table["group"] == label).astype(int)
    finding = found(table.drop(columns="group"), "y")["strong categories"]
    assert finding.columns == ("group",)


def test_poison_in_a_category_is_not_taken_for_its_effect(found) -> None:
    table = grouped(0.05)
    table.loc[:39, "group"] = "H"
    table.loc[:39, "y"] += 6
    assert "strong categories" not in found(table, "y")
