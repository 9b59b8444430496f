"""Sweeps whose processes are killed at random end with the files of an undisturbed sweep.

Each round is the life of one command: its workers are killed, and in the end it is killed itself,
with its workers or without them, which then go on beside the next round.  More of it:

    CHAOS_SEED=100 CHAOS_RUNS=20 CHAOS_ROUNDS=10 pytest -m slow tests/execution/test_chaos.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from poisonbench.output.index import read_index

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST_SEED = int(os.environ.get("CHAOS_SEED", "0"))
RUNS = int(os.environ.get("CHAOS_RUNS", "6"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "4"))
MOST_WORKERS = 2
"""Killed in a round; a cell that is at work at three deaths counts as their cause."""

TABLES = ("results.csv", "table.csv")
CONFIG: dict[str, Any] = {
    # With 300 columns the last bits depend on the number of threads.
    "dataset": ["diabetes", {"name": "synthetic", "n": 420, "d": 300}],
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 1}],
    "poisoning_rate": [0, 0.05, 0.1, 0.15],
    "split": {"train": 330, "validation": 40, "test": 40},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 3,
    "repetitions": 2,
}
SERIAL = [["--jobs", "1"]]
PARALLEL = [["--jobs", "2"]]
SHARDS = [["--jobs", "1", "--shard", f"{i}/3"] for i in range(3)]


def start(folder: Path, *arguments: str, threads: str | None = None) -> subprocess.Popen[str]:
    """Start a command in a session of its own, with as many threads as there are processors."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("OMP_NUM_THREADS", None)
    with (folder / "stderr.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "poisonbench", *arguments],
            cwd=folder,
            env=environment if threads is None else {**environment, "OMP_NUM_THREADS": threads},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
        )


def sweep(folder: Path, out: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return start(folder, "sweep", "x.yaml", "--output", out, "--quiet", *arguments, **options)


def said(folder: Path) -> str:
    return (folder / "stderr.log").read_text()[-3000:]


def n_cells(folder: Path) -> int:
    return len(list(folder.glob("out/cells/*/*.json")))


def workers(session: int) -> list[int]:
    """Return the processes of a session but its first, and the ones that only count resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # After the name, which is in parentheses: state, parent, group, session.
            facts = (path / "stat").read_text().rpartition(")")[2].split()
            helper = b"tracker" in (path / "cmdline").read_bytes()
            if int(facts[3]) == session != int(path.name) and facts[0] != "Z" and not helper:
                found.append(int(path.name))
    return sorted(found)


def live(folder: Path, process: subprocess.Popen[str], rng: random.Random) -> int:
    """Kill workers of a running sweep, then itself; return how many processes were killed."""
    n_killed = 0
    for last in [False] * rng.randint(0, MOST_WORKERS) + [True]:
        # A while into the work, sometimes into the start as well.
        enough, deadline = n_cells(folder) + rng.randint(0, 3), time.monotonic() + 60
        while n_cells(folder) < enough and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is not None:
            break
        found = workers(process.pid)
        if not last:
            victims = [rng.choice(found)] if found else []
        else:
            victims = [process.pid, *(found if rng.random() < 0.5 else [])]
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                n_killed += 1
    if process.wait(200) != -signal.SIGKILL:
        assert process.returncode == 0, said(folder)
    return n_killed


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of one serial sweep that nothing disturbs."""
    folder = tmp_path_factory.mktemp("serial")
    (folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    assert sweep(folder, "out", "--jobs", "1", threads="1").wait(200) == 0, said(folder)
    assert n_cells(folder) >= 60
    return {name: (folder / "out" / name).read_bytes() for name in TABLES}


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + RUNS))
def test_whatever_is_killed_the_bytes_are_the_same(
    tmp_path: Path, serial: dict[str, bytes], seed: int
) -> None:
    rng = random.Random(seed)
    commands = [SERIAL, PARALLEL, SHARDS][seed % 3]
    rng.shuffle(commands)
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    sessions, n_killed = [], 0
    try:
        for turn in range(ROUNDS):
            process = sweep(tmp_path, "out", *commands[turn % len(commands)])
            sessions.append(process.pid)
            n_killed += live(tmp_path, process, rng)
        assert n_killed
        for command in commands:
            process = sweep(tmp_path, "out", *command)
            sessions.append(process.pid)
            assert process.wait(200) == 0, said(tmp_path)
    finally:
        for session in sessions:
            for process_id in [session, *workers(session)]:
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
    if commands[0] in SHARDS:
        assert start(tmp_path, "merge", "out", "--quiet").wait(60) == 0, said(tmp_path)
    out = tmp_path / "out"
    assert n_cells(tmp_path) == len(list(read_index(out).cells()))
    assert {name: (out / name).read_bytes() for name in TABLES} == serial
