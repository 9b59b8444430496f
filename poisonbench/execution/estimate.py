"""Estimate how much time and memory the missing cells will take, before they are computed.

Times come from the table of costs (:mod:`poisonbench.plan.costs`).  If the output folder has
finished cells of the same kind, with the same data set, learner, and attack or defense, the times
in the table are multiplied by the ratio of the measured time to the expected time of these cells.
The times of all other cells are multiplied by the median of these ratios.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median_low

from poisonbench.output import store
from poisonbench.output.status import in_words
from poisonbench.plan.costs import LARGEST
from poisonbench.plan.groups import Group, Plan
from poisonbench.plan.work import Part, Work

LIBRARIES = 3e8
"""Memory in bytes of a process that has loaded Python and the libraries, with compiled code."""

START = 3.0
"""Seconds until all processes have started."""

SAMPLE = 20
"""Number of finished cells of each kind whose times are read."""

MEASURED, TABLE, GUESS = 1.5, 3.0, 10.0
"""Factors to within which an estimate is right: from finished cells; from the table; and from the
table if the data are larger than those that it was measured with."""

MOSTLY = 0.9
"""Share of the time that must be estimated from finished cells for the smaller factor."""


@dataclass(frozen=True)
class Estimate:
    """The time and memory that the missing cells of a plan will take.

    Parameters
    ----------
    seconds : mapping of str to float
        Computing time of each group on an idle processor, by the identity of the group, in the
        order of computation.
    measured : float
        Share of that time for which there are finished cells of the same kind.
    memory : mapping of str to float
        The parts of the memory, in bytes, of the process that needs the most memory.
    is_large : bool, default=False
        Whether some data are larger than those that the table was measured with.
    """

    seconds: Mapping[str, float]
    measured: float
    memory: Mapping[str, float]
    is_large: bool = False

    def wall(self, n_processes: int) -> float:
        """Return the seconds until the last process has finished."""
        ends = [START] * max(n_processes, 1)
        for seconds in self.seconds.values():  # the first process that is free takes the next group
            heapq.heapreplace(ends, ends[0] + seconds)
        return max(ends)

    def report(self, n_processes: int) -> str:
        """Return the lines that ``--dry-run`` prints."""
        if not self.seconds:
            return "nothing is left to compute"
        factor = GUESS if self.is_large else TABLE
        of = " on smaller data" if self.is_large else ""
        source = f"a table of costs{of} and the time of a ridge fit here"
        if self.measured >= MOSTLY:
            factor, source = MEASURED, "the times of finished cells"
        elif self.measured >= 0.005:
            source = f"finished cells for {self.measured:.0%} of it, else {source}"
        wall, computing = self.wall(n_processes), sum(self.seconds.values())
        processes = f"{n_processes} processes" if n_processes > 1 else "one process"
        parts = [f"{in_bytes(size)} {name}" for name, size in self.memory.items() if size >= 1e6]
        return (
            f"time: about {in_words(wall)} with {processes} ({in_words(wall / factor)} to "
            f"{in_words(wall * factor)}), {in_words(computing)} of computing; from {source}\n"
            f"memory: at most about {in_bytes(sum(self.memory.values()))} for each process: "
            f"{', '.join(parts)}"
        )


def in_bytes(size: float) -> str:
    """Return a size as text: ``310 MB``, ``2.4 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def estimate(
    plan: Plan,
    groups: Sequence[Group],
    out: Path,
    n_processes: int,
    made: Collection[str] = (),
) -> Estimate:
    """Estimate the time and memory that groups of a plan take.

    Parameters
    ----------
    plan : Plan
        The plan.
    groups : sequence of Group
        The groups to compute, each with its missing cells.
    out : Path
        The output folder; it need not exist.
    n_processes : int
        Number of processes; some results are computed once in each of them.
    made : collection of str, optional
        Identities of groups whose poison sets other experiments will have made by then.
    """
    work = Work(plan)
    finished = _Finished(work, plan, out)
    parts = {
        group.id: list(
            work.parts(group, has_poison=group.id in made or store.has_poison(out, group))
        )
        for group in groups
    }
    sharing = Counter(part.once for of_group in parts.values() for part in of_group)
    seconds, measured = dict.fromkeys(parts, 0.0), 0.0
    for id_, of_group in parts.items():
        for part in of_group:
            taken = finished.corrected(part)
            if part.once is not None:
                runs = max(n_processes, 1) if part.in_each_process else 1
                taken *= min(1.0, runs / sharing[part.once])
            seconds[id_] += taken
            measured += taken * (part.kind in finished.count)
    memory: dict[str, float] = max(
        (work.memory(group) for group in groups), key=lambda held: sum(held.values()), default={}
    )
    return Estimate(
        seconds,
        measured / max(sum(seconds.values()), 1e-9),
        {"for the libraries": LIBRARIES, **memory},
        is_large=any(
            size > largest
            for group in groups
            for size, largest in zip(work.shape(group), LARGEST, strict=True)
        ),
    )


class _Finished:
    """The seconds that finished cells took, and the expected seconds by the table, by kind."""

    def __init__(self, work: Work, plan: Plan, out: Path) -> None:
        self.count: Counter[Hashable] = Counter()
        self.taken: dict[Hashable, float] = defaultdict(float)
        self.expected: dict[Hashable, float] = defaultdict(float)
        for group in plan.groups if out.is_dir() else ():
            attack = work.attack(group)
            for task in group.tasks:
                parts = (attack, work.defense(group, task))
                if all(part.kind is None or self.count[part.kind] >= SAMPLE for part in parts):
                    continue
                timings = store.read_timings(out, task.id)
                if timings is not None:
                    for part, seconds in zip(
                        parts, (timings.attack_seconds, timings.defense_seconds), strict=True
                    ):
                        self._add(part, seconds or 0.0)

    def _add(self, part: Part, seconds: float) -> None:
        if not (part.seconds and seconds):
            return
        self.count[part.kind] += 1
        self.taken[part.kind] += seconds
        self.expected[part.kind] += part.seconds

    def corrected(self, part: Part) -> float:
        """Return the seconds of a part of the work, corrected by finished cells."""
        if part.kind in self.count:
            return part.seconds * self.taken[part.kind] / self.expected[part.kind]
        return part.seconds * self.usual

    @cached_property
    def usual(self) -> float:
        """The median of the ratios of measured to expected time; 1 without finished cells."""
        ratios = [self.taken[kind] / self.expected[kind] for kind in self.count]
        return median_low(ratios) if ratios else 1.0
