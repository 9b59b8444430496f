"""The parts of a plan: groups of cells, and the rows of the tables that refer to them.

The unit of work is a :class:`Group`: one poison set and all defenses against it.  Several rows may
refer to the same cell, which is computed once; at rate 0, the rows of all attacks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poisonbench.config import Choice, Config
from poisonbench.data.base import Dataset
from poisonbench.data.split import Split, SplitCounts
from poisonbench.plan.identity import RESULT_VERSION
from poisonbench.records import Row


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
        The number of poison rows that the defense is told; "auto" if it has to estimate the
        number, None if it uses no such number.
    n_poison_assumed_clean : int or "auto" or None
        The same for the training set without poison.
    select_on : str
        ``poisoned`` if the learner's strength is selected again on the poisoned rows, else
        ``clean``.
    repetitions : int, default=1
        Number of fits of the defense, which differ in its random numbers only.
    """

    id: str
    defense: Choice
    n_poison_assumed: int | str | None
    n_poison_assumed_clean: int | str | None
    select_on: str
    repetitions: int = 1


@dataclass(frozen=True)
class Group:
    """One poison set and the defenses against it.

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
        The attack; ``none`` without poison.
    n_poison : int
        Number of poison rows p.
    tasks : tuple of Task
        The defenses.
    ceiling : bool
        Whether the cells have ceilings.
    """

    id: str
    data: str
    seed: int
    split: SplitCounts | Split
    model: Choice
    attack: Choice
    n_poison: int
    tasks: tuple[Task, ...]
    ceiling: bool

    @property
    def poison_file(self) -> str | None:
        """Path of the poison file, relative to the output folder; None without poison."""
        if not self.n_poison:
            return None
        return f"poison/{self.attack.name}-p{self.n_poison}-seed{self.seed}-{self.id[:12]}.npz"


@dataclass(frozen=True)
class Plan:
    """Everything that a config asks for.

    Parameters
    ----------
    config : Config
        The config.
    datasets : mapping of str to Dataset
        The data sets by fingerprint, loaded.
    groups : tuple of Group
        The groups of cells, in the order of the tables.
    rows : tuple of Row
        The rows of the tables.
    contents : mapping of str to str
        For each data set and file that the config names, a hash of its content.
    """

    config: Config
    datasets: Mapping[str, Dataset]
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    contents: Mapping[str, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user on the data, and on rates that round to 0 poison rows."""
        of_data = [note for dataset in self.datasets.values() for note in dataset.notes]
        n_poison = {task.id: group.n_poison for group in self.groups for task in group.tasks}
        empty = {
            (row.labels.poisoning_rate, row.labels.dataset)
            for row in self.rows
            if row.labels.poisoning_rate > 0 and n_poison.get(row.cell) == 0
        }
        return (
            *of_data,
            *(
                f"warning: poisoning rate {rate!r} of {dataset} rounds to 0 poison rows, so its "
                "cells show errors without poison for every attack"
                for rate, dataset in sorted(empty)
            ),
        )

    def identity(self) -> dict[str, Any]:
        """Return JSON values that are equal for two plans if and only if the plans are equal."""
        return {
            "result_version": RESULT_VERSION,
            "config": self.config.resolved(),
            "contents": dict(self.contents),
        }
