"""Run the grid of an audit within its time: measure a first cell, then as many splits as fit.

A table of costs says how long a split will take before anything has run.  The first cells show by
how much the table is wrong here; the first split shows how long the others take.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poisonbench.auditing.refits import trimmed_errors
from poisonbench.auditing.request import EXTRA_ATTACKS, YARDSTICKS, Grid, Request, smaller
from poisonbench.config import Rate, load
from poisonbench.config.source import Source
from poisonbench.config.strict_yaml import ConfigError
from poisonbench.data.base import Dataset
from poisonbench.execution import engine
from poisonbench.execution.estimate import GUESS, MOSTLY, START, TABLE, estimate
from poisonbench.execution.options import RunOptions
from poisonbench.execution.signals import Stopped, stoppable
from poisonbench.output import store
from poisonbench.output.layout import place
from poisonbench.output.status import in_words
from poisonbench.plan.groups import Group, Plan
from poisonbench.plan.make import make_plan
from poisonbench.plan.rates import n_poison

FIRST_CELLS = 0.2
"""Share of the time left that the first cells may take by the table of costs."""

LONGEST_CELLS = 0.3
"""Share of the time left after which the first cells are stopped, and a smaller grid is tried."""

FIRST_SPLIT = 0.3
"""Share of the time left that the first split may take by the estimate, so that there is time for
some more: a single split says little."""

REPORT = 12.0
"""Seconds that the conclusion and the page take."""

TINY: Any = {
    "dataset": {"name": "synthetic", "n": 80, "d": 5, "groups": [3]},
    "attacks": ("coordinate",),
    "defenses": ("sparse-lts",),
    "train": 40,
    "validation": 20,
    "test": 20,
}
"""A tiny grid with what is compiled before it runs for the first time."""

LEAST_TRIMMED = 0.1
"""The largest squared errors are left out of the robust error: at least this share of them."""

SLOWER = 1.15
"""Factor of the time of a split that is kept in reserve."""


class AuditError(RuntimeError):
    """The audit cannot give an answer; the message says why."""


@dataclass
class Clock:
    """The time of an audit.

    Parameters
    ----------
    budget : float
        Seconds that it may take.
    start : float
        When it began, by ``time.monotonic``.
    """

    budget: float
    start: float = field(default_factory=time.monotonic)

    @property
    def taken(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds until the report has to begin."""
        return self.budget - self.taken - min(REPORT, 0.2 * self.budget)


@dataclass
class Runner:
    """Computes the cells of grids in one folder.

    Parameters
    ----------
    folder : Path
        The audit's folder.
    jobs : int
        Number of processes; with 0, this process computes everything.
    clock : Clock
        The time.
    say : callable
        Prints a line on the progress.
    data_dir : Path, optional
        Folder of the catalogue's files.
    """

    folder: Path
    jobs: int
    clock: Clock
    say: Callable[[str], None]
    data_dir: Path | None = None
    loaded: dict[str, Dataset] = field(default_factory=dict)
    tried: list[Plan] = field(default_factory=list)
    trimmed: dict[int, dict[str, float]] = field(default_factory=dict)

    def plan(self, grid: Grid) -> Plan:
        """Return the plan of a grid; the data are loaded only once."""
        source = Source(self.folder / "config.yaml", grid.config())
        return make_plan(load(source), self.data_dir, force=True, loaded=self.loaded)

    def dataset(self, grid: Grid) -> Dataset:
        """Return the data of a grid."""
        source = Source(self.folder / "config.yaml", {**grid.config(), "seeds": 1})
        try:
            make_plan(load(source), self.data_dir, force=True, loaded=self.loaded)
        except ConfigError:
            if not self.loaded:
                raise  # otherwise there are too few rows for any split, which grid_of reports
        return next(iter(self.loaded.values()))

    def warm_up(self, grid: Grid) -> None:
        """Run some tiny cells, so that nothing is measured that is done only once.

        On a machine where nothing has run, this compiles the inner loops and starts the processes.
        """
        config = {**replace(grid, **TINY).config(), "poisoning_rate": 0.1, "ceiling": "off"}
        plan = make_plan(load({**config, "seeds": max(self.jobs, 1)}))
        with TemporaryDirectory() as folder:
            engine.run(plan, Path(folder), RunOptions(jobs=self.jobs, quiet=True))

    def fitted(self, grid: Grid, request: Request) -> Grid:
        """Return the largest version of a grid that fits into the time, and compute it.

        Parameters
        ----------
        grid : Grid
            The largest grid.
        request : Request
            What the user asks for.

        Raises
        ------
        AuditError
            Nothing can be computed.
        """
        self.warm_up(grid)
        grid, measured = self._measured(replace(grid, seeds=1))
        grid = self._small_enough(grid, FIRST_SPLIT)
        plan = self.plan(grid)
        took = measured + self._seconds(plan.groups, plan)
        minutes = request.budget / 60
        self.say(f"A split will take about {in_words(took)}, and there is time for "
                 f"{_splits(1 + self._n_more(took, request))}: {minutes:.3g} "
                 f"{'minute' if minutes == 1 else 'minutes'} in all (--budget).")  # fmt: skip
        began = self.clock.taken - measured
        grid = self._first_split(grid)
        took = self.clock.taken - began
        while grid.seeds < request.splits and self.clock.left > SLOWER * took:
            self.say(f"Split {grid.seeds} is done; {in_words(max(self.clock.left, 0.0))} left.")
            began = self.clock.taken
            more = replace(grid, seeds=grid.seeds + 1)
            try:
                if not self._compute(self.plan(more), self._last(more), self.clock.left):
                    break
                grid = self._judged(more)
            except AuditError as error:
                line = f"Split {grid.seeds} could not be used: {error}."
                return self._ended(replace(grid, left_out=(*grid.left_out, line)))
            took = max(took, self.clock.taken - began)
        if grid.seeds < request.splits:
            line = f"Only {_splits(grid.seeds)} of {request.splits} fitted into the time."
            grid = replace(grid, left_out=(*grid.left_out, line))
        return self._ended(grid)

    def _measured(self, grid: Grid) -> tuple[Grid, float]:
        """Compute the first cells of a grid, or of a smaller one; return it, and their seconds."""
        grid = self._small_enough(grid, FIRST_CELLS, only_first=True)
        while True:
            began, plan = self.clock.taken, self.plan(grid)
            first = [group for group in plan.groups if _is_first(group, grid)]
            less = smaller(grid, rows_first=True)
            limit = None if less is None else LONGEST_CELLS * max(self.clock.left, 1.0)
            if self._compute(plan, first, limit) or less is None:
                measured = self.clock.taken - began
                cells = sum(len(group.tasks) for group in first)
                self.say(f"The first {cells} cells took {in_words(measured)}.")
                return self._without_failures(grid, plan), measured
            grid = smaller(less, rows_first=True) or less

    def _first_split(self, grid: Grid) -> Grid:
        """Compute the first split; return the grid, or a smaller one if there is no more time."""
        if not self._compute(self.plan(grid), self._last(grid), max(self.clock.left, 1.0)):
            train = grid.train
            while engine.missing_of(self._last(grid), self.folder, RunOptions())[1]:
                less = smaller(grid)
                if less is None or less.train != train:
                    self._compute(self.plan(grid), self._last(grid))
                    break
                grid = less
        return self._judged(grid)

    def _last(self, grid: Grid) -> list[Group]:
        """Return the groups of the last split of a grid."""
        return [group for group in self.plan(grid).groups if group.seed == grid.seeds - 1]

    def _judged(self, grid: Grid) -> Grid:
        """Return the grid without what failed, after measuring the robust errors of its last split.

        Raises
        ------
        AuditError
            No attack, or nothing at all, could be run.
        """
        grid = self._without_failures(grid, self.plan(grid))
        self._trimmed(self.plan(grid), grid.seeds - 1, grid)
        return grid

    def _ended(self, grid: Grid) -> Grid:
        """Return the grid after removing the files of all that is not in it."""
        self._discard(self.plan(grid))
        self.trimmed = {seed: of for seed, of in self.trimmed.items() if seed < grid.seeds}
        return grid

    def finish(self, grid: Grid) -> Plan:
        """Compute what is missing of a grid that was fitted before, and return its plan."""
        plan = self.plan(grid)
        self._compute(plan, list(plan.groups))
        for seed in range(grid.seeds):
            self._trimmed(plan, seed, grid)
        return plan

    def _n_more(self, seconds: float, request: Request) -> int:
        """Return how many splits fit into the time, besides one that takes `seconds`."""
        left = self.clock.left
        return max(0, min(request.splits - 1, int((left - seconds) / max(SLOWER * seconds, 1e-9))))

    def _small_enough(self, grid: Grid, share: float, *, only_first: bool = False) -> Grid:
        """Return the grid, or a smaller one of which a split fits into its share of the time left.

        Parameters
        ----------
        grid : Grid
            The grid, with one split.
        share : float
            The share.
        only_first : bool, default=False
            Whether only the first cells have to fit into it.
        """
        while True:
            plan = self.plan(grid)
            groups = [group for group in plan.groups if not only_first or _is_first(group, grid)]
            less = smaller(grid)
            if less is None or self._seconds(groups, plan) <= share * max(self.clock.left, 1.0):
                return grid
            grid = less

    def _seconds(self, groups: Sequence[Group], plan: Plan) -> float:
        """Return the estimate of the time that the missing cells of some groups take."""
        todo = engine.missing_of(groups, self.folder, RunOptions())[1]
        if not todo:
            return 0.0
        found = estimate(plan, todo, self.folder, self.jobs)
        guess = GUESS / TABLE if found.is_large and found.measured < MOSTLY else 1.0
        return guess * (found.wall(self.jobs) - START)  # the processes run already

    def _trimmed(self, plan: Plan, seed: int, grid: Grid) -> None:
        """Measure the robust errors of a split without poison."""
        share = max(LEAST_TRIMMED, grid.assumed_rate / (1 + grid.assumed_rate))
        for group in plan.groups:
            if group.seed == seed and not group.n_poison:
                self.trimmed[seed] = trimmed_errors(group, plan.datasets[group.data], share)

    def _compute(self, plan: Plan, groups: list[Group], limit: float | None = None) -> bool:
        """Compute the cells of some groups; return False if that took longer than `limit`."""
        self.tried.append(plan)
        # If the time ends, what is done should be a smaller grid.
        usual = [group.n_poison for group in groups if group.attack.name == "coordinate"]
        ordered = sorted(groups, key=lambda group: (group.attack.name in EXTRA_ATTACKS,
                         group.n_poison not in (0, max(usual, default=0)), -group.n_poison)
                         )  # fmt: skip
        part = replace(plan, groups=tuple(ordered))
        try:
            with stoppable(limit) as stop:
                engine.run(part, self.folder, RunOptions(jobs=self.jobs, quiet=True), stop=stop)
        except Stopped as stopped:
            if stopped.number != signal.SIGALRM:
                raise
            stop.number = None
            return False
        return True

    def _without_failures(self, grid: Grid, plan: Plan) -> Grid:
        """Return the grid without the attacks and defenses of which a cell has failed.

        Raises
        ------
        AuditError
            No attack, or nothing at all, could be run.
        """
        for group in plan.groups:
            errors = {
                task.defense.name: store.read_failure(self.folder, task.id)
                for task in group.tasks
                if store.read_cell(self.folder, task.id) is None
            }
            failed = {name: str(error.get("error")) for name, error in errors.items() if error}
            if not failed:
                continue
            if len(failed) == len(group.tasks) or set(failed) & set(YARDSTICKS):
                reason = next(iter(failed.values()))
                if not group.n_poison:
                    raise AuditError(f"the learner cannot be trained on these data: {reason}")
                attack = group.attack.name
                if attack in grid.attacks:
                    line = f"The attack {attack} failed: {reason}."
                    grid = grid.without(line, attack=attack)
                continue
            for name, reason in failed.items():
                if name in grid.defenses:
                    grid = grid.without(f"{name} failed: {reason}.", defense=name)
        if not grid.attacks:
            raise AuditError(f"no attack could be run: {' '.join(grid.left_out)}")
        return grid

    def _discard(self, plan: Plan) -> None:
        """Remove the files of cells that were computed but do not belong to the plan."""
        kept = {task.id for group in plan.groups for task in group.tasks}
        kept |= {group.id for group in plan.groups}
        for id_, path in self._files():
            if id_ not in kept and path.exists():
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield the identity and the path of each file that may have been written."""
        for plan in self.tried:
            for group in plan.groups:
                for id_ in (group.id, *(task.id for task in group.tasks)):
                    for kind in ("cells", "meta", "failed"):
                        yield id_, place(self.folder, kind, id_)
                if group.poison_file:
                    yield group.id, self.folder / group.poison_file


def _is_first(group: Group, grid: Grid) -> bool:
    """Whether a group is one of the first: without poison, or the first attack at its rate."""
    if not group.n_poison:
        return True
    p = n_poison(Rate(grid.rate, "clean"), grid.train)
    return group.attack.name == grid.attacks[0] and group.n_poison == p


def _splits(number: int) -> str:
    return "1 split" if number == 1 else f"{number} splits"
