"""Checks of the file of a catalogued data set, used for loading, fetching and verifying.

A published file is identified by its checksum.  A file that poisonbench prepared is identified by
its sidecar, which records its origin and its checksum; without the sidecar it could not be
distinguished from another file of the same name.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from poisonbench.data.base import Dataset, DatasetError, ResponseUnit, ScalingMode
from poisonbench.data.csv import read_dataset
from poisonbench.data.files import checksum
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.datasets.catalogue.entries import Entry, PublishedFile


@dataclass(frozen=True)
class Findings:
    """What is right and wrong with a file.

    Parameters
    ----------
    right, wrong : tuple of str
        The results of the checks.
    data : Dataset or None
        The data set; None if it cannot be read.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    data: Dataset | None = None


def check(
    entry: Entry, path: Path, scaling: ScalingMode | None = None, beside: Path | None = None
) -> Findings:
    """Compare a file with the catalogue and with its sidecar.

    Parameters
    ----------
    entry : Entry
        The data set that it should be.
    path : Path
        The file.
    scaling : {"train", "full", "none"}, optional
        The scaling to read it with; that of the catalogue if not given.
    beside : Path, optional
        The file whose sidecar describes it; `path` if not given.
    """
    identity = check_identity(entry, path, beside=beside)
    readable = path.is_file() and os.access(path, os.R_OK)
    if identity.wrong and not (readable and entry.checksum):
        return identity  # the numbers of a prepared file mean nothing without a valid sidecar
    right, wrong, data = [*identity.right], [*identity.wrong], None
    try:
        data = read_dataset(
            path, entry.target, scaling or entry.scaling, name=entry.name, beside=beside
        )
    except DatasetError as error:
        wrong.append(str(error))
    else:
        _compare_content(entry, data, right, wrong)
        data = replace(data, unit=_unit(entry, beside or path))
    return Findings(tuple(right), tuple(wrong), data)


def _unit(entry: Entry, path: Path) -> ResponseUnit | None:
    """Return the unit of a file's response, which an earlier version may have scaled."""
    sidecar = Sidecar.read(path)
    if sidecar is not None and entry.target in sidecar.scaling:
        return ResponseUnit(entry.unit, *sidecar.scaling[entry.target])
    return entry.response_unit


def check_identity(
    entry: Entry, path: Path, *, hashed: bool = True, beside: Path | None = None
) -> Findings:
    """Check what identifies a file: its checksum, its size and its sidecar.

    Parameters
    ----------
    entry : Entry
        The data set that it should be.
    path : Path
        The file.
    hashed : bool
        Whether to compute the checksum, which reads the whole file.
    beside : Path, optional
        The file whose sidecar describes it; `path` if not given.
    """
    right: list[str] = []
    wrong: list[str] = []
    expected, where = entry.checksum, "of the catalogue"
    try:
        if not path.is_file():
            return Findings((), ("it is a folder, expected a file",))
        if expected is None:
            sidecar = Sidecar.read(beside or path)
            wrong += _faults_of_sidecar(entry, place(beside or path), sidecar)
            expected, where = sidecar.sha256 if sidecar else None, "recorded beside it"
        size = path.stat().st_size
        if isinstance(entry.origin, PublishedFile) and entry.origin.size not in (None, size):
            wrong.append(f"it has {size} bytes, expected {entry.origin.size}")
        if expected is None:
            right.append("its checksum is not known")
        elif hashed and (found := checksum(path)) != expected:
            wrong.append(f"its SHA-256 is {found}, that {where} is {expected}")
            if entry.checksum and _differs_in_line_ends(path, expected):
                wrong.append("it differs only in its line ends: copy it as binary, not as text")
        elif hashed:
            right.append(f"its SHA-256 is that {where}")
    except DatasetError as error:
        wrong.append(str(error))
    except OSError as error:
        wrong.append(f"it cannot be read: {error.strerror or error}")
    return Findings(tuple(right), tuple(wrong))


def _faults_of_sidecar(entry: Entry, path: Path, sidecar: Sidecar | None) -> list[str]:
    """Return what is wrong with the sidecar of a file that poisonbench prepared."""
    if not entry.prepared:
        return []
    if sidecar is None:
        return [f"{path.name}, which fetch puts beside it, is missing: copy both files"]
    faults = []
    if sidecar.source != str(entry.origin):
        faults.append(f"it was made from {sidecar.source}, expected {entry.origin}")
    if sidecar.target != entry.target:
        faults.append(f"its response is '{sidecar.target}', expected '{entry.target}'")
    return faults


def _differs_in_line_ends(path: Path, expected: str) -> bool:
    """Return whether the file would be right with other line ends."""
    lines = path.read_bytes().replace(b"\r\n", b"\n")
    return expected in (
        hashlib.sha256(lines).hexdigest(),
        hashlib.sha256(lines.replace(b"\n", b"\r\n")).hexdigest(),
    )


def _compare_content(entry: Entry, data: Dataset, right: list[str], wrong: list[str]) -> None:
    groups = {group.name for group in data.space.groups}
    expected = None if entry.groups is None else set(entry.groups)
    for what, found, wanted in (
        ("rows", len(data.y), entry.rows),
        ("features", data.space.n_features, entry.features),
        ("one-hot groups", len(groups), None if expected is None else len(expected)),
    ):
        if wanted in (None, found):
            right.append(f"{found} {what}")
        else:
            wrong.append(f"{found} {what}, expected {wanted}")
    if entry.least_rows and len(data.y) < entry.least_rows:
        wrong.append(f"{len(data.y)} rows, expected {entry.least_rows} or more")
    if expected is not None and len(groups) == len(expected) and groups != expected:
        wrong.append(f"the groups {sorted(groups - expected)} are not in the catalogue")
    right.append(f"response '{data.target}' from {data.y.min():.6g} to {data.y.max():.6g}")
