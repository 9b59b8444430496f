"""The output folder: what it keeps through interruptions, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from poisonbench.attacks.coordinate import Coordinate
from poisonbench.config import load
from poisonbench.data.files import written_whole
from poisonbench.execution import engine
from poisonbench.execution.options import RunOptions
from poisonbench.output import store, tables
from poisonbench.plan.make import make_plan

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": [{"name": "optp", "iterations": 1}, "statp"],
    "poisoning_rate": [0, 0.2],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 2,
}


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of an output folder that must be reproducible."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "meta" not in path.parts and path.name != "timings.csv"
    }


def times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.parent != out}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The output folder of CONFIG, not to be touched."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    work = make_plan(load(folder / "x.yaml"))
    store.open_folder(folder / "out", work)
    assert not engine.run(work, folder / "out", RunOptions(jobs=0, quiet=True)).failures
    tables.write_csvs(tables.collect(work.rows, folder / "out"), folder / "out")
    return folder / "out"


@pytest.fixture
def done(bench, finished):
    """A copy of it, and its contents."""
    out = bench.folder / "out"
    shutil.copytree(finished, out)
    return out, contents(out)


def test_the_same_config_gives_the_same_bytes(bench, done):
    _, before = done
    assert contents(bench.run(CONFIG, out="other")) == before
    assert sum(name.startswith("poison/") for name in before) == 4
    assert not any(word in name for name in before for word in (".tmp", "~"))


def test_a_second_run_computes_nothing(bench, done):
    out, before = done
    cells = times(out)
    bench.run(CONFIG)
    assert times(out) == cells
    assert contents(out) == before


def first(out: Path, pattern: str) -> Path:
    return sorted(out.glob(pattern))[0]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("pattern", ["cells/*/*.json", "poison/*.npz", "results.csv"])
@pytest.mark.parametrize("damage", [Path.unlink, truncate, lambda path: path.write_bytes(b"")])
def test_what_is_lost_or_damaged_is_made_again_and_nothing_else(bench, done, pattern, damage):
    out, before = done
    path = first(out, pattern)
    others = times(out)
    damage(path)
    bench.run(CONFIG)
    assert contents(out) == before
    changed = {other for other, time in times(out).items() if others[other] != time}
    allowed = {path, *(out.glob("meta/*/*.json"))}
    assert changed <= allowed
    assert path in changed or path.parent == out


def test_a_poison_file_with_a_flipped_bit_is_made_again(bench, done):
    out, before = done
    flip(first(out, "poison/*.npz"))
    bench.run(CONFIG)
    assert contents(out) == before


def test_poison_of_another_group_under_the_name_is_made_again(bench, done):
    out, before = done
    one, other = sorted(out.glob("poison/*.npz"))[:2]
    one.write_bytes(other.read_bytes())
    bench.run(CONFIG)
    assert contents(out) == before


def test_a_lost_poison_set_and_a_lost_cell(bench, done):
    """The cell meets the poison set that its fellows met."""
    out, before = done
    for path in [*out.glob("poison/*"), *sorted(out.glob("cells/*/*"))[::2]]:
        path.unlink()
    bench.run(CONFIG)
    assert contents(out) == before


def test_lost_meta_costs_timings_only(bench, done):
    out, before = done
    for path in out.glob("meta/*/*"):
        path.unlink()
    bench.run(CONFIG)
    assert contents(out) == before
    assert len((out / "timings.csv").read_text().splitlines()) == 1 + 2 * 2 * 2 * 2


def test_poison_files_hold_what_it_takes_to_use_them(done):
    out, _ = done
    path = first(out, "poison/optp-p8-seed0-*.npz")
    with np.load(path) as file:  # without pickles
        stored = dict(file)
    assert stored["X"].shape == (8, 11)
    assert stored["y"].shape == (8,)
    assert [len(stored[part]) for part in ("train", "validation", "test")] == [40, 20, 30]
    assert len(np.unique(np.concatenate([stored[part] for part in CONFIG["split"]]))) == 90
    assert stored["feature_names"].tolist()[:3] == ["age", "sex:1", "sex:2"]
    assert set(stored) == set(store.POISON_ARRAYS)
    assert str(stored["target"]) == "progression"


def test_files_are_as_open_as_others(done):
    out, _ = done
    plain = out.parent / "plain"
    plain.touch()
    for path in (out / "results.csv", out / "plan.json", first(out, "poison/*.npz")):
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_another_config_is_refused(bench, done):
    out, before = done
    other = {**CONFIG, "seeds": 3, "model": {"name": "ridge", "alpha": 0.5}}
    message = bench.invoke(other, "--output", "out", code=2).stderr
    assert "out holds the results of another config" in message
    assert "model.alpha: 0.1 there, 0.5 here" in message
    assert "seeds: only here: [2]" in message
    assert "--output" in message
    assert contents(out) == before
    bench.run(other, out="elsewhere")


def test_other_data_under_the_same_name_are_refused(bench):
    rows = "\n".join(f"{i},{i * i % 7},{i % 5}" for i in range(30))
    (bench.folder / "d.csv").write_text(f"a,b,y\n{rows}\n")
    config = {
        "dataset": {"name": "csv", "path": "d.csv", "target": "y"},
        "attack": "none",
        "seeds": 1,
    }
    bench.run(config)
    (bench.folder / "d.csv").write_text(f"a,b,y\n{rows}\n77,3,2\n")
    message = bench.invoke(config, "--output", "out", code=2).stderr
    assert "another config" in message
    assert "contents.csv(" in message


def test_what_does_not_matter_is_not_another_config(bench, done):
    out, before = done
    same = {**CONFIG, "seeds": [0, 1], "rate_of": "clean", "initialization": "bflip"}
    bench.run(same)
    assert contents(out) == before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00\xff"])
def test_a_damaged_plan_is_refused(bench, done, content):
    out, _ = done
    (out / "plan.json").write_bytes(content.encode("latin-1"))
    before = contents(out)
    message = bench.invoke(CONFIG, "--output", "out", code=2).stderr
    assert "plan.json" in message or "another config" in message
    assert contents(out) == before


def test_a_folder_with_something_else_is_refused(bench):
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / "thesis.tex").write_text("x")
    message = bench.invoke(CONFIG, "--output", "out", code=2).stderr
    assert "out is not empty and has no plan.json" in message
    assert [path.name for path in (bench.folder / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("left", [".plan.json.x7f3", ".gitkeep", ".DS_Store"])
def test_hidden_files_do_not_make_a_folder_foreign(bench, left):
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / left).write_text("{")
    bench.run({**CONFIG, "attack": "none", "seeds": 1})


def test_another_process_may_open_the_folder_meanwhile(bench, monkeypatch):
    (bench.folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    out, work = bench.folder / "out", make_plan(load(bench.folder / "x.yaml"))
    out.mkdir()
    exists, met = Path.exists, []

    def exists_not_yet(path: Path) -> bool:
        found = exists(path)
        if path == out / "plan.json" and not met:
            met.append(path)
            store.open_folder(out, work)
        return found

    monkeypatch.setattr(Path, "exists", exists_not_yet)
    store.open_folder(out, work)
    assert met


@pytest.mark.parametrize("below", ["", "sub", "sub/deeper"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_file_where_the_folder_should_be(bench, below, dry):
    (bench.folder / "out").write_text("a file")
    result = bench.invoke(CONFIG, "--output", str(Path("out", below)), *dry, code=2)
    assert "out" in result.stderr
    assert (bench.folder / "out").read_text() == "a file"


def test_a_folder_that_cannot_be_made(bench):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc")
    message = bench.invoke(CONFIG, "--output", "/proc/poisonbench", code=2).stderr
    assert "/proc/poisonbench: cannot be written to" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(bench):
    (bench.folder / "locked").mkdir(mode=0o500)
    message = bench.invoke(CONFIG, "--output", "locked", code=2).stderr
    assert "locked: cannot be written to: Permission denied" in message


@pytest.mark.parametrize(
    ("flag", "reason"), [(0, "Permission denied"), (os.ST_RDONLY, "Read-only file system")]
)
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_computed(
    bench, monkeypatch, flag, reason
):
    """Whoever runs the tests: root may write where the permissions say otherwise."""
    (bench.folder / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    message = bench.invoke(CONFIG, "--output", "locked", code=2).stderr
    assert f"locked: cannot be written to: {reason}" in message
    assert not list((bench.folder / "locked").iterdir())


def test_a_disk_that_fills_up(bench, monkeypatch):
    original, left = store.write, [8]

    def write(path: Path, content: bytes, *, durable: bool = True) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        original(path, content)

    monkeypatch.setattr(store, "write", write)
    result = bench.invoke(CONFIG, "--output", "out", "--quiet", code=3)
    assert (
        "No space left on device. Finished cells are kept; run the same command again to resume."
        in result.stderr
    )
    kept = times(bench.folder / "out")
    monkeypatch.undo()
    monkeypatch.chdir(bench.folder)
    out = bench.run(CONFIG)
    assert {path: times(out)[path] for path in kept} == kept
    assert contents(out) == contents(bench.run(CONFIG, out="other"))


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x"
    store.write(path, b"old")

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        store.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    code = (
        "import os; from pathlib import Path; from poisonbench.data.files import written_whole\n"
        "with written_whole(Path('cells/ab/x.json')) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert killed.returncode == -9
    (left,) = (tmp_path / "cells" / "ab").glob(".*")
    with written_whole(tmp_path / "cells" / "ab" / "y.json") as file:
        store.tidy(tmp_path)
        assert not left.exists()
        file.write(b"whole")  # our own was left alone
    assert (tmp_path / "cells" / "ab" / "y.json").read_bytes() == b"whole"


def test_differences_name_every_key():
    known = {"config": {"a": 1, "b": {"c": [1]}}, "same": 2}
    wanted = {"config": {"a": 1, "b": {"c": [2], "d": True}}, "same": 2}
    assert list(store.differences(known, wanted)) == [
        "b.c: only there: [1]",
        "b.c: only here: [2]",
        "b.d: null there, true here",
    ]


def test_differences_of_order():
    assert list(store.differences({"a": [1, 2]}, {"a": [2, 1]})) == ["a: in another order"]


def test_cells_hold_no_times_and_no_place(done):
    out, before = done
    text = b"".join(content for name, content in before.items() if name.startswith("cells"))
    for word in ("second", "time", "host", "finished", str(out), os.uname().nodename):
        assert word.encode() not in text
    header = before["results.csv"].splitlines()[0].decode()
    assert not {"attack_seconds", "defense_seconds", "host"} & set(header.split(","))


def test_what_ran_is_recorded_beside_the_numbers(done):
    out, _ = done
    meta = [json.loads(path.read_text()) for path in out.glob("meta/*/*.json")]
    cells = [entry for entry in meta if "defense_seconds" in entry]
    assert len(cells) == len(list(out.glob("cells/*/*.json")))
    assert all({"poisonbench", "python", "libraries", "host", "blas"} <= set(m) for m in cells)
    assert all("numba" in m["libraries"] for m in cells)


def test_the_engine_of_an_attack_is_recorded(bench):
    attacks = ["coordinate", {"name": "optp", "iterations": 1}]
    out = bench.run({**CONFIG, "attack": attacks, "poisoning_rate": 0.1, "seeds": 1})
    meta = [json.loads(path.read_text()) for path in out.glob("meta/*/*.json")]
    made = [entry["engine"] for entry in meta if "defense_seconds" not in entry]
    assert sorted(made, key=str) == [None, Coordinate.engine()]
    cells = {entry["engine"] for entry in meta if "defense_seconds" in entry}
    assert cells == {None, Coordinate.engine()}
    # Made before, by another engine than is here now: that one is named.
    for path in out.glob("meta/*/*.json"):
        path.write_text(path.read_text().replace(str(Coordinate.engine()), "numba 0.1"))
    for cell in out.glob("cells/*/*.json"):
        cell.unlink()
    bench.run({**CONFIG, "attack": attacks, "poisoning_rate": 0.1, "seeds": 1})
    meta = [json.loads(path.read_text()) for path in out.glob("meta/*/*.json")]
    assert {entry["engine"] for entry in meta} == {None, "numba 0.1"}


def test_number_of_cells_that_are_done(bench, done, tmp_path):
    out, _ = done
    (tmp_path / "y.yaml").write_text(yaml.safe_dump(CONFIG))
    work = make_plan(load(tmp_path / "y.yaml"))
    n = sum(len(group.tasks) for group in work.groups)
    assert store.n_done(out, work) == n == 12
    first(out, "cells/*/*.json").unlink()
    assert store.n_done(out, work) == n - 1
    assert "11 cells are already in out" in bench.invoke(CONFIG, "-o", "out", "--dry-run").stdout
