"""From a config to the cells that it asks for.

The unit of work is a :class:`Group`: one poison set and all the defenses that meet it.  The rows
of the tables point to cells; several rows may point to one, as the rows of all attacks at
rate 0 do, which is computed once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import floor
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench import registry
from poisonbench.attacks.base import AXES
from poisonbench.config import Choice, Config, ConfigError, Rate, SplitChoice
from poisonbench.config.choices import REFERENCE_ROWS
from poisonbench.data.base import Dataset
from poisonbench.data.catalogued import MissingDataError
from poisonbench.data.scaling import Scaling
from poisonbench.data.split import SplitCounts, SplitSizes, read_indices, rows_of
from poisonbench.problem import Split
from poisonbench.records import Labels

RESULT_VERSION = 1
"""Part of every identity: raised whenever the same config would give other numbers."""

MOST_VALUES = 10**9
"""Most values of a poison set, 8 GB; more is a slip of the poisoning rate."""

NO_ATTACK = Choice("attack", "none", {})


@dataclass(frozen=True)
class Task:
    """One defense of a group.

    Parameters
    ----------
    id : str
        Identity of the cell, 64 hex digits.
    defense : Choice
        The defense, or a reference row.
    n_poison_assumed : int or "auto" or None
        The number of poison rows that it is told, that it shall estimate it, or that it takes
        no such number.
    select_on : str
        ``poisoned`` if the learner's strength is selected again on the poisoned rows, else
        ``clean``.
    """

    id: str
    defense: Choice
    n_poison_assumed: int | str | None
    select_on: str


@dataclass(frozen=True)
class Group:
    """One poison set and the defenses that meet it.

    Parameters
    ----------
    id : str
        Identity of the poison set, 64 hex digits.
    data : str
        Fingerprint of the data set.
    seed : int
        The seed.
    split : SplitCounts or Split
        Numbers of rows to draw, or the rows themselves.
    model : Choice
        The learner.
    attack : Choice
        The attack; none where there is no poison.
    n_poison : int
        Poison rows p.
    tasks : tuple of Task
        The defenses.
    """

    id: str
    data: str
    seed: int
    split: SplitCounts | Split
    model: Choice
    attack: Choice
    n_poison: int
    tasks: tuple[Task, ...]

    @property
    def poison_file(self) -> str | None:
        """Where the poison set lies below the output folder; None without poison."""
        if not self.n_poison:
            return None
        return f"poison/{self.attack.name}-p{self.n_poison}-seed{self.seed}-{self.id[:12]}.npz"


@dataclass(frozen=True)
class Row:
    """A row of the tables: its labels, and the cell that holds its numbers."""

    labels: Labels
    cell: str


@dataclass(frozen=True)
class Plan:
    """All that a config asks for.

    Parameters
    ----------
    config : Config
        The config.
    datasets : mapping of str to Dataset
        The data sets by fingerprint, loaded.
    groups : tuple of Group
        The work, in the order of the tables.
    rows : tuple of Row
        The rows of the tables.
    contents : mapping of str to str
        What the config names, by the name it has there, and a hash of what was found.
    """

    config: Config
    datasets: Mapping[str, Dataset]
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    contents: Mapping[str, str]

    def identity(self) -> dict[str, Any]:
        """Return what makes this plan the same as another, as JSON values."""
        return {
            "result_version": RESULT_VERSION,
            "config": self.config.resolved(),
            "contents": dict(self.contents),
        }


@dataclass(frozen=True)
class _Ground:
    """What the attacks of a part of the grid share: the data, their split and the learner."""

    choice: Choice
    dataset: Dataset
    split_choice: SplitChoice
    split: SplitCounts | Split
    model: Choice

    @cached_property
    def key(self) -> str:
        """Identity of all that the learner on the clean rows depends on, but the seed."""
        split = self.split
        rows = (
            list(split)
            if isinstance(split, SplitCounts)
            else [part.tolist() for part in (split.train, split.validation, split.test)]
        )
        model = {key: value for key, value in self.model.resolved().items() if key != "select_on"}
        return _digest(RESULT_VERSION, self.dataset.fingerprint, rows, model)

    @property
    def n_clean(self) -> int:
        """Clean training rows n."""
        split = self.split
        return split.train if isinstance(split, SplitCounts) else len(split.train)

    @cached_property
    def scaling(self) -> Scaling | None:
        """How the box relates to the data's own units; None where that differs by seed."""
        if isinstance(self.split, Split):
            return Scaling.fit(self.dataset, self.split.train)
        if self.dataset.scaling == "train":
            return None
        return Scaling.fit(self.dataset, np.arange(len(self.dataset.y)))

    @property
    def n_validation(self) -> int:
        """The attacker's validation rows."""
        split = self.split
        return split.validation if isinstance(split, SplitCounts) else len(split.validation)


def n_poison(rate: Rate, n_clean: int) -> int:
    """Return the number of poison rows p for `n_clean` clean rows.

    p = floor(rate n + 1/2), or floor(rate n / (1 - rate) + 1/2) where the rate is a share of all
    rows; computed exactly on the rate's decimal digits.

    Parameters
    ----------
    rate : Rate
        The poisoning rate; its value is not None.
    n_clean : int
        Clean training rows n.
    """
    share = Fraction(repr(rate.value))
    if rate.of == "total":
        share /= 1 - share
    return floor(share * n_clean + Fraction(1, 2))


def make(config: Config, data_dir: Path | None = None) -> Plan:
    """Return the plan of a config, with its data loaded.

    Parameters
    ----------
    config : Config
        The config.
    data_dir : Path, optional
        Where the files of the catalogue lie; ``POISONBENCH_DATA`` or ``datasets`` if not given.

    Raises
    ------
    ConfigError
        The data cannot be used, or have too few rows, or an attack's file does not fit.
    """
    loaded = _load(config, data_dir)
    groups: dict[str, Group] = {}
    rows: list[Row] = []
    for (choice, dataset), split_choice in product(loaded, config.splits):
        split = _split(config, split_choice, dataset)
        for model in config.models:
            ground = _Ground(choice, dataset, split_choice, split, model)
            for attack in config.attacks:
                _check_test_rows_unseen(config, attack, ground)
                for rate, p in _rates(config, attack, ground):
                    attack_key = _attack_key(attack if p else NO_ATTACK)
                    for seed in config.seeds:
                        group, told = _group(config, ground, attack, attack_key, rate, p, seed)
                        known = groups.get(group.id, group)
                        tasks = {task.id: task for task in (*known.tasks, *group.tasks)}
                        groups[group.id] = replace(known, tasks=tuple(tasks.values()))
                        rows.extend(
                            Row(_labels(ground, attack, rate, seed, defense), cell)
                            for defense, cell in told
                        )
    _check_distinct(config, rows)
    contents = {choice.label: dataset.fingerprint for choice, dataset in loaded}
    contents |= {
        f"{choice.label} {name}": _file_digest(path)
        for choice in config.attacks
        for name, path in choice.files.items()
    }
    contents |= {
        str(split.written): _file_digest(split.indices)
        for split in config.splits
        if split.indices is not None
    }
    datasets = {dataset.fingerprint: dataset for _, dataset in loaded}
    return Plan(config, datasets, tuple(groups.values()), tuple(rows), contents)


def _load(config: Config, data_dir: Path | None) -> list[tuple[Choice, Dataset]]:
    """Return the data sets; what is wrong with any of them is reported together."""
    loaded: list[tuple[Choice, Dataset]] = []
    problems: list[str] = []
    absent: list[tuple[Choice, MissingDataError]] = []
    for choice in config.datasets:
        catalogued = registry.accepts(registry.components("dataset")[choice.name], "data_dir")
        place = {"data_dir": data_dir} if catalogued else {}
        try:
            loaded.append((choice, choice.build(**place).load()))
        except MissingDataError as error:
            absent.append((choice, error))
        except ValueError as error:
            problems += config.error(choice.where, str(error)).messages
        except MemoryError:
            message = "the data do not fit into memory"
            problems += config.error(choice.where, message).messages
    if absent:
        # One command fetches them all.
        entries = [entry for _, error in absent for entry in error.absent]
        message = str(MissingDataError(entries, absent[0][1].folder))
        problems += config.error(absent[0][0].where, message).messages
    if problems:
        raise ConfigError(*problems)
    return loaded


def _split(config: Config, choice: SplitChoice, dataset: Dataset) -> SplitCounts | Split:
    try:
        if choice.indices is not None:
            return read_indices(choice.indices, len(dataset.y))
        return SplitSizes(choice.train, choice.validation, choice.test).counts(len(dataset.y))
    except ValueError as error:
        raise config.error(choice.where, str(error)) from error


def _check_test_rows_unseen(config: Config, attack: Choice, ground: _Ground) -> None:
    """Complain of poison rows that were made with rows that are test rows here."""
    seen = attack.build().rows_seen()
    if seen is None:
        return
    for seed in config.seeds:
        test = rows_of(ground.split, ground.dataset, seed).test
        if np.isin(test, seen).any():
            raise config.error(
                attack.where,
                f"{attack.label} was made with rows that are test rows of seed {seed}; expected "
                "split: {indices: FILE} with the same file, or a split that leaves them out",
            )


def _rates(config: Config, attack: Choice, ground: _Ground) -> Iterator[tuple[Rate, int]]:
    """Yield the rates at which `attack` runs, with their numbers of poison rows."""
    cls, n_clean = registry.components("attack")[attack.name], ground.n_clean
    if not ground.n_validation and cls.needs_validation(attack.parameters):
        raise config.error(
            ground.split_choice.where,
            f"the split has no validation rows, and {attack.label} needs some",
        )
    try:
        own = attack.build().own_rows(ground.dataset.space, ground.dataset.target, ground.scaling)
    except ValueError as error:
        raise config.error(attack.where, str(error)) from error
    given = [(rate, n_poison(rate, n_clean)) for rate in config.rates if rate.value is not None]
    for rate, p in given:
        if p * ground.dataset.space.n_features > MOST_VALUES:
            raise config.error(
                ("poisoning_rate",),
                f"{rate.value} of {rate.of} is {p} poison rows beside {n_clean} clean ones; "
                f"expected rows with at most {MOST_VALUES:.0e} values",
            )
    if own is None:
        yield from given
        return
    # Brings its own rows: the rates asked for do not multiply it, but one of them must fit.
    if own and given:
        fitting = [(rate, p) for rate, p in given if p == own]
        others_take_rates = any(
            registry.components("attack")[choice.name].takes_rate for choice in config.attacks
        )
        if not fitting or (len(fitting) < len(given) and not others_take_rates):
            asked = ", ".join(f"{rate.value} of {rate.of} is {p} rows" for rate, p in given)
            raise config.error(
                ("poisoning_rate",),
                f"{attack.label} has {own} rows, and with {n_clean} clean training rows {asked}; "
                "expected a rate that gives the file's number of rows, or none",
            )
        yield fitting[0]
        return
    of = config.rates[0].of
    yield Rate(own / (n_clean if of == "clean" else n_clean + own), of), own


def _group(
    config: Config,
    ground: _Ground,
    attack: Choice,
    attack_key: str,
    rate: Rate,
    p: int,
    seed: int,
) -> tuple[Group, list[tuple[Choice, str]]]:
    """Return the group, and the cell of each defense of the config.

    Identities hold nothing that does not change a number.
    """
    id_ = _digest(ground.key, attack_key, p, seed)
    select_on = ground.model.parameters.get("select_on", "clean") if p else "clean"
    tasks: dict[str, Task] = {}
    told = []
    for defense in config.defenses:
        parameters = dict(defense.resolved())
        source = parameters.pop("n_poison", None)
        assumed = p if defense.name == "oracle" else _assumed(source, rate, ground.n_clean, p)
        if isinstance(assumed, int) and assumed >= ground.n_clean + p:
            raise config.error(
                defense.where,
                f"{defense.label} would take {assumed} rows for poison, and has "
                f"{ground.n_clean + p} training rows at {p} poison rows",
            )
        try:
            if defense.name not in REFERENCE_ROWS:
                defense.build().check_rows(ground.n_clean + p)
        except ValueError as error:
            raise config.error(defense.where, str(error)) from error
        cell = _digest(id_, parameters, assumed, select_on)
        tasks.setdefault(cell, Task(cell, defense, assumed, select_on))
        told.append((defense, cell))
    group = Group(
        id_,
        ground.dataset.fingerprint,
        seed,
        ground.split,
        ground.model,
        attack if p else NO_ATTACK,
        p,
        tuple(tasks.values()),
    )
    return group, told


def _labels(ground: _Ground, attack: Choice, rate: Rate, seed: int, defense: Choice) -> Labels:
    """Return the labels of a row, as the config asked for it."""
    fixed = registry.components("attack")[attack.name].fixed_axes
    axes = {axis: attack.parameters.get(axis, fixed.get(axis)) for axis in AXES}
    source = "oracle" if defense.name == "oracle" else defense.parameters.get("n_poison")
    return Labels(
        dataset=ground.dataset.name,
        target=ground.dataset.target,
        dataset_parameters=ground.choice.parameters_text(but=("path", "target")),
        split=ground.split_choice.label,
        seed=seed,
        model=ground.model.name,
        model_parameters=ground.model.parameters_text(),
        attack=attack.name,
        attack_parameters=attack.parameters_text(),
        **axes,
        poisoning_rate=float(rate.value or 0.0),
        rate_of=rate.of,
        defense=defense.name,
        defense_parameters=defense.parameters_text(),
        n_poison_source=source if source is None or isinstance(source, str) else next(iter(source)),
    )


def _check_distinct(config: Config, rows: list[Row]) -> None:
    """Complain of rows that the tables could not tell apart.

    Data sets and given splits go by the names of their files, which two folders may share.
    """
    seen: set[Labels] = set()
    for row in rows:
        if row.labels in seen:
            labels = row.labels
            raise config.error(
                ("dataset",),
                f"two rows of the tables would have the same labels ({labels.dataset} "
                f"{labels.split}, {labels.attack} at {labels.poisoning_rate:g}); expected data "
                "sets, and files of row indices, with different names",
            )
        seen.add(row.labels)


def _assumed(source: Any, rate: Rate, n_clean: int, p: int) -> int | str | None:
    """Return what a defense with this ``n_poison`` is told about the number of poison rows."""
    if source is None or source == "oracle":
        return None if source is None else p
    if source == "estimated":
        return "auto"
    if "count" in source:
        return int(source["count"])
    # The defense sees N = n + p rows: what it assumes is the p of a set of N rows at its rate.
    share = Fraction(repr(source["rate"]))
    if rate.of == "clean":
        share /= 1 + share
    return floor(share * (n_clean + p) + Fraction(1, 2))


def _attack_key(attack: Choice) -> str:
    """Return the attack's identity, with the content of its files for their paths."""
    contents = {name: _file_digest(path) for name, path in attack.files.items()}
    return _digest({**attack.resolved(), **contents})


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
