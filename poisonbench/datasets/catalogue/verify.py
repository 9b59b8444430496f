"""Check data files against the catalogue or their sidecars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poisonbench.data.base import DatasetError
from poisonbench.data.csv import read_dataset
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.data.table import read_table
from poisonbench.datasets.catalogue.checks import check, check_identity
from poisonbench.datasets.catalogue.entries import Entry, entries

FAST = 100_000_000
"""Size in bytes up to which a checksum takes no noticeable time."""


@dataclass(frozen=True)
class Verdict:
    """What is right and wrong with the file of a data set.

    Parameters
    ----------
    name : str
        The data set, or the file.
    path : Path or None
        Its file; None if `name` is the file, or if it needs none.
    present : bool
        Whether the file exists.
    right, wrong : tuple of str
        The results of the checks.
    """

    name: str
    path: Path | None
    present: bool
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def report(self) -> str:
        """Return the verdict as text."""
        if not self.present:
            return f"{self.name}: not there ({'; '.join(self.right) or self.path})"
        verdict = "wrong" if self.wrong else "right"
        lines = [f"{self.name}: {verdict}" + (f" ({self.path})" if self.path else "")]
        lines += [f"  wrong: {text}" for text in self.wrong]
        lines += [f"  right: {text}" for text in self.right]
        return "\n".join(lines)


def verify(entry: Entry, folder: Path) -> Verdict:
    """Compare the file of a data set with the catalogue and with its sidecar.

    Parameters
    ----------
    entry : Entry
        The data set.
    folder : Path
        The data folder.
    """
    if entry.file is None:
        return Verdict(entry.name, None, True, ("needs no file",))
    path = folder / entry.file
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        unfinished = (f"{part} is an unfinished download; fetch resumes it",)
        return Verdict(entry.name, path, False, unfinished if part.exists() else ())
    found = check(entry, path)
    return Verdict(entry.name, path, True, found.right, found.wrong)


def verify_file(path: Path) -> Verdict:
    """Compare a file with its sidecar.

    Parameters
    ----------
    path : Path
        The file.  If it has the name of a file of the catalogue, it is checked against that.
    """
    for entry in entries().values():
        if entry.file == path.name:
            return verify(entry, path.parent)
    try:
        sidecar = Sidecar.read(path)
        if sidecar is None:
            table = read_table(path)
            shape = f"{len(table.values)} rows of {len(table.names)} columns, all numbers"
            unknown = f"there is no record of it: {place(path).name} is not beside it"
            return Verdict(str(path), None, True, (shape, unknown))
        data = read_dataset(path, sidecar.target, "full")
    except DatasetError as error:
        return Verdict(str(path), None, True, wrong=(str(error),))
    right = (
        "its SHA-256 is that recorded beside it",
        f"{len(data.y)} rows, {data.space.n_features} features",
        f"response '{data.target}' from {data.y.min():.6g} to {data.y.max():.6g}",
    )
    return Verdict(str(path), None, True, right)


def presence(entry: Entry, folder: Path) -> str:
    """Return whether the file of a data set is there, from a quick check without reading its rows.

    Parameters
    ----------
    entry : Entry
        The data set.
    folder : Path
        The data folder.

    Returns
    -------
    str
        ``here``, ``wrong``, ``not here`` or ``no file`` (none is needed).
    """
    if entry.file is None:
        return "no file"
    path = folder / entry.file
    if not path.exists():
        return "not here"
    small = path.stat().st_size <= FAST
    return "wrong" if check_identity(entry, path, hashed=small).wrong else "here"
