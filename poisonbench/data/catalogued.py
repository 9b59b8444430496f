"""The data sets of the catalogue, each a loader under its own name."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from pathlib import Path
from typing import ClassVar

from poisonbench.data.base import Dataset, DatasetError, DatasetLoader, ScalingMode
from poisonbench.data.catalogue import Entry, PublishedFile, data_folder, entries
from poisonbench.data.csv import read_dataset
from poisonbench.data.sidecar import Sidecar


class MissingDataError(DatasetError):
    """The file of a data set is not there; the message says how to get it."""


class Catalogued(DatasetLoader):
    """A data set of the catalogue, in a file of the data folder.

    Parameters
    ----------
    scaling : {"train", "full", "none"}
        Rows whose smallest and largest values bound the box [0, 1]: the training rows, all
        rows, or none: the file is scaled already.
    data_dir : Path, optional
        The data folder; ``POISONBENCH_DATA`` or ``datasets`` if not given.
    """

    entry: ClassVar[Entry]

    def __init__(self, *, scaling: ScalingMode, data_dir: Path | None = None) -> None:
        self.scaling = scaling
        self.data_dir = data_dir

    def load(self) -> Dataset:
        """Return the rows of the file.

        Raises
        ------
        MissingDataError
            The file is not there.
        """
        folder = data_folder(self.data_dir)
        path = folder / str(self.entry.file)
        if not path.is_file():
            raise MissingDataError(missing(self.entry, folder))
        expected, where = known_checksum(self.entry, path)
        if expected not in (None, checksum(path)):
            raise DatasetError(
                f"{path} is another file than {self.entry.name}: its SHA-256 is not that {where}, "
                f"{expected}; move it away and fetch it ({self.entry.fetch_command(folder)}), or "
                f"use it as {{name: csv, path: {path}, target: {self.entry.target}}}"
            )
        return read_dataset(path, self.entry.target, self.scaling, name=self.entry.name)


def missing(entry: Entry, folder: Path) -> str:
    """Return what to do about a data set whose file is not there."""
    path = (folder / str(entry.file)).absolute()
    by_hand = f"put the file there by hand, from {entry.origin}"
    if not isinstance(entry.origin, PublishedFile):
        by_hand = (f"fetch it on another machine and put {path.name} and {path.name}.json there "
                   "by hand")  # fmt: skip
    return f"no file {path}; fetch it with\n  {entry.fetch_command(folder)}\nor {by_hand}"


def known_checksum(entry: Entry, path: Path) -> tuple[str | None, str]:
    """Return the SHA-256 that the file of a data set should have, if known, and where it stands."""
    if isinstance(entry.origin, PublishedFile) and entry.origin.sha256:
        return entry.origin.sha256, "of the catalogue"
    sidecar = Sidecar.read(path)
    return sidecar.sha256 if sidecar else None, "recorded beside it"


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loader(entry: Entry) -> type[Catalogued]:
    """Return the loader of an entry, with the entry's scaling as its default."""

    def init(
        self: Catalogued, *, scaling: ScalingMode = entry.scaling, data_dir: Path | None = None
    ) -> None:
        Catalogued.__init__(self, scaling=scaling, data_dir=data_dir)

    about = textwrap.fill(f"{entry.size[:1].upper()}{entry.size[1:]}.  {entry.preprocessing}", 90)
    parameters = (inspect.getdoc(Catalogued) or "").partition("\n\n")[2]
    documentation = f"{entry.title}.\n\n{about}\n\n{parameters}"
    return type(
        entry.name.title().replace("-", ""),
        (Catalogued,),
        {
            "__doc__": documentation,
            "__init__": init,
            "__module__": __name__,
            "name": entry.name,
            "reference": entry.citation,
            "entry": entry,
        },
    )


# The registry looks for classes in modules, so that is where they go.
globals().update(
    {loader.__name__: loader for loader in map(_loader, entries().values()) if loader.entry.file}
)
