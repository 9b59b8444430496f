"""``--add`` adds values to the lists in the plan of an output folder, and keeps its cells."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from poisonbench.cli.app import app
from poisonbench.config import load
from poisonbench.output import store
from poisonbench.output.stored_plan import config_of
from poisonbench.plan.make import make_plan

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 120, "d": 4, "informative": 2, "groups": [3]},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 1}],
    "poisoning_rate": 0.1,
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": "none",
    "seeds": 2,
}


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result


def stored_rows(out: Path) -> Any:
    """Return the rows of the plan that is made again from ``plan.json``."""
    return make_plan(load(config_of(out), sweep=True), None).rows


def compute(config: dict[str, Any], out: str = "out", command: str = "run") -> Path:
    """Compute a config in the current folder, in this process."""
    Path("x.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    invoke(command, "x.yaml", "--jobs", "0", "--quiet", "--output", out)
    return Path(out)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("computed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder / compute(CONFIG)


@pytest.fixture
def out(tmp_path, monkeypatch, computed):
    """A copy of the output folder of CONFIG, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(computed, "out"))


def plan(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "plan.json").read_text())


def files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Return content and time of all files of cells and poison sets."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for kind in ("cells", "meta", "poison")
        for path in (folder / kind).rglob("*.*")
    }


MORE = {
    "defense": ("defense=huber,trim", {"defense": ["none", "huber", "trim"]}),
    "attack": (
        "attack={name: optp, iterations: 1, outer_objective: training}",
        {"attack": [*CONFIG["attack"],
                    {"name": "optp", "iterations": 1, "outer_objective": "training"}]},
    ),
    "count of seeds": ("seeds=3", {"seeds": 3}),
    "list of seeds": ("seeds=7,5", {"seeds": [0, 1, 7, 5]}),
    "rate": ("poisoning_rate=0,0.2", {"poisoning_rate": [0.1, 0, 0.2]}),
    "model": ("model=ridge", {"model": [CONFIG["model"], "ridge"]}),
    "split": (
        "split={train: 50, validation: 20, test: 30}",
        {"split": [CONFIG["split"], {"train": 50, "validation": 20, "test": 30}]},
    ),
    "data set": ("dataset=diabetes", {"dataset": [CONFIG["dataset"], "diabetes"]}),
}  # fmt: skip


@pytest.mark.parametrize("what", MORE)
def test_a_folder_becomes_that_of_the_larger_config(out, what):
    word, larger = MORE[what]
    before = files(out)
    invoke("run", "out", "--add", word, "--jobs", "0", "--quiet")
    after = files(out)
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)
    whole = compute({**CONFIG, **larger}, "whole", "run")
    assert plan(out) == plan(whole)
    for name in ("results.csv", "table.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    n_cells = len(list(whole.glob("cells/*/*.json")))
    assert f"out: {n_cells} cells: {n_cells} done" in invoke("status", "out").stdout
    assert "are the same to the last digit" in invoke("rerun", "out", "--jobs", "0").stdout


def test_what_is_there_already_is_passed_over(out):
    before = files(out), plan(out)
    said = invoke("sweep", "out", "--add", "defense=none", "seeds=2", "--rates", "0.1", "--jobs",
                  "0").stdout  # fmt: skip
    assert "Nothing to do: all 4 cells are in out." in said
    assert (files(out), plan(out)) == before
    for _ in range(2):
        invoke("sweep", "out", "--add", "defense=none,huber", "seeds=1,2", "--jobs", "0", "--quiet")
        assert [entry["name"] for entry in plan(out)["config"]["defense"]] == ["none", "huber"]
        assert plan(out)["config"]["seeds"] == [0, 1, 2]
    assert len(pd.read_csv(out / "results.csv")) == 2 * 2 * 3


def test_two_additions_one_after_the_other(out):
    invoke("run", "out", "--add", "defense=huber", "--jobs", "0", "--quiet")
    invoke("run", "out", "--add", "attack=none", "--jobs", "0", "--quiet")
    results = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert set(zip(results["attack"], results["defense"], strict=True)) == {
        (attack, defense) for attack in ("statp", "bgd", "none") for defense in ("none", "huber")
    }


def test_what_a_rate_is_a_share_of_still_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = compute({**CONFIG, "poisoning_rate": 0.2, "rate_of": "total"})
    invoke("sweep", "out", "--add", "--rates", "0.1", "--jobs", "0", "--quiet")
    assert plan(out)["config"]["rate_of"] == "total"
    assert plan(out)["config"]["poisoning_rate"] == [0.2, 0.1]


def test_combinations_that_are_excluded_stay_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exclude = {"exclude": [{"attack": "bgd", "poisoning_rate": 0.1}]}
    out = compute({**CONFIG, "poisoning_rate": [0.1], "sweep": exclude}, command="sweep")
    assert set(pd.read_csv(out / "results.csv")["attack"]) == {"statp"}
    # A sweep with a single rate is that sweep again, not one over the paper's rates.
    assert "are the same to the last digit" in invoke("rerun", "out", "--jobs", "0").stdout
    assert len(stored_rows(out)) == 2
    invoke("run", "out", "--add", "poisoning_rate=0.2", "--jobs", "0", "--quiet")
    results = pd.read_csv(out / "results.csv")
    assert set(zip(results["attack"], results["poisoning_rate"], strict=True)) == {
        ("statp", 0.1), ("statp", 0.2), ("bgd", 0.2)}  # fmt: skip


def test_rows_of_a_folder_with_a_single_rate_are_found_again(out):
    assert {row.labels.poisoning_rate for row in stored_rows(out)} == {0.1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["defense=hubr"], "command line: defense=hubr: defense: 'hubr' is not the name of one of "
                           "the defenses; did you mean 'huber'? expected"),
        (["defence=huber"], "command line: defence=huber: nothing can be added to 'defence'; did "
                            "you mean 'defense'? expected dataset, split, model,"),
        (["ceiling=off"], "nothing can be added to 'ceiling'; expected dataset,"),
        (["repetitions=3"], "nothing can be added to 'repetitions'; expected dataset,"),
        (["outer_objective=training"], "nothing can be added to 'outer_objective'; expected"),
        (["model.alpha=1"], "command line: model.alpha=1: not a complete model; expected "
                            "model='{name: ..., alpha: 1}'"),
        (["seeds=x"], "command line: seeds=x: seeds: 'x' is a string; expected an integer"),
        (["poisoning_rate=2"], "2 is out of range"),
        (["--rates", "0.2", "poisoning_rate=0.2"], "given together with poisoning_rate"),
        (["defense=trim,trim"], "listed twice"),
        (["defense=trim", "defense=huber"], "defense is given twice, first as defense=trim"),
        (["defense"], "not an override; expected key=value"),
        (["split={train: 100, validation: 20, test: 30}"],
         "command line: split={train: 100, validation: 20, test: 30}: split.1"),
        (["defense={name: trim, n_poison: {count: 60}}"], "would treat 60 rows as poison"),
        ([], "--add: nothing to add; expected KEY=VALUE such as defense=huber"),
        (["defense=huber", "--output", "elsewhere"], "--add adds to out itself; expected no --out"),
    ],
)  # fmt: skip
def test_wrong_words(out, words, message):
    before = files(out), plan(out)
    assert message in invoke("sweep", "out", "--add", *words, code=2).stderr
    assert (files(out), plan(out)) == before


def test_what_is_no_output_folder(out):
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    said = invoke("run", "x.yaml", "--add", "seeds=3", code=2).stderr
    assert said == "x.yaml is a file; expected the output folder of poisonbench run or sweep\n"
    assert "absent: no folder" in invoke("run", "absent", "--add", "seeds=3", code=2).stderr
    assert ".: no plan.json" in invoke("run", ".", "--add", "seeds=3", code=2).stderr
    assert (
        "for an output folder, --add and the values"
        in invoke("run", "out", "seeds=3", code=2).stderr
    )
    (out / "plan.json").write_text("[]")
    assert "not the plan of a run" in invoke("run", "out", "--add", "seeds=3", code=2).stderr


def test_data_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((120, 3)), columns=["a", "b", "y"])
    table.to_csv("d.csv", index=False)
    compute({**CONFIG, "dataset": {"name": "csv", "path": "d.csv", "target": "y"}})
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    said = invoke("run", "../out", "--add", "seeds=3", code=2).stderr
    assert "../out/plan.json: dataset.path: no file d.csv (looked for" in said
    monkeypatch.chdir("..")
    invoke("run", "out", "--add", "seeds=3", "--jobs", "0", "--quiet")
    (table * 2).to_csv("d.csv", index=False)
    said = invoke("run", "out", "--add", "seeds=4", code=2).stderr
    assert "out cannot be extended: " in said
    assert "has changed since the folder was computed" in said


def test_a_dry_run_adds_nothing(out):
    before = files(out), plan(out)
    said = invoke("sweep", "out", "--add", "defense=huber", "--dry-run").stdout
    assert "2 defenses, 2 seeds" in said
    assert "4 cells are already in out" in said
    assert (files(out), plan(out)) == before


def test_shards_and_slurm(out):
    invoke("sweep", "out", "--add", "defense=huber", "--emit-slurm", "--shards", "2")
    script = (out / "slurm.sh").read_text()
    assert f"sweep {out.absolute()} defense=huber --add --data-dir" in script
    assert "--output" not in script.partition("exec ")[2].partition("\n")[0]
    for shard in ("1/2", "0/2"):
        invoke("sweep", "out", "--add", "defense=huber", "--shard", shard, "--jobs", "0", "-q")
    invoke("merge", "out")
    assert len(pd.read_csv(out / "results.csv")) == 8


@pytest.mark.parametrize("name", ["plan.json", "index.json"])
def test_an_interruption_before_a_file_of_the_plan_is_written(out, monkeypatch, name):
    """Whichever of the two files is still of the smaller plan, the same command goes on."""
    before = files(out)
    write = store.write

    def interrupted(path, *arguments, **options):
        if path.name == name:
            raise KeyboardInterrupt
        write(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", interrupted)
        assert CliRunner().invoke(app, ["run", "out", "--add", "defense=huber"]).exit_code != 0
    assert files(out) == before
    invoke("run", "out", "--add", "defense=huber", "--jobs", "0", "--quiet")
    assert len(pd.read_csv(out / "results.csv")) == 8
    assert {path: found for path, found in files(out).items() if path in before} == before


def test_a_kill_between_the_plan_and_the_cells(out):
    invoke("run", "out", "--add", "defense=huber", "--jobs", "0", "--quiet")
    whole = Path(shutil.copytree(out, "whole"))
    word = "attack={name: optp, iterations: 1000, tol: 0.0}"
    kept = (out / "index.json").read_bytes()
    with subprocess.Popen(
        [sys.executable, "-m", "poisonbench", "run", "out", "--add", word, "--jobs", "0"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while (out / "index.json").read_bytes() == kept and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert plan(out) != plan(whole)
    # What was there is still there, byte by byte, and its tables can be made.
    for path, (content, _) in files(whole).items():
        assert (out / path).read_bytes() == content
    said = invoke("merge", "out", "--partial", "--quiet", code=3).stderr
    assert "4 cells are missing" in said
    assert (out / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    # The folder has its new plan: another addition builds on it.
    said = invoke("sweep", "out", "--add", "seeds=3", "--dry-run").stdout
    assert "3 attack variants" in said
    assert "8 cells are already in out" in said
