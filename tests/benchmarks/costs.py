"""The cost of attacks, defenses and learners: the table with which ``--dry-run`` estimates times.

    python tests/benchmarks/costs.py --output results/benchmarks/costs.csv

runs the parts of the pipeline on synthetic data of several sizes, half of whose columns are
one-hot, in one process with one BLAS thread.  A line of ``--output`` is one part at one size: its
CPU seconds, those of a ridge fit, and the largest amount of memory that it allocates at a time.
The same command resumes an interrupted one.  At the end, it fits a power law in n, d and p to the
times of each part, and a linear function of the sizes of its arrays to its memory, and writes
``poisonbench/plan/costs.csv``, or ``--table``.  For each part, it prints the factor to within which
nine in ten of the times are right.  It takes an hour.

    python tests/benchmarks/costs.py --check configs/quickstart.yaml --data-dir datasets

compares the estimate for a config with the measured CPU seconds, group by group.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from poisonbench import cache, pipeline, registry
from poisonbench.certificates.cell_ceilings import CeilingTask
from poisonbench.config import load
from poisonbench.execution.estimate import estimate
from poisonbench.execution.group import Job, run_group
from poisonbench.output import store
from poisonbench.plan import costs
from poisonbench.plan.make import make_plan

ROWS = (100, 400, 1600, 6400)
COLUMNS = {8: (4, [4]), 40: (20, [5, 5, 10]), 200: (60, [20] * 7)}
"""Numeric columns and one-hot groups, by the number of columns that they make."""

RATES = (0.05, 0.2)

MODELS = ("ridge", "lasso")
"""The learners.  OLS counts as ridge, and elastic net as LASSO."""

ATTACKS: list[Any] = [
    "statp",
    "bgd",
    "optp",
    {"name": "optp", "best_of": True},
    *({"name": "coordinate", "preset": preset} for preset in ("standard", "fast", "strong")),
    "subpopulation",
    "sever",
    "adaptive",
    "auto",
]

DEFENSES: list[Any] = [
    *registry.components("defense"),
    {"name": "trim", "start": "random"},
    {"name": "sanitizer", "score": "knn"},
]

LONGEST = 8.0
"""Seconds of a part beyond which it is not measured at larger sizes."""

CASE = ["kind", "name", "parameters", "model"]
SIZE = ["n", "d", "p"]


def parts(model: str, n: int, d: int, rate: float) -> Iterator[tuple[list[Any], Callable[[], Any]]]:
    """Yield the parts of the pipeline at one size: its columns of :data:`CASE`, and a call."""
    numeric, groups = COLUMNS[d]
    config = {
        "dataset": {"name": "synthetic", "n": 2 * n + 100, "d": numeric, "groups": groups,
                    "informative": numeric // 2, "correlation": 0.3},
        "model": model,
        "attack": ATTACKS,
        "poisoning_rate": rate,
        "split": {"train": n, "validation": n, "test": 100},
        "defense": DEFENSES,
        "seeds": 1,
    }  # fmt: skip
    plan = make_plan(load(config), force=True)
    first = plan.groups[0]  # statp, whose poison the defenses meet
    data = plan.datasets[first.data]
    setting = pipeline.prepare(first, data)
    train = setting.train
    clean = pipeline.learner(first.model, train, setting, first.seed)
    stage = pipeline.stage(first, data)
    task = first.tasks[0]
    fits = pipeline.repeated(stage, task)
    pipeline.own_clean_mse(stage, task)

    def select() -> None:
        cache._kept.clear()
        pipeline.learner(first.model, train, setting, first.seed)

    yield ["model", model, "", model], lambda: clone(clean).fit(train.X, train.y)
    yield ["selection", model, "", model], select
    yield ["group", "prepare", "", model], lambda: pipeline.prepare(first, data)
    yield ["cell", "measure", "", model], lambda: pipeline.measure(stage, task, fits)
    for name in ("training", "validation", "test"):
        ceiling = CeilingTask(name, setting, clean, first.n_poison)
        yield ["ceiling", name, "", model], ceiling.compute
    for group, case in zip(plan.groups, ATTACKS, strict=True):
        yield (["attack", *written(case), model],
               lambda group=group: pipeline.attack(group, setting, clean, data))  # fmt: skip
    for task, case in zip(first.tasks, DEFENSES, strict=True):
        yield ["defense", *written(case), model], lambda task=task: pipeline.defended(stage, task)


def written(case: Any) -> tuple[str, str]:
    """Return the name and the parameters of a component, as the table has them."""
    if isinstance(case, str):
        return case, ""
    return case["name"], ";".join(f"{key}={value}" for key, value in case.items() if key != "name")


def measured(path: Path, models: list[str], only: list[str] | None) -> pd.DataFrame:
    """Return the measurements in a file, after making those that it lacks.

    If `only` is not None, it has the names of the components to measure.
    """
    columns = [*CASE, *SIZE, "fit", "seconds", "bytes"]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(columns) + "\n")
    known = pd.read_csv(path, keep_default_na=False, na_values={"bytes": [""]})
    done = {tuple(map(str, row)) for row in known[[*CASE, *SIZE]].itertuples(index=False)}
    slowest = known.groupby(CASE)["seconds"].max().to_dict()
    sizes = sorted(((n, d) for n in ROWS for d in COLUMNS), key=lambda size: size[0] * size[1])
    with path.open("a") as file, threadpool_limits(1):
        for model in models:
            for n, d, rate in ((n, d, rate) for n, d in sizes for rate in RATES):
                size = [n, d, round(rate * n)]
                for case, call in parts(model, n, d, rate):
                    if only is not None and case[1] not in only:
                        continue
                    small = costs.is_small(case[-1], costs.Shape(*size))
                    key = (*case[:2], case[2], case[3])
                    if tuple(map(str, [*case, *size])) in done:
                        continue
                    if case[1] == "coordinate":
                        key = (*key, small)
                    if slowest.get(key, 0.0) > LONGEST:
                        continue
                    try:
                        if key not in slowest:
                            call()  # compiles, or loads, what it computes with
                        seconds, peak = cost_of(call, memory=rate == max(RATES))
                    except ValueError as error:  # no ceiling, too few rows for a defense
                        print(*case, *size, error)
                        continue
                    slowest[key] = max(seconds, slowest.get(key, 0.0))
                    row = [*case, *size, costs.ridge_seconds(n, d), seconds, peak]
                    file.write(",".join(map(str, row)) + "\n")
                    file.flush()
                print(model, *size, f"{time.process_time():.0f} s", flush=True)
    return pd.read_csv(path, keep_default_na=False, na_values={"bytes": [""]})


def cost_of(call: Callable[[], Any], *, memory: bool) -> tuple[float, int | str]:
    """Return the CPU seconds of a call, the least of three if it is short, and its peak memory."""
    found = []
    for _ in range(3):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
        if found[0] > 0.5:
            break
    if not memory or found[0] > 2:
        return min(found), ""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(found), peak


def fitted(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the table: a line for each case."""
    is_climb = runs["name"] == "coordinate"
    small = [str(costs.is_small(row.model, costs.Shape(row.n, row.d, row.p)))
             for row in runs.itertuples()]  # fmt: skip
    runs["parameters"] = np.where(is_climb, runs["parameters"] + ";small=" + small,
                                  runs["parameters"])  # fmt: skip
    lines = []
    for case, group in runs.groupby(CASE, sort=False):
        sizes = group[SIZE].to_numpy(float)
        times = (group["seconds"] / group["fit"]).to_numpy()
        logs = np.log(sizes / costs.REFERENCE)
        # A little shrinkage: exponents that few sizes do not determine are 0.
        design = np.column_stack([np.ones(len(logs)), logs])
        pull = np.diag([0, 0.3, 0.3, 0.3])
        weights = np.linalg.solve(design.T @ design + pull, design.T @ np.log(times))
        spread = np.exp(np.quantile(np.abs(design @ weights - np.log(times)), 0.9))
        held = group.dropna(subset="bytes")
        N, d = (held["n"] + held["p"]).to_numpy(float), held["d"].to_numpy(float)
        bytes_ = held["bytes"].to_numpy(float)
        terms = 8 * np.column_stack([N, N * d, d**2]) / bytes_[:, None]
        memory = nnls(terms, np.ones(len(held)))[0] if len(held) else np.zeros(3)
        lines.append([*case, np.exp(weights[0]), *weights[1:], *memory, spread])
    columns = [*CASE, "fits", *SIZE, "per_row", "per_value", "per_pair", "spread"]
    return pd.DataFrame(lines, columns=columns)


def checked(config: Path, words: list[str], data_dir: Path | None) -> None:
    """Print what the groups of a config take beside the estimate, in CPU seconds.

    With more than one seed, print also the estimate for the others from the cells of the first, and
    what they took, in seconds of wall time, as these are what finished cells have.
    """
    plan = make_plan(load(config, words, sweep=None), data_dir)
    groups = sorted(plan.groups, key=lambda group: group.seed)
    others = [group for group in groups if group.seed != groups[0].seed]
    lines, taken, from_first = [], 0.0, 0.0
    with TemporaryDirectory() as name:
        out = Path(name)
        expected = estimate(plan, groups, out, 1)
        store.open_folder(out, plan)
        for group in groups:
            if others and group is others[0]:
                from_first = sum(estimate(plan, others, out, 1).seconds.values())
            start, cpu = time.perf_counter(), time.process_time()
            run_group(Job(group, plan.datasets[group.data], out))
            taken += (time.perf_counter() - start) * (group.seed != groups[0].seed)
            label = f"{plan.datasets[group.data].name} {group.model.label} {group.attack.title}"
            seconds = time.process_time() - cpu
            lines.append([label, len(group.tasks), expected.seconds[group.id], seconds])
    columns = ["groups", "cells", "estimated", "measured"]
    table = pd.DataFrame(lines, columns=columns).groupby("groups", sort=False).sum()
    table.loc["in all"] = table.sum()
    table["measured / estimated"] = table["measured"] / table["estimated"]
    print(table.to_string(float_format="%.3g"))
    if others:
        print(f"the other seeds by the first: {from_first:.3g} s estimated, {taken:.3g} s measured")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    estimated = sum(expected.memory.values()) / 2**20
    print(f"memory: {estimated:.0f} MB estimated, {peak:.0f} MB measured")


def main() -> None:
    """Measure, fit and write the table; or check an estimate."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, formatter_class=raw)
    add = parser.add_argument
    add("--output", type=Path, default=Path("results/benchmarks/costs.csv"), metavar="FILE")
    add("--models", nargs="+", default=MODELS, choices=MODELS)
    add("--only", nargs="+", metavar="NAME",
        help="measure these components, and keep the other lines of the table")  # fmt: skip
    add("--table", type=Path, default=costs.TABLE, metavar="FILE")
    add("--check", nargs="+", metavar="CONFIG", help="a config, and words of a sweep")
    add("--data-dir", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.check:
        checked(Path(options.check[0]), options.check[1:], options.data_dir)
        return
    table = fitted(measured(options.output, options.models, options.only))
    print(table[[*CASE, "fits", *SIZE, "spread"]].to_string(index=False, float_format="%.3g"))
    table = table.drop(columns="spread")
    if options.only is not None:
        kept = pd.read_csv(options.table, keep_default_na=False)
        table = pd.concat([kept[~kept["name"].isin(options.only)], table])
    table.to_csv(options.table, index=False, float_format="%.3g", lineterminator="\n")


if __name__ == "__main__":
    main()
