"""The experiments of the paper by one command: their configs and their output."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from poisonbench import packaged_files
from poisonbench.cli import reproduce
from poisonbench.cli.app import app
from poisonbench.config import load

RATES = [0, 0.04, 0.08, 0.12, 0.16, 0.2]
NAMES = sorted({name for part in reproduce.PARTS.values() for name in part})


def invoke(*arguments: str, code: int = 0):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result


@pytest.mark.parametrize("name", NAMES)
def test_every_config_of_the_paper_is_valid_and_runs_at_the_papers_sizes(name):
    path = packaged_files.folder("configs") / "jagielski2018" / f"{name}.yaml"
    experiment = load(path, sweep=True)
    assert {choice.name for choice in experiment.datasets} == {"house", "health"}
    assert [split.label for split in experiment.splits] == ["300/250/500"]
    assert len(experiment.seeds) == 5
    assert {rate.of for rate in experiment.rates} == {"clean"}
    if name.startswith(("attacks-ridge", "attacks-lasso", "defenses")):
        assert [rate.value for rate in experiment.rates] == RATES
        optp = [choice for choice in experiment.attacks if choice.name == "optp"]
        assert [choice.parameters["best_of"] for choice in optp] == [True]


def test_the_strategies_are_the_eight_variants_and_the_two_starts():
    path = packaged_files.folder("configs") / "jagielski2018" / "strategies.yaml"
    attacks = load(path, sweep=True).attacks
    moving = {tuple(choice.axes.values()) for choice in attacks if choice.parameters["iterations"]}
    assert len(moving) == 8
    assert len(attacks) == 10


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper of two experiments on made-up data, with poison sets in common."""
    config = {
        "dataset": {"name": "synthetic", "n": 90, "d": 2, "informative": 2},
        "model": {"name": "ridge", "alpha": 0.1},
        "attack": "statp",
        "defense": "none",
        "seeds": 2,
        "sweep": {"poisoning_rate": [0, 0.2]},
    }
    folder = tmp_path / "configs" / "jagielski2018"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(yaml.safe_dump(config))
    (folder / "two.yaml").write_text(yaml.safe_dump({**config, "defense": ["none", "trim"]}))
    (folder / "dose.yaml").write_text(yaml.safe_dump(config))
    published = packaged_files.folder("published")
    places = {"configs": folder.parent, "published": published}
    monkeypatch.setattr(packaged_files, "folder", places.__getitem__)
    monkeypatch.setattr(reproduce, "PARTS", {"attacks": ("one",), "defenses": ("two",),
                                             "dose": ("dose",)})  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "jagielski2018"


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes longer than all else."""
    monkeypatch.setattr(reproduce, "report_results", lambda *_, **__: None)


def test_the_parts_run_one_after_the_other_and_end_in_a_report(small):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    pytest.importorskip("jinja2", reason="the extra plot is not installed")
    invoke("reproduce", "jagielski2018", "--jobs", "0", "--quiet")
    assert (small / "dose" / "changes.csv").exists()
    assert not (small / "one" / "changes.csv").exists()
    assert "In plain words" in (small / "report.html").read_text()
    # On data that the paper has no values for there is nothing to compare.
    assert (small / "comparison.csv").read_text().strip() == ""
    results = pd.read_csv(small / "two" / "results.csv", keep_default_na=False)
    assert set(results["defense"]) == {"none", "trim"}


def test_a_poison_set_is_made_once_for_all_parts(small, without_report):
    invoke("reproduce", "jagielski2018", "--part", "attacks", "--jobs", "0", "--quiet")
    made = {path.name: path.stat().st_ino for path in (small / "one" / "poison").iterdir()}
    invoke("reproduce", "jagielski2018", "--part", "defenses", "--jobs", "0", "--quiet")
    taken = {path.name: path.stat().st_ino for path in (small / "two" / "poison").iterdir()}
    assert len(made) == 2
    assert taken == made
    before = (small / "two" / "results.csv").read_bytes()
    shutil.rmtree(small)
    invoke("reproduce", "jagielski2018", "--part", "defenses", "--jobs", "0", "--quiet")
    assert (small / "two" / "results.csv").read_bytes() == before


def test_seeds_and_data_sets_are_narrowed(small, without_report):
    invoke("reproduce", "jagielski2018", "--part", "attacks", "--jobs", "0", "--quiet", "--seeds",
           "1", "--datasets", "diabetes")  # fmt: skip
    results = pd.read_csv(small / "one" / "results.csv")
    assert set(results["seed"]) == {0}
    assert set(results["dataset"]) == {"diabetes"}


def test_a_dry_run_computes_nothing(small):
    said = invoke("reproduce", "jagielski2018", "--dry-run").stdout
    assert "== two" in said
    assert not small.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jagielski2081",), "did you mean 'jagielski2018'"),
        (("jagielski2018", "--part", "attack"), "did you mean 'attacks'"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    assert message in invoke("reproduce", *arguments, code=2).stderr
