"""Signals end a command with their exit code, wherever they find it, and its processes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from poisonbench.execution.signals import (
    EXIT_CODES,
    Stop,
    Stopped,
    interruptible_command,
    stoppable,
)

BLOCKS = {
    "computes": "time.sleep(60)",
    "loads a module that fails for it": (
        "try:\n        time.sleep(60)\n    except BaseException as error:\n"
        "        raise ImportError('half loaded') from error"
    ),
    "passes it over": (
        "try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
        "    with stoppable():\n        time.sleep(60)"
    ),
    "cleans up": "try:\n        time.sleep(60)\n    finally:\n        time.sleep(1)",
    "runs": "with stoppable():\n        time.sleep(60)",
    "says it": (
        "try:\n        with stoppable():\n            time.sleep(60)\n"
        "    except Stopped:\n        sys.exit(1)"
    ),
}


def started(code: str) -> subprocess.Popen[str]:
    """Start a program, and return it once it has said that it began."""
    repository = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
@pytest.mark.parametrize("gap", [None, 0.0, 0.3])
def test_ctrl_c_once_or_twice_ends_a_command_with_130(block: str, gap: float | None) -> None:
    code = (
        "import sys, time\n"
        "from poisonbench.execution.signals import interruptible_command, stoppable, Stopped\n"
        "with interruptible_command():\n    print('begun', flush=True)\n    "
    )
    process = started(f"{code}{block}\ntime.sleep(0.5)")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    if gap is not None:
        time.sleep(gap)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130


@pytest.mark.parametrize("context", ["interruptible_command()", "stoppable()"])
def test_nothing_is_printed_where_python_loses_the_exception(context: str) -> None:
    code = """
import signal, time
from poisonbench.execution.signals import Stopped, interruptible_command, stoppable
class Signals:
    def __del__(self):  # here an exception only gets a report
        signal.raise_signal(signal.SIGINT)
        time.sleep(10)  # which the handler ends
class Fails:
    def __del__(self): raise ValueError("of its own")
try:
    with CONTEXT as stop:
        Signals()
        print("lost")
        Fails()
        if stop: stop.check()
except Stopped:
    print("found")
    raise SystemExit(130)
"""
    done = subprocess.run(
        [sys.executable, "-c", code.replace("CONTEXT", context)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ("lost\n" if context.startswith("inter") else "lost\nfound\n")
    assert "Stopped" not in done.stderr
    assert "of its own" in done.stderr
    assert done.returncode == 130


def test_what_is_ignored_stays_so() -> None:
    """As under nohup, and in the background of a script."""
    code = (
        "import signal\n"
        "from poisonbench.execution.signals import interruptible_command, stoppable\n"
        "for number in (signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
        "print('begun', flush=True)\n"
        "with interruptible_command():\n    with stoppable():\n"
        "        signal.raise_signal(signal.SIGHUP); signal.raise_signal(signal.SIGINT)\n"
    )
    process = started(code)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0


def test_a_child_ends_with_its_parent() -> None:
    child = (
        "import os, time; from poisonbench.execution.signals import end_with\n"
        "end_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = started(
        "import subprocess, sys\nprint('begun', flush=True)\n"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    assert parent.stdout is not None
    identifier = int(parent.stdout.readline())
    parent.kill()
    parent.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{identifier}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{identifier}").exists()


@pytest.mark.parametrize("number", EXIT_CODES)
def test_a_run_in_a_command_shares_what_came(number: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    others = {other: signal.getsignal(other) for other in EXIT_CODES}
    try:
        with pytest.raises(SystemExit) as ended, interruptible_command(), stoppable():
            signal.raise_signal(number)
        assert ended.value.code == EXIT_CODES[signal.Signals(number)]
    finally:
        for other, handler in others.items():
            signal.signal(other, handler)
        signal.signal(signal.SIGINT, before)


def test_an_error_of_its_own_stays() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(ZeroDivisionError), interruptible_command():
            1 / 0  # noqa: B018
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_first_signal_counts() -> None:
    stop = Stop()
    with pytest.raises(Stopped):
        stop(signal.SIGTERM, None)
    stop(signal.SIGINT, None)
    assert stop.number == signal.SIGTERM
