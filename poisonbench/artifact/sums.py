"""Lists of SHA-256 checksums, in the format of ``sha256sum -c``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from poisonbench.data.files import checksum
from poisonbench.output.layout import StoreError

NAME = "SHA256SUMS"
"""The name of a list; its paths are relative to its folder."""

NEEDED = frozenset({"claims.csv", "requirements.txt"})
"""The files that every artifact has, beside its configs."""

NOT_READ = (".git", ".venv")
"""Folders in an artifact that others may add, and that ``verify`` neither reads nor changes."""


def lines(folder: Path, paths: Iterable[Path]) -> str:
    """Return the list of some files, which are in `folder`."""
    return "".join(f"{checksum(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths)


def read(folder: Path) -> dict[str, str]:
    """Return the checksums of the list in a folder, by path.

    Raises
    ------
    StoreError
        There is no list, it cannot be read, or it has a path that leads out of the folder.
    """
    path = folder / NAME
    try:
        entries = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        listed = {name: known for known, name in entries}
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}); expected a folder that poisonbench artifact made"
        ) from error
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise StoreError(f"{path}: {name} leads out of the folder; expected paths in it")
    return listed


def problems(folder: Path) -> Iterator[str]:
    """Yield how the files of an artifact differ from its list, which must be complete.

    Only data sets of the catalogue, in ``datasets``, may be added.  Symbolic links are not allowed,
    because they may lead out of the folder.

    Parameters
    ----------
    folder : Path
        The artifact.

    Raises
    ------
    StoreError
        See :func:`read`.
    """
    listed = read(folder)
    there = set()
    for place, folders, files in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in NOT_READ]
        for path in (Path(place, name) for name in sorted([*folders, *files])):
            if path.is_symlink():
                yield f"{path}: a symbolic link"
            elif not path.is_dir():
                there.add(path.relative_to(folder).as_posix())
    for name in sorted((listed.keys() | NEEDED | there) - {NAME}):
        if name not in there:
            yield f"{folder / name}: missing"
        elif name in listed:
            yield from _changed(folder, folder / name, listed[name])
        elif not name.startswith("datasets/"):
            yield f"{folder / name}: not in {folder / NAME}"


def changed(folder: Path, files: Path) -> Iterator[str]:
    """Yield which files of the list in a folder are in the folder `files`, but differ.

    Raises
    ------
    StoreError
        See :func:`read`.
    """
    for name, known in read(folder).items():
        if (files / name).is_file():
            yield from _changed(folder, files / name, known)


def _changed(folder: Path, file: Path, known: str) -> Iterator[str]:
    if checksum(file) != known:
        yield f"{file}: changed; its SHA-256 is not the one in {folder / NAME}"
