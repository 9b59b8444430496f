"""A lock for the download of a file: other processes wait for a limited time, and say so."""

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
except ImportError:  # Windows: no locks, only checksums
    fcntl = None  # type: ignore[assignment]

POLL = 0.05
"""Seconds between two attempts to get the lock."""


@contextmanager
def claimed(path: Path, patience: float, say: Callable[[str], None]) -> Iterator[Path]:
    """Provide the part file for a download of `path`, locked for this process.

    Parameters
    ----------
    path : Path
        The file to download.  The part file is beside it, with the ending ``.part``; if it is empty
        at the end of the block, it is deleted.
    patience : float
        Seconds to wait for another process.
    say : callable
        Called with a message if another process has the lock.

    Raises
    ------
    FetchError
        Another process still has the lock.
    OSError
        The folder cannot be written to.
    """
    part = path.with_name(f"{path.name}.part")
    deadline = time.monotonic() + patience
    waiting = False
    while True:
        with part.open("ab") as file:
            locked = _locked(file)
            # The former owner of the lock may have moved or deleted the file opened here.
            if locked and _is_at(part, file):
                try:
                    yield part
                finally:
                    if _is_at(part, file) and not part.stat().st_size:
                        with suppress(PermissionError):  # Windows cannot delete an open file
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
    """Try to lock a file; return whether it worked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # With any other error, the file system has no locks: rely on the checksum.
        return error.errno not in (EAGAIN, EACCES)
    return True


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Return whether an open file is still the one at `path`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
