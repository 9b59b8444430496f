"""``poisonbench.suspicious_rows`` gives the rows that the command gives for the same data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import poisonbench
from poisonbench.data.base import DatasetError
from poisonbench.defending.fit import defend
from poisonbench.defending.reading import read_file
from poisonbench.defending.table import suspicious_table
from poisonbench.preparation import Choices


def test_a_frame_gives_what_its_file_gives(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.index = pd.Index(np.arange(len(frame))[::-1] * 2, name="key")
    X, y = frame.drop(columns="price"), frame["price"]
    found = poisonbench.suspicious_rows(X, y, share=0.03, defense="trim")
    path = tmp_path / "flats.csv"
    frame.to_csv(path, index=False)
    raw = read_file(path, Choices("price"))
    table = suspicious_table(raw.rows, defend(raw.rows.data, share=0.03, defense="trim"))
    assert found.index.tolist() == frame.index[table["row"] - 1].tolist()
    assert found.reset_index(drop=True).equals(table[found.columns])
    assert list(frame.columns)[-1] == "price"  # the caller's frame is as before


def test_types_of_columns_are_those_of_a_file(frame: pd.DataFrame, bad: np.ndarray) -> None:
    frame["sold"] = pd.to_datetime(frame["sold"], format="%d.%m.%Y")
    frame["garden"] = frame["garden"] == "yes"
    frame["city"] = frame["city"].astype("category")
    frame.loc[3, "area"] = np.nan
    frame.loc[5, "price"] = np.nan
    X, y = frame.drop(columns="price"), frame["price"]
    found = poisonbench.suspicious_rows(X, y, share="auto")
    assert sorted(found.index) == (bad - 1).tolist()
    assert found["score"].is_monotonic_decreasing
    assert found["residual"].to_numpy() == pytest.approx(150_000, abs=65_000)


def test_arrays_are_rows_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (100, 3))
    y = X @ [1, 2, 3] + rng.normal(0, 0.1, 100)
    y[[4, 8]] += 3
    assert sorted(poisonbench.suspicious_rows(X, y, share=0.02).index) == [4, 8]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"X has 30 rows and y has shape \(3,\)"):
        poisonbench.suspicious_rows(np.zeros((30, 2)), np.zeros(3))
    rows = pd.DataFrame({"a": np.arange(30.0), "price": np.arange(30.0)})
    with pytest.raises(ValueError, match="the column 'price' has the name of the response"):
        poisonbench.suspicious_rows(rows, rows["price"])
    with pytest.raises(ValueError, match="no defense is named 'tirm'; did you mean 'trim'"):
        poisonbench.suspicious_rows(np.eye(30), np.arange(30), defense="tirm")


def test_a_message_names_what_was_given(frame: pd.DataFrame) -> None:
    X, y = frame.drop(columns="price"), pd.Series(np.ones(len(frame)), name="price")
    for call in (poisonbench.suspicious_rows, poisonbench.audit):
        with pytest.raises(DatasetError, match=r"^X: target: 'price' is 1 in every row"):
            call(X, y)
