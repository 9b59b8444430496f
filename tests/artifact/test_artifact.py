"""Folders from which others can repeat experiments: made, moved to elsewhere, and verified."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

import poisonbench
from poisonbench.artifact import claims, contents, environment, steps, texts
from poisonbench.cli.app import app
from poisonbench.data.files import checksum
from poisonbench.data.sidecar import Sidecar
from poisonbench.output import store, weak_attacks
from poisonbench.output.layout import StoreError

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
                      "--license", "CC-BY-4.0", "--quiet")  # fmt: skip
    assert made.stdout == ""
    # These are warnings, so that --quiet prints them too.
    assert (
        "check that you may pass them on: bad.csv, mine.csv, mine.csv.json, rows.npz."
        in made.stderr
    )
    assert "No comparison with published values. ../rerun has no cell" in made.stderr
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


def sign(folder: Path, *names: str) -> None:
    """Put the checksums of new and changed files into the list; remove those of missing files."""
    path = folder / "SHA256SUMS"
    listed = dict(reversed(line.split("  ")) for line in path.read_text().splitlines())
    for name in names:
        listed.pop(name, None)
        if (folder / name).exists():
            listed[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text("".join(f"{known}  {name}\n" for name, known in listed.items()))


def refused(folder: Path, *options: object) -> str:
    """Return the message with which an artifact is refused before anything is written."""
    before = {path: path.lstat().st_mtime_ns for path in folder.parent.rglob("*")}
    said = invoke("verify", folder, "--jobs", "0", *options, code=2)
    assert said.stdout == ""
    assert before == {path: path.lstat().st_mtime_ns for path in folder.parent.rglob("*")}
    return said.stderr


def test_it_runs_elsewhere_and_every_number_is_the_same(copy: Path) -> None:
    before = sorted(copy.rglob("*"))
    said = invoke("verify", copy, "--jobs", "0").stdout
    assert "claims hold; the largest relative difference is 0." in said
    out = copy.with_name("artifact-rerun")
    for name in ("given", "searching"):
        for file in ("results", "table", "convergence", "changes"):
            new = out / name / f"{file}.csv"
            assert new.read_bytes() == (copy / "expected" / name / f"{file}.csv").read_bytes()
    found = pd.read_csv(out / "claims.csv")
    assert set(found["verdict"]) == {"holds"}
    assert set(found["experiment"]) == {"given", "searching"}
    assert sorted(copy.rglob("*")) == before
    # It says what was computed and what was not.
    n_cells, n_left = (
        sum(1 for _ in out.glob(f"{name}/cells/*/*.json")) for name in ("*", "given")
    )
    assert n_cells > n_left > 0
    assert f"{n_cells} cells were computed now; 0 cells and 0 poison sets were found" in said
    again = invoke("verify", copy, "--jobs", "0").stdout
    assert f"\n0 cells were computed now; {n_cells} cells and " in again
    shutil.rmtree(out / "searching" / "cells")
    n_poison = sum(1 for _ in out.glob("*/poison/*.npz"))
    again = invoke("verify", copy, "--jobs", "0", "--quiet").stderr
    assert again.endswith(
        f"{n_cells - n_left} cells were computed now; {n_left} cells and {n_poison} poison sets "
        f"were found finished in {out}.\n"
    )


def test_results_that_came_with_an_artifact_are_not_used(copy: Path) -> None:
    invoke("verify", copy, "--jobs", "0", "--quiet")
    shutil.move(copy.with_name("artifact-rerun"), copy / "rerun")
    assert f"{copy}/rerun/claims.csv: not in {copy}/SHA256SUMS" in refused(copy)
    assert "rerun: in the artifact" in refused(copy, "--output", copy / "rerun")
    assert "rerun: in the artifact" in refused(copy, "--output", "../artifact/rerun")
    sign(copy, *(path.relative_to(copy).as_posix() for path in (copy / "rerun").rglob("*")
                 if path.is_file()))  # fmt: skip
    assert "; 0 cells and 0 poison sets" in invoke("verify", copy, "--jobs", "0").stdout


@pytest.mark.parametrize("name", ["rerun", "datasets", "inputs", "given.yaml", "expected/given"])
def test_links_are_refused(copy: Path, name: str) -> None:
    target = copy.parent / "elsewhere" / "target"
    if (copy / name).exists():
        shutil.move(copy / name, target)
    else:
        target.mkdir()
    (copy / name).symlink_to(target)
    assert f"{copy / name}: a symbolic link" in refused(copy)


@pytest.mark.parametrize("name", ["more.yaml", "inputs/more.csv", "rerun/claims.csv"])
def test_files_that_are_not_listed_are_refused(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    shutil.copy(copy / "searching.yaml", copy / name)
    assert f"{copy / name}: not in {copy / 'SHA256SUMS'}" in refused(copy)


def test_an_empty_list_is_refused(copy: Path) -> None:
    (copy / "SHA256SUMS").write_text("")
    said = refused(copy)
    assert f"{copy / 'README.md'}: not in" in said
    assert "and 15 more\n" in re.sub(r"and \d+ more", "and 15 more", said)
    assert len(said.splitlines()) == 12


def test_what_others_may_add(copy: Path) -> None:
    for name in (".git/config", ".venv/bin/python", "datasets/house.csv"):
        (copy / name).parent.mkdir(parents=True)
        (copy / name).touch()
    (copy / ".venv" / "bin" / "python3").symlink_to("python")
    invoke("verify", copy, "--jobs", "0", "--quiet")


@pytest.mark.parametrize("path", ["{}/mine.csv", "../elsewhere/mine.csv", "datasets/mine.csv"])
def test_a_config_names_only_files_of_the_artifact(copy: Path, path: str) -> None:
    outside = copy.parent / "elsewhere"
    (copy / "datasets").mkdir()
    for folder in (outside, copy / "datasets"):
        for name in ("mine.csv", "mine.csv.json"):
            shutil.copy(copy / "inputs" / name, folder)
    config = copy / "given.yaml"
    written = path.format(outside)
    config.write_text(config.read_text().replace("inputs/mine.csv", written))
    sign(copy, "given.yaml")
    assert f"{config}: {written} is not a file of the artifact" in refused(copy)


@pytest.mark.parametrize("name", ["...yaml", ".hidden.yaml"])
def test_a_config_needs_a_plain_name(copy: Path, name: str) -> None:
    shutil.copy(copy / "searching.yaml", copy / name)
    sign(copy, name)
    assert "not the name of an experiment" in refused(copy)


@pytest.mark.parametrize("name", ["/etc/hostname", "../elsewhere/mine.csv"])
@pytest.mark.parametrize("folder", ["", "datasets"])
def test_a_list_has_only_paths_in_its_folder(copy: Path, name: str, folder: str) -> None:
    (copy / folder).mkdir(exist_ok=True)
    with (copy / folder / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    sign(copy, *([f"{folder}/SHA256SUMS"] if folder else []))
    assert f"{name} leads out of the folder" in refused(copy)


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
    assert not copy.with_name("artifact-rerun").exists()


def test_what_is_no_artifact(tmp_path: Path) -> None:
    assert "expected a folder that poisonbench artifact made" in (
        invoke("verify", tmp_path, code=2).stderr
    )
    for command in ("artifact", "verify"):
        assert "/: has no folder beside it" in invoke(command, "/", code=2).stderr


def test_an_artifact_without_experiments_or_claims(copy: Path) -> None:
    claimed = (copy / "claims.csv").read_text().splitlines(keepends=True)
    for text, message in {
        claimed[0]: "claims.csv: no claims",
        "".join([claimed[0], claimed[1].replace(",2,", ",two,")]): "not the claims of an artifact",
    }.items():
        (copy / "claims.csv").write_text(text)
        sign(copy, "claims.csv")
        assert message in refused(copy)
    (copy / "claims.csv").write_text("".join(claimed))
    (copy / "given.yaml").unlink()
    (copy / "searching.yaml").unlink()
    sign(copy, "claims.csv", "given.yaml", "searching.yaml")
    assert "no config" in refused(copy)
    (copy / "claims.csv").unlink()
    (copy / "requirements.txt").unlink()
    sign(copy, "claims.csv", "requirements.txt")
    assert "claims.csv: missing" in (said := refused(copy))
    assert "requirements.txt: missing" in said


def test_quiet_tells_which_claims_fail(copy: Path) -> None:
    stored = pd.read_csv(copy / "claims.csv", dtype=str, keep_default_na=False)
    stored.loc[(stored["attack"] == "statp") & (stored["defense"] == "trim")
               & (stored["poisoning_rate"] == "0.1"), "value"] = "9"  # fmt: skip
    stored.to_csv(copy / "claims.csv", index=False)
    sign(copy, "claims.csv")
    said = invoke("verify", copy, "--quiet", "--jobs", "0", code=1).stdout.splitlines()
    assert said[0].startswith("The same in all of them: ")
    table = [line.split() for line in said[2:]]
    assert {"experiment", "attack", "defense", "poisoning_rate"} <= set(table[0])
    assert len(table) == 3
    for row in table[1:]:
        assert {"searching", "statp", "trim", "0.1", "fails"} <= set(row)


def test_an_attack_above_its_ceiling_is_no_success(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weak_attacks, "above_ceiling", lambda _: ["too strong"])
    said = invoke("verify", copy, "--jobs", "0", code=1)
    assert said.stderr.count("too strong") == 2
    assert "All claims hold, but the run had the errors above." in said.stderr


def test_a_full_disk_ends_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, left = store.write, [8]

    def write(path: Path, content: bytes, *, durable: bool = True) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        original(path, content)

    monkeypatch.setattr(store, "write", write)
    said = invoke("verify", copy, "--jobs", "0", code=3)
    assert said.stderr.count("No space left on device") == 1
    assert "claims" not in said.output


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
    command = ["poisonbench", "verify", ".", "--output", "../rerun"]
    assert json.loads(lines[-1].removeprefix("CMD ")) == command
    text = (received / "README.md").read_text()
    assert shlex.join(command) in text
    assert '-v "$PWD/../rerun:/rerun"' in text  # without it, --rm would remove what to resume


@pytest.mark.parametrize("version", ["3.12.0rc1", "3.11.2+"])
def test_the_dockerfile_names_an_image_that_exists(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: version)
    assert re.match(r"FROM python:[\d.]+-slim\n", texts.dockerfile("x.whl", fetch=False))


def test_the_readme_has_a_command_for_each_table_and_figure(received: Path) -> None:
    text = (received / "README.md").read_text()
    rows = re.findall(r"^\| (.+?): (.+?) \| `poisonbench (.+?)` \| (.+?) \| (\d+) MB \|$", text,
                      re.M)  # fmt: skip
    named = {f"{name}/{file}" for name, makes, *_ in rows
             for file in re.findall(r"[\w-]+\.(?:csv|txt)|(?<=figure )[\w.-]+", makes)}  # fmt: skip
    there = {path.relative_to(received / "expected").as_posix().replace("figures/", "")
             for path in (received / "expected").rglob("*") if path.is_file()}  # fmt: skip
    assert named == there
    assert "- No comparison with published values. ../rerun has no cell" in text
    assert "- Disk: less than 1 MB" in text
    assert "to run their code" in text
    can_draw = all(map(find_spec, ("matplotlib", "jinja2")))
    assert any(name.endswith(".png") for name in named) == can_draw
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


def test_links_to_folders_of_the_same_name_are_two_experiments(tmp_path: Path) -> None:
    into = tmp_path / "artifact"
    into.mkdir()
    for name, seeds in {"a": 1, "b": 2}.items():
        out = tmp_path / name / "results"
        run(tmp_path, {"dataset": "diabetes", "attack": "none", "seeds": seeds}, out)
        (tmp_path / f"link-{name}").symlink_to(out)
        made = contents.add_experiment(tmp_path / f"link-{name}", into, None)
        assert (made.name, len(made.plan.rows)) == (f"link-{name}", seeds)
    contents.add_experiment(tmp_path / "a" / "results", into, None)
    with pytest.raises(StoreError, match="the second experiment called results"):
        contents.add_experiment(tmp_path / "b" / "results", into, None)
    (tmp_path / "a,b").symlink_to(out)
    with pytest.raises(StoreError, match="not the name of an experiment"):
        contents.add_experiment(tmp_path / "a,b", into, None)


def test_only_the_paths_of_files_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["a", "y"])
    rows.to_csv("mine.csv", index=False)
    rows.head(1).to_csv("trim", index=False)
    run(tmp_path, {
        "dataset": {"name": "csv", "path": "mine.csv", "target": "y"},
        "attack": [{"name": "file", "path": "trim"}, "none"],
        "defense": ["none", "trim"],
        "sweep": {"exclude": [{"attack.path": "trim", "defense": "trim"}]},
        "seeds": 1,
    }, tmp_path / "out")  # fmt: skip
    Path("artifact").mkdir()
    contents.add_experiment(Path("out"), Path("artifact"), None)
    config = yaml.safe_load(Path("artifact", "out.yaml").read_text())
    assert [one["name"] for one in config["defense"]] == ["none", "trim"]
    assert config["attack"][0]["path"] == "inputs/trim"
    assert config["sweep"]["exclude"] == [{"attack.path": "inputs/trim", "defense": "trim"}]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["table", "plot"])
def test_a_command_that_is_not_possible(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "artifact").mkdir()
    run(tmp_path, {"dataset": "diabetes", "attack": "none", "seeds": 1}, tmp_path / "out")
    made = contents.add_experiment(tmp_path / "out", tmp_path / "artifact", None)
    expected, notes = tmp_path / "artifact" / "expected" / "out", []
    if word == "table":  # which is always possible
        made = replace(made, folder=tmp_path / "gone")
        with pytest.raises(StoreError, match="gone: exit code 2"):
            list(steps.steps_of(made, expected, None, notes))
    else:
        (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert len(list(steps.steps_of(made, expected, None, notes))) == 2
        assert notes[0].startswith("out: no figures. ")
        assert "poisonbench[plot]" in notes[0]


def test_a_package_that_is_on_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own_attacks-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: own-attacks\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[poisonbench.attacks]\nown = own_attacks:Own\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert environment.locked()["own-attacks"] == "1.0"
    assert environment.not_on_an_index() == []
    (folder / "direct_url.json").write_text('{"url": "file:///home/jane/own", "dir_info": {}}')
    (note,) = environment.not_on_an_index()
    assert note.startswith("own-attacks 1.0 was not installed from a package index.")
    assert "jane" not in note


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
    config = {**SEARCHING, "dataset": "house", "attack": ["none", "statp"], "seeds": 1}
    run(tmp_path, {**config, "poisoning_rate": [0, 0.2]}, tmp_path / "out")
    # A warning for what the authors should know; not again into the same folder.
    said = invoke("artifact", "out", "--tolerance", "0.5", "--tolerance", "statp=0.25").stderr
    assert "No --author was given" in said
    assert "No --license was given" in said
    found = pd.read_csv(tmp_path / "out-artifact" / "claims.csv")
    assert dict(zip(found["attack"], found["tolerance"], strict=True)) == {
        "none": 0.5,
        "statp": 0.25,
    }
    assert "already exists" in invoke("artifact", "out", code=2).stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    folder = tmp_path / "out-artifact"
    assert [path.name for path in (folder / "datasets").iterdir()] == ["SHA256SUMS"]
    assert "verify . --output ../rerun --fetch\n" in (folder / "README.md").read_text()
    compared = (folder / "expected" / "comparison.txt").read_text()
    assert compared.startswith("../rerun/out compared with jagielski2018: a ratio is")
    assert '"--fetch"' in (folder / "Dockerfile").read_text()
    assert "poisonbench datasets fetch house" in invoke("verify", folder, code=2).stderr
    shutil.move(Path("datasets", house_csv.name), folder / "datasets")
    invoke("verify", folder, "--quiet", "--jobs", "0")
    with (folder / "datasets" / house_csv.name).open("a") as file:
        file.write("\n")
    assert "changed; its SHA-256" in invoke("verify", folder, code=2).stderr
