"""The data sets of the catalogue: a loader for each, under its name."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from poisonbench.data.base import Dataset, DatasetError, ScalingMode
from poisonbench.datasets.base import DatasetLoader
from poisonbench.datasets.catalogue.checks import check
from poisonbench.datasets.catalogue.entries import Entry, checked_folder, entries, fetch_command


class MissingDataError(DatasetError):
    """Files of data sets are missing; the message says how to get them.

    Parameters
    ----------
    absent : sequence of Entry
        The data sets.
    folder : Path
        The data folder.
    """

    def __init__(self, absent: Sequence[Entry], folder: Path) -> None:
        self.absent = tuple({entry.name: entry for entry in absent}.values())
        self.folder = folder
        super().__init__(how_to_get(self.absent, folder))


class Catalogued(DatasetLoader):
    """A data set of the catalogue, in a file of the data folder.

    Parameters
    ----------
    scaling : {"train", "full", "none"}
        Rows whose minima and maxima define the box [0, 1]: the training rows, or all rows; none
        if the file is scaled already.
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
            The file is missing.
        DatasetError
            The file fails the checks of ``poisonbench datasets verify``.
        """
        folder = checked_folder(self.data_dir)
        path = folder / str(self.entry.file)
        if not path.exists():
            raise MissingDataError([self.entry], folder)
        found = check(self.entry, path, self.scaling)
        if found.wrong or found.data is None:
            raise DatasetError(
                f"{path} is not the file of {self.entry.name}: {'; '.join(found.wrong)}.  "
                f"Move it away and fetch it ({fetch_command([self.entry.name], folder)}); "
                f"to use it as data of your own, write {{name: csv, path: {path}, target: "
                f"{self.entry.target}}}"
            )
        return found.data


def how_to_get(absent: Sequence[Entry], folder: Path) -> str:
    """Return how to get the missing files of data sets.

    Parameters
    ----------
    absent : sequence of Entry
        The data sets.
    folder : Path
        The data folder.
    """
    places = [(folder / str(entry.file)).absolute() for entry in absent]
    lines = [
        f"no file {', '.join(map(str, places))}; fetch {'it' if len(places) == 1 else 'them'} with",
        f"  {fetch_command([entry.name for entry in absent], folder)}",
        "or put there by hand",
    ]
    for entry, path in zip(absent, places, strict=True):
        source = f"from {entry.origin}"
        if entry.prepared:
            source = f"and {path.name}.json, both made by fetch on another machine"
        lines.append(f"  {path}, {source}")
    return "\n".join(lines)


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


COMPONENTS = tuple(_loader(entry) for entry in entries().values() if entry.file)
"""The loaders, for the registry."""
