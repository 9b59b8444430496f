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
"""Ending of the temporary name of a file that is being written."""


@contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that replaces `path` when the block ends without an error.

    Until then, and if the block fails, `path` is unchanged; no temporary file is left behind.

    Parameters
    ----------
    path : Path
        The file; its folder is created if necessary.
    durable : bool, default=True
        Whether to wait until the file is on the disk, which takes milliseconds.
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
    """Remove the unfinished files that killed processes have left.

    Parameters
    ----------
    folder : Path
        The folder.  Files that running processes of this machine, or any processes of other
        machines, are writing there are kept.
    """
    for name in os.listdir(folder):
        owner = name.removesuffix(TEMPORARY).split(".")[-2:-1]
        if not (name.startswith(".") and name.endswith(TEMPORARY) and owner):
            continue
        machine, _, process = owner[0].rpartition("-")
        if machine == _machine() and process.isdecimal() and not _runs(int(process)):
            (folder / name).unlink(missing_ok=True)


def _owner() -> str:
    """Return a name for this process that is unique among the machines that share a folder."""
    return f"{_machine()}-{os.getpid()}"


def _machine() -> str:
    return re.sub(r"[^\w-]", "_", platform.node())


def _runs(process: int) -> bool:
    """Return whether a process of this machine is running; True if that cannot be found out."""
    try:
        if os.name == "posix":  # on other systems this would end the process
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of another user
        pass
    return True


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk."""
    if os.name != "posix":
        return  # on other systems a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
