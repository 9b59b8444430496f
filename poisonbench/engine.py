"""Carry out a plan: compute the cells that are missing, in parallel, and keep what is done.

Workers write their cells themselves, as soon as each is done; what reaches the parent is only
news for the progress bar.  So whatever is killed, at any moment, the same command line goes on
from there.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import joblib
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from poisonbench import pipeline, provenance, store
from poisonbench.data.base import Dataset
from poisonbench.plan import Group, Plan

Work = tuple[Group, Dataset, Path, bool]
"""The arguments of :func:`run_group`."""

SHOWN_FAILURES = 10
"""How many failed cells a report names."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    n_cells : int
        Cells of the plan.
    n_warned : int
        Cells in which a library warned, of those computed now.
    failures : tuple of str
        Which cells failed, and why.
    """

    n_cells: int
    n_warned: int
    failures: tuple[str, ...]

    def report(self, out: Path) -> str:
        """Return which cells failed and why, a line each for the first few."""
        lines = [f"  {failure}" for failure in self.failures[:SHOWN_FAILURES]]
        more = len(self.failures) - len(lines)
        if more:
            lines.append(f"  and {more} more")
        return "\n".join(
            [
                f"{len(self.failures)} of {self.n_cells} cells failed"
                + (", the others are done:" if len(self.failures) < self.n_cells else ":"),
                *lines,
                f"Tracebacks are in {out / 'failed'}; the same command tries these cells again.",
            ]
        )


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it at a time limit: stop as at Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into :class:`Terminated` while the block runs."""

    def stop(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def default_jobs() -> int:
    """Return the number of processes to use: the processors that this process may run on."""
    given = os.environ.get("SLURM_CPUS_PER_TASK")
    if given and given.isdigit() and int(given):
        return int(given)
    return joblib.cpu_count()


def run(plan: Plan, out: Path, *, jobs: int, progress: bool, verbose: bool = False) -> Outcome:
    """Compute the cells of `plan` that `out` does not hold.

    Parameters
    ----------
    plan : Plan
        What to do.
    out : Path
        The output folder, opened for this plan.
    jobs : int
        Number of processes.
    progress : bool
        Whether to show a progress bar on stderr.
    verbose : bool
        Whether the processes say on stderr how their attacks get on.

    Returns
    -------
    Outcome
        What was done, and what failed.
    """
    cells = [task.id for group in plan.groups for task in group.tasks]
    # A poison set that was lost is made again even where every cell that met it is there.
    missing = [
        group
        for group in plan.groups
        if _missing(out, group) or (group.poison_file and store.read_poison(out, group) is None)
    ]
    n_missing = sum(len(_missing(out, group)) for group in missing)
    with tqdm(
        total=len(cells),
        initial=len(cells) - n_missing,
        unit="cell",
        disable=not progress or not n_missing,
        file=sys.stderr,
        # On a terminal a living bar; in a log a line now and then.
        mininterval=0.2 if sys.stderr.isatty() else 10,
    ) as bar:
        for _, n_done, n_failed in _results(plan, missing, out, jobs, verbose):
            bar.update(n_done)
            if n_failed:
                bar.set_postfix_str("some cells failed")
    left = {cell: _reason(out, cell) for cell in cells if store.read_cell(out, cell) is None}
    failures = tuple(
        f"{_named(group, plan.datasets[group.data])}, {task.defense.label}: {left[task.id]}"
        for group in plan.groups
        for task in group.tasks
        if task.id in left
    )
    computed = [task.id for group in missing for task in group.tasks if task.id not in left]
    n_warned = sum(bool(store.read_warnings(out, cell)) for cell in computed)
    return Outcome(len(cells), n_warned, failures)


def _missing(out: Path, group: Group) -> list[str]:
    """Return the cells of a group that are not done."""
    return [task.id for task in group.tasks if store.read_cell(out, task.id) is None]


def _named(group: Group, dataset: Dataset) -> str:
    """Return what people call a group."""
    return (
        f"{dataset.name}, seed {group.seed}, {group.model.label}, {group.attack.label} with "
        f"{group.n_poison} rows"
    )


def _reason(out: Path, cell: str) -> str:
    failure = store.read_failure(out, cell)
    return failure["error"] if failure else "its process was killed"


def _results(
    plan: Plan, groups: list[Group], out: Path, jobs: int, verbose: bool
) -> Iterator[tuple[str, int, int]]:
    """Run the groups, yielding what :func:`run_group` returns as each ends."""
    work = [(group, plan.datasets[group.data], out, verbose) for group in groups]
    if jobs == 1 or len(work) <= 1:
        for arguments in work:
            yield run_group(*arguments)
        return
    try:
        suspects: list[Work] = []
        while work:
            ended = set()
            try:
                for result in _parallel(work, jobs):
                    ended.add(result[0])
                    yield result
                break
            except TerminatedWorkerError:
                # A process was killed, and joblib stops the others with it.  They were at the
                # first groups that have not ended.
                work = [
                    arguments
                    for arguments in work
                    if arguments[0].id not in ended and _missing(out, arguments[0])
                ]
                suspects += work[:jobs]
                work = work[jobs:]
        for arguments in suspects:
            # One at a time: what is killed now takes nothing else with it.
            with suppress(TerminatedWorkerError):
                yield from _parallel([arguments], 2)
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise


def _parallel(work: list[Work], jobs: int) -> Iterable[tuple[str, int, int]]:
    parallel = Parallel(
        n_jobs=jobs,
        batch_size=1,
        pre_dispatch="n_jobs",
        return_as="generator_unordered",
        initializer=_leave_interrupts_to_the_parent,
    )
    results: Iterable[tuple[str, int, int]] = parallel(
        delayed(run_group)(*arguments) for arguments in work
    )
    return results


def _leave_interrupts_to_the_parent() -> None:
    """Have a worker ignore Ctrl-C, which a terminal sends to the parent and to all workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _heard(name: str) -> Iterator[None]:
    """Write to stderr what the package logs while the block runs, each line after `name`.

    A worker's stderr is the terminal too; a progress bar that stands there is wiped first, and
    drawn again at its next step.
    """
    wipe = "\r\x1b[K" if sys.stderr.isatty() else ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{wipe}{name}: %(message)s"))
    logger = logging.getLogger("poisonbench")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def run_group(
    group: Group, dataset: Dataset, out: Path, verbose: bool = False
) -> tuple[str, int, int]:
    """Compute the missing cells of one group, and its poison set if that is missing.

    Parameters
    ----------
    group : Group
        What to compute.
    dataset : Dataset
        Its data.
    out : Path
        The output folder.
    verbose : bool
        Whether to say on stderr how the attack gets on.

    Returns
    -------
    id : str
        The group's.
    n_done, n_failed : int
        Numbers of cells.
    """
    missing = set(_missing(out, group))
    tasks = [task for task in group.tasks if task.id in missing]
    # Other numbers of threads give other last bits, so every cell computes with one.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = store.read_poison(out, group)
        try:
            with _heard(_named(group, dataset)) if verbose else nullcontext():
                stage = pipeline.stage(group, dataset, made)
        except (Exception, SystemExit) as error:
            for task in tasks:
                store.write_failure(out, task.id, _failure(error))
            return group.id, 0, len(tasks)
        if made is None:
            store.write_poison(out, group, stage.setting, stage.made)
        n_failed = 0
        on_the_way = list(caught)
        for task in tasks:
            caught.clear()
            store.forget_failure(out, task.id)
            try:
                measured, timings = pipeline.measure(stage, task)
            except (Exception, SystemExit) as error:
                store.write_failure(out, task.id, _failure(error))
                n_failed += 1
                continue
            said = sorted({str(warning.message) for warning in (*on_the_way, *caught)})
            facts = {
                **provenance.facts(),
                "engine": stage.made.engine,
                "warnings": said,
                "finished": time.time(),
            }
            store.write_cell(out, task.id, measured, timings, facts)
    return group.id, len(tasks) - n_failed, n_failed


def _failure(error: BaseException) -> dict[str, str]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }
