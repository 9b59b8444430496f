"""Runs in which something goes wrong, and runs on several processes."""

from __future__ import annotations

import dataclasses
import fcntl
import importlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.config import load
from poisonbench.execution import engine, own_process
from poisonbench.execution.group import Job
from poisonbench.execution.options import RunOptions
from poisonbench.execution.progress import Progress
from poisonbench.execution.signals import EXIT_CODES, Stopped, stoppable
from poisonbench.output import store
from poisonbench.plan import costs
from poisonbench.plan.make import make_plan

REPOSITORY = Path(__file__).parents[2]

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "poisoning_rate": [0, 0.1, 0.2],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 2,
}

TOYS = '''
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from poisonbench.attacks import Attack
from poisonbench.attacks.statp import StatP
from poisonbench.defenses import Defense
from poisonbench.problem import PoisonSet


class BadAttack(Attack):
    """Does what an attack must not do.

    Parameters
    ----------
    how : str
        What.
    only : int
        The number of rows at which it does.
    """

    name = "bad"
    reference = "nowhere"

    def __init__(self, how: str, only: int = 4) -> None:
        self.how = how
        self.only = only

    def generate(self, problem):
        made = StatP().generate(problem)
        X, y = made.X.copy(), made.y.copy()
        if problem.n_poison != self.only:
            return made
        match self.how:
            case "raise":
                raise RuntimeError("no luck")
            case "oserror":
                raise FileNotFoundError(2, "No such file", "my-weights")
            case "exit":
                sys.exit(3)
            case "killed":
                os._exit(9)
            case "shot":
                os.kill(os.getpid(), 9)
            case "shot once":
                if not Path("shot").exists():
                    Path("shot").touch()
                    os.kill(os.getpid(), 9)
            case "nothing":
                return None
            case "few":
                return PoisonSet(X[1:], y[1:])
            case "outside":
                X[0, 0] = 2
            case "nan":
                y[0] = np.nan
            case "groups":
                X[0, 1:3] = 1
            case "meddle":
                problem.train.X[:] = 0
            case "refit":
                problem.model.fit(problem.train.X, 1 - problem.train.y)
            case "refit in part":
                problem.model.coef_[:] = 0
        return PoisonSet(X, y)


class BadDefense(Defense):
    """Does what a defense must not do.

    Parameters
    ----------
    how : str
        What.
    """

    name = "bad-defense"
    reference = "nowhere"

    def __init__(self, how: str = "raise") -> None:
        self.how = how

    def fit(self, X, y):
        match self.how:
            case "raise":
                raise RuntimeError("no luck")
            case "switch":
                if Path("broken").exists():
                    raise RuntimeError("no luck yet")
            case "exit":
                sys.exit("no luck")
            case "killed":
                os._exit(9)
            case "mended":
                if not Path("mended").exists():
                    os._exit(9)
            case "meddle":
                X[:] = 0
            case "indices":
                self.support_ = np.arange(3)
            case "warn":
                warnings.warn("take care", RuntimeWarning)
        return self

    def predict(self, X):
        if self.how == "nan":
            return np.full(len(X), np.nan)
        return np.zeros((len(X), 1)) if self.how == "column" else np.zeros(len(X))
'''


@pytest.fixture
def toys(plugin):
    return plugin(TOYS, attacks="BadAttack", defenses="BadDefense")


def texts(out: Path) -> pd.DataFrame:
    """Return the rows of results.csv to the last digit."""
    return pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)


def of(results: pd.DataFrame, attack: str) -> pd.DataFrame:
    return results[results["attack"] == attack].reset_index(drop=True)


@pytest.fixture(scope="module")
def plain(shared_bench):
    """The rows of results.csv of CONFIG, with which nothing is wrong."""
    return texts(shared_bench.run(CONFIG, out="plain"))


def test_without_failures(bench, toys):
    results = bench.results({**CONFIG, "defense": ["none", "bad-defense"]}, "defense.1.how=fine")
    assert len(results) == 12


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "RuntimeError: no luck"),
        ("oserror", "FileNotFoundError: [Errno 2] No such file: 'my-weights'"),
        ("exit", "SystemExit: 3"),
        ("nothing", "AttributeError: "),
        ("few", "PoisonError: the poison set is not legal: it has 3 rows, expected 4"),
        ("outside", "PoisonError: the poison set is not legal: row 0, column 'age' is 2, outside"),
        ("nan", "PoisonError: the poison set is not legal: row 0, column 'the response' is nan"),
        ("groups", "PoisonError: the poison set is not legal: row 0 has 2 ones in the one-hot "
                   "group 'sex'"),
        ("meddle", "ValueError: assignment destination is read-only"),
    ],
)  # fmt: skip
def test_an_attack_that_fails(bench, plain, toys, how, reason):
    """Its cells fail, whatever the defense; all others are as without it."""
    config = {**CONFIG, "attack": ["statp", {"name": "bad", "how": how}]}
    result = bench.invoke(config, "--quiet", "--output", "out", code=1)
    assert "4 of 20 cells failed, the others are done" in result.stderr
    assert f"diabetes, seed 1, ridge(alpha=0.1), bad(how={how}) with 4 rows, none: {reason}" in (
        result.stderr
    )
    results = texts(bench.folder / "out")
    assert results.groupby("attack").size().to_dict() == {"bad": 8, "statp": 12}
    pd.testing.assert_frame_equal(of(results, "statp"), plain)
    table = pd.read_csv(bench.folder / "out" / "table.csv")
    assert table[table["attack"] == "bad"]["0.1_count"].tolist() == [0] * 4
    tracebacks = list((bench.folder / "out" / "failed").rglob("*.json"))
    assert len(tracebacks) == 4


@pytest.mark.parametrize("how", ["refit", "refit in part"])
def test_an_attack_may_do_what_it_likes_with_its_learner(bench, toys, how):
    config = {**CONFIG, "attack": {"name": "bad", "how": how}, "defense": ["none", "oracle"]}
    results = bench.results(config)
    expected = bench.results({**config, "attack": "statp"}, out="plain")
    columns = ["test_mse", "test_mse_clean"]
    pd.testing.assert_frame_equal(results[columns], expected[columns])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "RuntimeError: no luck"),
        ("exit", "SystemExit: no luck"),
        ("meddle", "ValueError: assignment destination is read-only"),
        ("column", "ValueError: the predictions have shape (30, 1), expected (30,)"),
        ("nan", "ValueError: the predictions are not all finite"),
        ("indices", "ValueError: support_ has type int64 and shape (3,), expected bool and (4"),
    ],
)
def test_a_defense_that_fails(bench, plain, toys, how, reason):
    bad = {"name": "bad-defense", "how": how}
    config = {**CONFIG, "defense": [bad, *CONFIG["defense"]]}
    result = bench.invoke(config, "--quiet", "--output", "out", code=1)
    assert "6 of 18 cells failed" in result.stderr
    label = "bad-defense" if how == "raise" else f"bad-defense(how={how})"
    assert f"statp with 8 rows, {label}: {reason}" in result.stderr
    pd.testing.assert_frame_equal(texts(bench.folder / "out"), plain)


def test_when_all_fails_there_are_still_tables(bench, toys):
    config = {**CONFIG, "defense": "bad-defense"}
    result = bench.invoke(config, "--output", "out", code=1)
    assert "6 of 6 cells failed" in result.stderr
    for name in ("results.csv", "table.csv", "timings.csv"):
        assert len((bench.folder / "out" / name).read_text().splitlines()) == 1


def test_many_failures_are_not_all_listed(bench, toys):
    result = bench.invoke({**CONFIG, "defense": "bad-defense", "seeds": 6}, code=1)
    assert result.stderr.count("RuntimeError: no luck") == engine.SHOWN_FAILURES
    assert f"and {18 - engine.SHOWN_FAILURES} more" in result.stderr


def test_failed_cells_are_tried_again(bench, toys):
    config = {**CONFIG, "defense": ["none", {"name": "bad-defense", "how": "switch"}]}
    broken = bench.folder / "broken"
    broken.touch()
    out = bench.run(config, code=1)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*.json")}
    assert len(kept) == 6
    bench.run(config, code=1)
    broken.unlink()
    bench.run(config)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(pd.read_csv(out / "results.csv")) == 12
    assert list((out / "failed").rglob("*.json")) == []


def test_warnings_stay_out_of_the_way_and_are_kept(bench, toys):
    config = {**CONFIG, "defense": {"name": "bad-defense", "how": "warn"}}
    assert "take care" not in bench.invoke(config, "--output", "out").stderr
    meta = [path.read_text() for path in (bench.folder / "out" / "meta").rglob("*.json")]
    assert sum("take care" in text for text in meta) == 6


def command(folder: Path, config: dict[str, Any], *arguments: str, **options: Any) -> Any:
    """Start ``poisonbench run`` in a process of its own."""
    (folder / "x.yaml").write_text(yaml.safe_dump(config))
    path = os.pathsep.join([str(folder / "site"), str(REPOSITORY)])
    return subprocess.Popen(
        [sys.executable, "-m", "poisonbench", "run", "x.yaml", "--quiet", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_work_goes_on_without_the_groups_that_ran_when_a_process_was_killed(
    bench, toys, monkeypatch
):
    """They are repeated, one by one, when all others have ended."""
    (bench.folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    work = make_plan(load(bench.folder / "x.yaml"))
    out, given = bench.folder / "out", []
    store.open_folder(out, work)

    def parallel(jobs: Any, n_processes: int) -> Any:
        given.append([job.group.id for job in jobs])
        yield engine.run_group(jobs[0])
        if len(given) == 1:
            raise engine.TerminatedWorkerError
        yield from map(engine.run_group, jobs[1:])

    def results(run: Any, jobs: Any) -> Any:
        given.append([job.group.id for job in jobs])
        yield from map(run, jobs)

    monkeypatch.setattr(engine, "_parallel", parallel)
    monkeypatch.setattr(own_process, "results", results)
    done = engine.run(work, out, RunOptions(jobs=2, quiet=True))
    assert (done.n_computed, done.failures, done.n_missing) == (12, (), 0)
    groups = [group.id for group in work.groups]
    assert given == [groups, groups[3:], groups[1:3]]


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_processes")
def test_processes_that_are_kept_from_a_run_in_another_folder(bench):
    for name in ("one", "another"):
        folder = bench.folder / name
        folder.mkdir()
        out = dataclasses.replace(bench, folder=folder).run(CONFIG, "--jobs", "2")
        assert len(texts(out)) == len(texts(bench.folder / "one" / "out")) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_processes")
def test_two_processes_one_of_which_is_killed(bench, toys):
    """The bytes are those of one process, and a killed one costs its own cells only."""
    attacks = ["statp", {"name": "bad", "how": "killed"}]
    config = {**CONFIG, "attack": attacks, "seeds": 1}
    message = bench.invoke(config, "-q", "--jobs", "2", "--output", "two", code=1).stderr
    assert "2 of 10 cells failed" in message
    assert "bad(how=killed) with 4 rows, none: it ended its process with exit code 9" in message
    results = texts(bench.folder / "two")
    assert results.groupby("attack").size().to_dict() == {"bad": 4, "statp": 6}
    one = bench.run({**CONFIG, "seeds": 1}, out="one")
    for name in sorted(path.name for path in (one / "poison").iterdir()):
        poison = bench.folder / "two" / "poison" / name
        assert poison.read_bytes() == (one / "poison" / name).read_bytes()
    pd.testing.assert_frame_equal(of(results, "statp"), texts(one))


def test_one_process_that_is_killed(bench, toys):
    """With one job too: the cell that did it is marked, and tried again only if one says so."""
    defenses = ["none", {"name": "bad-defense", "how": "mended"}, "oracle"]
    config = {**CONFIG, "poisoning_rate": 0.1, "defense": defenses, "seeds": 1}
    message = bench.invoke(config, "-q", "--jobs", "1", "--output", "out", code=1).stderr
    assert "1 of 3 cells failed, the others are done" in message
    assert "bad-defense(how=mended): it ended its process with exit code 9" in message
    assert texts(bench.folder / "out")["defense"].tolist() == ["none", "oracle"]
    status = CliRunner().invoke(app, ["status", "out"]).stdout
    assert "3 cells: 2 done, 0 failed, 1 crashed, 0 missing" in status
    (bench.folder / "mended").touch()
    assert "1 of 3 cells failed" in bench.invoke(config, "--output", "out", code=1).stderr
    bench.run(config, "--retry-crashed")
    assert len(texts(bench.folder / "out")) == 3


def parts(bench: Any, how: str) -> tuple[Any, list[Any]]:
    """Return a plan whose attack misbehaves at 4 rows, and the work of its groups."""
    config = {**CONFIG, "attack": {"name": "bad", "how": how}, "seeds": 1, "poisoning_rate": 0.1}
    (bench.folder / "x.yaml").write_text(yaml.safe_dump(config))
    work = make_plan(load(bench.folder / "x.yaml"))
    out = bench.folder / "out"
    store.open_folder(out, work)
    return work, [Job(group, work.datasets[group.data], out) for group in work.groups]


def test_only_several_kills_from_outside_make_a_crash(bench, toys, monkeypatch):
    """Who was killed by SIGKILL once may have been the victim of a user or of the system."""
    work, items = parts(bench, "shot once")
    deaths = iter([own_process.Death(items[0].group.id, -9), None])

    def results(run: Any, work: Any) -> Any:
        death = next(deaths)
        yield death if death else run(work[0])

    monkeypatch.setattr(own_process, "results", results)
    (bench.folder / "shot").touch()
    done = engine.run(work, bench.folder / "out", RunOptions(jobs=1, quiet=True))
    assert (done.n_computed, done.failures, done.n_crashed) == (2, (), 0)


@pytest.mark.parametrize(
    ("code", "times", "reason"),
    [
        (-9, engine.MOST_KILLS, "its process was killed by SIGKILL"),
        (-11, 1, "its process was killed by SIGSEGV"),
        (3, 1, "it ended its process with exit code 3"),
    ],
)
def test_what_counts_as_a_crash(bench, toys, monkeypatch, code, times, reason):
    work, _ = parts(bench, "fine")
    deaths = []

    def results(run: Any, work: Any) -> Any:
        deaths.append(work[0].group.id)
        yield own_process.Death(work[0].group.id, code)

    monkeypatch.setattr(own_process, "results", results)
    done = engine.run(work, bench.folder / "out", RunOptions(jobs=1, quiet=True))
    assert len(deaths) == times
    assert (done.n_computed, done.n_crashed, done.n_missing) == (0, 2, 0)
    assert all(failure.endswith(reason) for failure in done.failures)
    # Again by the same line: nothing is tried.
    assert engine.run(work, bench.folder / "out", RunOptions(jobs=1, quiet=True)) == done
    assert len(deaths) == times


def test_processes_that_never_start(bench, toys, monkeypatch):
    work, _ = parts(bench, "fine")
    monkeypatch.setattr(
        own_process, "results", lambda run, work: iter([own_process.Death(None, -9)])
    )
    with pytest.raises(OSError, match="do not start: its process was killed by SIGKILL"):
        engine.run(work, bench.folder / "out", RunOptions(jobs=1, quiet=True))


LONG = {**CONFIG, "attack": {"name": "optp", "iterations": 2, "tol": 0.0}, "seeds": 5}


MASK = """
import os
import signal


def mask_of(what, announce):
    announce(what)
    if what == "end":
        os._exit(0)
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""
"""Ends its process at "end", else says whether it is deaf to Ctrl-C; it imports next to nothing."""


@pytest.fixture
def mask_of(tmp_path, monkeypatch):
    (tmp_path / "mask.py").write_text(MASK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("mask").mask_of
    del sys.modules["mask"]


def test_a_process_of_its_own_ends_early(mask_of):
    """With exit code 0 too, and what was not begun is not taken for done."""
    found = list(own_process.results(mask_of, ["first", "end", "last"]))
    assert found == [True, own_process.Death("end", 0)]


def test_the_first_process_of_its_own_is_deaf_to_ctrl_c_too(tmp_path, mask_of):
    """Before that, multiprocessing has not started its tracker."""
    code = (
        "from poisonbench.execution import own_process; from mask import mask_of\n"
        "if __name__ == '__main__': print(list(own_process.results(mask_of, ['x'])))"
    )
    folders = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[True]\n"


@pytest.mark.parametrize(
    ("number", "jobs"),
    [
        (signal.SIGINT, 1),
        *(
            pytest.param(number, jobs, marks=pytest.mark.slow)
            for number, jobs in ((signal.SIGTERM, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2))
        ),
    ],
)
def test_an_interrupt_while_processes_start(bench, number, jobs):
    """Those that start say nothing of it."""
    process = command(
        bench.folder, LONG, "--jobs", str(jobs), "--output", "out", start_new_session=True
    )
    out = bench.folder / "out"
    deadline = time.monotonic() + 60
    while not (out / "index.json").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.terminate()
    message = process.communicate(timeout=60)[1]
    assert process.returncode == EXIT_CODES[number], message
    assert (
        message
        == "Interrupted. Finished cells are kept in out; run the same command again to resume.\n"
    )


def test_fail_fast_stops_at_the_first_failure(bench, toys):
    config = {**CONFIG, "defense": ["bad-defense"]}
    result = bench.invoke(config, "--fail-fast", "--output", "out", code=1)
    assert "1 of 6 cells failed" in result.stderr
    assert "5 missing" in CliRunner().invoke(app, ["status", "out"]).stdout


@pytest.mark.parametrize(
    ("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143), ("SIGALRM", 3)]
)
def test_signals_stop_once_and_are_not_lost(name, code):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with stoppable() as stop:
        with suppress(Stopped):  # as a library's destructor would
            signal.raise_signal(number)
        signal.raise_signal(number)  # a second one does not disturb
        with pytest.raises(Stopped) as caught:
            stop.check()
    assert EXIT_CODES[caught.value.number] == code
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("number", "jobs"),
    [
        (signal.SIGKILL, 1),
        (signal.SIGINT, 2),
        pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 2, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_goes_on_where_it_was(bench, number, jobs):
    process = command(
        bench.folder, LONG, "--jobs", str(jobs), "--output", "out", start_new_session=True
    )
    out = bench.folder / "out"
    deadline = time.monotonic() + 60
    while len(list(out.glob("cells/*/*.json"))) < 5:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal does: all processes of the run
    message = process.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert process.returncode == 130, message
        # A worker that is just starting may add a word of its own, before or after.
        assert (
            "Interrupted. Finished cells are kept in out; run the same command again to resume.\n"
            in message
        )
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*.json")}
    assert 5 <= len(kept) < 30
    bench.run(LONG)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(pd.read_csv(out / "results.csv")) == 30
    if number == signal.SIGKILL:
        whole = bench.run(LONG, out="whole")
        for name in ("results.csv", "table.csv"):
            assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_workers_end_with_a_parent_that_is_killed(bench):
    process = command(bench.folder, LONG, "--jobs", "2", "--output", "out")
    deadline = time.monotonic() + 60
    while not list(bench.folder.glob("out/cells/*/*.json")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)  # ends when nobody holds its pipes any more


@pytest.mark.parametrize(
    ("lines", "columns", "width"), [(24, 70, 70), (24, 0, 65), (0, 70, 70), (0, 0, 65)]
)
def test_the_bar_on_a_terminal(monkeypatch, lines, columns, width):
    monkeypatch.setenv("COLUMNS", "65")  # asked only of terminals that do not know
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    with open(ours, "rb", 0) as screen, open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        work = {"a": 300.0, "b": 600.0}
        with Progress(10, 2, work, n_processes=1, shown=True) as shown:
            shown.update("a", n_done=3, n_failed=1)
        said = ""
        while "\n" not in said:  # its end
            said += screen.read(10_000).decode()
    assert " 2/10 cells [" in said
    assert ", about 15 min left]" in said
    last = said.split("\r")[-2]
    assert "50%" in last
    assert " 5/10 cells [" in last
    assert re.search(r", about \d+ (s|min) left, 1 failed\]", last)
    assert 0 <= width - len(last) <= 1


def test_lines_with_the_time_in_a_log(capsys):
    with Progress(10, 2, {"a": 1e-3, "b": 2e-3}, n_processes=1, shown=True) as shown:
        shown.update("a", n_done=3, n_failed=1)
    first, last = capsys.readouterr().err.splitlines()
    time_ = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    assert re.fullmatch(time_ + "2 of 10 cells, 0 failed, about 1 s left", first)
    assert re.fullmatch(time_ + r"5 of 10 cells, 1 failed, \S+ cells/s, about 1 s left", last)


def progress(work: dict[str, float], n_processes: int | None) -> Progress:
    return Progress(1000, 900, work, n_processes=n_processes, shown=False)


def test_the_time_left_is_that_of_the_work_left_not_of_its_cells():
    shown = progress({"short": 1.0, "long": 99.0}, 1)
    assert shown.seconds_left(0.0) == pytest.approx(100.0)  # as estimated
    shown.update("short", 99, 0)
    assert 95 < shown.seconds_left(1.0) < 105
    shown.update("long", 1, 0)
    assert shown.seconds_left(100.0) is None


def test_the_time_left_follows_the_speed_observed():
    """Two processes, and everything takes three times as long as estimated."""
    shown = progress({f"group {k}": 1.0 for k in range(100)}, 2)
    assert shown.seconds_left(0.0) == pytest.approx(50.0)
    found = []
    for k in range(99):
        shown.update(f"group {k}", 1, 0)
        found.append(shown.seconds_left(1.5 * (k + 1)))
    assert found[5] > 0.6 * 1.5 * 94
    assert found[50] == pytest.approx(1.5 * 49, rel=0.1)
    assert found[-1] == pytest.approx(1.5, rel=0.1)


def test_failed_groups_and_groups_tried_again_are_no_work_left():
    shown = progress({"a": 10.0, "b": 10.0}, 1)
    shown.update("a", 0, 5)
    shown.update("a", 0, 1)
    assert shown.seconds_left(10.0) == pytest.approx(10.0)


def test_without_a_number_of_processes_only_what_was_seen_tells():
    shown = progress({"a": 10.0, "b": 30.0}, None)
    assert shown.seconds_left(5.0) is None
    shown.update("a", 1, 0)
    assert shown.seconds_left(2.0) == pytest.approx(6.0)


def test_a_resumed_run_says_the_time_of_what_is_missing(bench, monkeypatch):
    """What is done already counts for nothing."""
    monkeypatch.setattr(costs, "ridge_seconds", lambda n, d: 10.0)
    bench.run({**CONFIG, "seeds": 1})
    times = []
    for seeds in (1, 2, 3):
        config = {**CONFIG, "seeds": seeds}
        result = bench.invoke(config, "--extend", "--output", "out")
        lines = [line for line in result.stderr.splitlines() if " cells, " in line]
        if lines:
            assert (
                lines[0]
                .partition(" ")[2]
                .partition(" ")[2]
                .startswith(f"{6 * (seeds - 1)} of {6 * seeds} cells, 0 failed, about ")
            )
        times.append(lines)
    assert times[0] == []
    assert len(times[1]) == 2


def test_how_many_processes(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert engine.default_jobs() >= 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "7")
    assert engine.default_jobs() == 7
    for odd in ("", "0", "many"):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", odd)
        assert engine.default_jobs() >= 1
