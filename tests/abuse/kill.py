"""Kill sweeps at random, many times: the result files must be those of an undisturbed sweep.

    python tests/abuse/kill.py --kills 1000 --seed 0

Each round starts a sweep in a new folder and resumes it until it is done, with 0, 1 or 2 processes,
or as three shards at once.  Each time, it is killed after a random time by KILL, TERM, INT (sent to
all processes, as a terminal does, once or twice) or HUP.  A finding is a result file with different
bytes, an exit code that does not belong to the signal, a traceback, a process that outlives its
parent, or a temporary file that is left behind.  The slow tests run a sample.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TABLES = ("results.csv", "table.csv")
CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": ["statp", {"name": "bgd", "iterations": 2}],
    "poisoning_rate": [0, 0.1, 0.2],
    "split": {"train": 200, "validation": 60, "test": 60},
    "defense": ["none", {"name": "trim", "restarts": 5}],
    "seeds": 4,
}
CODES = {
    signal.SIGKILL: {-9},
    signal.SIGTERM: {143, -15},  # the second before the run begins
    signal.SIGHUP: {129, -1},
    signal.SIGINT: {130},
}
WAYS = (["--jobs", "0"], ["--jobs", "1"], ["--jobs", "2"], None)
"""Options of a command; None for three shards at once."""


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a sweep in a session of its own."""
    with (folder / "stderr.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "poisonbench", "sweep", "x.yaml", "--output", "out", "--quiet",
             *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
        )  # fmt: skip


def left_of(session: int) -> list[int]:
    """Return the processes of a session, but those that only count resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # After the name, which is in parentheses: state, parent, group, session.
            facts = (path / "stat").read_text().rpartition(")")[2].split()
            helper = b"tracker" in (path / "cmdline").read_bytes()
            if int(facts[3]) == session and facts[0] != "Z" and not helper:
                found.append(int(path.name))
    return found


def hit(processes: list[subprocess.Popen[str]], rng: random.Random, usual: float) -> Iterator[str]:
    """Kill running commands, and yield what is wrong with their end."""
    time.sleep(rng.uniform(0.2, usual))
    number = rng.choice(list(CODES))
    twice = number == signal.SIGINT and rng.random() < 0.5
    for process in processes:
        for _ in range(1 + twice):
            with suppress(ProcessLookupError):
                if number == signal.SIGINT:
                    os.killpg(process.pid, number)
                else:
                    process.send_signal(number)
            time.sleep(rng.choice([0, 0.01, 0.2]) if twice else 0)
    for process in processes:
        code = process.wait(120)
        if code not in {0, *CODES[number]}:
            yield f"exit code {code} after {number.name}{' twice' if twice else ''}"
        deadline = time.monotonic() + 5
        while (left := left_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for one in left:
            yield f"process {one} outlives its parent by 5 s after {number.name}"
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def lives(folder: Path, rng: random.Random, peace: dict[str, bytes], usual: float) -> Iterator[str]:
    """Kill the commands that fill a folder until one is left in peace; yield what is wrong.

    An empty text stands for a kill with nothing wrong.
    """
    (folder / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    for _ in range(rng.randint(2, 6)):
        way = rng.choice(WAYS)
        shards = [["--jobs", "1", "--shard", f"{i}/3"] for i in range(3)] if way is None else [way]
        yield from hit([start(folder, *options) for options in shards], rng, usual)
        yield ""
    code = start(folder, "--jobs", "1").wait(600)
    said = (folder / "stderr.log").read_text()
    if code:
        yield f"exit code {code} in peace: {said[-500:]}"
    for sign in ("Traceback", "Exception ignored"):
        if sign in said:
            yield f"{sign}: {said[said.index(sign) :][-1000:]}"
    for path in (folder / "out").rglob(".*"):
        yield f"{path.relative_to(folder)} stays"
    for name, content in peace.items():
        path = folder / "out" / name
        if not path.exists() or path.read_bytes() != content:
            yield f"{name} has other bytes"


def findings(kills: int, seed: int) -> Iterator[str]:
    """Yield what is wrong after so many kills; an empty text for each kill."""
    with tempfile.TemporaryDirectory() as name:
        peaceful = Path(name)
        (peaceful / "x.yaml").write_text(yaml.safe_dump(CONFIG))
        begun = time.monotonic()
        if start(peaceful, "--jobs", "1").wait(600):
            yield f"does not run: {(peaceful / 'stderr.log').read_text()[-500:]}"
            return
        usual = time.monotonic() - begun
        peace = {table: (peaceful / "out" / table).read_bytes() for table in TABLES}
    n_done = n_rounds = 0
    while n_done < kills:
        rng = random.Random(f"{seed} {n_rounds}")
        with tempfile.TemporaryDirectory() as name:
            for found in lives(Path(name), rng, peace, usual):
                n_done += not found
                yield found and f"round {n_rounds}: {found}"
        n_rounds += 1


def main() -> int:
    """Kill as often as asked for, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    n_kills = n_found = 0
    for found in findings(given.kills, given.seed):
        n_kills += not found
        n_found += bool(found)
        if found:
            print(found, flush=True)
        elif n_kills % 10 == 0:
            print(f"{n_kills} kills so far", file=sys.stderr, flush=True)
    print(f"{n_kills} kills, {n_found} findings")
    return bool(n_found)


if __name__ == "__main__":
    sys.exit(main())
