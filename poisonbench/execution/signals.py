"""Signals that stop a run: Ctrl-C, SIGTERM as schedulers send it, and a time limit of our own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGALRM: 3}
"""The exit code of a run that each of them stopped; SIGALRM is the time limit."""


class Stopped(KeyboardInterrupt):
    """A signal said to stop.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


class Stop:
    """Remembers the signal that came."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; the first one counts, and what follows must not disturb the stop."""
        for other in EXIT_CODES:
            signal.signal(other, signal.SIG_IGN)
        self.number = number
        raise Stopped(number)

    def check(self) -> None:
        """Raise :class:`Stopped` if a signal came.

        An exception that is raised in a destructor or a callback of a library is lost, and the
        signal with it; so a run asks from time to time.
        """
        if self.number is not None:
            raise Stopped(self.number)


@contextmanager
def stoppable(time_limit: float | None = None) -> Iterator[Stop]:
    """Have the signals raise :class:`Stopped` in the block.

    Parameters
    ----------
    time_limit : float, optional
        Seconds after which it stops by itself.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals are the main thread's business
        return
    before = {number: signal.signal(number, stop) for number in EXIT_CODES}
    signal.setitimer(signal.ITIMER_REAL, time_limit or 0)
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Have the processes that the block starts not hear Ctrl-C, which a terminal sends to all.

    They inherit that the signal is blocked; so do threads, and what these start later.
    """
    # multiprocessing starts its tracker with the first process, and unblocks the signal then.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
