"""Files that are written whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

TEMPORARY = ".part-of-poisonbench"
"""How the name ends that a file has while it is written."""


@contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` once the block has ended well.

    Until then, and where the block fails, what was at `path` stays; nothing else is left behind.

    Parameters
    ----------
    path : Path
        The file; its folder is made if need be.
    durable : bool, default=True
        Whether to wait until it is on the disk, which takes milliseconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:32]}.{_owner()}.{uuid4().hex[:8]}{TEMPORARY}")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed left of files that they were writing.

    Parameters
    ----------
    folder : Path
        The folder; what other processes are writing there, on this machine or another, stays.
    """
    for name in os.listdir(folder):
        owner = name.removesuffix(TEMPORARY).split(".")[-2:-1]
        if not (name.startswith(".") and name.endswith(TEMPORARY) and owner):
            continue
        machine, _, process = owner[0].rpartition("-")
        if machine == _machine() and process.isdecimal() and not _runs(int(process)):
            (folder / name).unlink(missing_ok=True)


def _owner() -> str:
    """Return what names this process among those of all machines that share a folder."""
    return f"{_machine()}-{os.getpid()}"


def _machine() -> str:
    return re.sub(r"[^\w-]", "_", platform.node())


def _runs(process: int) -> bool:
    """Whether a process of this machine runs, as far as that can be seen."""
    try:
        if os.name == "posix":  # elsewhere this would end it
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    return True


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """See to it that the names in a folder, too, are on the disk."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
