"""The commands for beginners and for checks: init, explain, info, rerun."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.config.choices import PLURALS, names
from poisonbench.output.layout import read_json, sealed

CONFIG = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "poisoning_rate": 0.1,
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", "oracle"],
    "seeds": 1,
}


def invoke(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_first_config_is_right_and_not_overwritten(folder: Path) -> None:
    invoke("init", "first")
    assert "OK: 1 dataset" in invoke("validate", "first/config.yaml").stdout
    (folder / "first" / "config.yaml").write_text("mine")
    assert "already exists" in invoke("init", "first", code=2).stderr
    assert (folder / "first" / "config.yaml").read_text() == "mine"
    (folder / "file").touch()
    assert "expected a folder" in invoke("init", "file", code=2).stderr


@pytest.mark.parametrize("kind", ["attack", "defense", "model"])
def test_every_component_is_explained(kind: str) -> None:
    for name in names(kind):
        said = invoke("explain", name).stdout
        assert f"{name} ({kind.replace('_', ' ')})" in said
        assert len(said) > 80


def test_an_explanation_has_idea_equation_assumptions_and_paper() -> None:
    said = invoke("explain", "trim").stdout
    for part in ("minimise L(D_I, theta)", "It assumes", "restarts", "Reference: Jagielski"):
        assert part in said
    assert (
        "nothing is named 'trimm'; did you mean 'trim'?"
        in invoke("explain", "trimm", code=2).stderr
    )
    every = {name for kind in PLURALS for name in names(kind)}
    completed = CliRunner().invoke(
        app,
        [],
        prog_name="poisonbench",
        env={"_POISONBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "poisonbench explain t",
             "COMP_CWORD": "2"},
    )  # fmt: skip
    assert set(completed.stdout.split()) == {name for name in every if name.startswith("t")}


def test_info_says_what_runs_here() -> None:
    said = invoke("info").stdout
    for part in ("poisonbench:", "libraries:      numpy ", "plug-ins:", "data folder:", "memory:"):
        assert part in said


def test_a_rerun_reports_every_difference(folder: Path) -> None:
    (folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    invoke("run", "x.yaml", "--quiet", "--jobs", "0", "--output", "out")
    same = invoke("rerun", "out", "--jobs", "0").stdout
    assert same == "All 2 rows of out and out-rerun are the same to the last digit\n"
    assert (folder / "out-rerun" / "results.csv").read_bytes() == (
        folder / "out" / "results.csv"
    ).read_bytes()
    with chdir("out"):
        assert "All 2 rows of . and " in invoke("rerun", ".", "--jobs", "0").stdout
    path = sorted(folder.glob("out/cells/*/*.json"))[0]
    content = read_json(path)
    assert content is not None
    content["test_mse"] *= 1.5
    path.write_bytes(sealed(content))
    sorted(folder.glob("out/cells/*/*.json"))[1].unlink()
    said = invoke("rerun", "out", "--jobs", "0", code=1).stdout
    assert ": test_mse was " in said
    assert " (-0.33)" in said
    assert ": missing before, there now" in said
    assert "2 differences between out and out-rerun" in said


def test_a_rerun_of_what_is_no_run(folder: Path) -> None:
    assert "no folder" in invoke("rerun", "absent", code=2).stderr
    (folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    invoke("run", "x.yaml", "--quiet", "--jobs", "0", "--output", "out")
    plan = folder / "out" / "plan.json"
    whole = json.loads(plan.read_text())
    for damaged in ("", "[]", "{}", "[" * 100_000):
        plan.write_text(damaged)
        assert "plan.json: not the plan of a run" in invoke("rerun", "out", code=2).stderr
    plan.write_text(json.dumps({**whole, "result_version": 0}))
    said = invoke("rerun", "out", "--jobs", "0")
    assert "the plan has changed: result_version: 0 there" in said.stderr
    assert "2 rows of out and out-rerun are the same" in said.stdout
