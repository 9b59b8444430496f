"""The data of an audit: a raw file, which is prepared, a prepared file, or a name of the catalogue.

The prepared file lies in the audit's own folder, so that its config can be run again wherever the
folder is moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poisonbench.data.base import DatasetError
from poisonbench.data.files import checksum
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.data.table import read_table
from poisonbench.datasets.catalogue.entries import entries
from poisonbench.preparation import Choices, Prepared, check_place, prepare_columns, read_raw
from poisonbench.quality import as_warnings, findings, findings_in
from poisonbench.registry import nearest

FOLDER = "data"
"""The folder of the prepared file, in the audit's folder."""

OPTIONS = {"missing_values": "missing-value", "units": "unit"}
"""The options of the command whose names differ from those of the choices."""


@dataclass(frozen=True)
class Data:
    """The data of an audit.

    Parameters
    ----------
    entry : mapping
        The entry ``dataset`` of the config; a path in it is relative to the audit's folder.
    target : str
        The response.
    content : str
        Identifies the data.
    sidecar : Sidecar, optional
        What the preparation has recorded, to translate rows back.
    warnings : tuple of str
        What the user should check.
    notes : tuple of str
        What was done with the columns.
    """

    entry: Mapping[str, Any]
    target: str
    content: str
    sidecar: Sidecar | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


def is_catalogued(file: Path) -> bool:
    """Return whether `file` is no file but a name of the catalogue."""
    return not file.exists() and str(file) in entries()


def is_absent(file: Path) -> bool:
    """Return whether `file` is neither a file nor a name of the catalogue."""
    return not (file.is_file() or is_catalogued(file))


def name_of(file: Path) -> str:
    """Return the name of the data, for the default output folder."""
    return str(file) if is_catalogued(file) else file.stem.removesuffix("-prepared")


def read(
    file: Path,
    target: str | None,
    out: Path,
    choices: Mapping[str, Any] | None = None,
    dialect: Mapping[str, Any] | None = None,
) -> Data:
    """Return the data, after writing the prepared file below `out`.

    Parameters
    ----------
    file : Path
        A raw or a prepared CSV file, or a name of the catalogue.
    target : str or None
        The response; a raw file needs one.
    out : Path
        The audit's folder.
    choices : mapping, optional
        Further parameters of :class:`~poisonbench.preparation.Choices`, for a raw file.
    dialect : mapping, optional
        The parameters of :func:`~poisonbench.preparation.prepare` that describe a raw file.

    Raises
    ------
    DatasetError
        The file cannot be read or prepared, or there is no such name.
    """
    options = {**(choices or {}), **(dialect or {})}
    given = [
        OPTIONS.get(name, name.replace("_", "-"))
        for name, value in options.items()
        if value or (name == "rare" and value is not None)
    ]
    if is_catalogued(file):
        return _catalogued(str(file), target, given)
    if not file.is_file():
        raise DatasetError(f"{file}: {_no_file(file)}")
    sidecar = Sidecar.read(file)
    if sidecar is not None:
        return _prepared_before(file, sidecar, target, out, given)
    if target is None:
        raise DatasetError(f"{file}: which column is the response?  expected --target COLUMN")
    kept = out / FOLDER / f"{file.stem}.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    check_place(file, kept)
    raw = read_raw(file, Choices(target=target, **(choices or {})), **(dialect or {}))
    warnings, told = as_warnings(findings_in(raw))
    prepared = prepare_columns(raw, kept, warnings=warnings, told=told)
    return Data(
        {"name": "csv", "path": f"{FOLDER}/{kept.name}", "target": prepared.target},
        prepared.target,
        checksum(kept),
        Sidecar.read(kept),
        prepared.warnings,
        tuple(_notes(prepared, any_missing=raw.choices.missing == "drop")),
    )


def _notes(prepared: Prepared, *, any_missing: bool) -> list[str]:
    """Return what was done with the columns and rows; `any_missing`: any missing cell drops one."""
    dropped = [f"{name}: {fate}" for name, fate in prepared.fates.items() if ", dropped: " in fate]
    notes = [f"Left out: {line}." for line in dropped]
    notes += [f"Numbers of {name} were clipped: {what}." for name, what in prepared.clipped.items()]
    if prepared.duplicates_dropped:
        notes.append(f"{prepared.duplicates_dropped} rows that repeat an earlier row were dropped.")
    notes += [f"Missing values of {name} were filled: {what}."
              for name, what in prepared.filled.items()]  # fmt: skip
    if prepared.rows_dropped:
        what = "a missing value" if any_missing else "no response"
        rows = "1 row" if prepared.rows_dropped == 1 else f"{prepared.rows_dropped} rows"
        verb = "was" if prepared.rows_dropped == 1 else "were"
        notes.append(f"{rows} with {what} {verb} dropped.")
    return notes


def _no_file(file: Path) -> str:
    """Return what is wrong with a path that is no file."""
    if file.is_dir():
        return "is a folder; expected a CSV file"
    near = nearest(str(file), entries())
    hint = f"; did you mean the data set '{near}'?" if near else ""
    return f"no such file, and no data set of the catalogue{hint}"


def _catalogued(name: str, target: str | None, given: list[str]) -> Data:
    entry = entries()[name]
    if given:
        raise DatasetError(f"{name}: --{given[0]} is for raw files; expected it "
                           "without an option of the preparation")  # fmt: skip
    if target not in (None, entry.target):
        raise DatasetError(f"{name}: --target {target}: the response of this data set is "
                           f"'{entry.target}'; expected that, or no --target")  # fmt: skip
    return Data({"name": name}, str(entry.target), f"catalogue {name}")


def _prepared_before(
    file: Path, sidecar: Sidecar, target: str | None, out: Path, given: list[str]
) -> Data:
    if given:
        raise DatasetError(f"{file}: --{given[0]} is for raw files, but this one "
                           "is prepared; expected the raw file, or no such option")  # fmt: skip
    if checksum(file) != sidecar.sha256:
        raise DatasetError(f"{file}: has changed since it was prepared; prepare it again, or "
                           f"delete {place(file).name} to read it as a raw file")  # fmt: skip
    target = target or sidecar.target
    table = read_table(file)
    target = table.names[table.column(target)]  # names the nearest column if there is none
    kept = out / FOLDER / file.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not (kept.exists() and kept.samefile(file)):
        shutil.copyfile(file, kept)
        shutil.copyfile(place(file), place(kept))
    recorded = sidecar.preparation.get("warnings") or map(str, findings(kept, target))
    return Data(
        {"name": "csv", "path": f"{FOLDER}/{kept.name}", "target": target},
        target,
        checksum(kept),
        sidecar,
        tuple(recorded),
    )
