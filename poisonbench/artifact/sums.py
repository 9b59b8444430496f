"""Lists of SHA-256 checksums, in the format of ``sha256sum -c``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from poisonbench.data.files import checksum
from poisonbench.output.layout import StoreError

NAME = "SHA256SUMS"
"""The name of a list; its paths are relative to its folder."""


def lines(folder: Path, paths: Iterable[Path]) -> str:
    """Return the list of some files, which are in `folder`."""
    return "".join(f"{checksum(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths)


def problems(folder: Path, files: Path | None = None) -> Iterator[str]:
    """Yield what is wrong with the files of the list in a folder.

    Parameters
    ----------
    folder : Path
        The folder with the list.
    files : Path, optional
        The folder that has the files, of which some may be missing; without it, `folder`, in which
        none may be missing.

    Raises
    ------
    StoreError
        There is no list, or it cannot be read.
    """
    path = folder / NAME
    try:
        entries = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        for known, name in entries:
            file = (folder if files is None else files) / name
            if not file.is_file():
                if files is None:
                    yield f"{file}: missing"
            elif checksum(file) != known:
                yield f"{file}: changed; its SHA-256 is not the one in {path}"
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); expected a folder that poisonbench artifact made"
        ) from error
