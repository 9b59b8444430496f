"""The experiments of an artifact: configs with the files that they name, and expected results."""

from __future__ import annotations

import filecmp
import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poisonbench.config import Config, ConfigError, load
from poisonbench.config.strict_yaml import dump
from poisonbench.data import sidecar
from poisonbench.datasets.catalogue.entries import Entry, entries
from poisonbench.output import merging, store, tables
from poisonbench.output.index import read_index
from poisonbench.output.layout import StoreError, place, read_json
from poisonbench.output.stored_plan import config_of
from poisonbench.output.tables import Results
from poisonbench.plan.groups import Group, Plan
from poisonbench.plan.make import make_plan

INPUTS, EXPECTED = "inputs", "expected"
"""The folders with copies of the files that configs name, and with the results of experiments."""


@dataclass(frozen=True)
class Experiment:
    """An experiment of an artifact.

    Parameters
    ----------
    name : str
        Its name, that of its output folder.
    folder : Path
        The output folder that it was taken from.
    plan : Plan
        Its plan, made from the config in the artifact.
    results : Results
        Its results.
    """

    name: str
    folder: Path
    plan: Plan
    results: Results

    @property
    def predictions(self) -> bool:
        """Whether the run kept predictions."""
        return len(self.results.changes) > 0

    @property
    def catalogued(self) -> list[Entry]:
        """The data sets of the catalogue that need a file."""
        known = entries()
        return [known[choice.name] for choice in self.plan.config.datasets
                if choice.name in known and known[choice.name].file]  # fmt: skip

    @property
    def seconds(self) -> float:
        """The time that all its cells took, added up over processes."""
        return sum(_seconds(self.folder, group) for group in self.plan.groups)

    def versions(self) -> dict[str, set[str]]:
        """Return the versions that its cells were computed with, by the name of the software."""
        found: dict[str, set[str]] = {}
        for row in self.plan.rows:
            facts = read_json(place(self.folder, "meta", row.cell)) or {}
            libraries = facts.get("libraries", {})
            for name in ("python", "poisonbench"):
                libraries[name] = facts.get(name)
            for name, version in libraries.items():
                if version is not None:
                    found.setdefault(name, set()).add(version)
        return found


def checked_name(name: str) -> str:
    """Return the name of an experiment, if it is safe as the name of a file and a folder.

    Raises
    ------
    StoreError
        It is not.
    """
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise StoreError(f"{name!r}: not the name of an experiment; expected a letter, a digit or "
                         "_, and then only these, spaces, dots and hyphens")  # fmt: skip
    return name


def output_folders(folder: Path) -> list[Path]:
    """Return the folder if it is an output folder, else the output folders directly in it.

    Raises
    ------
    StoreError
        There are none.
    """
    if (folder / "index.json").exists():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/index.json"))
    if not found:
        what = f"no output folder in {folder}" if folder.is_dir() else f"{folder}: no folder"
        raise StoreError(f"{what}; expected the output folder of poisonbench run or sweep, or a "
                         "folder of such folders")  # fmt: skip
    return found


def check_finished(folder: Path) -> None:
    """Raise StoreError if cells of an output folder are missing; say how to finish it."""
    index = read_index(folder)
    missing = merging.missing(index, folder)
    if not missing:
        return
    seed = next(row.labels.seed for row in index.rows)
    command = ["poisonbench", "sweep", str(folder), "--add", f"seeds=[{seed}]", "--retry-crashed"]
    command += ["--predictions"] if (folder / "predictions").is_dir() else []
    raise StoreError(f"{merging.report(missing, folder)}\nAn artifact needs all of them; compute "
                     f"them with\n  {shlex.join(command)}")  # fmt: skip


def add_experiment(folder: Path, into: Path, data_dir: Path | None) -> Experiment:
    """Add the config of an output folder to an artifact, its files, and the results.

    Parameters
    ----------
    folder : Path
        The output folder, finished.
    into : Path
        The artifact.
    data_dir : Path, optional
        The folder of the catalogue's files.

    Raises
    ------
    StoreError
        The config, read again from its new place, does not give the cells of the output folder.
    ConfigError
        The config or its data are not valid here.
    """
    # Not the name of what a link leads to: two links may lead to folders of the same name.
    name = checked_name(Path(os.path.abspath(folder)).name)
    path = into / f"{name}.yaml"
    if path.exists():
        raise StoreError(f"{folder}: the second experiment called {name}; expected distinct names")
    config = _config(folder)
    resolved = _renamed(config.resolved(), _copied(config, into))
    rates = resolved.get("poisoning_rate")
    if rates is not None and not isinstance(rates, list):
        resolved["poisoning_rate"] = [rates]  # a sweep replaces a single rate by the paper's
    # Beside the README, so that paths in the config and in its commands are relative to one folder.
    path.write_text(dump(resolved), encoding="utf-8")
    plan = make_plan(load(path, sweep=True), data_dir, force=True)
    _check_same(folder, plan)
    results = tables.collect(plan.rows, folder)
    tables.write_csvs(results, into / EXPECTED / name)
    return Experiment(name, folder, plan, results)


def _config(folder: Path) -> Config:
    """Return the config of an output folder.

    Its relative paths may be relative to the current folder or, as in an audit, to the folder.
    """
    try:
        return load(config_of(folder), sweep=True)
    except ConfigError as error:
        try:
            return load(replace(config_of(folder), folder=folder), sweep=True)
        except ConfigError:
            raise ConfigError(
                *error.messages,
                "Relative paths are taken from the current folder; if files are missing, run the "
                "command where the config was.",
            ) from None


def _files(config: Config) -> Iterator[tuple[str, str, Path]]:
    """Yield the key of each file that a config names, its path there, and the file."""
    for choice in (*config.datasets, *config.models, *config.attacks, *config.defenses):
        for key, path in choice.files.items():
            yield key, str(choice.parameters[key]), path
    for split in config.splits:
        if split.indices:
            yield "indices", str(split.written), split.indices


def unlisted(config: Config, folder: Path, listed: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the files that a config in an artifact names.

    Parameters
    ----------
    config : Config
        The config.
    folder : Path
        The artifact.
    listed : collection of str
        The files of the artifact, relative to it.
    """
    for _, written, path in _files(config):
        if Path(os.path.relpath(path, folder)).as_posix() not in listed:
            yield f"{config.path}: {written} is not a file of the artifact"


def _copied(config: Config, into: Path) -> dict[tuple[str, str], str]:
    """Copy the files that a config names; return their new path for each key and path there."""
    places: dict[tuple[str, str], str] = {}
    for key, written, path in _files(config):
        # Labels in the tables contain the names of files, so a copy has the same name.
        number, new = 1, f"{INPUTS}/{path.name}"
        while (into / new).exists() and not filecmp.cmp(into / new, path, shallow=False):
            number += 1
            new = f"{INPUTS}/{number}/{path.name}"
        places[key, written] = new
        (into / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into / new)
        if sidecar.place(path).is_file():
            shutil.copyfile(sidecar.place(path), sidecar.place(into / new))
    return places


def _renamed(value: Any, places: Mapping[tuple[str, str], str], key: str = "") -> Any:
    """Return a config, or its value at a key, with paths replaced."""
    if isinstance(value, Mapping):  # an exclusion may have a key such as attack.path
        return {name: _renamed(item, places, name.rpartition(".")[2])
                for name, item in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_renamed(item, places, key) for item in value]
    return places.get((key, value), value) if isinstance(value, str) else value


def _check_same(folder: Path, plan: Plan) -> None:
    known = {row.cell for row in read_index(folder).rows}
    if known != {row.cell for row in plan.rows}:
        raise StoreError(
            f"{folder}: its config now gives other cells than those that were computed; expected "
            "the data, the files and the version of poisonbench that it was computed with"
        )


def _seconds(folder: Path, group: Group) -> float:
    """Return the time of a group; that of its attack even if another run made the poison set."""
    parts = [store.read_timings(folder, task.id) for task in group.tasks]
    facts = [read_json(place(folder, "meta", task.id)) or {} for task in group.tasks]
    attack = max((part.attack_seconds or 0.0 for part in parts if part), default=0.0)
    defenses = sum(part.defense_seconds or 0.0 for part in parts if part)
    return float(max(sum(fact.get("seconds", 0.0) for fact in facts), attack + defenses))
