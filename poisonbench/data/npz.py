"""Read the arrays of an ``.npz`` file from any source, and seal files with a checksum."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from poisonbench.data.base import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = 64
"""Number of characters of a checksum."""

UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""Exceptions of NumPy and zipfile for a file that is missing, damaged, or of another kind."""


def read_arrays(
    path: Path, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays `names` of an ``.npz`` file, which may contain others.

    Parameters
    ----------
    path : Path
        The file.
    names : sequence of str
        Arrays that the file must have.
    optional : sequence of str
        Arrays that are returned if the file has them.

    Raises
    ------
    DatasetError
        The file cannot be read, or lacks one of the arrays.
    """
    try:
        # Never allow_pickle: reading a file must not execute code in it.
        with path.open("rb") as handle, np.lib.npyio.NpzFile(handle, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in (*names, *optional) if name in file}
    except UNREADABLE as error:
        what = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: not a readable .npz file: {what}") from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DatasetError(f"{path}: no array '{missing[0]}', expected {', '.join(names)}")
    return arrays


def seal(file: IO[bytes]) -> None:
    """Append a checksum of the whole zip file, as the archive's comment.

    The checksums of the zip format cover each member separately, and are checked only when a member
    is read.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    """
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"0" * DIGITS
    digest = _digest(file)
    file.seek(-DIGITS, 2)
    file.write(digest)


def is_sealed(path: Path) -> bool:
    """Return whether a file is unchanged since :func:`seal`."""
    with path.open("rb") as file:
        digest = _digest(file)
        return file.read() == digest


def _digest(file: IO[bytes]) -> bytes:
    """Return the checksum of a file without the digits at its end, and leave the file there."""
    left = max(file.seek(0, 2) - DIGITS, 0)
    file.seek(0)
    digest = hashlib.sha256()
    while left and (block := file.read(min(left, 1 << 20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()
