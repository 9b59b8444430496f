"""The parts of the work of a group, and the seconds that each takes by the table of costs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from poisonbench import registry
from poisonbench.certificates.cell_ceilings import LOSSES, MOST_COLUMNS, TEST
from poisonbench.config import Choice
from poisonbench.config.choices import KNOWLEDGE
from poisonbench.data.split import SplitCounts
from poisonbench.plan import costs
from poisonbench.plan.costs import Shape
from poisonbench.plan.groups import Group, Plan, Task
from poisonbench.plan.limits import held
from poisonbench.reference_rows import REFERENCE_ROWS

CELL, GROUP = 0.004, 0.02
"""Seconds for the files of a cell, and of a poison set."""


class Part(NamedTuple):
    """A part of the work of a group.

    Parameters
    ----------
    seconds : float
        Its time by the table.
    kind : hashable, optional
        A key: the times of finished cells with the same key show how long this part takes.
    once : hashable, optional
        A key: of the groups with the same key, only the first does this part, in each process.
    in_each_process : bool, default=True
        False if, of all processes, only one does the part of `once`.
    """

    seconds: float
    kind: Hashable = None
    once: Hashable = None
    in_each_process: bool = True


class Work:
    """The work of the groups of a plan.

    Parameters
    ----------
    plan : Plan
        The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._fits: dict[Hashable, float] = {}

    def attack(self, group: Group) -> Part:
        """Return the attack of a group; it takes no time if the rows are given."""
        attack = group.attack
        if not (group.n_poison and registry.components("attack")[attack.name].takes_rate):
            return Part(0.0)
        knowledge = attack.parameters.get(KNOWLEDGE) or {}
        model = knowledge.get("model", group.model.name)
        kind = ("attack", group.data, group.model.label, attack.title)
        return Part(self._seconds(group, attack, model, attack.title), kind)

    def defense(self, group: Group, task: Task) -> Part:
        """Return a fit of the defense of a cell; it takes no time for a reference row."""
        defense, model = task.defense, group.model.name
        if defense.name in REFERENCE_ROWS:
            return Part(0.0)
        seconds = self._seconds(group, defense, model, defense.label)
        if task.n_poison_assumed == "auto":
            seconds += self._seconds(group, Choice("defense", "itrim", {}), model, "itrim")
        return Part(seconds, ("defense", group.data, group.model.label, defense.label))

    def parts(self, group: Group, *, has_poison: bool) -> Iterator[Part]:
        """Yield the parts of the work of a group.

        Parameters
        ----------
        group : Group
            The group, with the cells that are to be computed.
        has_poison : bool
            Whether its poison set has been made.
        """
        model, p = group.model, group.n_poison
        setup = (group.data, id(group.split), group.seed, model.label)
        strength = Choice("selection", model.name, {})
        yield Part(GROUP + self._seconds(group, Choice("group", "prepare", {}), model.name))
        # One fit to the clean rows, and one to all rows.
        yield Part(2 * self._seconds(group, Choice("model", model.name, {}), model.name))
        if model.parameters.get("lambda") == "cv":
            selection = self._seconds(group, strength, model.name)
            yield Part(selection, once=("selection", *setup))
            if any(task.select_on == "poisoned" for task in group.tasks):
                yield Part(selection)
        if not has_poison:
            yield self.attack(group)
            if KNOWLEDGE in group.attack.parameters:
                yield Part(self._seconds(group, strength, model.name))
        if p and group.ceiling and self.shape(group).d <= MOST_COLUMNS:
            surrogate = KNOWLEDGE in group.attack.parameters
            objective = TEST if surrogate else group.attack.axes["outer_objective"]
            for name in {objective, TEST} & set(LOSSES):
                seconds = self._seconds(group, Choice("ceiling", name, {}), model.name)
                yield Part(seconds, once=("ceiling", name, p, *setup), in_each_process=False)
        for task in group.tasks:
            yield Part(CELL + self._seconds(group, Choice("cell", "measure", {}), model.name))
            fit = self.defense(group, task)
            fit = fit._replace(seconds=task.repetitions * fit.seconds)
            yield fit
            # The same defense on the clean rows, for the ratio to its own clean error.
            without = (task.defense.label, task.n_poison_assumed_clean)
            yield fit._replace(once=("own clean", *without, *setup))

    def shape(self, group: Group) -> Shape:
        """Return the size of the training set of a group."""
        split = group.split
        n = split.train if isinstance(split, SplitCounts) else len(split.train)
        return Shape(n, self.plan.datasets[group.data].space.n_features, group.n_poison)

    def memory(self, group: Group) -> dict[str, float]:
        """Return the memory in bytes of a process that computes a group, part by part."""
        shape, model = self.shape(group), group.model.name
        found = held(len(self.plan.datasets[group.data].y), shape.d)
        choices = [group.attack] if shape.p else []
        choices += [task.defense for task in group.tasks if task.defense.name not in REFERENCE_ROWS]
        needs = {choice.label: _line(choice, model, shape).memory(shape) for choice in choices}
        if needs:
            most = max(needs, key=lambda label: needs[label])
            found[most] = needs[most]
        return found

    def _seconds(self, group: Group, choice: Choice, model: str, label: str = "") -> float:
        shape = self.shape(group)
        key = (choice.kind, choice.name, label, model, shape)
        if key not in self._fits:
            self._fits[key] = costs.ridge_fits(
                choice.kind, choice.name, choice.parameters, model, shape
            )
        return self._fits[key] * costs.ridge_seconds(shape.n, shape.d)


def _line(choice: Choice, model: str, shape: Shape) -> costs.Cost:
    return costs.cost(choice.kind, choice.name, choice.parameters, model, shape)
