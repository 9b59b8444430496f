"""The catalogue of data sets: content, licence and source of each."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from poisonbench.data.base import DatasetError, ResponseUnit, ScalingMode

DATA_VARIABLE = "POISONBENCH_DATA"
"""Environment variable that names the data folder."""

Text = Annotated[str, Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFile(_Record):
    """A file that is used as its owners publish it.

    Parameters
    ----------
    url : str
        Its address.
    sha256 : str or None
        Its checksum; None if it is not known beforehand, but recorded at the first fetch.
    size : int or None
        Its length in bytes, if known.
    """

    kind: Literal["file"]
    url: Annotated[str, Field(pattern=r"^https://\S+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    size: int | None = None

    def __str__(self) -> str:
        """Return the address."""
        return self.url


class OpenML(_Record):
    """A data set of OpenML, read by scikit-learn and prepared here.

    Parameters
    ----------
    id : int
        Its number on OpenML.
    categorical, drop : tuple of str
        Columns of numbers that are categories; columns to leave out.
    """

    kind: Literal["openml"]
    id: Annotated[int, Field(ge=1)]
    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the address."""
        return f"https://www.openml.org/d/{self.id}"


class ScikitLearn(_Record):
    """A data set for which scikit-learn has a function, prepared here.

    Parameters
    ----------
    function : str
        The function of ``sklearn.datasets``.
    url : str
        The address of the archive from which the function makes the data set.
    archive : str
        The name under which the function looks for the archive.
    sha256 : str
        The checksum of the archive.
    """

    kind: Literal["scikit-learn"]
    function: Literal["fetch_california_housing"]
    url: Annotated[str, Field(pattern=r"^https://\S+$")]
    archive: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    def __str__(self) -> str:
        """Return the function."""
        return f"sklearn.datasets.{self.function}"


class Offline(_Record):
    """A data set that needs no file."""

    kind: Literal["offline"]

    def __str__(self) -> str:
        """Return that it needs none."""
        return "comes with the installation"


class Entry(_Record):
    """A data set of the catalogue.

    Parameters
    ----------
    name : str
        Its name in a config.
    title : str
        Its content, in one line.
    origin : PublishedFile or OpenML or ScikitLearn or Offline
        Where it comes from.
    homepage : str
        A page about it, if there is one.
    file : str or None
        Name of its file in the data folder; None if it needs none.
    citation : str
        What to cite.
    licence : str
        Its licence, as far as known.
    redistribution : {"allowed", "not allowed", "unclear"}
        Whether its file may be passed on.
    terms : str
        What a user has to know before using it.
    rows : int or None
        Number of rows; None if it is a parameter, or not known beforehand.
    least_rows : int or None
        Minimum number of rows, if the number is not known.
    columns : int or None
        Number of features before categories are encoded; None if it is a parameter, or not known.
    features : int or None
        Number of features after encoding; None if it is known only after preparation.
    groups : tuple of str or None
        Its one-hot groups; None if they are known only after preparation.
    target : str
        The response.
    unit : str
        The response's own unit.
    scaled_from : tuple of (float, float) or None
        Of a file whose response was scaled to [0, 1] before: what 0 and 1 are in that unit; None
        where that is not known, or the file is in the unit itself.
    scaling : {"train", "full", "none"}
        Its default scaling.
    preprocessing : str
        How the data were prepared, and by whom.
    unverified : str
        Which of these facts could not be checked against the source.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    origin: Annotated[PublishedFile | OpenML | ScikitLearn | Offline, Field(discriminator="kind")]
    homepage: str = ""
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w-]*\.csv$")] | None = None
    citation: Text
    licence: Text
    redistribution: Literal["allowed", "not allowed", "unclear"]
    terms: str = ""
    rows: Annotated[int, Field(ge=2)] | None
    least_rows: Annotated[int, Field(ge=2)] | None = None
    columns: Annotated[int, Field(ge=1)] | None
    features: Annotated[int, Field(ge=1)] | None = None
    groups: tuple[str, ...] | None = None
    target: Text
    unit: Text
    scaled_from: tuple[float, float] | None = None
    scaling: ScalingMode = "train"
    preprocessing: Text
    unverified: str = ""

    @property
    def size(self) -> str:
        """Its shape in words, as far as known beforehand."""
        if self.rows is None or self.columns is None:
            return "any size" if self.file is None else "size known once it is fetched"
        return f"{self.rows} rows, {self.columns} features"

    @property
    def response_unit(self) -> ResponseUnit | None:
        """How the file's response relates to its own unit; None where that is not known."""
        if self.scaled_from is not None:
            low, high = self.scaled_from
            return ResponseUnit(self.unit, low, high - low)
        return None if self.scaling == "none" else ResponseUnit(self.unit)

    @property
    def prepared(self) -> bool:
        """Whether its file is one that poisonbench prepares, with a sidecar beside it."""
        return isinstance(self.origin, OpenML | ScikitLearn)

    @property
    def checksum(self) -> str | None:
        """SHA-256 of its file, if it is known beforehand."""
        return self.origin.sha256 if isinstance(self.origin, PublishedFile) else None


@cache
def entries() -> dict[str, Entry]:
    """Return the entries of the catalogue by name, in order."""
    text = (
        files("poisonbench.datasets.catalogue")
        .joinpath("catalogue.yaml")
        .read_text(encoding="utf-8")
    )
    found = [Entry.model_validate(entry) for entry in yaml.safe_load(text)]
    return {entry.name: entry for entry in found}


def data_folder(given: Path | None = None) -> Path:
    """Return the data folder: the one given, ``POISONBENCH_DATA``, or ``datasets``."""
    return given or Path(os.environ.get(DATA_VARIABLE) or "datasets")


def checked_folder(given: Path | None = None, *, to_read: bool = False) -> Path:
    """Return the data folder, after checking that it is a folder or can be created.

    Parameters
    ----------
    given : Path, optional
        See :func:`data_folder`.
    to_read : bool
        Whether a folder that the user named must exist already.

    Raises
    ------
    DatasetError
        It is not a folder, is a broken link, or cannot be read; the message says which setting
        named it.
    """
    folder = data_folder(given)
    named_by = "--data-dir" if given else DATA_VARIABLE if os.environ.get(DATA_VARIABLE) else ""
    origin = f" (named by {named_by})" if named_by else ""
    try:
        if folder.is_dir():
            if os.access(folder, os.X_OK):
                return folder
            problem = "cannot be read: permission denied"
        elif folder.is_symlink() and not folder.exists():
            problem = f"is a link to {folder.readlink()}, which does not exist"
        elif folder.exists():
            problem = "is a file, expected a folder"
        elif not next(parent for parent in folder.absolute().parents if parent.exists()).is_dir():
            problem = "lies in a file, expected a folder"
        elif to_read and named_by:
            problem = "does not exist, expected a folder"
        else:
            return folder
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise DatasetError(f"{folder}{origin} {problem}")


def fetch_command(names: Sequence[str], folder: Path) -> str:
    """Return the command that fetches data sets into `folder`."""
    command = f"poisonbench datasets fetch {' '.join(names)}"
    if folder != Path("datasets"):
        command += f" --data-dir {shlex.quote(str(folder))}"
    return command
