"""Reading the arrays of an ``.npz`` file that someone else may have made."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from poisonbench.data.base import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise for a file that is absent, damaged, or of another kind."""


def read_arrays(
    path: Path, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays `names` of an ``.npz`` file; it may have others.

    Parameters
    ----------
    path : Path
        The file.
    names : sequence of str
        The arrays wanted.
    optional : sequence of str
        Arrays that are returned if the file has them.

    Raises
    ------
    DatasetError
        The file cannot be read, or lacks one of the arrays.
    """
    try:
        # Never allow_pickle: reading a file must not run what it holds.
        with path.open("rb") as handle, np.lib.npyio.NpzFile(handle, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in (*names, *optional) if name in file}
    except UNREADABLE as error:
        what = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: not a readable .npz file: {what}") from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise DatasetError(f"{path}: no array '{missing[0]}', expected {', '.join(names)}")
    return arrays
