"""Turn a config into a plan: go through its grid and collect the cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from poisonbench import registry
from poisonbench.config import Choice, Config, ConfigError, Rate
from poisonbench.config.sweep import Thing
from poisonbench.data.base import Dataset
from poisonbench.data.files import checksum
from poisonbench.datasets.catalogued import MissingDataError
from poisonbench.plan.groups import Group, Plan, Task
from poisonbench.plan.identity import attack_key, digest
from poisonbench.plan.limits import check_limits
from poisonbench.plan.rates import assumed_poison, rates
from poisonbench.plan.setup import Setup, check_spare_rows, check_test_rows_unseen, split_rows
from poisonbench.records import Labels, Row
from poisonbench.reference_rows import REFERENCE_ROWS

NO_ATTACK = Choice("attack", "none", {})


def make_plan(
    config: Config,
    data_dir: Path | None = None,
    *,
    force: bool = False,
    loaded: dict[str, Dataset] | None = None,
) -> Plan:
    """Return the plan of a config, with its data loaded.

    Parameters
    ----------
    config : Config
        The config.
    data_dir : Path, optional
        Folder of the catalogue's files; ``POISONBENCH_DATA`` or ``datasets`` if not given.
    force : bool, default=False
        Whether to continue if the config needs more than a machine can be expected to provide.
    loaded : dict of str to Dataset, optional
        Data sets that earlier plans have loaded, by their label in the config.  Those that are
        loaded here are added.

    Raises
    ------
    ConfigError
        The data cannot be used or have too few rows, or the file of an attack does not match.
    """
    if not force:
        check_limits(config)
    loaded = {} if loaded is None else loaded
    in_memory = _load(config, data_dir, loaded)
    groups: dict[str, Group] = {}
    rows: list[Row] = []
    for (choice, dataset), split_choice in product(in_memory, config.splits):
        split = split_rows(config, split_choice, dataset)
        for model in config.models:
            setup = Setup(choice, dataset, split_choice, split, model)
            for attack in config.attacks:
                check_test_rows_unseen(config, attack, setup)
                check_spare_rows(config, attack, setup)
                for rate, p in rates(config, attack, setup):
                    key = attack_key(attack if p else NO_ATTACK)
                    for seed in config.seeds:
                        group, cells = _group(config, setup, attack, key, rate, p, seed)
                        if not cells:
                            continue
                        former = groups.get(group.id, group)
                        tasks = {task.id: task for task in (*former.tasks, *group.tasks)}
                        groups[group.id] = replace(former, tasks=tuple(tasks.values()))
                        rows.extend(
                            Row(_labels(setup, attack, rate, seed, defense), cell)
                            for defense, cell in cells
                        )
    if not rows:
        raise config.error(("sweep", "exclude"), "excludes the whole grid")
    _check_distinct(config, rows)
    contents = {choice.label: dataset.fingerprint for choice, dataset in in_memory}
    contents |= {
        f"{choice.label} {name}": checksum(path)
        for choice in config.attacks
        for name, path in choice.files.items()
    }
    contents |= {
        str(split.written): checksum(split.indices)
        for split in config.splits
        if split.indices is not None
    }
    datasets = {dataset.fingerprint: dataset for _, dataset in in_memory}
    return Plan(config, datasets, tuple(groups.values()), tuple(rows), contents)


def _load(
    config: Config, data_dir: Path | None, known: dict[str, Dataset]
) -> list[tuple[Choice, Dataset]]:
    """Load the data sets that are not known, and report the errors in all of them together."""
    loaded: list[tuple[Choice, Dataset]] = []
    problems: list[str] = []
    absent: list[tuple[Choice, MissingDataError]] = []
    for choice in config.datasets:
        catalogued = registry.accepts(registry.components("dataset")[choice.name], "data_dir")
        arguments = {"data_dir": data_dir} if catalogued else {}
        try:
            if choice.label not in known:
                known[choice.label] = choice.build(**arguments).load()
            loaded.append((choice, known[choice.label]))
        except MissingDataError as error:
            absent.append((choice, error))
        except ValueError as error:
            problems += config.error(choice.where, str(error)).messages
        except MemoryError:
            message = "the data do not fit into memory"
            problems += config.error(choice.where, message).messages
    if absent:
        # Name one command that fetches them all.
        entries = [entry for _, error in absent for entry in error.absent]
        message = str(MissingDataError(entries, absent[0][1].folder))
        problems += config.error(absent[0][0].where, message).messages
    if problems:
        raise ConfigError(*problems)
    return loaded


def _group(
    config: Config,
    setup: Setup,
    attack: Choice,
    key: str,
    rate: Rate,
    p: int,
    seed: int,
) -> tuple[Group, list[tuple[Choice, str]]]:
    """Return the group, and each defense of the config with the identity of its cell.

    An identity depends only on what can change a result.
    """
    id_ = digest(setup.key, key, p, seed)
    select_on = setup.model.parameters.get("select_on", "clean") if p else "clean"
    tasks: dict[str, Task] = {}
    cells = []
    for defense in _defenses(config, setup, attack, rate, seed):
        parameters = dict(defense.resolved())
        parameters.pop("n_poison", None)
        source = _n_poison_source(defense)
        assumed, assumed_clean = (
            assumed_poison(source, rate, setup.n_clean, true_p) for true_p in (p, 0)
        )
        if isinstance(assumed, int) and assumed >= setup.n_clean + p:
            raise config.error(
                defense.where,
                f"{defense.label} would treat {assumed} rows as poison, but there are only "
                f"{setup.n_clean + p} training rows, {p} of them poison",
            )
        try:
            if defense.name not in REFERENCE_ROWS:
                defense.build().check_rows(setup.n_clean + p)
        except ValueError as error:
            raise config.error(defense.where, str(error)) from error
        repetitions = config.repetitions if _draws(defense) else 1
        # A single fit is the same cell, whatever the config says about other defenses.
        repeated = [repetitions] if repetitions > 1 else []
        cell = digest(
            id_, parameters, assumed, assumed_clean, select_on, config.ceiling and p > 0, *repeated
        )
        task = Task(cell, defense, assumed, assumed_clean, select_on, repetitions)
        tasks.setdefault(cell, task)
        cells.append((defense, cell))
    group = Group(
        id_,
        setup.dataset.fingerprint,
        seed,
        setup.split,
        setup.model,
        attack if p else NO_ATTACK,
        p,
        tuple(tasks.values()),
        config.ceiling,
    )
    return group, cells


def _defenses(
    config: Config, setup: Setup, attack: Choice, rate: Rate, seed: int
) -> Iterator[Choice]:
    """Yield the defenses that the config does not exclude at this point of the grid."""
    point: dict[str, Thing] = {
        "dataset": setup.choice,
        "split": setup.split_choice,
        "model": setup.model,
        "attack": attack,
        "poisoning_rate": rate,
        "seeds": seed,
    }
    for defense in config.defenses:
        if not any(entry.holds({**point, "defense": defense}) for entry in config.exclude):
            yield defense


def _labels(setup: Setup, attack: Choice, rate: Rate, seed: int, defense: Choice) -> Labels:
    """Return the labels of a row of the tables."""
    source = _n_poison_source(defense)
    return Labels(
        dataset=setup.dataset.name,
        target=setup.dataset.target,
        dataset_parameters=setup.choice.parameters_text(but=("path", "target")),
        split=setup.split_choice.label,
        seed=seed,
        model=setup.model.name,
        model_parameters=setup.model.parameters_text(),
        attack=attack.name,
        attack_parameters=attack.parameters_text(),
        **attack.axes,
        poisoning_rate=float(rate.value or 0.0),
        rate_of=rate.of,
        defense=defense.name,
        defense_parameters=defense.parameters_text(),
        n_poison_source=source if source is None or isinstance(source, str) else next(iter(source)),
    )


def _draws(defense: Choice) -> bool:
    """Return whether a defense draws random numbers."""
    cls = registry.components("defense").get(defense.name)  # None for a reference row
    return cls is not None and registry.accepts(cls, "random_state")


def _n_poison_source(defense: Choice) -> Any:
    """Return how a defense or a reference row learns the number of poison rows; None if not."""
    reference = REFERENCE_ROWS.get(defense.name)
    return reference.n_poison_source if reference else defense.parameters.get("n_poison")


def _check_distinct(config: Config, rows: list[Row]) -> None:
    """Raise ConfigError if two rows of the tables would have the same labels.

    Tables show only the names of data files and split files, and files in different folders may
    have the same name.
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
