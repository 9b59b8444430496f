"""Rows that repeat others, exactly or nearly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

ROWS = [4, 7, 8, 100, 500, 501, 700, 701, 702, 990]


def with_copies(table: pd.DataFrame, **changes: object) -> pd.DataFrame:
    """Return a table with ten copies of rows at its end, in which some columns are changed."""
    copies = table.iloc[ROWS].assign(**changes)
    table = pd.concat([table, copies], ignore_index=True)
    table["id"] = range(len(table))
    return table


def test_exact_copies(found, table) -> None:
    finding = found(with_copies(table))["duplicates"]
    assert (finding.n_rows, finding.rows) == (10, (1002, 1003, 1004, 1005, 1006))
    assert "10 of 1010 rows repeat one of 10 earlier rows" in finding.message
    assert "line 1002, which repeats line 6;" in finding.message
    assert "--drop-duplicates" in finding.remedy


def test_many_copies_of_one_row(found, table) -> None:
    table = pd.concat([table, table.iloc[[17] * 40]], ignore_index=True)
    table["id"] = range(len(table))
    finding = found(table)["duplicates"]
    assert (finding.n_rows, finding.rows[0]) == (40, 1002)
    assert "one of 1 earlier rows" in finding.message


def test_copies_among_categories_with_a_fine_response(found) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"c{j}": rng.choice(list("ABCD"), 2000) for j in range(5)})
    table["y"] = rng.normal(size=2000)
    assert found(table, "y") == {}
    copies = pd.concat([table, table[:50]], ignore_index=True)
    assert found(copies, "y")["duplicates"].n_rows == 50


def test_copies_with_other_responses(found, table) -> None:
    middle = table["salary"].min() + table["salary"].max()
    copies = with_copies(table, salary=(middle - table["salary"]).round(2))
    finding = found(copies)["near-duplicates"]
    assert (finding.columns, finding.n_rows) == (("salary",), 10)
    assert finding.rows == (1002, 1003, 1004, 1005, 1006)
    assert "but the response 'salary', such as line 1002 to line 6" in finding.message


def test_copies_with_another_feature(found, table) -> None:
    finding = found(with_copies(table, rent=table["rent"] + 30))["near-duplicates"]
    assert (finding.columns, finding.n_rows) == (("rent",), 10)
    assert finding.rows == (1002, 1003, 1004, 1005, 1006)


def test_copies_with_another_feature_each(found, table) -> None:
    copies = with_copies(table)
    for k, name in enumerate(["rent", "size", "age", "rent", "size", "age", "rent", "size"]):
        copies.loc[1000 + k, name] += 7
    seen = found(copies)
    assert seen["near-duplicates"].n_rows == 8
    assert set(seen["near-duplicates"].columns) == {"rent", "size", "age"}
    assert "duplicates" not in seen  # two are not worth a warning


def test_copies_to_within_rounding(found, table) -> None:
    copies = with_copies(table, rent=table["rent"] + 0.01, salary=table["salary"] - 0.02)
    finding = found(copies)["near-duplicates"]
    assert finding.n_rows == 10
    assert finding.rows == (1002, 1003, 1004, 1005, 1006)
    assert "such as line 1002 to line 6" in finding.message


def panel(rng: np.random.Generator) -> pd.DataFrame:
    """Return four visits of each of 200 persons."""
    person = np.repeat(np.arange(200), 4)
    age, height = rng.integers(20, 80, 200)[person], rng.normal(170, 9, 200).round(1)[person]
    return pd.DataFrame({"age": age, "height": height, "visit": np.tile(range(4), 200),
                         "y": (height / 10 + rng.normal(size=800)).round(2)})  # fmt: skip


CLEAN = {
    "categories": lambda rng: pd.DataFrame(rng.choice(list("AB"), (500, 6))).assign(
        y=rng.integers(0, 9, 500)),
    "answers that agree": lambda rng: pd.DataFrame(
        np.clip(rng.normal(3, 1, (600, 1)) + rng.normal(0, 0.4, (600, 12)), 1, 5).round()
    ).assign(y=lambda t: t[0] + t[1]),
    "few columns of whole numbers": lambda rng: pd.DataFrame(
        rng.integers(0, 30, (2000, 3))).assign(y=rng.integers(0, 100, 2000)),
    "mostly zeros": lambda rng: pd.DataFrame(
        (rng.random((1000, 30)) < 0.03) * rng.integers(1, 4, (1000, 30))).assign(
        y=rng.normal(size=1000).round(2)),
    "a design with three repetitions": lambda rng: pd.DataFrame(
        [*product(range(5), range(6), np.arange(7) / 8)] * 3, columns=["a", "b", "c"]).assign(
        y=lambda t: (t["a"] + t["b"] + rng.normal(size=len(t))).round(1)),
    "a panel": panel,
    "one feature": lambda rng: pd.DataFrame({"x": rng.normal(size=3000)}).assign(
        z=lambda t: t["x"] ** 2, y=lambda t: t["x"] + 1e-4 * rng.normal(size=3000)),
    "a random walk": lambda rng: pd.DataFrame(rng.normal(size=(3000, 3)).cumsum(axis=0)).assign(
        y=lambda t: t[0] + rng.normal(size=3000)),
    "a smooth path": lambda rng: pd.DataFrame(
        {"a": np.sin(np.arange(4000) / 300), "b": np.cos(np.arange(4000) / 170),
         "y": np.sin(np.arange(4000) / 90)}),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLEAN)
def test_rows_that_are_equal_by_chance_or_by_design(found, name: str, seed: int) -> None:
    table = CLEAN[name](np.random.default_rng(seed))
    table.columns = table.columns.map(str)
    for target in ("y", None):
        kinds = set(found(table, target))
        assert not kinds & {"duplicates", "near-duplicates"}
