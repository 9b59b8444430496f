"""An experiment that is too large is refused from its config alone, with its size."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from poisonbench.config import Config, ConfigError, load
from poisonbench.datasets.synthetic import Synthetic
from poisonbench.plan import make
from poisonbench.plan.limits import check_limits, expected_size

BASE = {"dataset": "diabetes", "attack": "statp", "poisoning_rate": 0.1}


def config(folder: Path, **changes: object) -> Config:
    (folder / "x.yaml").write_text(yaml.safe_dump({**BASE, **changes}))
    return load(folder / "x.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": {"name": "synthetic", "d": 10**6}},
            "1000 rows and 1000000 columns need about 24032.0 GB",
        ),
        (
            {"dataset": [{"name": "synthetic", "n": 10**k, "d": 90} for k in (3, 4, 5, 6, 7)]},
            "dataset.4: 10000000 rows and 90 columns need about 32.0 GB",
        ),
        ({"defense": {"name": "trim", "restarts": 10**9}}, "restarts is 1000000000, expected at"),
        ({"attack": {"name": "optp", "iterations": 10**7}}, "iterations is 10000000, expected at"),
        (
            {"seeds": 100_000, "model": ["ols", "ridge"], "poisoning_rate": [0.1, 0.2],
             "defense": ["none", "trim", "huber"]},
            "the grid has up to 1200000 cells",
        ),
        (
            {"dataset": {"name": "synthetic", "n": 10**6, "d": 100}, "rate_of": "total",
             "poisoning_rate": 0.999},
            "0.999 of total means 332999667 poison rows for 333333 clean rows",
        ),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_before_anything_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    message: str,
) -> None:
    asked = config(tmp_path, **changes)
    monkeypatch.setattr(Synthetic, "load", None)  # it would fail
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        make.make_plan(asked)
    assert message in str(caught.value)
    assert time.process_time() - start < 5  # loading any of these takes longer


def test_force_goes_on(tmp_path: Path) -> None:
    asked = config(tmp_path, defense={"name": "trim", "restarts": 10**9})
    assert make.make_plan(asked, force=True).groups


def test_sizes_are_those_of_the_data(tmp_path: Path) -> None:
    asked = config(tmp_path, dataset=["diabetes", {"name": "synthetic", "n": 70, "groups": [3, 4]}])
    for choice in asked.datasets:
        assert expected_size(choice) == choice.build().load().X.shape
    check_limits(asked)
