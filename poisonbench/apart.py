"""Work in a process of its own: what kills it ends nothing else, and it is known what it was at."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

Announce = Callable[[str], None]
"""Told by the work what it turns to, before it does."""


@dataclass(frozen=True)
class Death:
    """The end of a process that did not end by itself.

    Parameters
    ----------
    at : str or None
        What it announced last; None if it had not begun.
    code : int
        Its exit code, or the negative number of the signal that killed it.
    """

    at: str | None
    code: int

    @property
    def may_be_from_outside(self) -> bool:
        """Whether somebody else may have killed it: a user, a scheduler, a lack of memory."""
        return -self.code in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    @property
    def reason(self) -> str:
        """What happened, in words."""
        if self.code >= 0:
            return f"it ended its process with exit code {self.code}"
        return f"its process was killed by {signal.Signals(-self.code).name}"


def results(work: Callable[..., Any], items: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Yield ``work(*item, announce)`` for each item, and a :class:`Death` if the process dies.

    Parameters
    ----------
    work : callable
        A function of a module.  What it raises is raised here.
    items : sequence of tuple
        Its arguments but the last.
    """
    context = multiprocessing.get_context("spawn")
    news, send = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(work, items, send))
    # Ctrl-C on a terminal goes to all processes; the child inherits that it does not hear it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    send.close()
    at = None
    try:
        with suppress(EOFError):
            while True:
                kind, value = news.recv()
                if kind == "at":
                    at = value
                elif kind == "error":
                    raise value
                else:
                    at = None
                    yield value
        process.join()
        if process.exitcode:
            yield Death(at, process.exitcode)
    finally:
        process.kill()
        process.join()
        news.close()


def _serve(work: Callable[..., Any], items: Sequence[tuple[Any, ...]], send: Connection) -> None:
    """Do the work, in the process of its own."""

    def announce(what: str) -> None:
        send.send(("at", what))

    # A parent that is gone breaks the pipe, and this process ends before its next cell.
    with suppress(BrokenPipeError):
        try:
            for item in items:
                send.send(("result", work(*item, announce)))
        except BrokenPipeError:
            raise
        except Exception as error:
            send.send(("error", error))
