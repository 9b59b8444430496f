"""Work in a process of its own: what kills it ends nothing else, and it is known what it was at."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from poisonbench.execution.signals import deaf_children, end_with

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


def results(work: Callable[[Any, Announce], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Yield ``work(item, announce)`` for each item, and a :class:`Death` if the process dies.

    Parameters
    ----------
    work : callable
        A function of a module.  What it raises is raised here.
    items : sequence
        Its first arguments.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs, os.getpid()))
    with deaf_children():
        process.start()
    theirs.close()
    at, n_left = None, len(items)
    try:
        with suppress(EOFError, ConnectionError):
            # Not with the start, which cannot be stopped: the process reads them once it has
            # imported what it needs.
            ours.send(items)
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


def _serve(work: Callable[[Any, Announce], Any], parent: Connection, parent_id: int) -> None:
    """Do the work, in the process of its own."""
    end_with(parent_id)

    def announce(what: str) -> None:
        parent.send(("at", what))

    # A parent that is gone breaks the pipe.
    with suppress(EOFError, ConnectionError):
        try:
            for item in parent.recv():
                parent.send(("result", work(item, announce)))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            parent.send(("error", error))
