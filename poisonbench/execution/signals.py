"""Signals that stop a run: Ctrl-C, SIGTERM (sent by schedulers), SIGHUP, and a time limit.

An exception that a signal raises may come while a module loads or a library cleans up, and be lost
or turned into another one there.  So the signal is remembered: a run asks from time to time, and
whatever the command ends with once a signal came, its exit code is that of the signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

EXIT_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGALRM: 3}
"""The exit code of a run that each of them stopped; SIGALRM is the time limit."""


class Stopped(KeyboardInterrupt):
    """A signal asked to stop.

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
        """Raise :class:`Stopped` if a signal came."""
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def interruptible_command() -> Iterator[None]:
    """Have Ctrl-C end the block, which is all of a command, with exit code 130 and no traceback."""
    stop = Stop()
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:  # as in the background of a script
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except BaseException:
        if stop.number is None:
            raise
    finally:
        # The command is over: another Ctrl-C must not break its end.  The first of these takes what
        # has come already, the second lasts until the process is gone.
        signal.signal(signal.SIGINT, _pass_over)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if stop.number is not None:
        raise SystemExit(EXIT_CODES[signal.Signals(stop.number)])


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Handle a signal that comes too late."""


@contextmanager
def stoppable(time_limit: float | None = None) -> Iterator[Stop]:
    """Make the signals raise :class:`Stopped` in the block, except those ignored already.

    Parameters
    ----------
    time_limit : float, optional
        Seconds after which to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stop()  # signals are the main thread's business
        return
    of_command = signal.getsignal(signal.SIGINT)
    stop = of_command if isinstance(of_command, Stop) else Stop()
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    heard = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, time_limit or 0)
    try:
        stop.check()
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if stop.number is None or not isinstance(of_command, Stop):
            for number in heard:
                signal.signal(number, before[number])


def end_with(parent: int) -> None:
    """Have this process end within a second of its parent.

    It would wait for a parent that was killed, or compute on, with its memory and the pipe that
    our output goes to.

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


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all processes.

    Processes started in the block inherit that the signal is blocked; so do threads, and the
    processes that these start later.
    """
    # multiprocessing starts its resource tracker with the first process, and unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
