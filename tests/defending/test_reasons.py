"""Reasons name the columns and the categories that make a row suspicious."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from poisonbench.defending.fit import defend
from poisonbench.defending.reading import read_file
from poisonbench.defending.reasons import together
from poisonbench.defending.table import suspicious_table
from poisonbench.preparation import Choices


def test_a_category_whose_rows_are_rejected_together_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame({"x": rng.uniform(0, 1, n), "town": rng.choice(["A", "B"], n)})
    frame.loc[:19, "town"] = "C"
    frame["y"] = 10 * frame["x"] + rng.normal(0, 0.1, n)
    frame.loc[:8, "y"] += 5
    path = tmp_path / "raw.csv"
    frame.to_csv(path, index=False)
    raw = read_file(path, Choices("y"))
    found = defend(raw.rows.data, defense="torrent", share=0.03)
    (group,) = together(raw.rows, found)
    assert str(group) == "category town = C: 9 of 20 rows rejected together"
    table = suspicious_table(raw.rows, found, raw.lines)
    assert sorted(table["row"]) == list(range(1, 10))
    assert table["line"].tolist() == (table["row"] + 1).tolist()
    assert table["reason"].str.contains("town = C: 9 of 20 rows").all()
    assert table["reason"].str.match(r"[\d.]+ above the expected [\d.]+;").all()
    assert (table["response"] - table["prediction"]).tolist() == table["residual"].tolist()


def test_of_a_ready_indicator_only_the_rows_with_1_are_a_category(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 100
    frame = pd.DataFrame({"x": rng.uniform(0, 1, n)})
    frame["town:A"] = (np.arange(n) >= 8).astype(int)  # only these rows are not in town A
    frame["y"] = 10 * frame["x"] + rng.normal(0, 0.1, n)
    frame.loc[:7, "y"] += 5 * (np.arange(8) < 4)
    path = tmp_path / "raw.csv"
    frame.to_csv(path, index=False)
    raw = read_file(path, Choices("y"))
    assert [column.kind for column in raw.rows.columns] == ["number", "indicator"]
    found = defend(raw.rows.data, defense="torrent", share=0.04)
    assert sorted(found.suspicious) == [0, 1, 2, 3]
    assert together(raw.rows, found) == ()


def test_the_columns_that_speak_against_a_response_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"rooms": rng.integers(1, 9, 200), "rest": rng.uniform(0, 1, 200)})
    frame["y"] = 100 * frame["rooms"] + rng.normal(0, 1, 200)
    frame.loc[0, ["rooms", "rest"]] = [1, 0.5]
    frame.loc[0, "y"] = 800
    frame.loc[1, "rest"] = 1e6
    frame.loc[1, "y"] = -900
    path = tmp_path / "raw.csv"
    frame.to_csv(path, index=False)
    raw = read_file(path, Choices("y"))
    found = defend(raw.rows.data, defense="torrent", share=0.01)
    table = suspicious_table(raw.rows, found).set_index("row")
    # The model expects 100; with the median number of rooms, which is 5, it would expect 500.
    reason = table.loc[1, "reason"]
    assert reason.startswith("700 above the expected 100; too high for rooms = 1 (-400)"), reason
    assert "rest" not in reason
    assert "rest = 1,000,000 is far from all others" in table.loc[2, "reason"]


def test_a_missing_number_that_was_filled_with_the_mean_is_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"area": rng.uniform(20, 200, 200), "rest": rng.uniform(0, 1, 200)})
    frame["y"] = 100 * frame["area"] + rng.normal(0, 1, 200)
    frame.loc[7, ["area", "y"]] = [np.nan, 25_000]
    frame.loc[8, ["area", "rest", "y"]] = [np.nan, np.nan, 24_000]
    frame.loc[20:30, "rest"] = np.nan
    path = tmp_path / "raw.csv"
    frame.drop(index=3).to_csv(path, index=False)
    raw = read_file(path, Choices("y"))
    found = defend(raw.rows.data, defense="torrent", share=0.01)
    reason = suspicious_table(raw.rows, found).set_index("row")["reason"]
    assert reason[7].endswith("; no value for area (its mean was used)")
    assert reason[8].endswith("; no value for area, rest (their means were used)")
