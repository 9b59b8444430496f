"""Checks of data files: planted faults are found, clean data are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.quality import Finding, findings


def clean(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return rows of a table as firms have them, without any fault."""
    rng = np.random.default_rng(seed)
    age, size = rng.integers(18, 80, n), rng.normal(100, 30, n).round(1)
    days = pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    salary = 20_000 * rng.lognormal(0, 0.4, n) + 100 * age + 50 * size
    return pd.DataFrame({
        "id": np.arange(1, n + 1),
        "age": age,
        "size": size,
        "city": rng.choice(list("ABCDE"), n),
        "since": (pd.Timestamp("2020-01-01") + days).astype(str),
        "salary": salary.round(2),
    })  # fmt: skip


def found(table: pd.DataFrame, folder: Path, target: str | None = "salary") -> dict[str, Finding]:
    """Return the findings on a table, by their kind."""
    path = folder / "table.csv"
    table.to_csv(path, index=False)
    return {finding.kind: finding for finding in findings(path, target)}


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_clean_rows(tmp_path: Path, seed: int) -> None:
    assert found(clean(seed=seed), tmp_path) == {}


@pytest.mark.parametrize(
    ("column", "value", "rows"),
    [("size", -999, [3]), ("size", -99, [1, 5, 9]), ("age", 999, [0]), ("age", -1, [2, 4, 6]),
     ("salary", 9999999, [7]), ("salary", -1, [1, 2, 3])] ,
)  # fmt: skip
def test_sentinels(tmp_path: Path, column: str, value: int, rows: list[int]) -> None:
    table = clean()
    table.loc[rows, column] = value
    finding = found(table, tmp_path)["sentinel"]
    assert (finding.columns, finding.n_rows) == ((column,), len(rows))
    assert finding.rows == tuple(row + 2 for row in rows)
    assert f"--missing-value {column}={value}" in finding.remedy


def test_duplicates(tmp_path: Path) -> None:
    table = clean()
    table = pd.concat([table, table.iloc[[4, 7, 8]]], ignore_index=True)
    table["id"] = range(len(table))
    finding = found(table, tmp_path)["duplicates"]
    assert (finding.n_rows, finding.rows) == (3, (1002, 1003, 1004))
    assert "line 1002, which repeats line 6;" in finding.message


def test_near_leak(tmp_path: Path) -> None:
    table = clean()
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    rows = np.arange(10, 1000, 25)
    table.loc[rows, "salary_eur"] += 5_000
    finding = found(table, tmp_path)["near-leak"]
    assert finding.columns == ("salary_eur", "salary")
    assert (finding.n_rows, finding.rows) == (40, tuple(rows[:5] + 2))
    assert "1.08696 * salary_eur in 960 of 1000 rows" in finding.message
    assert "--drop salary_eur" in finding.remedy
