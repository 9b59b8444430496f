"""``poisonbench sweep --dask``: the files are those of one process, whichever part is killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli import run
from poisonbench.cli.app import app
from poisonbench.execution import dask_cluster

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 1}],
    "poisoning_rate": [0, 0.1, 0.2],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 8,
}

KILLER = '''
import os

from poisonbench.defenses import Defense


class Killer(Defense):
    """Ends the process that it is in."""

    name = "killer"
    reference = "nowhere"

    def fit(self, X, y):
        os._exit(9)

    def predict(self, X):
        return X[:, 0]
'''


SLEEPER = '''
import time

from poisonbench.attacks import Attack


class Sleeper(Attack):
    """Takes long."""

    name = "sleeper"
    reference = "nowhere"

    def generate(self, problem):
        time.sleep(300)
'''


def start(folder: Path, *command: str, new_session: bool = False) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(folder / "site"), str(REPOSITORY)])
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=new_session,
        )


def finished(process: subprocess.Popen[str], folder: Path, code: int = 0) -> str:
    process.wait(300)
    said = (folder / "log").read_text()
    assert process.returncode == code, said[-3000:]
    return said


@contextmanager
def ended(*processes: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def check_bytes(folder: Path, config: dict[str, Any], out: Path) -> None:
    (folder / "serial.yaml").write_text(yaml.safe_dump(config))
    finished(start(folder, "poisonbench", "sweep", "serial.yaml", "--jobs", "1", "--quiet",
                   "--output", "serial"), folder)  # fmt: skip
    for name in ("results.csv", "table.csv"):
        assert (out / name).read_bytes() == (folder / "serial" / name).read_bytes()


@pytest.mark.slow
def test_one_of_two_workers_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="without the extra dask")
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    scheduler = start(tmp_path, "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                      "--port", "0", "--no-dashboard")  # fmt: skip
    with ended(scheduler):
        deadline = time.monotonic() + 100
        while not (found := re.search(r"tcp://127.0.0.1:\d+", (tmp_path / "log").read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = found[0]
        workers = [
            start(tmp_path, "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads",
                  threads, "--no-dashboard", "--host", "127.0.0.1")
            for threads in ("1", "2")
        ]  # fmt: skip
        with ended(*workers):
            while (tmp_path / "log").read_text().count("Registered to") < 2:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
            sweep = start(tmp_path, "poisonbench", "sweep", "x.yaml", "--dask", address,
                          "--output", "out")  # fmt: skip
            with ended(sweep):
                out = tmp_path / "out"
                while len(list(out.glob("cells/*/*.json"))) < 10:
                    assert sweep.poll() is None, (tmp_path / "log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                assert sweep.poll() is None
                os.kill(workers[0].pid, signal.SIGKILL)
                finished(sweep, tmp_path)
                assert workers[1].poll() is None
    check_bytes(tmp_path, CONFIG, out)


@pytest.mark.slow
def test_a_cell_that_kills_its_workers_costs_only_itself(
    tmp_path: Path, plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="without the extra dask")
    plugin(KILLER, defenses="Killer")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")  # 3 take longer
    config = {**CONFIG, "seeds": 1, "poisoning_rate": 0.1, "attack": "statp"}
    block = {"sweep": {"poisoning_rate": [0.1]}}
    with_killer = {**config, **block, "defense": ["none", "killer", CONFIG["defense"][1]]}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(with_killer))
    sweep = start(tmp_path, "poisonbench", "sweep", "x.yaml", "--dask", "local", "--jobs", "2",
                  "--output", "out")  # fmt: skip
    with ended(sweep):
        said = finished(sweep, tmp_path, code=1)
    assert "1 of 3 cells failed, the others are done" in said
    assert "killer: it ended its process with exit code 9" in said
    finished(start(tmp_path, "poisonbench", "merge", "out", "--partial"), tmp_path, code=3)
    check_bytes(tmp_path, {**config, **block}, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dask", "host:8786"], "--dask host:8786: not an address; expected tcp://HOST:PORT"),
        (["--dask", ""], "not an address"),
        (["--dask", "tcp://host"], "not an address"),
        (["--dask", "tcp://:8786"], "not an address"),
        (["--dask", "tcp://host:99999"], "not an address"),
        (["--dask", "tcp://host:8786/x"], "not an address"),
        (
            ["--dask", "tcp://h:1", "--jobs", "2"],
            "--jobs is the number of processes on this machine",
        ),
        (["--dask", "local", "--jobs", "0"], "expected at least 1"),
        (["--dask", "local", "--emit-slurm"], "--emit-slurm only writes a script"),
    ],
)
def test_bad_requests(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "find_spec", lambda name: name)
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    result = CliRunner().invoke(app, ["sweep", "x.yaml", "--output", "out", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (None, "Connection refused"),
        (b"", "the program that listens there is not a Dask scheduler"),
        (b"HTTP/1.1 400 Bad Request", "the program that listens there is not a Dask scheduler"),
    ],
)
def test_no_scheduler_there(tmp_path, monkeypatch, greeting, reason):
    """Nothing is written, and what listens may well be something else, or say nothing."""
    pytest.importorskip("distributed", reason="without the extra dask")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_cluster, "SECONDS_TO_CONNECT", 1)
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        if greeting is None:
            server.close()
        else:
            Thread(target=greet, args=(server, greeting, stack), daemon=True).start()
        start = time.monotonic()
        result = CliRunner().invoke(app, ["sweep", "x.yaml", "--output", "out", "--dask", address])
        assert time.monotonic() < start + 30
    assert result.exit_code == 2, result.stderr
    assert f"--dask {address}: no scheduler answers (" in result.stderr
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


def greet(server: socket.socket, greeting: bytes, stack: ExitStack) -> None:
    with suppress(OSError):
        while True:
            connection = stack.enter_context(server.accept()[0])
            connection.sendall(greeting)


def test_no_cluster_is_started_for_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "distributed", None)  # so that its import fails
    config = {**CONFIG, "seeds": 1, "attack": "none", "defense": "none"}
    Path("x.yaml").write_text(yaml.safe_dump(config))
    arguments = ["sweep", "x.yaml", "--output", "out", "--rates", "0"]
    assert CliRunner().invoke(app, [*arguments, "--jobs", "0"]).exit_code == 0
    again = CliRunner().invoke(app, [*arguments, "--dask", "local"])
    assert again.exit_code == 0, again.output
    assert "Nothing to do: all 1 cells are in out." in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_local_cluster_ends_at_once(tmp_path, plugin, number, code):
    """Its workers are in the middle of something long, and are not waited for."""
    pytest.importorskip("distributed", reason="without the extra dask")
    plugin(SLEEPER, attacks="Sleeper")
    config = {**CONFIG, "attack": "sleeper", "seeds": 2, "sweep": {"poisoning_rate": [0, 0.2]}}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(config))
    sweep = start(tmp_path, "poisonbench", "sweep", "x.yaml", "--dask", "local", "--jobs", "2",
                  "--output", "out", new_session=True)  # fmt: skip
    with ended(sweep):
        deadline = time.monotonic() + 100
        while len(list(tmp_path.glob("out/cells/*/*.json"))) < 4:
            assert sweep.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1)
        begin = time.monotonic()
        os.killpg(sweep.pid, number)  # as a terminal and Slurm do
        said = finished(sweep, tmp_path, code=code)
        # Workers that are asked to end are waited for at least 4 s.
        assert time.monotonic() < begin + 4
    assert said.splitlines()[-1] == (
        "Interrupted. Finished cells are kept in out; run the same command again to resume."
    )
    status = CliRunner().invoke(app, ["status", str(tmp_path / "out")]).stdout
    assert "8 cells: 4 done, 0 failed, 4 missing" in status


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    Path("x.yaml").write_text(yaml.safe_dump(CONFIG))
    result = CliRunner().invoke(app, ["sweep", "x.yaml", "--dask", "local", "--output", "out"])
    assert result.exit_code == 2
    assert "python -m pip install 'poisonbench[dask]'" in result.stderr
    assert not Path("out").exists()


def test_a_scheduler_that_is_lost():
    """In a line, whatever Dask calls it; what is done is kept, so it is no error of the folder."""
    comm = pytest.importorskip("distributed.comm", reason="without the extra dask")

    class Lost:
        def nthreads(self) -> Any:
            raise comm.CommClosedError("in <TCP (closed)>: reset by peer")

        def cancel(self, futures: Any) -> None:
            pass

    with pytest.raises(OSError, match=r"^the Dask scheduler was lost$"):
        list(dask_cluster.results(Lost(), print, [None]))
