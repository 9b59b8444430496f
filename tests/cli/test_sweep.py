"""``poisonbench sweep``, ``status`` and ``merge`` from the point of view of a user."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from poisonbench.cli.app import app
from poisonbench.config import ConfigError, load
from poisonbench.config.sweep import PAPER_RATES
from poisonbench.output.layout import read_json, sealed

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG: dict[str, Any] = {
    # Made, not read: scikit-learn's may lie where only root may read.
    "dataset": {"name": "synthetic", "n": 120, "d": 4, "informative": 2, "groups": [3]},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 1}],
    "poisoning_rate": [0, 0.1, 0.2],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 2,
}
NAMES = ("results.csv", "table.csv")


def invoke(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result


def sweep(*arguments: str, config: dict[str, Any] = CONFIG, code: int = 0) -> Result:
    """Sweep a config in the current folder, in this process."""
    Path("x.yaml").write_text(yaml.safe_dump(config))
    return invoke("sweep", "x.yaml", "--jobs", "0", "--output", "out", *arguments, code=code)


def read(config: dict[str, Any], *overrides: str, rates: str | None = None) -> Any:
    Path("x.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return load(Path("x.yaml"), overrides, sweep=True, rates=rates)


def refusal(config: dict[str, Any], *overrides: str, rates: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(config, *overrides, rates=rates)
    return str(caught.value)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Swept:
    folder: Path
    said: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The output folder of one serial sweep of CONFIG, not to be touched."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = sweep().stdout
    return Swept(folder / "out", said)


@pytest.fixture
def out(here, swept):
    """A copy of it."""
    shutil.copytree(swept.folder, here / "out")
    return here / "out"


def values(config: Any) -> tuple[Any, ...]:
    return tuple(rate.value for rate in config.rates)


# Which rates and axes


def test_rates_come_from_the_nearest_place(here):
    single = {**CONFIG, "poisoning_rate": 0.1}
    block = {**single, "sweep": {"poisoning_rate": [0.3, 0.4]}}
    assert values(read(block, rates="0,0.5")) == (0, 0.5)
    assert values(read(block, "poisoning_rate=0.6,0.7")) == (0.6, 0.7)
    assert values(read(block, "poisoning_rate=0.6")) == (0.6,)
    assert values(read(block)) == (0.3, 0.4)
    assert values(read(CONFIG)) == (0, 0.1, 0.2)
    replaced = read(single)
    assert values(replaced) == PAPER_RATES
    assert "x.yaml:" in replaced.notes[0]
    assert "the single poisoning_rate 0.1 is replaced by" in replaced.notes[0]
    del single["poisoning_rate"]
    assert values(read(single)) == PAPER_RATES
    assert read(single).notes == ()


def test_what_a_rate_is_a_share_of_still_holds(here):
    total = {**CONFIG, "poisoning_rate": {"rate": 0.1, "rate_of": "total"}}
    for config in (read(total), read(total, rates="0,0.3")):
        assert {rate.of for rate in config.rates} == {"total"}
    mixed = {**CONFIG, "poisoning_rate": [{"rate": 0.1, "rate_of": "total"}]}
    assert "its own rate_of" in refusal(mixed, rates="0,0.3")


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ("0,x", "command line: --rates 0,x: poisoning_rate.1: 'x' is a string"),
        ("1", "command line: --rates 1: poisoning_rate.0: 1 is out of range"),
        ("0.1,0.1", "listed twice"),
        ("", "expected a number"),
    ],
)
def test_bad_rates(here, rates, message):
    assert message in refusal(CONFIG, rates=rates)


def test_rates_are_given_once(here):
    assert "given together with poisoning_rate" in refusal(
        CONFIG, "poisoning_rate=0.1", rates="0.1"
    )


@pytest.mark.parametrize(
    ("argument", "axis"),
    [("sweep.model.alpha=1,2", "model.alpha"), ("sweep={poisoning_rate: [0]}", "model.alpha")],
)
def test_an_axis_of_the_command_line_is_no_part_of_the_block(here, argument, axis):
    message = refusal(CONFIG, argument)
    assert message == (
        f"command line: {argument}: cannot add to the sweep block; expected the axis itself, such "
        f"as {axis}=0,0.1"
    )
    left = read(CONFIG, "sweep.exclude=[{seeds: 1}]")
    assert left.exclude
    (note,) = load(Path("x.yaml"), ["sweep.exclude=[{seeds: 1}]"]).notes
    assert "the sweep block is ignored" in note


@pytest.mark.parametrize("as_sweep", [False, True])
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seeds=1", "model=ols", "seeds=2"],
         "command line: seeds=2: seeds is given twice, first as seeds=1"),
        (["model.alpha=1", "model.alpha=1"], "model.alpha is given twice"),
        (["model.alpha=1", "model=lasso"],
         "command line: model=lasso: would overwrite the earlier model.alpha=1; expected the other "
         "order"),
    ],
)  # fmt: skip
def test_nothing_is_undone_without_a_word(here, as_sweep, overrides, message):
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(Path("x.yaml"), overrides, sweep=as_sweep)
    load(Path("x.yaml"), ["model=lasso", "model.alpha=1", "seeds=2"], sweep=as_sweep)


def test_a_rate_in_a_list_in_a_list(here):
    assert "a list in a list" in refusal({**CONFIG, "poisoning_rate": [[0.1]]})


def test_axes_of_the_block_and_of_the_command_line(here):
    config = {**CONFIG, "sweep": {"model.alpha": [0.1, 1], "defense.1.restarts": [2, 3]}}
    assert [model.label for model in read(config).models] == ["ridge(alpha=0.1)",
                                                              "ridge(alpha=1.0)"]  # fmt: skip
    assert len(read(config).defenses) == 3
    given = read(config, "model.alpha=5,6,7", "attack=statp")
    assert [model.parameters["alpha"] for model in given.models] == [5, 6, 7]
    assert [attack.name for attack in given.attacks] == ["statp"]
    # An axis below a word that the command line gives belongs to the new value.
    nets = read(config, "model={name: elastic-net, rho: 0.3}").models
    assert [net.label for net in nets] == ["elastic-net(alpha=0.1,rho=0.3)",
                                           "elastic-net(alpha=1.0,rho=0.3)"]  # fmt: skip
    assert len(read(CONFIG, "model=ridge,lasso").models) == 2
    assert len(read(CONFIG, "model=[ridge, lasso, ols]").models) == 3


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([], "x.yaml:1: sweep: [] is not valid; expected axes"),
        (None, "sweep: null is not valid"),
        ({"modle.alpha": [1]}, "sweep.modle.alpha: unknown key; did you mean 'model'?"),
        ({"model.alpha": []}, "no values; expected a list"),
        ({"model.alpha": [0.1, -1]}, "x.yaml:4: model.alpha.1: -1 is out of range"),
        ({"model.alhpa": [0.1]}, "did you mean 'alpha'?"),
        ({"defense.restarts": [1]}, "not one of its indices; expected 0 to 1"),
        ({"exclude": 3}, "expected a list of combinations"),
        ({"exclude": [{"modle": "ridge"}]}, "did you mean 'model'?"),
        ({"exclude": [{"model.alpha": 5}]}, "5 excludes no combination; expected 0.1"),
        ({"exclude": [{"model": "ols"}]}, "'ols' excludes no combination"),
        (
            {"exclude": [{"poisoning_rate": 0.5}]},
            "excludes no combination; expected 0.0, 0.1 or 0.2",
        ),
    ],
)
def test_a_bad_block(here, block, message):
    found = refusal({"sweep": block, **CONFIG})
    assert message in found
    assert "x.yaml:" in found


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ([{"attack": "bgd", "poisoning_rate": 0.1}], 24 - 4),
        ([{"attack": "bgd"}, {"attack": "statp", "seeds": 1}], 6),
        ([{"attack.iterations": 1}], 12),
        ([{"attack.1.iterations": 1}], 12),
        ([{"initialization": "invflip"}], 24),
        ([{"defense": {"name": "trim", "restarts": 2}, "poisoning_rate": [0, 0.2]}], 24 - 8),
        ([{"defense": "none", "split.train": 40, "dataset.d": 4, "model.alpha": 0.1}], 12),
    ],
)
def test_combinations_that_are_excluded(here, exclude, left):
    config = {**CONFIG, "sweep": {"exclude": exclude}}
    if exclude == [{"initialization": "invflip"}]:
        assert "excludes no combination" in refusal(config)
        return
    said = sweep("--dry-run", config=config).stdout
    assert sum(map(int, re.findall(r": (\d+) rows$", said, re.M))) == left


def test_everything_excluded(here):
    config = {**CONFIG, "sweep": {"exclude": [{"model": "ridge"}]}}
    assert "sweep.exclude: excludes the whole grid" in sweep(config=config, code=2).stderr


def test_what_show_prints_of_a_sweep_is_the_same_sweep(here):
    block = {"poisoning_rate": 0.2, "model.alpha": [0.1, 1], "exclude": {"model.alpha": 1}}
    config = read({**CONFIG, "sweep": block})
    shown = invoke("show", "x.yaml").stdout
    assert read(yaml.safe_load(shown)).resolved() == config.resolved()
    assert "OK: " in invoke("validate", "x.yaml").stdout


def test_run_passes_over_the_block_and_says_so(here):
    Path("x.yaml").write_text(yaml.safe_dump({**CONFIG, "sweep": {"model.alpha": [1, 2]}}))
    result = invoke("run", "x.yaml", "--dry-run")
    assert "1 model," in result.stdout
    assert "the sweep block is ignored" in result.stderr
    Path("x.yaml").write_text("dataset: diabetes\nsweep: {attack: [statp, bgd]}\n")
    assert "the sweep block has it" in invoke("run", "x.yaml", code=2).stderr
    invoke("sweep", "x.yaml", "--dry-run")


# What is computed


def test_rate_0_is_computed_once_and_a_row_for_each_attack(swept):
    results = pd.read_csv(swept.folder / "results.csv")
    assert len(results) == 2 * 3 * 2 * 2
    assert len(list(swept.folder.glob("cells/*/*.json"))) == (1 + 2 * 2) * 2 * 2
    clean = results[results["poisoning_rate"] == 0]
    assert clean.groupby("attack").size().to_dict() == {"bgd": 4, "statp": 4}
    assert swept.said.splitlines()[-1].startswith("Written: out/results.csv")


def test_run_writes_the_same_bytes(here, swept):
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    invoke("run", "x.yaml", "--jobs", "0", "--output", "out", "--quiet")
    for name in NAMES:
        assert Path("out", name).read_bytes() == (swept.folder / name).read_bytes()


def test_the_second_time_there_is_nothing_to_do(out):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.parent != out}
    assert "Nothing to do: all 20 cells are in out." in sweep().stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_shards_in_any_order_give_the_same_bytes(here, swept):
    for shard in ("2/3", "0/3"):
        said = sweep("--shard", shard).stdout
        assert f"Shard {shard} is done" in said
    assert not Path("out", "results.csv").exists()
    status = invoke("status", "out").stdout
    n_done = len(list(Path("out").glob("cells/*/*.json")))
    assert f"out: 20 cells: {n_done} done, 0 failed, {20 - n_done} missing" in status
    assert "of computing left" in status
    refused = invoke("merge", "out", code=3)
    assert f"{20 - n_done} cells are missing" in refused.stderr
    assert ": missing" in refused.stderr
    assert not Path("out", "results.csv").exists()
    assert "rows" in refused.stderr
    invoke("merge", "out", "--partial", "--quiet", code=3)
    assert len(pd.read_csv("out/results.csv")) < 24
    # The number of shards may change between two tries.
    for shard in ("1/2", "0/2"):
        sweep("--shard", shard, "--quiet")
    assert "Nothing to do: all" in sweep("--shard", "0/2").stdout
    invoke("merge", "out")
    for name in NAMES:
        assert Path("out", name).read_bytes() == (swept.folder / name).read_bytes()


@pytest.mark.parametrize("shard", ["3/3", "-1/3", "1", "a/b", "1/0", "/", "0/-1", "²/3"])
def test_bad_shards(here, shard):
    assert "expected I/N with 0 <= I < N" in sweep("--shard", shard, code=2).stderr
    assert not Path("out").exists()


def test_dry_run(out):
    said = sweep("--dry-run", "--shard", "0/1").stdout
    assert "20 cells are already in out" in said
    assert said.splitlines()[-2:] == [
        "shard 0/1 has 20 of these cells",
        "nothing is left to compute",
    ]


def test_another_config_extends_the_folder_only_if_it_has_more(out):
    more = {
        **CONFIG,
        "defense": [*CONFIG["defense"], "huber"],
        "poisoning_rate": [0, 0.1, 0.2, 0.3],
    }
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.parent != out}
    refused = sweep(config=more, code=2).stderr
    assert "poisoning_rate: only here: [0.3]" in refused
    assert "--extend" in refused
    less = {**CONFIG, "seeds": 1}
    assert "cannot be extended: 12 of its rows" in sweep("--extend", config=less, code=2).stderr
    assert "cannot be extended" in sweep("--extend", "model.alpha=7", code=2).stderr
    sweep("--extend", config=more)
    poison = {path: time for path, time in before.items() if "meta" not in path.parts}
    assert {path: path.stat().st_mtime_ns for path in poison} == poison
    assert len(pd.read_csv(out / "results.csv")) == 2 * 4 * 3 * 2
    assert "another config" in sweep(code=2).stderr
    assert "Nothing to do" in sweep("--extend", config=more).stdout


def test_a_damaged_cell_and_one_of_another_version_are_named_and_made_again(out):
    one, other = sorted(out.glob("cells/*/*.json"))[:2]
    kept = {path: path.read_bytes() for path in (one, other)}
    one.write_bytes(kept[one][:50])
    content = read_json(other)
    other.write_bytes(sealed({**content, "of_the_future": 1}))
    assert "20 cells: 19 done, 0 failed, 1 missing" in invoke("status", "out").stdout
    table = (out / "results.csv").read_bytes()
    refused = invoke("merge", "out", code=3).stderr
    assert refused.count("damaged, or of another version; the next run computes it again") == 2
    assert (out / "results.csv").read_bytes() == table
    sweep("--quiet")
    assert {path: path.read_bytes() for path in kept} == kept
    assert (out / "results.csv").read_bytes() == table


@pytest.mark.parametrize("content", ["", "null", "[1]", "3", "{", "\x00\xff", "[" * 100_000])
def test_whatever_is_damaged_is_as_if_it_were_not_there(out, content):
    """Of a cell, of what is kept beside it, and of why one failed."""
    cells = sorted(out.glob("cells/*/*.json"))
    kept = {path: path.read_bytes() for path in (*cells, out / "results.csv")}
    (out / "failed" / cells[0].parent.name).mkdir(parents=True)
    damaged = [
        *cells[:2],
        *out.glob("meta/*/*.json"),
        out / "failed" / cells[0].relative_to(out / "cells"),
    ]
    for path in damaged:
        path.write_bytes(content.encode("latin-1"))
    assert "20 cells: 18 done, " in invoke("status", "out").stdout
    assert "2 cells are missing" in invoke("merge", "out", code=3).stderr
    sweep("--quiet")
    assert {path: path.read_bytes() for path in kept} == kept
    assert "20 cells: 20 done, 0 failed, 0 missing" in invoke("status", "out").stdout


def test_tables_of_mixed_processors_are_said_to_be_so(out):
    path = next(path for path in sorted(out.glob("meta/*/*.json")) if "blas" in path.read_text())
    content = read_json(path)
    content["libraries"]["numpy"] = "0.1"
    path.write_bytes(sealed(content))
    assert "different versions of numpy (0.1, " in invoke("merge", "out").stderr


@pytest.mark.parametrize("command", ["status", "merge"])
def test_folders_that_are_none(out, command):
    assert "no folder; expected the output folder" in invoke(command, "absent", code=2).stderr
    assert "no index.json" in invoke(command, ".", code=2).stderr
    whole = read_json(out / "index.json")
    short_rows = {**whole, "rows": [row[:3] for row in whole["rows"]]}
    for content in (sealed(short_rows), sealed({**whole, "groups": [1]}), b"{"):
        (out / "index.json").write_bytes(content)
        assert "index.json: damaged" in invoke(command, "out", code=2).stderr
    sweep("--quiet")  # makes it again
    invoke(command, "out")


@pytest.fixture(scope="module")
def imported(tmp_path_factory, swept):
    """What the commands import late, which may lie where only root may read."""
    folder = tmp_path_factory.mktemp("imported")
    shutil.copytree(swept.folder, folder / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for arguments in (["merge", "out", "-q"], ["status", "out"]):
            invoke(*arguments)
        sweep("--quiet")
        sweep("--dry-run", "--shard", "0/1")


@pytest.fixture
def as_plain_user(monkeypatch, swept, imported):
    """The current folder is one with a finished sweep, of a user who is not root."""
    with tempfile.TemporaryDirectory(prefix="poisonbench") as folder:
        shutil.copytree(swept.folder, Path(folder, "out"))
        monkeypatch.chdir(folder)
        Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
        if os.geteuid() != 0:
            yield Path("out")
            return
        nobody = pwd.getpwnam("nobody").pw_uid
        for path in (folder, *Path(folder).rglob("*")):
            os.chown(path, nobody, -1)
        os.setresuid(nobody, nobody, 0)  # os.access asks for the real one
        try:
            yield Path("out")
        finally:
            os.setresuid(0, 0, 0)


COMMANDS = {
    "status": lambda **options: invoke("status", "out", **options),
    "merge": lambda **options: invoke("merge", "out", **options),
    "sweep": lambda **options: sweep(**options),
    "dry run": lambda **options: sweep("--dry-run", **options),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", ["cells/*/*.json", "cells/*", "cells", "", "index.json"])
def test_what_may_not_be_read(as_plain_user, command, what):
    """One message that names it, and the code of a folder that is wrong: no rerun mends it."""
    if command == "dry run" and what == "index.json":
        pytest.skip("a dry run does not need it")
    locked = sorted(as_plain_user.glob(what))[0] if what else as_plain_user
    mode = locked.stat().st_mode
    locked.chmod(0)
    try:
        result = COMMANDS[command](code=2)
    finally:
        locked.chmod(mode)
    (said,) = result.stderr.splitlines()
    assert str(locked) in said
    assert "Permission denied" in said
    COMMANDS[command]()


def test_a_config_that_may_not_be_read(as_plain_user):
    Path("x.yaml").chmod(0)
    for arguments in (["validate"], ["sweep", "--output", "out"]):
        said = invoke(arguments[0], "x.yaml", *arguments[1:], code=2).stderr
        assert said == "x.yaml: cannot be read: Permission denied\n"


@pytest.mark.parametrize("what", ["cells", "poison", ""])
def test_where_nothing_may_be_written(as_plain_user, what):
    (as_plain_user / what).chmod(0o500)
    (said,) = sweep(code=2).stderr.splitlines()  # before it computes
    assert f"{as_plain_user / what}: cannot be written to: Permission denied" in said
    invoke("status", "out")
    sweep("--dry-run")
    refused = invoke("merge", "out", code=0 if what else 2).stderr
    assert what or ("results.csv" in refused and "Permission denied" in refused)
    (as_plain_user / what).chmod(0o700)


def test_an_output_that_is_a_file(here):
    Path("out").write_text("a file")
    assert "out is a file" in sweep(code=2).stderr
    assert Path("out").read_text() == "a file"


@pytest.mark.parametrize("command", ["status", "merge", "sweep"])
def test_a_folder_where_a_cell_should_be(out, command):
    """It is named, and no rerun mends it."""
    cell = sorted(out.glob("cells/*/*.json"))[0]
    cell.unlink()
    cell.mkdir()
    (said,) = COMMANDS[command](code=2).stderr.splitlines()
    place = cell.relative_to(out.parent)
    assert said == f"{place}: Is a directory; expected a file. Finished cells are kept."


def test_a_link_to_nothing_is_no_cell(out):
    cell = sorted(out.glob("cells/*/*.json"))[0]
    content = cell.read_bytes()
    cell.unlink()
    cell.symlink_to("nowhere")
    assert "1 missing" in invoke("status", "out").stdout
    sweep("--quiet")
    assert cell.read_bytes() == content


def test_a_cell_under_the_name_of_another_is_made_again(out):
    first, second = sorted(out.glob("cells/*/*.json"))[:2]
    content = second.read_bytes()
    shutil.copy(first, second)
    assert "damaged, or of another version" in invoke("merge", "out", code=3).stderr
    sweep("--quiet")
    assert second.read_bytes() == content


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "command",
    [
        ["status", "out"],
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (["merge", "out"], ["show", "x.yaml"])
        ),
    ],
)
def test_standard_output_that_is_full(out, command):
    """The folder has no part in it."""
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "poisonbench", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    assert ended.stderr == "standard output: No space left on device\n"
    assert ended.returncode == 3


def test_a_time_limit_keeps_what_is_done(here):
    # Not yet over when the computation begins, and long over before it could end.
    config = {**CONFIG, "attack": {"name": "optp", "iterations": 1000, "tol": 0.0}, "seeds": 50}
    result = sweep("--time-limit", "0.5", config=config, code=3)
    assert (
        "Time limit. Finished cells are kept in out; run the same command again to resume."
        in result.stderr
    )
    assert "missing" in invoke("status", "out").stdout


def test_the_shortest_time_limit_leaves_a_folder_to_go_on_with(here):
    sweep("--time-limit", "0.001", code=3)
    assert "20 cells: 0 done, 0 failed, 20 missing" in invoke("status", "out").stdout
    assert "20 cells are missing" in invoke("merge", "out", code=3).stderr


@pytest.mark.parametrize("limit", ["0", "-1", "inf", "nan", "1e300"])
def test_a_time_limit_that_no_clock_can_keep(here, limit):
    assert "--time-limit" in sweep("--time-limit", limit, code=2).stderr


def test_status_passes_over_cells_that_are_being_written(out):
    cell = next(out.glob("cells/*/*.json"))
    # What a look at the folder shows of a file that has got its name meanwhile.
    (cell.parent / f".{cell.name[:32]}.x7f3").symlink_to("gone")
    assert "out: 20 cells: 20 done" in invoke("status", "out").stdout


# Slurm


def test_a_script_for_slurm(here):
    folder = here / "a b"
    said = sweep("--output", "a b", "--rates", "0,0.2", "model.alpha=1,2", "--emit-slurm",
                 "--shards", "3", "--time", "1-02:00:00", "--mem", "4G", "--partition", "big",
                 "--max-parallel", "2").stdout  # fmt: skip
    assert "bash 'a b/slurm.sh' to submit 3 shards" in said
    text = (folder / "slurm.sh").read_text()
    options = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert {"--array=0-2%2", "--time=1-02:00:00", "--mem=4G", "--partition=big"} <= set(options)
    assert not list(folder.glob("cells/*"))
    # With a sbatch of our own, the script does what it says.
    tools = here / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$LOG"; echo "7;cluster"\n')
    (tools / "sbatch").chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "LOG": str(here / "log")}
    subprocess.run(["bash", folder / "slurm.sh"], env=environment, check=True, capture_output=True)
    array, merge = (here / "log").read_text().splitlines()
    assert array == f"--parsable {folder / 'slurm.sh'}"
    assert merge.startswith("--dependency=afterany:7 ")
    assert f"merge '{folder}'" in merge
    traced = subprocess.run(
        ["bash", "-c", f"exec() {{ printf '%s\\n' \"$@\"; exit; }}; . '{folder}/slurm.sh'"],
        env={**environment, "SLURM_ARRAY_TASK_ID": "2"}, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert traced[3:5] == ["sweep", str(here / "x.yaml")]
    assert traced[-2:] == ["--shard", "2/3"]
    assert traced[traced.index("--rates") + 1] == "0,0.2"
    assert traced[traced.index("--output") + 1] == str(folder)
    invoke(*traced[3:-2], "--dry-run", "--extend")
    sweep("--output", "b", "--emit-slurm", "--jobs", "3")  # a processor for each process
    assert "#SBATCH --cpus-per-task=3\n" in (here / "b" / "slurm.sh").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shards", "3"], "--shards works only with --emit-slurm"),
        (["--mem", "3G"], "--mem works only with --emit-slurm"),
        (["--max-parallel", "3"], "--max-parallel works only with --emit-slurm"),
        (["--emit-slurm", "--shard", "0/3"], "expected it without --shard"),
        (["--emit-slurm", "--time", "soon"], "--time soon: not valid; expected minutes"),
        (["--emit-slurm", "--mem", "0"], "--mem 0: not valid"),
        (["--emit-slurm", "--partition", "a b"], "--partition a b: not valid"),
    ],
)
def test_bad_requests_to_slurm(here, arguments, message):
    assert message in sweep(*arguments, code=2).stderr
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["array.sbatch", "merge.sbatch", "shard.sh"])
def test_shipped_scripts_are_scripts(name):
    path = REPOSITORY / "configs" / "cluster" / name
    if not path.is_file():
        pytest.skip("not in a checkout of the repository")
    subprocess.run(["bash", "-n", path], check=True)
    bare = subprocess.run(["bash", path], capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert "usage: " in bare.stderr


@pytest.mark.parametrize("name", ["diabetes", "synthetic"])
def test_shipped_sweeps_that_need_no_network(here, name):
    path = REPOSITORY / "configs" / "sweeps" / f"{name}.yaml"
    if not path.is_file():
        pytest.skip("not in a checkout of the repository")
    assert "OK: " in invoke("validate", str(path)).stdout
