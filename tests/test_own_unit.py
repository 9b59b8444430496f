"""The response's own unit, and how far single predictions move in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.data.base import ResponseUnit
from poisonbench.data.scaling import Scaling
from poisonbench.datasets.catalogue.entries import entries
from poisonbench.output.tables import change_of
from poisonbench.records import Predictions

CONFIG = {
    "dataset": {"name": "synthetic", "n": 90, "d": 2, "informative": 2},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "poisoning_rate": [0, 0.2],
    "defense": ["none", "trim"],
    "seeds": 1,
}


def test_the_unit_composes_with_the_scaling(small_dataset):
    data = small_dataset(scaling="full", y=[1.0, 3.0, 5.0], unit=ResponseUnit("metres", 10.0, 2.0))
    unit = Scaling.fit(data, np.arange(3)).own_unit(data)
    # y runs from 1 to 5, which is 12 to 20 metres.
    assert unit == ResponseUnit("metres", 12.0, 8.0)


def test_without_a_name_the_unit_is_the_files_own(small_dataset):
    data = small_dataset(scaling="full", y=[1.0, 3.0, 5.0])
    assert Scaling.fit(data, np.arange(3)).own_unit(data) == ResponseUnit("unit of y", 1.0, 4.0)


def test_of_data_scaled_before_the_unit_is_not_known(small_dataset):
    data = small_dataset(scaling="none", y=[0.0, 0.5, 1.0])
    assert Scaling.fit(data, np.arange(3)).own_unit(data) is None


@pytest.fixture
def small_dataset():
    from poisonbench.data.base import Dataset
    from poisonbench.features import FeatureSpace

    def make(scaling, y, unit=None):
        X = np.array([[0.0], [0.5], [1.0]])
        return Dataset("small", X, np.array(y), FeatureSpace(("x",)), "y", scaling, unit)

    return make


def test_the_unit_is_part_of_what_a_data_set_is(small_dataset):
    plain = small_dataset("none", [0.0, 0.5, 1.0])
    known = small_dataset("none", [0.0, 0.5, 1.0], ResponseUnit("dollars", 0.0, 9.0))
    assert plain.content == known.content  # on which splits depend
    assert plain.fingerprint != known.fingerprint


def test_every_scaled_file_of_the_catalogue_has_its_ends_or_no_unit():
    for entry in entries().values():
        known = entry.response_unit
        assert (known is None) == (entry.scaling == "none" and entry.scaled_from is None)
    assert entries()["house"].response_unit == ResponseUnit("US dollars", 34900, 720100)


def test_the_doses_of_the_papers_case_study_follow(health_csv: Path):
    y = pd.read_csv(health_csv).iloc[:, 0].to_numpy()
    unit = entries()["health"].response_unit
    assert unit is not None
    doses = unit.offset + unit.span * np.quantile(y, [0.1, 0.25, 0.5, 0.75, 0.9])
    assert doses == pytest.approx([15.5, 21, 30, 41.5, 52.5], abs=0.03)
    common = pd.Series(np.round(unit.offset + unit.span * y, 6)).value_counts().index[:4]
    assert set(common) == {35.0, 17.5, 28.0, 21.0}


def test_the_prices_are_whole_dollars(house_csv: Path):
    y = pd.read_csv(house_csv).iloc[:, 0].to_numpy()
    unit = entries()["house"].response_unit
    assert unit is not None
    prices = unit.offset + unit.span * y
    assert prices == pytest.approx(np.round(prices), abs=1e-6)


def test_results_say_the_unit(bench):
    results = bench.results(CONFIG)
    assert set(results["response_unit"]) == {"unit of y"}
    assert (results["test_rmse_unscaled"] > 0).all()


def test_changes_are_quantiles_of_the_relative_change():
    clean = tuple(map(float, range(1, 12)))
    found = change_of(Predictions("mg", (), clean, tuple(2.5 * v for v in clean), clean))
    assert found.response_q50 == 6
    assert found.change_q10 == found.change_q90 == pytest.approx(1.5)
    moved = change_of(Predictions("mg", (), (1.0,) * 4, (1.0, 2.0, 3.0, 0.0), (1.0, 1.0, 1.0, 0.0)))
    assert (moved.change_q25, moved.change_q75, moved.change_q90) == (0, 1, 2)


def test_predictions_are_kept_on_request_and_give_the_errors_again(bench):
    out = bench.run(CONFIG, "--predictions")
    results = pd.read_csv(out / "results.csv")
    changes = pd.read_csv(out / "changes.csv", keep_default_na=False)
    assert len(changes) == len(results) == 4
    clean = changes[(changes["poisoning_rate"] == 0) & (changes["defense"] == "none")]
    assert (clean[["change_q10", "change_q90"]] == 0).all(axis=None)
    errors = []
    for path in (out / "predictions").glob("*/*.json"):
        kept = json.loads(path.read_text())
        assert kept["unit"] == "unit of y"
        errors.append(np.mean((np.array(kept["y"]) - kept["predicted"]) ** 2) ** 0.5)
    assert sorted(errors) == pytest.approx(sorted(results["test_rmse_unscaled"]))


def test_predictions_may_be_asked_for_later_and_are_none_by_default(bench):
    out = bench.run(CONFIG)
    assert not (out / "predictions").exists()
    before = (out / "results.csv").read_bytes()
    bench.run(CONFIG, "--predictions")
    assert (out / "results.csv").read_bytes() == before
    assert len(list((out / "predictions").glob("*/*.json"))) == 4
