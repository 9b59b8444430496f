"""The columns of the result files, and the data dictionary that names them."""

from __future__ import annotations

import csv
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from poisonbench import records
from poisonbench.output import tables
from poisonbench.records import Labels, Measured, Round, Timings

README = Path(__file__).parent.parent / "results" / "README.md"

PROMISED = """
    dataset, seed, model, lambda, alpha, attack, variables, initialization, outer_objective,
    poisoning_rate, n_clean, n_poison, rate_clean, rate_total, n_features, defense,
    n_poison_assumed, n_poison_source, test_mse, test_mse_clean, ratio_to_clean, ratio_to_none,
    test_mse_clipped, test_median_se, test_mae, test_r2, val_mse, objective_initial,
    objective_final, n_removed, removal_precision, removal_recall, poison_kept
"""


def header(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file))


@pytest.fixture
def out(bench):
    config: dict[str, Any] = {"dataset": "diabetes", "attack": "none", "seeds": 1}
    return bench.run({**config, "split": {"train": 30, "validation": 10, "test": 20}})


@pytest.fixture
def readme():
    if not README.is_file():
        pytest.skip("not in a checkout of the repository")
    return README.read_text()


def test_the_files_have_the_columns_of_the_records(out):
    assert header(out / "results.csv") == records.names(Labels) + records.names(Measured)
    assert header(out / "timings.csv") == records.names(Labels) + records.names(Timings)
    assert set(re.findall(r"\w+", PROMISED)) <= set(header(out / "results.csv"))
    assert header(out / "convergence.csv") == records.names(Round)
    for name in ("results.csv", "timings.csv", "table.csv"):
        assert len(set(header(out / name))) == len(header(out / name))


def test_every_column_has_a_meaning():
    for record in (Labels, Measured, Timings, Round):
        for entry in fields(record):
            assert len(entry.metadata["meaning"]) > 2, entry.name


@pytest.mark.parametrize("record", [Labels, Measured, Timings, Round])
def test_the_data_dictionary_is_current(readme, record):
    expected = records.dictionary(record)
    assert expected in readme, f"results/README.md: the table is out of date; it is\n{expected}"


def test_the_data_dictionary_names_every_column(readme, out):
    for name in ("results.csv", "timings.csv", "table.csv"):
        for column in header(out / name):
            generic = re.sub(r"^0_", "R_", column)
            assert f"`{generic}`" in readme, (name, column)
    for name in tables.STATISTICS:
        assert f"`R_{name}`" in readme


def test_the_data_dictionary_names_every_file(readme, out):
    for path in out.iterdir():
        assert f"`{path.name}" in readme, path.name
    for part in ("X", "y", "train", "validation", "test", "feature_names", "target", "trace",
                 "summary"):  # fmt: skip
        assert f"| `{part}` |" in readme


def test_names_and_values_go_together():
    timings = Timings(attack_seconds=1.0, defense_seconds=2.0, attack_rounds=3)
    assert dict(zip(records.names(Timings), records.values(timings), strict=True)) == {
        "attack_seconds": 1.0,
        "defense_seconds": 2.0,
        "attack_rounds": 3,
    }
    assert "lambda" in records.names(Measured)
