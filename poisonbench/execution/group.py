"""Compute the cells of one attack group, the unit of work of a process.

The poison set is made once and stored, and each cell is stored as soon as it is done.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from poisonbench import pipeline
from poisonbench.data.base import Dataset
from poisonbench.execution import provenance
from poisonbench.execution.progress import logged
from poisonbench.output import store
from poisonbench.plan.groups import Group

Result = tuple[str, int, int]
"""Identity of a group, the number of its finished cells, and the number of its failed cells."""


@dataclass(frozen=True)
class Job:
    """One attack group, with everything that a process needs to compute it.

    Parameters
    ----------
    group : Group
        The group.
    dataset : Dataset
        Its data.
    out : Path
        The output folder.
    verbose : bool, default=False
        Whether to report the progress of the attack on stderr.
    predictions : bool, default=False
        Whether to also keep the prediction for every test row.
    """

    group: Group
    dataset: Dataset
    out: Path
    verbose: bool = False
    predictions: bool = False


def run_group(job: Job, announce: Callable[[str], None] | None = None) -> Result:
    """Compute the missing cells of one group, and its poison set if that is missing.

    Parameters
    ----------
    job : Job
        The group, its data and its folder.
    announce : callable, optional
        Called with the identity of the group before its poison set is made, and with the identity
        of each cell before it is computed.

    Returns
    -------
    id : str
        The group's identity.
    n_done, n_failed : int
        Numbers of finished and of failed cells.
    """
    announce = announce or (lambda _: None)
    group, dataset, out = job.group, job.dataset, job.out
    tasks = store.missing(out, group.tasks, predictions=job.predictions)
    start = time.perf_counter()
    # The last bits of a result depend on the number of threads, so every cell uses one thread.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        announce(group.id)
        made = store.read_poison(out, group)
        try:
            name = f"{dataset.name}, seed {group.seed}, {group.attack.title}, p = {group.n_poison}"
            with logged(name) if job.verbose else nullcontext():
                stage = pipeline.stage(group, dataset, made)
        except (Exception, SystemExit) as error:
            for task in tasks:
                store.write_failure(out, task.id, _failure(error))
            return group.id, len(group.tasks) - len(tasks), len(tasks)
        if made is None:
            store.write_poison(out, group, stage.setting, stage.made)
        stage = pipeline.with_ceilings(stage, partial(store.stored_ceiling, out, group.data))
        n_failed = 0
        from_attack = list(caught)
        for task in tasks:
            caught.clear()
            announce(task.id)
            store.forget_failure(out, task.id)
            try:
                fits = pipeline.repeated(stage, task)
                measured, timings = pipeline.measure(stage, task, fits)
                if job.predictions:
                    predictions = pipeline.predictions_on_test_rows(stage, fits.middle)
                    store.write_predictions(out, task.id, predictions)
            except (Exception, SystemExit) as error:
                store.write_failure(out, task.id, _failure(error))
                n_failed += 1
                continue
            messages = sorted({str(warning.message) for warning in (*from_attack, *caught)})
            seconds = time.perf_counter() - start  # the first cell of a group includes the attack
            start += seconds
            facts = {
                **provenance.facts(),
                "engine": stage.made.engine,
                "warnings": messages,
                "finished": time.time(),
                "seconds": seconds,
            }
            store.write_cell(out, task.id, measured, timings, facts)
    return group.id, len(group.tasks) - n_failed, n_failed


def _failure(error: BaseException) -> dict[str, str]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }
