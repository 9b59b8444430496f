"""The index of an output folder: its cells and the rows of its tables.

``status`` and ``merge`` read it from ``OUT/index.json``, so that they need neither the config nor
the data.  This module imports only the standard library, so that these commands answer at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poisonbench.output.layout import StoreError, read_json
from poisonbench.records import Labels, Row

if TYPE_CHECKING:
    from poisonbench.plan.groups import Group, Plan


@dataclass(frozen=True)
class Cell:
    """A cell of the index.

    Parameters
    ----------
    id : str
        Its identity.
    group : str
        Label of its group: data set, seed, learner, attack and number of poison rows.
    defense : str
        Label of the defense.
    kind : tuple of (str, int)
        The data set, learner, attack and defense in one text, and the number of poison rows.  Cells
        of the same kind take about equally long.
    """

    id: str
    group: str
    defense: str
    kind: tuple[str, int]

    @property
    def label(self) -> str:
        """Label of the cell: its group and its defense."""
        return f"{self.group}, {self.defense}"


@dataclass(frozen=True)
class Index:
    """The cells and rows of a plan.

    Parameters
    ----------
    content : dict
        The content of ``index.json``.
    """

    content: dict[str, Any]

    def cells(self) -> Iterator[Cell]:
        """Yield the cells, in the plan's order."""
        for data, seed, model, attack, n_poison, tasks in self.content["groups"]:
            group = group_label(data, seed, model, attack, n_poison)
            kind = f"{data}, {model}, {attack}"
            for cell, defense in tasks:
                yield Cell(cell, group, defense, (f"{kind}, {defense}", n_poison))

    @property
    def rows(self) -> Iterator[Row]:
        """The rows of the tables, in the plan's order."""
        for cell, *labels in self.content["rows"]:
            yield Row(Labels(*labels), cell)


def index_of(plan: Plan, digest: str) -> Index:
    """Return the index of a plan that has this digest."""
    groups = [
        [plan.datasets[group.data].name, group.seed, group.model.label, group.attack.label,
         group.n_poison, [[task.id, task.defense.label] for task in group.tasks]]
        for group in plan.groups
    ]  # fmt: skip
    rows = [[row.cell, *vars(row.labels).values()] for row in plan.rows]
    return Index({"plan": digest, "groups": groups, "rows": rows})


def describe(plan: Plan, group: Group) -> str:
    """Return the label of a group of a plan."""
    name = plan.datasets[group.data].name
    return group_label(name, group.seed, group.model.label, group.attack.label, group.n_poison)


def group_label(data: str, seed: int, model: str, attack: str, n_poison: int) -> str:
    """Return the label of a group: ``house, seed 0, ridge, statp with 60 rows``."""
    return f"{data}, seed {seed}, {model}, {attack} with {n_poison} rows"


def read_index(out: Path) -> Index:
    """Return the index of an output folder.

    Raises
    ------
    StoreError
        The folder is not an output folder, or its index is damaged.
    """
    path = out / "index.json"
    try:
        content = read_json(path)
        absent = content is None and not path.exists()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if absent:
        what = "no folder" if not out.is_dir() else f"no {path.name}"
        raise StoreError(f"{out}: {what}; expected the output folder of poisonbench run or sweep")
    try:
        if content is not None:
            index = Index(content)
            for entries in (index.cells(), index.rows):
                deque(entries, maxlen=0)  # read everything now, so that any damage is found here
            return index
    except (KeyError, ValueError, TypeError):
        pass
    raise StoreError(f"{path}: damaged; run the command that made the folder again to repair it")
