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
from math import floor
from typing import Any

from poisonbench import registry
from poisonbench.attacks.base import AXES
from poisonbench.config import Choice, Config, Rate, SplitChoice
from poisonbench.config.choices import labelled
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.split import SplitCounts, SplitSizes, read_indices
from poisonbench.problem import Split
from poisonbench.records import Labels

RESULT_VERSION = 1
"""Part of every identity: raised whenever the same config would give other numbers."""

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
    """

    id: str
    defense: Choice
    n_poison_assumed: int | str | None


@dataclass(frozen=True)
class Group:
    """One poison set and the defenses that meet it.

    Parameters
    ----------
    id : str
        Identity of the poison set, 64 hex digits.
    dataset : Choice
        The data set.
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
    dataset: Choice
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
    group: Group
    cell: str


@dataclass(frozen=True)
class Plan:
    """All that a config asks for.

    Parameters
    ----------
    config : Config
        The config.
    datasets : mapping of str to Dataset
        The data sets by label, loaded.
    groups : tuple of Group
        The work, in the order of the tables.
    rows : tuple of Row
        The rows of the tables.
    """

    config: Config
    datasets: Mapping[str, Dataset]
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]

    def identity(self) -> dict[str, Any]:
        """Return what makes this plan the same as another, as JSON values."""
        return {
            "result_version": RESULT_VERSION,
            "config": self.config.resolved(),
            "data": {label: dataset.fingerprint for label, dataset in self.datasets.items()},
        }


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


def make(config: Config) -> Plan:
    """Return the plan of a config, with its data loaded.

    Parameters
    ----------
    config : Config
        The config.

    Raises
    ------
    ConfigError
        The data cannot be used, or have too few rows, or an attack's file does not fit.
    """
    datasets = {choice.label: _load(config, choice) for choice in config.datasets}
    groups: dict[str, Group] = {}
    rows: list[Row] = []
    for dataset_choice in config.datasets:
        dataset = datasets[dataset_choice.label]
        for split_choice in config.splits:
            split = _split(config, split_choice, dataset)
            n_clean = _n_train(split)
            attacks = [
                (attack, rate, p)
                for attack in config.attacks
                for rate, p in _rates(config, attack, dataset, n_clean)
            ]
            for model in config.models:
                for attack, rate, p in attacks:
                    for seed in config.seeds:
                        group = _group(
                            config, dataset_choice, dataset, split, seed, model, attack, rate, p
                        )
                        known = groups.get(group.id)
                        groups[group.id] = _merged(known, group) if known else group
                        rows.extend(_rows(group, split_choice, dataset, attack, rate))
    return Plan(config, datasets, tuple(groups.values()), tuple(rows))


def counts(plan: Plan) -> str:
    """Return how much a plan asks for, in a line."""
    config = plan.config
    numbers = {
        "dataset": len(config.datasets),
        "split": len(config.splits),
        "model": len(config.models),
        "attack variant": len(config.attacks),
        "rate": len({row.labels.poisoning_rate for row in plan.rows}),
        "defense": len(config.defenses),
        "seed": len(config.seeds),
        "poison set": sum(group.n_poison > 0 for group in plan.groups),
        "cell": sum(len(group.tasks) for group in plan.groups),
    }
    return ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for noun, n in numbers.items())


def describe(plan: Plan) -> str:
    """Return what a plan would run: its counts, and a line for each variant and rate."""
    lines: dict[str, int] = {}
    for row in plan.rows:
        labels = row.labels
        axes = (labels.variables, labels.initialization, labels.outer_objective)
        words = [
            f"{labels.dataset} {labels.split}",
            row.group.model.label,
            labelled(labels.attack, labels.attack_parameters),
            *(axis for axis in axes if axis),
            f"at {labels.poisoning_rate:g} of {labels.rate_of} ({row.group.n_poison} poison rows)",
        ]
        line = " ".join(words)
        lines[line] = lines.get(line, 0) + 1
    return "\n".join([counts(plan), *(f"  {line}: {n} rows" for line, n in lines.items())])


def _load(config: Config, choice: Choice) -> Dataset:
    try:
        dataset: Dataset = choice.build().load()
    except (DatasetError, ValueError) as error:
        raise config.error(choice.where, str(error)) from error
    return dataset


def _split(config: Config, choice: SplitChoice, dataset: Dataset) -> SplitCounts | Split:
    try:
        if choice.indices is not None:
            return read_indices(choice.indices, len(dataset.y))
        return SplitSizes(choice.train, choice.validation, choice.test).counts(len(dataset.y))
    except (DatasetError, ValueError) as error:
        raise config.error(choice.where, str(error)) from error


def _rates(
    config: Config, attack: Choice, dataset: Dataset, n_clean: int
) -> Iterator[tuple[Rate, int]]:
    """Yield the rates at which `attack` runs, with their numbers of poison rows."""
    try:
        own = attack.build().own_rows(dataset.space, dataset.target)
    except ValueError as error:
        raise config.error(attack.where, str(error)) from error
    given = [(rate, n_poison(rate, n_clean)) for rate in config.rates if rate.value is not None]
    if own is None:
        yield from given
        return
    # Brings its own rows: the rates asked for do not multiply it, but one of them must fit.
    if own and given:
        fitting = [(rate, p) for rate, p in given if p == own]
        if not fitting:
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
    dataset_choice: Choice,
    dataset: Dataset,
    split: SplitCounts | Split,
    seed: int,
    model: Choice,
    attack: Choice,
    rate: Rate,
    p: int,
) -> Group:
    """Return the group with its identity, which holds nothing that does not change a number."""
    if p == 0:
        attack = NO_ATTACK
    id_ = _digest(
        RESULT_VERSION,
        dataset.fingerprint,
        _split_key(split),
        seed,
        model.resolved(),
        _attack_key(attack),
        p,
    )
    tasks = []
    for defense in config.defenses:
        parameters = dict(defense.resolved())
        source = parameters.pop("n_poison", None)
        assumed = _assumed(source, rate, split, p)
        if defense.name == "oracle":
            assumed = p
        tasks.append(Task(_digest(id_, parameters, assumed), defense, assumed))
    return Group(id_, dataset_choice, seed, split, model, attack, p, tuple(tasks))


def _merged(known: Group, other: Group) -> Group:
    """Return the group with the tasks of both, each once."""
    tasks = {task.id: task for task in (*known.tasks, *other.tasks)}
    return replace(known, tasks=tuple(tasks.values()))


def _rows(
    group: Group,
    split: SplitChoice,
    dataset: Dataset,
    attack: Choice,
    rate: Rate,
) -> Iterator[Row]:
    """Yield a row for each defense of the group, labelled as the config asked for it."""
    fixed = registry.components("attack")[attack.name].fixed_axes
    axes = {axis: attack.parameters.get(axis, fixed.get(axis)) for axis in AXES}
    for task in group.tasks:
        labels = Labels(
            dataset=dataset.name,
            dataset_parameters=_without_place(group.dataset.given),
            split=split.label,
            seed=group.seed,
            model=group.model.name,
            model_parameters=group.model.given,
            attack=attack.name,
            attack_parameters=attack.given,
            **axes,
            poisoning_rate=float(rate.value or 0.0),
            rate_of=rate.of,
            defense=task.defense.name,
            defense_parameters=task.defense.given,
        )
        yield Row(labels, group, task.id)


def _without_place(given: str) -> str:
    """Return a data set's parameters without where it lies, which its name and content tell."""
    return ",".join(part for part in given.split(",") if not part.startswith(("path=", "target=")))


def _assumed(source: Any, rate: Rate, split: SplitCounts | Split, p: int) -> int | str | None:
    """Return what a defense with this ``n_poison`` is told about the number of poison rows."""
    if source is None or source == "oracle":
        return None if source is None else p
    if source == "estimated":
        return "auto"
    if "count" in source:
        return int(source["count"])
    # The defense sees N = n + p rows: what it assumes is the p of a set of N rows at its rate.
    n_rows = _n_train(split) + p
    share = Fraction(repr(source["rate"]))
    if rate.of == "clean":
        share /= 1 + share
    return floor(share * n_rows + Fraction(1, 2))


def _n_train(split: SplitCounts | Split) -> int:
    return split.train if isinstance(split, SplitCounts) else len(split.train)


def _split_key(split: SplitCounts | Split) -> list[Any]:
    if isinstance(split, SplitCounts):
        return list(split)
    return [part.tolist() for part in (split.train, split.validation, split.test)]


def _attack_key(attack: Choice) -> dict[str, Any]:
    """Return the attack's parameters, with the content of its files for their paths."""
    contents = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in attack.files.items()
    }
    return {**attack.resolved(), **contents}


def _digest(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
