"""Results to read back: rows made up, and a small folder that was really run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.config.choices import labelled
from poisonbench.output.reading import attack_label

CONFIG = {
    "dataset": {"name": "synthetic", "n": 75, "d": 3, "informative": 2},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "optp", "iterations": 1}],
    "poisoning_rate": [0, 0.2],
    "defense": ["none", "oracle", "trim", "huber"],
    "seeds": 3,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with two attacks, two rates, four defenses and three seeds."""
    place = tmp_path_factory.mktemp("results")
    (place / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    out = place / "small"
    arguments = ["run", str(place / "x.yaml"), "--jobs", "0", "--quiet", "--output", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return out


@pytest.fixture
def rows() -> Callable[..., pd.DataFrame]:
    """Make rows of results up: one for each seed, with a test MSE for each."""

    def make(values: list[float], **given: Any) -> pd.DataFrame:
        row = {
            "dataset": "house", "dataset_parameters": "", "split": "300/250/500",
            "model": "ridge", "model_parameters": "alpha=0.1", "attack": "statp",
            "attack_parameters": "", "variables": "", "initialization": "", "outer_objective": "",
            "poisoning_rate": 0.2, "rate_of": "clean", "defense": "none",
            "defense_parameters": "", "n_poison_source": "", "n_clean": 300, "n_test": 500,
            "folder": "made-up", "test_mse_clean": 0.01, "test_mse_ceiling": None,
            "n_poison_assumed": None, "repetitions": 1, "test_mse_largest": None, "spread": None,
            **given,
        }  # fmt: skip
        row["n_poison"] = round(row["n_clean"] * row["poisoning_rate"])
        row["attack_label"] = attack_label(row)
        for name in ("dataset", "model", "defense"):
            row[f"{name}_label"] = labelled(row[name], row[f"{name}_parameters"])
        frame = pd.DataFrame([{**row, "seed": seed, "test_mse": v} for seed, v in
                              enumerate(values, start=given.get("seed", 0))])  # fmt: skip
        return frame.assign(ratio_to_clean=frame["test_mse"] / frame["test_mse_clean"])

    return make
