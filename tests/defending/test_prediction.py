"""The model file predicts from raw cells as its numbers say, and says what it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poisonbench.data.base import DatasetError
from poisonbench.defending.fit import defend
from poisonbench.defending.model_file import Model, model_of, read_model
from poisonbench.defending.prediction import Predictions, predict_file
from poisonbench.defending.reading import read_file
from poisonbench.preparation import Choices


@pytest.fixture
def model(raw: Path, tmp_path: Path) -> Path:
    """Return the path of the model of the file of flats."""
    file = read_file(raw, Choices("price"))
    found = defend(file.rows.data, defense="torrent", share=0.05)
    path = tmp_path / "model.json"
    path.write_text(model_of(file, found).text())
    return path


def predicted(model: Path, text: str, **how: Any) -> Predictions:
    path = model.with_name("new.csv")
    path.write_text(text)
    return predict_file(read_model(model), path, **how)


def by_hand(model: Path, rooms: float, area: float, city: str, garden: str, day: str) -> float:
    """Return a prediction from the numbers in the JSON file, without any code of the package."""
    content = json.loads(model.read_text())
    columns = {column["name"]: column for column in content["columns"]}
    days = (pd.Timestamp(day) - pd.Timestamp("1970-01-01")).days
    return float(
        content["intercept"]
        + columns["rooms"]["coefficient"] * rooms
        + columns["area"]["coefficient"] * area
        + columns["city"]["effects"][city]
        + columns["garden"]["effects"][garden]
        + columns["sold"]["coefficient"] * days
    )


def test_the_coefficients_are_in_own_units(model: Path, frame: pd.DataFrame) -> None:
    columns = {column["name"]: column for column in json.loads(model.read_text())["columns"]}
    assert columns["rooms"]["coefficient"] == pytest.approx(10_000, rel=0.05)
    assert columns["area"]["coefficient"] == pytest.approx(2_000, rel=0.02)
    assert columns["sold"]["coefficient"] == pytest.approx(30, rel=0.15)
    effects = columns["city"]["effects"]
    assert effects["Milan"] - effects["Rome"] == pytest.approx(50_000, rel=0.05)
    mean = frame["city"].map(effects).mean()
    assert columns["city"]["otherwise"] == pytest.approx(mean)
    # The wrong rows are in Turin, and would have added a tenth of 150,000.
    assert effects["Turin"] - effects["Rome"] == pytest.approx(0, abs=2_500)


def test_predictions_are_the_sum_of_the_effects(model: Path) -> None:
    found = predicted(model, "sold,city,rooms,garden,area\n"
                             "03.02.2021,Milan,3,no,70.5\n2.11.2022,Rome,1,YES,30\n")  # fmt: skip
    assert found.values == pytest.approx(
        [
            by_hand(model, 3, 70.5, "Milan", "no", "2021-02-03"),
            by_hand(model, 1, 30, "Rome", "yes", "2022-11-02"),
        ]
    )
    assert found.lines[:, 0].tolist() == [2, 3]
    assert found.response is None
    assert not found.remarks


def test_residuals_are_given_if_the_file_has_the_response(model: Path, raw: Path) -> None:
    found = predict_file(read_model(model), raw)
    assert found.response is not None
    errors = np.abs(found.response - found.values)
    assert np.median(errors) == pytest.approx(0.6745 * 5_000, rel=0.15)
    assert (errors > 100_000).sum() == 10


def test_other_notations_mean_the_same(model: Path) -> None:
    one = predicted(model, "sold,city,rooms,garden,area\n2021-02-03,Milan,3,no,1070.5\n")
    other = predicted(model, "sold;city;rooms;garden;area\n3 Feb 2021;Milan;3,0;false;1.070,5\n")
    assert other.values == pytest.approx(one.values)


@pytest.mark.parametrize(
    ("cells", "same_as", "remark"),
    [
        ("03.02.2021,Milan,,no,70.5", {"rooms": None}, "'rooms': 1 missing values, the first in "
         "data row 1"),
        ("03.02.2021,Milan,many,no,70.5", {"rooms": None}, "'rooms': 1 of its 2 cells are not "
         "numbers, such as 'many'"),
        ("03.02.2021,Oslo,3,no,70.5", {}, "'city': 1 rows have a category that the model does not "
         "know, the first 'Oslo' in data row 1"),
        ("03.02.2021,?,3,no,70.5", {}, "'city': 1 missing values"),
        ("03.02.2021,Milan,3,maybe,70.5", {}, "'garden': 1 rows have a category"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said_and_replaced_by_the_mean(
    model: Path, cells: str, same_as: dict[str, None], remark: str
) -> None:
    found = predicted(model, f"sold,city,rooms,garden,area\n{cells}\n03.02.2021,Rome,2,no,50\n")
    assert any(remark in one for one in found.remarks), found.remarks
    known = read_model(model)
    columns = {column.name: column for column in known.columns}
    expected = by_hand(model, 3, 70.5, "Milan", "no", "2021-02-03")
    if same_as:
        expected += columns["rooms"].coefficient * (float(columns["rooms"].missing) - 3)
    elif "'city'" in remark:
        expected += columns["city"].otherwise - columns["city"].effects["Milan"]
    else:
        expected += columns["garden"].otherwise - columns["garden"].effects["no"]
    assert found.values[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "cells",
    [
        "03.02.2021,Milan,3,no,70.5",
        ",,,,",
        "03.02.2021,,3,,70.5",
        ",Rome,,yes,",
        "03.02.2021,Rome,1,no,0",
    ],
)
def test_the_prediction_of_a_row_does_not_depend_on_the_other_rows(model: Path, cells: str) -> None:
    """A file of one row may have columns in which no cell tells what they hold."""
    head, others = "sold,city,rooms,garden,area\n", "03.02.2021,Rome,2,no,50\n" * 3
    among = predicted(model, f"{head}{others}{cells}\n{others}").values
    assert np.isfinite(among).all()
    assert predicted(model, f"{head}{cells}\n").values == pytest.approx(among[3:4])
    assert predicted(model, f"{head}{cells}\n{cells}\n").values == pytest.approx(among[[3, 3]])


def test_merged_and_unknown_categories_count_as_the_merged_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = rng.permutation(["a"] * 200 + ["b"] * 100 + ["r1", "r2", "r3"] * 2)
    x = rng.uniform(0, 9, len(kinds))
    y = 2 * x + 5 * (kinds == "b") - 7 * np.char.startswith(kinds, "r")
    frame = pd.DataFrame({"x": x, "kind": kinds, "y": y + rng.normal(0, 0.1, len(y))})
    path = tmp_path / "raw.csv"
    frame.to_csv(path, index=False)
    file = read_file(path, Choices("y"))
    found = defend(file.rows.data, defense="huber")
    model = model_of(file, found)
    new = tmp_path / "new.csv"
    new.write_text("x,kind\n1,r2\n1,other\n1,zzz\n1,a\n")
    result = predict_file(model, new)
    assert result.values[0] == result.values[1] == result.values[2] < result.values[3] - 6
    assert result.remarks == (
        "'kind': 1 rows have a category that the model does not know, the first 'zzz' in data row "
        "3; it counts as 'other'",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sold,city,rooms,garden,aera\n03.02.2021,Rome,1,no,3\n",
         "no column 'area', which the model uses; is 'aera' meant?"),
        ("sold,city,rooms,garden,area\n03.02.2021,Rome,one,no,3\n",
         "column 'rooms' holds 'one', expected numbers"),
        ("sold,city,rooms,garden,area\nMonday,Rome,1,no,3\n",
         "column 'sold' holds 'Monday', expected dates"),
    ],
)  # fmt: skip
def test_a_file_with_other_columns_is_refused(model: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message.replace("?", r"\?")):
        predicted(model, text)


def test_unknown_columns_are_ignored_and_named(model: Path) -> None:
    found = predicted(
        model, "sold,city,rooms,garden,area,colour,id\n03.02.2021,Rome,1,no,3,red,7\n"
    )
    assert found.remarks == ("columns that the model does not know are ignored: 'colour'",)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "poisonbench model 1"}', "\x00"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match="not a model of poisonbench"):
        read_model(path)


def test_a_model_is_read_as_it_was_written(model: Path) -> None:
    known = read_model(model)
    assert isinstance(known, Model)
    again = model.with_name("again.json")
    again.write_text(known.text())
    assert again.read_text() == model.read_text()


def test_what_was_said_about_cells_holds_for_predictions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.uniform(10, 90, 200).round(1), rng.uniform(0, 1, 200).round(3)
    y = (3 * x + 10 * z + rng.normal(0, 1, 200)).round(2)
    x[:20], z[50] = -999, 500
    frame = pd.DataFrame({"x": [f"{v} m2" for v in x], "z": z, "y": [f"{v} eur" for v in y]})
    path = tmp_path / "raw.csv"
    frame.to_csv(path, index=False)
    said = Choices("y", missing_values=("x=-999",), units=("x=m2", "y=eur"), clip=True)
    file = read_file(path, said)
    model = model_of(file, defend(file.rows.data, defense="huber"))
    known = {column.name: column for column in model.columns}
    assert known["x"].coefficient == pytest.approx(3, abs=0.1)
    assert known["x"].missing == pytest.approx(x[20:].mean())
    new = tmp_path / "new.csv"
    new.write_text("x,z,y\n50 m²,0.5,155 eur\n-999,0.5,155 eur\n50 m2,400,155 eur\n")
    found = predict_file(model, new)
    assert found.response is not None
    assert found.response.tolist() == [155] * 3
    assert found.values[1] - found.values[0] == pytest.approx(
        known["x"].coefficient * (x[20:].mean() - 50)
    )
    largest = np.sort(z)[-2]  # the others, without 500
    assert found.values[2] - found.values[0] == pytest.approx(
        known["z"].coefficient * (largest - 0.5)
    )
