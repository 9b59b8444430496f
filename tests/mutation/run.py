"""Put small faults into a copy of the package, one at a time, and see whether the tests notice.

    python tests/mutation/run.py                        a sample of every module, and faults.yaml
    python tests/mutation/run.py plan output/store.py   of these modules only
    python tests/mutation/run.py --every plan/rates.py  all mutants, not a sample
    python tests/mutation/run.py --list plan            names them and runs nothing

For each mutant, this runs the tests that modules.yaml names for its module, until one fails.  The
exit code is 1 if more than 15% survive, or if a mutant survives that is not in survivors.yaml.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutants import Mutant, mutants

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PACKAGE = REPOSITORY / "poisonbench"

MOST_SURVIVORS = 0.15
NOTHING = ": no fault"
"""Ends the name of what is no mutant: the tests as they are, which must pass."""

SLOWEST = 420
"""Seconds after which a mutant that never ends counts as noticed."""

# Imported once, in the parent of all; the package itself is not, as each child has its own.
LIBRARIES = ("numpy", "scipy.linalg", "scipy.optimize", "sklearn.linear_model", "pandas", "pytest",
             "sklearn.model_selection", "sklearn.covariance", "typer.testing",
             "pydantic", "joblib", "tqdm", "threadpoolctl")  # fmt: skip


def listed_faults() -> list[Mutant]:
    """Return the faults that were written down by hand."""
    found = []
    for entry in yaml.safe_load((HERE / "faults.yaml").read_text()):
        source = (PACKAGE / entry["file"]).read_bytes()
        before = entry["before"].encode()
        if source.count(before) != 1:
            raise SystemExit(f"faults.yaml: {entry['file']} has {entry['before']!r} "
                             f"{source.count(before)} times, expected once")  # fmt: skip
        start = source.index(before)
        name = f"{entry['file']} by hand: {entry['what']}"
        found.append(Mutant(entry["file"], name, start, start + len(before), entry["after"]))
    return found


def chosen(modules: dict[str, list[str]], only: list[str], size: int | None) -> list[Mutant]:
    """Return the mutants to try, the same ones for the same source."""
    found = []
    for file in modules:
        if only and not any(file == one or file.startswith(f"{one}/") for one in only):
            continue
        every = mutants(file, (PACKAGE / file).read_bytes())
        if size is not None and len(every) > size:
            every = random.Random(file).sample(every, size)
        found += every
        found += [fault for fault in listed_faults() if fault.file == file]
    return found


def copied(folder: Path) -> None:
    """Copy what the tests need."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def tested(folder: Path, tests: list[str]) -> tuple[int | None, str]:
    """Run tests in a child of this process; returns their exit status, None if they never end."""
    log = folder / "pytest.log"
    child = os.fork()
    if not child:
        os.setsid()  # so that whatever it starts can be ended with it
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder)
        sys.path.insert(0, str(folder))
        import pytest

        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        status = 3
        try:
            status = int(pytest.main([*options, *tests]))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    end = time.monotonic() + SLOWEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, ""


def work(todo: Any, done: Any, modules: dict[str, list[str]]) -> None:
    """Try mutants from one queue, and report of each in another."""
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    try:
        copied(folder)
        while (mutant := todo.get()) is not None:
            path = folder / "poisonbench" / mutant.file
            source = path.read_bytes()
            start = time.monotonic()
            try:
                path.write_bytes(mutant.applied(source))
                status, log = tested(folder, modules[mutant.file])
            finally:
                path.write_bytes(source)
            done.put((mutant.name, status, time.monotonic() - start, log))
    finally:
        done.put(None)
        shutil.rmtree(folder, ignore_errors=True)


def run(todo: list[Mutant], modules: dict[str, list[str]], jobs: int) -> list[str]:
    """Try all mutants; returns the names of the survivors."""
    context = multiprocessing.get_context("fork")
    waiting, done = context.Queue(), context.Queue()
    for mutant in [*todo, *[None] * jobs]:
        waiting.put(mutant)
    workers = [context.Process(target=work, args=(waiting, done, modules)) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    try:
        return _survivors(len(todo), done, jobs)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _survivors(n_mutants: int, done: Any, jobs: int) -> list[str]:
    """Report of each mutant as it is done; returns the names of the survivors."""
    survivors, ended, number = [], 0, 0
    while ended < jobs:
        news = done.get()
        if news is None:
            ended += 1
            continue
        name, status, seconds, log = news
        number += 1
        if status == 0 and name.endswith(NOTHING):
            continue
        if status in (2, 3, 4, 5) or name.endswith(NOTHING):
            raise SystemExit(f"{name}: the tests could not be run:\n{log[-3000:]}")
        if not status and status is not None:
            survivors.append(name)
        outcome = "survived" if status == 0 else "noticed"
        print(f"{number}/{n_mutants} {outcome} after {seconds:.0f} s: {name}", flush=True)
    return survivors


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="files or folders below the package")
    parser.add_argument("--every", action="store_true", help="all mutants, not a sample")
    parser.add_argument("--sample", type=int, default=8, metavar="N", help="mutants of each module")
    parser.add_argument(
        "--match", default="", help="only mutants whose names hold this regular expression"
    )
    parser.add_argument("--list", action="store_true", help="name the mutants and run nothing")
    parser.add_argument("--unchecked", action="store_true", help="do not try the tests first "
                        "without a fault, which they must pass")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    modules = yaml.safe_load((HERE / "modules.yaml").read_text())
    reasons = yaml.safe_load((HERE / "survivors.yaml").read_text()) or {}
    todo = chosen(modules, given.modules, None if given.every else given.sample)
    todo = [mutant for mutant in todo if re.search(given.match, mutant.name)]
    # Once for each list of tests.
    kinds = {
        str(modules[mutant.file]): Mutant(mutant.file, mutant.file + NOTHING, 0, 0, "")
        for mutant in todo
    }
    if given.list:
        print("\n".join(mutant.name for mutant in todo))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for library in LIBRARIES:
        importlib.import_module(library)
    start = time.monotonic()
    survivors = run([*([] if given.unchecked else kinds.values()), *todo], modules, given.jobs)
    unknown = [name for name in survivors if name not in reasons]
    share = len(survivors) / max(len(todo), 1)
    print(f"{len(survivors)} of {len(todo)} mutants survived ({share:.0%}) "
          f"in {time.monotonic() - start:.0f} s")  # fmt: skip
    for name in unknown:
        print(f"not in survivors.yaml: {name}")
    sys.exit(share > MOST_SURVIVORS or bool(unknown))


if __name__ == "__main__":
    main()
