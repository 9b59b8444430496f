"""Read the result files of one output folder, or of a folder of output folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from poisonbench import records
from poisonbench.config.choices import labelled
from poisonbench.output.layout import StoreError
from poisonbench.records import Change, Labels, Measured, Round, Timings

AXES = ("variables", "initialization", "outer_objective")
"""The columns that, beside the parameters, distinguish variants of one attack."""


@dataclass(frozen=True)
class Tables:
    """The rows of result files.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of ``results.csv`` joined with those of ``timings.csv`` and, if the run kept
        predictions, ``changes.csv``, with the further columns
        ``attack_label``, ``defense_label``, ``model_label`` and ``dataset_label`` (name, parameters
        and, for an attack, its axes) and ``folder``.  Texts that do not apply are empty.
    convergence : pandas.DataFrame
        The rows of ``convergence.csv``, with ``folder``.
    folders : tuple of Path
        The output folders that were read.
    """

    results: pd.DataFrame
    convergence: pd.DataFrame
    folders: tuple[Path, ...]


def read(folder: Path, defense: str | None = None) -> Tables:
    """Return the results of an output folder, or of all output folders directly in `folder`.

    Parameters
    ----------
    folder : Path
        The folder.
    defense : str, optional
        Keep only the rows of this defense.

    Raises
    ------
    StoreError
        There are no result files, or they cannot be read.
    """
    places = (
        [folder]
        if (folder / "results.csv").is_file()
        else sorted(path.parent for path in folder.glob("*/results.csv"))
    )
    if not places:
        what = "no results.csv" if folder.is_dir() else "no folder"
        remedy = (
            f"; run poisonbench merge {folder} --partial to make it from the finished cells"
            if (folder / "index.json").exists()
            else ", the output folder of poisonbench run or sweep, or a folder of such folders"
        )
        raise StoreError(f"{folder}: {what}; expected results{remedy}")
    results = pd.concat([_results(place, defense) for place in places], ignore_index=True)
    convergence = [
        _csv(place / "convergence.csv").assign(folder=place.name)
        for place in places
        if (place / "convergence.csv").is_file()
    ]
    if not len(results) and defense is None:
        raise StoreError(f"{folder}: results.csv has no rows")
    empty = pd.DataFrame(columns=["poison_file", "round", "objective", "folder"])
    return Tables(results, pd.concat(convergence or [empty], ignore_index=True), tuple(places))


def _results(place: Path, defense: str | None) -> pd.DataFrame:
    key = records.names(Labels)
    rows = _csv(place / "results.csv")
    if defense is not None and "defense" in rows:
        rows = rows[rows["defense"] == defense]
    missing = [name for name in ("test_mse", *key) if name not in rows]
    if missing:
        raise StoreError(
            f"{place / 'results.csv'}: no column {missing[0]}; expected the file that "
            "poisonbench run, sweep or merge writes"
        )
    if (place / "timings.csv").is_file():
        rows = rows.merge(_csv(place / "timings.csv"), on=key, how="left")
    if (place / "changes.csv").is_file():
        rows = rows.merge(
            _csv(place / "changes.csv").drop(columns="response_unit"), on=key, how="left"
        )
    for name in (*records.names(Measured), *records.names(Timings), *records.names(Change)):
        if name not in rows:  # written by a version without this column
            rows[name] = None
    return with_labels(rows).assign(folder=place.name)


def with_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of ``results.csv`` with the labels of :class:`Tables`, except ``folder``."""
    return rows.assign(
        dataset_label=[
            labelled(*both)
            for both in zip(rows["dataset"], rows["dataset_parameters"], strict=True)
        ],
        model_label=[
            labelled(*both) for both in zip(rows["model"], rows["model_parameters"], strict=True)
        ],
        attack_label=[attack_label(row) for row in rows.to_dict("records")],
        defense_label=[
            labelled(*both)
            for both in zip(rows["defense"], rows["defense_parameters"], strict=True)
        ],
    )


def _csv(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV file that this package wrote; texts that do not apply are empty."""
    try:
        rows = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"split": str})
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{path}: cannot be read: {reason}") from error
    texts = [name for name, kind in Labels.__annotations__.items() if str(kind).startswith("str")]
    known = [name for name in texts if name in rows]
    filled = {name: rows[name].astype(object).fillna("").astype(str) for name in known}
    for record in (Labels, Measured, Timings, Round, Change):
        for name, kind in records.types(record).items():
            if not kind.startswith("str") and name in rows:
                filled[name] = _numbers(rows[name], path)
    return rows.assign(**filled)


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except (TypeError, ValueError):
        odd = next(text for text in column[pd.to_numeric(column, errors="coerce").isna()].dropna())
        raise StoreError(
            f"{path}: column {column.name} has {str(odd)!r}; expected a number; run poisonbench "
            "merge to make the file again"
        ) from None


def distinct(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, dropping those that an earlier folder also has."""
    return results.drop_duplicates([name for name in records.names(Labels) if name in results])


def attack_label(row: Mapping[Any, Any]) -> str:
    """Return the label of an attack in tables, such as ``optp xy bflip validation``."""
    label = labelled(str(row["attack"]), str(row["attack_parameters"]))
    return " ".join([label, *filter(None, (row[axis] for axis in AXES))])
