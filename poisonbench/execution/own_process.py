"""Run work in a separate process, and report what it was doing if it is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from poisonbench.execution.signals import end_with, ignoring_interrupts

Announce = Callable[[str], None]
"""The work calls this with the identity of each step before it begins the step."""


@dataclass(frozen=True)
class Death:
    """The abnormal end of a process.

    Parameters
    ----------
    at : str or None
        The last step that the process announced; None if it had not started on any.
    code : int
        Its exit code, or the negative number of the signal that killed it.
    """

    at: str | None
    code: int

    @property
    def may_be_from_outside(self) -> bool:
        """Whether the signal may come from outside: a user, a scheduler, or a lack of memory."""
        return -self.code in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    @property
    def reason(self) -> str:
        """A description of what happened."""
        if self.code >= 0:
            return f"it ended its process with exit code {self.code}"
        return f"its process was killed by {signal.Signals(-self.code).name}"


def results(work: Callable[[Any, Announce], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Yield ``work(item, announce)`` for each item, and a :class:`Death` if the process dies.

    Parameters
    ----------
    work : callable
        A module-level function.  Its exceptions are raised here.
    items : sequence
        Its first arguments.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, os.getpid()))
    with ignoring_interrupts():
        process.start()
    theirs.close()
    at, n_left = None, len(items)
    try:
        with suppress(EOFError, ConnectionError):
            # These are not arguments of the process, because its start cannot be interrupted, and
            # because reading them imports the slow modules.
            ours.send((work, items))
            while n_left:
                kind, value = ours.recv()
                if kind == "at":
                    at = value
                elif kind == "error":
                    raise value
                else:
                    at = None
                    n_left -= 1
                    yield value
        if n_left:
            process.join()
            yield Death(at, process.exitcode or 0)
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(parent: Connection, parent_id: int) -> None:
    """Do the work; this runs in the new process."""
    end_with(parent_id)

    def announce(what: str) -> None:
        parent.send(("at", what))

    # If the parent is gone, the pipe is broken.
    with suppress(EOFError, ConnectionError):
        try:
            work, items = parent.recv()
            for item in items:
                parent.send(("result", work(item, announce)))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            parent.send(("error", error))
