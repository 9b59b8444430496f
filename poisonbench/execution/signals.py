"""Signals that stop a run: Ctrl-C, SIGTERM (sent by schedulers), SIGHUP, and a time limit.

A signal handler that raises an exception may interrupt the import of a module or the cleanup of a
library, where the exception can be lost or turned into another one.  Therefore the handler also
remembers the signal.  A run checks for it from time to time, and however the command ends after a
signal, its exit code is the signal's.  Python's report of an exception that it has lost would only
frighten, so there is none of this one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

EXIT_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGALRM: 3}
"""The exit code of a run that was stopped by each signal; SIGALRM is the time limit."""


class Stopped(KeyboardInterrupt):
    """A signal has asked the run to stop.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


class Stop:
    """Signal handler that remembers the first signal; later ones do not disturb the stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.number is None:
            self.number = number
            raise Stopped(number)

    def check(self) -> None:
        """Raise :class:`Stopped` if a signal has arrived."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def interruptible_command() -> Iterator[None]:
    """Make Ctrl-C end the block, a whole command, with exit code 130 and without a traceback."""
    stop = Stop()
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:  # for example, a script runs the command in the background
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        with _no_report_of_the_signal():
            yield
    except BaseException:
        if stop.number is None:
            raise
    finally:
        # The command has ended, and another Ctrl-C must not disturb the rest.  The first line
        # handles a signal that is already pending, the second ignores later ones.
        signal.signal(signal.SIGINT, _ignore)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if stop.number is not None:
        raise SystemExit(EXIT_CODES[signal.Signals(stop.number)])


@contextmanager
def _no_report_of_the_signal() -> Iterator[None]:
    """Keep Python from printing that it has lost a :class:`Stopped`."""
    report = sys.unraisablehook

    def others(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Stopped):
            report(lost)

    sys.unraisablehook = others
    try:
        yield
    finally:
        sys.unraisablehook = report


def _ignore(number: int, frame: FrameType | None) -> None:
    """Ignore a signal that comes too late."""


@contextmanager
def stoppable(time_limit: float | None = None) -> Iterator[Stop]:
    """Make the signals raise :class:`Stopped` in the block, except those that are ignored already.

    Parameters
    ----------
    time_limit : float, optional
        Seconds after which to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stop()  # only the main thread can handle signals
        return
    of_command = signal.getsignal(signal.SIGINT)
    stop = of_command if isinstance(of_command, Stop) else Stop()
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    heard = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, time_limit or 0)
    try:
        with _no_report_of_the_signal():
            stop.check()
            yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if stop.number is None or not isinstance(of_command, Stop):
            for number in heard:
                signal.signal(number, before[number])


def end_with(parent: int) -> None:
    """Make this process end within a second of its parent.

    Otherwise, after its parent was killed, it would continue to wait or to compute, and keep its
    memory and the pipe to which the command's output goes.

    Parameters
    ----------
    parent : int
        The parent's process identifier.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve(parent: int) -> None:
    """Make a worker ignore Ctrl-C, which a terminal sends to all, and end with its parent.

    A worker that calls this loads only this module first, and the slow modules afterwards.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Make processes that are started in the block ignore Ctrl-C.

    A terminal sends it to all processes.  The signal is blocked in the block, and processes inherit
    that from this thread, as do threads that are started here and the processes that they start.
    """
    # multiprocessing starts its resource tracker with the first process, which unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
