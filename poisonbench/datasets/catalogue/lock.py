"""One process at a time for one file: the others wait, say so, and do not wait for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import BinaryIO

from poisonbench.datasets.catalogue.limits import FetchError

try:
    import fcntl
except ImportError:  # Windows: nobody waits, and checksums have to do
    fcntl = None  # type: ignore[assignment]

POLL = 0.05
"""Seconds between two looks whether a file is free."""


@contextmanager
def claimed(path: Path, patience: float, say: Callable[[str], None]) -> Iterator[Path]:
    """Give the file of an unfinished download of `path`, once nobody else is at it.

    Parameters
    ----------
    path : Path
        The file that is wanted.  The other is beside it, with the ending ``.part``; where the
        block leaves it empty it is deleted.
    patience : float
        Seconds to wait for another process.
    say : callable
        Takes the news that there is one.

    Raises
    ------
    FetchError
        Another process is still at it.
    OSError
        The folder cannot be written to.
    """
    part = path.with_name(f"{path.name}.part")
    deadline = time.monotonic() + patience
    waiting = False
    while True:
        with part.open("ab") as file:
            locked = _locked(file)
            # Whoever held the lock may have moved or deleted what was opened here.
            if locked and _is_at(part, file):
                try:
                    yield part
                finally:
                    if _is_at(part, file) and not part.stat().st_size:
                        with suppress(PermissionError):  # Windows: it is open
                            part.unlink()
                return
        if locked:
            continue
        if time.monotonic() > deadline:
            raise FetchError(f"{path}: another process has been fetching it for {patience:g} s; "
                             f"if there is none, delete {part}")  # fmt: skip
        if not waiting:
            say(f"{path}: another process is fetching it; waiting")
            waiting = True
        time.sleep(POLL)


def _locked(file: BinaryIO) -> bool:
    """Lock a file, unless another process has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Anything else is a file system without locks: the checksum has to do.
        return error.errno not in (EAGAIN, EACCES)
    return True


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is still the one at `path`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
