"""Carry out a plan: compute the missing cells in parallel.

Worker processes write each cell themselves as soon as it is done, and send only counts to the
parent, for the progress bar.  So any process may be killed at any moment, and running the same
command again resumes the work.  If a process is killed, the groups that were running are repeated
one by one, to find out whether a cell kills its process.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from poisonbench.execution import dask_cluster, own_process
from poisonbench.execution.estimate import estimate
from poisonbench.execution.group import Job, Result, run_group
from poisonbench.execution.options import RunOptions
from poisonbench.execution.progress import Progress
from poisonbench.execution.signals import Stop, ignoring_interrupts, serve
from poisonbench.output import store
from poisonbench.output.index import describe
from poisonbench.plan.groups import Group, Plan, Task

if TYPE_CHECKING:
    from distributed import Client

MOST_KILLS = 3
"""A cell counts as the cause if this many processes were killed while they computed it, by a signal
that may also come from outside."""

MOST_STARTS = 10
"""How often in a row a process may be killed before it has started on any cell."""

SHOWN_FAILURES = 10
"""How many failed cells a report names."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    n_cells : int
        Number of cells of the plan, or of the shard.
    n_computed : int
        Number of cells that this run computed.
    n_warned : int
        How many of these had warnings from a library.
    failures : tuple of str
        A line for each failed cell, with the reason.
    n_crashed : int
        How many of the failed cells killed their process.
    n_missing : int
        Number of cells that are neither done nor failed.
    """

    n_cells: int
    n_computed: int
    n_warned: int
    failures: tuple[str, ...]
    n_crashed: int
    n_missing: int

    def report(self, out: Path) -> str:
        """Return the first few failed cells with the reasons, one a line."""
        lines = [f"  {failure}" for failure in self.failures[:SHOWN_FAILURES]]
        more = len(self.failures) - len(lines)
        if more:
            lines.append(f"  and {more} more")
        others = self.n_cells - len(self.failures) - self.n_missing
        others_done = f", {'the others' if not self.n_missing else others} are done:"
        again = "run the same command to try these cells again"
        if self.n_crashed:
            again += ", with --retry-crashed for those that killed their process"
        return "\n".join(
            [
                f"{len(self.failures)} of {self.n_cells} cells failed"
                + (others_done if others else ":"),
                *lines,
                f"Tracebacks are in {out / 'failed'}; {again}.",
            ]
        )


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    given = os.environ.get("SLURM_CPUS_PER_TASK")
    if given and given.isdigit() and int(given):
        return int(given)
    return joblib.cpu_count()


def share(plan: Plan, shard: tuple[int, int] | None) -> list[Group]:
    """Return the groups of the plan, or those of one shard of it.

    Parameters
    ----------
    plan : Plan
        The plan.
    shard : tuple of (int, int) or None
        Shard i of n, counted from 0.
    """
    if shard is None:
        return list(plan.groups)
    i, n = shard
    return sorted(plan.groups, key=lambda group: group.id)[i::n]


def run(
    plan: Plan,
    out: Path,
    options: RunOptions,
    *,
    stop: Stop | None = None,
    dask: AbstractContextManager[Client] | None = None,
) -> Outcome:
    """Compute the cells of `plan` that are missing in `out`.

    Parameters
    ----------
    plan : Plan
        The plan.
    out : Path
        The output folder, opened for this plan.
    options : RunOptions
        Options of the run.
    stop : Stop, optional
        Checked after each group, to stop the run after a signal.
    dask : context manager of distributed.Client, optional
        A Dask cluster to use instead of processes on this machine.  It is entered only if there is
        something to compute.

    Returns
    -------
    Outcome
        The numbers of cells computed, failed and missing.
    """
    groups = share(plan, options.shard)
    n_cells = sum(len(group.tasks) for group in groups)
    done, todo = missing_of(groups, out, options)
    if done == n_cells and not todo:
        return Outcome(n_cells, 0, 0, (), 0, 0)
    missing = {task.id for group in todo for task in group.tasks}
    # The processes may have other current folders: joblib keeps those of an earlier run.
    at = out.absolute()
    work = [
        Job(group, plan.datasets[group.data], at, options.verbose, options.predictions)
        for group in todo
    ]
    n_processes = default_jobs() if options.jobs is None else options.jobs
    says = bool(todo) and not options.quiet
    shown = Progress(
        n_cells,
        done,
        estimate(plan, todo, out, n_processes).seconds if says else {},
        n_processes=None if dask is not None else n_processes,
        shown=says,
        lines=options.verbose,
    )
    with shown, closing(_results(work, n_processes, dask)) as results:
        for id_, n_done, n_failed in results:
            shown.update(id_, n_done, n_failed)
            log.info("%s: %d cells done, %d failed", id_[:12], n_done, n_failed)
            if stop is not None:
                stop.check()
            if n_failed and options.fail_fast:
                break
    failures = []
    n_crashed = n_missing = 0
    for group in groups:
        for task in group.tasks:
            if store.read_cell(out, task.id) is not None:
                continue
            failure = store.read_failure(out, task.id)
            if failure is None:
                n_missing += 1
                continue
            n_crashed += bool(failure.get("crashed"))
            failures.append(
                f"{describe(plan, group)}, {task.defense.label}: {failure.get('error')}"
            )
            missing.discard(task.id)
    n_warned = sum(bool(store.read_warnings(out, cell)) for cell in missing)
    n_computed = shown.done - shown.done_before
    return Outcome(n_cells, n_computed, n_warned, tuple(failures), n_crashed, n_missing)


def missing_of(groups: Sequence[Group], out: Path, options: RunOptions) -> tuple[int, list[Group]]:
    """Return how many cells are done, and the unfinished groups with their missing cells."""
    n_done, todo = 0, []
    for group in groups:
        missing = store.missing(out, group.tasks, predictions=options.predictions)
        n_done += len(group.tasks) - len(missing)
        if not options.retry_crashed:
            missing = [task for task in missing if not _crashed(out, task)]
        # If the file of a poison set was lost, make it again, even if all its cells are done.
        some_done = len(missing) < len(group.tasks)
        lost = some_done and not store.has_poison(out, group)
        if missing or (lost and not all(_crashed(out, task) for task in group.tasks)):
            todo.append(replace(group, tasks=tuple(missing)))
    return n_done, todo


def _crashed(out: Path, task: Task) -> bool:
    return bool((store.read_failure(out, task.id) or {}).get("crashed"))


def _results(
    work: list[Job], n_processes: int, dask: AbstractContextManager[Client] | None
) -> Generator[Result, None, None]:
    """Run the groups, and yield the result of :func:`run_group` for each as soon as it ends."""
    if dask is not None and work:
        yield from _on_dask(work, dask)
    elif n_processes == 0:
        for job in work:
            yield run_group(job)
    elif n_processes == 1 or len(work) <= 1:
        yield from _one_by_one(work)
    else:
        yield from _at_once(work, n_processes)


def _at_once(work: list[Job], n_processes: int) -> Iterator[Result]:
    """Run groups on several processes."""
    suspects: list[Job] = []
    try:
        while work:
            ended = set()
            try:
                for result in _parallel(work, n_processes):
                    ended.add(result[0])
                    yield result
                break
            except TerminatedWorkerError:
                # A process was killed, and joblib then stopped the others.  They were computing
                # the first groups that have not ended.
                work = [job for job in work if job.group.id not in ended]
                log.info("a process was killed; continuing with %d groups", len(work))
                suspects += work[:n_processes]
                work = work[n_processes:]
    except BaseException:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise
    yield from _one_by_one(suspects)


def _on_dask(work: list[Job], dask: AbstractContextManager[Client]) -> Iterator[Result]:
    """Run groups on a Dask cluster; repeat here those whose workers were always killed."""
    suspects = []
    with dask as client:
        dask_cluster.check_sight(client, work[0].out)
        for job, result in dask_cluster.results(client, run_group, work):
            if result is None:
                suspects.append(job)
            else:
                yield result
    yield from _one_by_one(suspects)


def _parallel(work: list[Job], n_processes: int) -> Iterable[Result]:
    parallel = Parallel(
        n_jobs=n_processes,
        batch_size=1,
        pre_dispatch="n_jobs",
        return_as="generator_unordered",
        initializer=serve,
        initargs=(os.getpid(),),
    )
    loky_tracker.ensure_running()  # starting it later would unblock the signals blocked below
    with ignoring_interrupts():
        results: Iterable[Result] = parallel(delayed(run_group)(job) for job in work)
    return results


def _one_by_one(work: list[Job]) -> Iterator[Result]:
    """Run groups one after the other in a separate process; record the cells that kill it."""
    kills: Counter[str | None] = Counter()
    while work:
        death, ended = None, set()
        for news in own_process.results(run_group, work):
            if isinstance(news, own_process.Death):
                death = news
            else:
                ended.add(news[0])
                yield news
        work = [job for job in work if job.group.id not in ended]
        if death is None or not work:
            return
        kills[death.at] += 1
        if ended:
            kills[None] = 0
        log.info("%s", death.reason)
        most = MOST_STARTS if death.at is None else MOST_KILLS
        if death.may_be_from_outside and kills[death.at] < most:
            continue
        group, out = work[0].group, work[0].out
        # The process was computing a cell, or the poison set that all cells need.
        culprits = [task for task in group.tasks if death.at in (task.id, group.id)]
        if not culprits:
            raise OSError(f"worker processes do not start: {death.reason}")
        failure = {"error": death.reason, "traceback": "", "crashed": True}
        for task in culprits:
            store.write_failure(out, task.id, failure)
        left = tuple(task for task in group.tasks if task not in culprits)
        work[:1] = [replace(work[0], group=replace(group, tasks=left))] if left else []
        yield group.id, 0, len(culprits)
