"""Folders from which others can repeat experiments: made, moved to elsewhere, and verified."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

import poisonbench
from poisonbench.artifact import claims
from poisonbench.cli.app import app
from poisonbench.data.files import checksum
from poisonbench.data.sidecar import Sidecar

SEARCHING = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": [{"name": "bgd", "iterations": 1}, "statp"],
    "poisoning_rate": [0, 0.1],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", "oracle", "trim"],
    "seeds": 2,
}


def invoke(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result


def run(folder: Path, config: dict, out: Path) -> None:
    (folder / "x.yaml").write_text(yaml.safe_dump(config))
    invoke("sweep", folder / "x.yaml", "--quiet", "--jobs", "0", "--predictions", "--output", out)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the author: data at an absolute path, poison and row indices beside a config.

    It has been deleted since.
    """
    folder = tmp_path_factory.mktemp("author")
    generator = np.random.default_rng(0)
    X = generator.random((90, 3))
    rows = pd.DataFrame(X, columns=list("abc")).assign(y=X @ [1, 2, 3])
    (folder / "far").mkdir()
    rows.to_csv(folder / "far" / "mine.csv", index=False)
    described = Sidecar(checksum(folder / "far" / "mine.csv"), "a survey", "y")
    (folder / "far" / "mine.csv.json").write_text(described.text())
    rows.assign(y=3.0).head(1).to_csv(folder / "bad.csv", index=False)
    order = generator.permutation(90)
    np.savez(folder / "rows.npz", train=order[:40], validation=order[40:60], test=order[60:])
    given = {
        "dataset": {"name": "csv", "path": str(folder / "far" / "mine.csv"), "target": "y"},
        "attack": [{"name": "file", "path": "bad.csv"}, "none"],
        "split": [{"indices": "rows.npz"}, "thirds"],
        "defense": ["none", "trim"],
        "seeds": 2,
        "sweep": {"exclude": [{"attack": {"name": "file", "path": "bad.csv"}, "defense": "trim"}]},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(folder, given, folder / "all" / "given")
        run(folder, SEARCHING, folder / "all" / "searching")
        made = invoke("artifact", "all", "--author", "Doe, Jane", "--author", "Consortium",
                      "--license", "CC-BY-4.0")  # fmt: skip
    assert (
        "check that you may pass them on: bad.csv, mine.csv, mine.csv.json, rows.npz."
        in made.stderr
    )
    shutil.move(folder / "all-artifact", tmp_path_factory.mktemp("reviewer") / "received")
    shutil.rmtree(folder)
    return folder


@pytest.fixture(scope="module")
def received(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact on the machine of the reviewer."""
    return next(tmp_path_factory.getbasetemp().glob("reviewer*/received"))


@pytest.fixture
def copy(received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the artifact to change, with another current folder."""
    shutil.copytree(received, tmp_path / "artifact")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "artifact"


def sign(folder: Path, name: str) -> None:
    """Put the checksum of a changed file into the list."""
    new = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path = folder / "SHA256SUMS"
    path.write_text(re.sub(rf"^\w+  {re.escape(name)}$", f"{new}  {name}", path.read_text(),
                           flags=re.M))  # fmt: skip


def test_it_runs_elsewhere_and_every_number_is_the_same(copy: Path) -> None:
    said = invoke("verify", copy, "--jobs", "0").stdout
    assert "claims hold; the largest relative difference is 0." in said
    for name in ("given", "searching"):
        for file in ("results", "table", "convergence", "changes"):
            new = copy / "rerun" / name / f"{file}.csv"
            assert new.read_bytes() == (copy / "expected" / name / f"{file}.csv").read_bytes()
    found = pd.read_csv(copy / "rerun" / "claims.csv")
    assert set(found["verdict"]) == {"holds"}
    assert set(found["experiment"]) == {"given", "searching"}
    # A second time, nothing is left to compute.
    assert "Nothing to do" in invoke("verify", copy, "--jobs", "0").stdout


def test_no_file_has_a_path_of_the_author(received: Path, origin: Path) -> None:
    for path in received.rglob("*"):
        assert path.is_dir() or str(origin).encode() not in path.read_bytes(), path


def test_every_file_is_in_the_list_of_checksums(received: Path) -> None:
    lines = (received / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    there = {path.relative_to(received).as_posix(): path for path in received.rglob("*")
             if path.is_file() and path.name != "SHA256SUMS"}  # fmt: skip
    assert set(listed) == set(there)
    for name, path in there.items():
        assert listed[name] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["inputs/mine.csv", "expected/given/results.csv", "given.yaml"])
def test_a_damaged_file_is_named_before_anything_runs(copy: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("\n")
    assert f"{copy / name}: changed" in invoke("verify", copy, code=2).stderr
    (copy / name).unlink()
    assert f"{copy / name}: missing" in invoke("verify", copy, code=2).stderr
    assert not (copy / "rerun").exists()


def test_what_is_no_artifact(tmp_path: Path) -> None:
    assert "expected a folder that poisonbench artifact made" in (
        invoke("verify", tmp_path, code=2).stderr
    )


@pytest.mark.parametrize(("factor", "code"), [(1 + 5e-7, 0), (1 + 2e-6, 1)])
def test_a_claim_fails_outside_of_its_tolerance(copy: Path, factor: float, code: int) -> None:
    stored = pd.read_csv(copy / "claims.csv", dtype=str, keep_default_na=False)
    at = stored.index[(stored["attack"] == "statp") & (stored["defense"] == "trim")][0]
    stored.loc[at, "value"] = repr(float(stored.loc[at, "value"]) * factor)
    stored.to_csv(copy / "claims.csv", index=False)
    sign(copy, "claims.csv")
    said = invoke("verify", copy, "--quiet", "--jobs", "0", code=code)
    assert said.stdout.count("fails") == said.stderr.count("1 claims do not hold") == code


def test_a_claim_without_results_does_not_hold(copy: Path) -> None:
    path = copy / "searching.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "seeds": [0]}))
    sign(copy, "searching.yaml")
    said = invoke("verify", copy, "--quiet", "--jobs", "0", code=1).stdout
    n_claims = (pd.read_csv(copy / "claims.csv")["experiment"] == "searching").sum()
    assert said.count("not computed") == n_claims


def test_tolerances_depend_on_the_attack_and_the_defense(received: Path) -> None:
    found = pd.read_csv(received / "claims.csv")
    found = found[(found["experiment"] == "searching") & (found["poisoning_rate"] > 0)]
    seen = found.groupby(["attack", "defense"])["tolerance"].agg(["min", "max"]).agg(set, axis=1)
    assert seen["bgd", "none"] == {claims.SEARCH}
    assert seen["bgd", "trim"] == {claims.DEFENDED}
    for exact in (("bgd", "oracle"), ("statp", "none"), ("statp", "trim")):
        assert seen[exact] == {claims.EXACT}


def test_claims_are_medians_over_seeds(received: Path) -> None:
    found = pd.read_csv(received / "claims.csv")
    rows = pd.read_csv(received / "expected" / "searching" / "results.csv", keep_default_na=False)
    rows = rows[(rows["attack"] == "bgd") & (rows["n_poison"] > 0) & (rows["defense"] == "trim")]
    one = found[(found["attack"] == "bgd") & (found["poisoning_rate"] > 0)
                & (found["defense"] == "trim")].set_index("metric")  # fmt: skip
    for metric in ("test_mse", "ratio_to_clean"):
        assert one.loc[metric, "value"] == rows[metric].astype(float).median()
        assert one.loc[metric, "seeds"] == 2


def test_versions_are_locked(received: Path) -> None:
    lines = (received / "requirements.txt").read_text().splitlines()
    wheel = next(line for line in lines if line.startswith("./"))
    assert (received / wheel).is_file()
    locked = dict(line.split("==") for line in lines if "==" in line)
    for name, known in locked.items():
        assert version(name) == known
    needed = {"numpy", "scipy", "pandas", "typer", "pydantic-core", "python-dateutil"}
    assert needed <= set(locked)
    assert not {"pytest", "ruff", "mypy", "poisonbench"} & set(locked)


def test_another_version_is_reported(copy: Path) -> None:
    path = copy / "requirements.txt"
    path.write_text(re.sub(r"^numpy==.*", "numpy==1.0", path.read_text(), flags=re.M))
    sign(copy, "requirements.txt")
    said = invoke("verify", copy, "--quiet", "--jobs", "0").stderr
    assert said == f"Not the locked version: numpy {np.__version__} in place of 1.0\n"


def test_the_wheel_is_the_package(received: Path, tmp_path: Path) -> None:
    wheel = next(received.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        entries = [line.split(",") for line in archive.read(record).decode().splitlines()]
        assert {name for name, *_ in entries} == set(archive.namelist())
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet",
         "--disable-pip-version-check", "--target", tmp_path / "site", wheel],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named pip" in installed.stderr:
        pytest.skip("pip is not installed")
    assert installed.returncode == 0, installed.stderr
    package = Path(poisonbench.__file__).parent
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copied = tmp_path / "site" / "poisonbench" / path.relative_to(package)
            assert copied.read_bytes() == path.read_bytes()
    # What a wheel has beside the modules is found too.
    code = (
        "import poisonbench; from poisonbench import packaged_files\n"
        "print(poisonbench.__file__, *packaged_files.folder('published').glob('*.csv'))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=tmp_path / "site").stdout.split()  # fmt: skip
    assert len(said) > 1
    assert all(path.startswith(str(tmp_path / "site")) for path in said)


def test_the_dockerfile_copies_what_is_there_and_runs_verify(received: Path) -> None:
    lines = (received / "Dockerfile").read_text().splitlines()
    python = ".".join(map(str, sys.version_info[:3]))
    assert lines[0] == f"FROM python:{python}-slim"
    for line in lines:
        if line.startswith("COPY"):
            assert all((received / name).exists() for name in line.split()[1:-1])
    assert json.loads(lines[-1].removeprefix("CMD ")) == ["poisonbench", "verify", "."]


def test_the_readme_has_a_command_for_each_table_and_figure(received: Path) -> None:
    text = (received / "README.md").read_text()
    rows = re.findall(r"^\| (.+?): (.+?) \| `poisonbench (.+?)` \| (.+?) \| (\d+) MB \|$", text,
                      re.M)  # fmt: skip
    named = {f"{name}/{file}" for name, makes, *_ in rows
             for file in re.findall(r"[\w-]+\.(?:csv|txt)|(?<=figure )[\w.-]+", makes)}  # fmt: skip
    there = {path.relative_to(received / "expected").as_posix().replace("figures/", "")
             for path in (received / "expected").rglob("*") if path.is_file()}  # fmt: skip
    assert named == there
    assert any(name.endswith(".png") for name in named)
    known = typer.main.get_command(app)
    for _, _, command, minutes, memory in rows:
        words = shlex.split(command)
        known.commands[words[0]].make_context(words[0], words[1:])
        assert float(minutes.removeprefix("< ")) > 0
        assert int(memory) > 50


def test_metadata_for_archives(received: Path) -> None:
    zenodo = json.loads((received / ".zenodo.json").read_text())
    assert [one["name"] for one in zenodo["creators"]] == ["Doe, Jane", "Consortium"]
    assert zenodo["license"] == "cc-by-4.0"
    assert "linear regression" in zenodo["title"]
    citation = yaml.safe_load((received / "CITATION.cff").read_text())
    assert citation["authors"] == [
        {"family-names": "Doe", "given-names": "Jane"},
        {"name": "Consortium"},
    ]
    assert citation["license"] == "CC-BY-4.0"


def test_an_unfinished_folder_is_refused_with_the_command_that_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path, SEARCHING, tmp_path / "out")
    before = (tmp_path / "out" / "results.csv").read_bytes()
    next((tmp_path / "out" / "cells").glob("*/*.json")).unlink()
    said = invoke("artifact", "out", code=2).stderr
    assert "out: 1 cells are missing:" in said
    assert not (tmp_path / "out-artifact").exists()
    command = shlex.split(said.splitlines()[-1])
    invoke(*command[1:], "--quiet", "--jobs", "0")
    assert (tmp_path / "out" / "results.csv").read_bytes() == before
    # Now it can be made; and not again into the same folder.
    said = invoke("artifact", "out", "--tolerance", "0.5", "--tolerance", "bgd=0.25").stderr
    assert "No --author was given" in said
    assert "No --license was given" in said
    found = pd.read_csv(tmp_path / "out-artifact" / "claims.csv")
    assert dict(zip(found["attack"], found["tolerance"], strict=True)) == {
        "bgd": 0.25,
        "statp": 0.5,
    }
    assert "already exists" in invoke("artifact", "out", code=2).stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_data_that_have_changed_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["a", "y"])
    rows.to_csv("mine.csv", index=False)
    config = {"dataset": {"name": "csv", "path": "mine.csv", "target": "y"}, "attack": "none",
              "seeds": 1}  # fmt: skip
    run(tmp_path, config, tmp_path / "out")
    rows.assign(a=rows["a"] / 2).to_csv("mine.csv", index=False)
    assert "now gives other cells" in invoke("artifact", "out", code=2).stderr
    Path("mine.csv").unlink()
    assert "no file mine.csv" in invoke("artifact", "out", code=2).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent",), "absent: no folder"),
        ((".",), "no output folder in ."),
        ((".", "--tolerance", "much"), "--tolerance much: not a tolerance"),
        ((".", "--tolerance", "-1"), "--tolerance -1: not a tolerance"),
        ((".", "--tolerance", "optq=1"), "did you mean 'optp'"),
        ((".", "--author", ", Jane"), "no family name"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in invoke("artifact", *arguments, code=2).stderr


def test_data_of_the_catalogue_are_not_copied_but_their_checksums(
    house_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("datasets").mkdir()
    shutil.copy(house_csv, "datasets")
    config = {**SEARCHING, "dataset": "house", "attack": "statp", "seeds": 1}
    run(tmp_path, {**config, "poisoning_rate": [0, 0.2]}, tmp_path / "out")
    invoke("artifact", "out")
    folder = tmp_path / "out-artifact"
    assert [path.name for path in (folder / "datasets").iterdir()] == ["SHA256SUMS"]
    assert "poisonbench verify . --fetch" in (folder / "README.md").read_text()
    compared = (folder / "expected" / "comparison.txt").read_text()
    assert compared.startswith("rerun/out compared with jagielski2018: a ratio is")
    assert '"--fetch"' in (folder / "Dockerfile").read_text()
    assert "poisonbench datasets fetch house" in invoke("verify", folder, code=2).stderr
    shutil.move(Path("datasets", house_csv.name), folder / "datasets")
    invoke("verify", folder, "--quiet", "--jobs", "0")
    with (folder / "datasets" / house_csv.name).open("a") as file:
        file.write("\n")
    assert "changed; its SHA-256" in invoke("verify", folder, code=2).stderr
