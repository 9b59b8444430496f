"""Defenses against attacks: their errors, the poison rows that they keep, and their cost.

    python tests/benchmarks/defenses.py --data-dir datasets --tables results/reference/defenses.md

measures every defense against every attack at three rates on `house` and `health`, and writes the
tables; README.md in this folder explains them.  At the highest rate and without poison, each
defense is fitted several times to the same rows, with other random numbers.  Use arguments to
measure less:

    python tests/benchmarks/defenses.py --defense none trim itrim --rate 0.2 --seeds 400-402
    python tests/benchmarks/defenses.py --defense '{name: trim, start: random}' --model ols

Every defense on a poison set is a line of ``--output``, written as soon as all are done with it.
The same command resumes an interrupted one.  Poison sets are kept in ``--cache``, so that further
defenses get the same rows.  Remove files of another version of the code first.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import yaml
from defense_tables import CASE, markdown, summary
from joblib import Parallel, delayed
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from poisonbench import metrics, pipeline, registry
from poisonbench.config import load
from poisonbench.data.base import Dataset
from poisonbench.output import store
from poisonbench.plan.groups import Group, Plan
from poisonbench.plan.make import make_plan
from poisonbench.problem import Sample

ATTACKS = (
    "none",
    "{name: optp, outer_objective: validation}",
    "{name: optp, outer_objective: training}",
    "bgd",
    "statp",
    "{name: coordinate, outer_objective: validation}",
    "{name: coordinate, outer_objective: training}",
    "{name: subpopulation, shift: 0.2}",
    "{name: subpopulation, shift: 0.4}",
    "{name: subpopulation, shift: 0.9}",
    "sever",
    "adaptive",
)
REFERENCE = ("none", "median", "heavy-ridge")
KEY = [*CASE, "seed", "repetitions"]
MEASURES = ["test_mse", "ratio", "largest_ratio", "spread", "poison_kept", "n_poison", "assumed",
            "ridge_fits"]  # fmt: skip


def main() -> None:
    """Measure, print a table, and write the files asked for."""
    parser = command()
    arguments = parser.parse_args()
    numbers = arguments.tables and arguments.tables.with_suffix(".csv")
    if numbers == arguments.output:
        parser.error(f"--tables would write its numbers to {numbers}, which is --output")
    plan = planned(arguments)
    rates = arguments.adaptive_rates or [max(arguments.rate)]
    jobs = list(work(plan, arguments.adaptive_seeds, rates))
    done = set()
    if arguments.output.exists():
        done = set(read(arguments.output)[KEY].itertuples(index=False, name=None))
    missing = [job for job in jobs if not {tuple(line[key] for key in KEY) for line in job.lines}
               <= done]  # fmt: skip
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    found = Parallel(n_jobs=arguments.jobs, return_as="generator_unordered", batch_size=1)(
        delayed(measured)(job, plan.datasets[job.group.data], arguments.cache) for job in missing
    )
    for lines in tqdm(found, total=len(missing), unit="poison set", disable=None):
        new = not arguments.output.exists()
        pd.DataFrame(lines).to_csv(arguments.output, mode="a", index=False, header=new)
    asked = pd.DataFrame([line for job in jobs for line in job.lines])[KEY]
    rows = asked.merge(read(arguments.output).drop_duplicates(KEY, keep="last"), on=KEY)
    table = summary(rows)
    if numbers:
        arguments.tables.parent.mkdir(parents=True, exist_ok=True)
        arguments.tables.write_text(markdown(table), encoding="utf-8")
        table.to_csv(numbers, float_format="%.4g")
    else:
        with pd.option_context("display.width", 200, "display.max_rows", None):
            print(table.to_string(float_format=lambda value: f"{value:.4g}"))


def read(path: Path) -> pd.DataFrame:
    """Return the lines of a file, in which `none` is a name."""
    return pd.read_csv(path, keep_default_na=False, na_values=dict.fromkeys(MEASURES, ""))


def command() -> argparse.ArgumentParser:
    """Return the command line; data sets, models, attacks and defenses as in a config."""
    every = [*REFERENCE, *registry.components("defense")]
    temporary = Path(tempfile.gettempdir()) / "poisonbench-defenses"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, load_yaml = parser.add_argument, yaml.safe_load
    add("--dataset", nargs="+", type=load_yaml, default=["house", "health"])
    add("--model", nargs="+", type=load_yaml, default=[{"name": "ridge", "alpha": 0.1}])
    add("--attack", nargs="+", type=load_yaml, default=[load_yaml(text) for text in ATTACKS],
        help="adaptive is tuned to each defense, which alone meets it"
        )  # fmt: skip
    add("--rate", nargs="+", type=float, default=[0.04, 0.12, 0.2], help="p/n")
    add("--defense", nargs="+", type=load_yaml, default=every)
    add("--seeds", default="400-419", help="first-last")
    add(
        "--repetitions",
        type=int,
        default=5,
        help="fits of each defense to the same rows, at the highest rate and without poison",
    )
    add("--adaptive-seeds", type=int, default=3, help="how many of them adaptive has")
    add("--adaptive-rates", nargs="+", type=float, help="its rates; if not given, the highest")
    add("--train", type=int, default=300, help="clean training rows")
    add("--data-dir", type=Path, help="where the files of house and health lie")
    add("--jobs", type=int, default=1, help="processes")
    add("--cache", type=Path, default=temporary, help="folder for poison sets")
    add(
        "--output",
        type=Path,
        default=temporary / "fits.csv",
        help="CSV file: a line for each defense on each poison set",
    )
    add("--tables", type=Path, help="Markdown file for tables; their numbers go to a .csv beside")
    return parser


def planned(arguments: argparse.Namespace) -> Plan:
    """Return the plan of the config that the arguments amount to."""
    first, _, last = arguments.seeds.partition("-")
    attacks: list[Any] = [attack for attack in arguments.attack if attack != "adaptive"]
    if len(attacks) < len(arguments.attack):
        names = [entry if isinstance(entry, str) else entry["name"] for entry in arguments.defense]
        broken = [name for name in dict.fromkeys(names) if name in registry.components("defense")]
        attacks.append({"name": "adaptive", "defense": broken})
    words = {
        "dataset": arguments.dataset,
        "model": arguments.model,
        "attack": attacks,
        "poisoning_rate": arguments.rate,
        "defense": arguments.defense,
        "seeds": list(range(int(first), int(last or first) + 1)),
        "repetitions": arguments.repetitions,
        "split": {"train": arguments.train, "validation": 250, "test": 500},
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "benchmark.yaml"
        config.write_text(yaml.safe_dump(words))
        return make_plan(load(config), arguments.data_dir)


@dataclass(frozen=True)
class Job:
    """A poison set with the defenses that meet it, and for each the labels of its line."""

    group: Group
    lines: tuple[dict[str, Any], ...]


def work(plan: Plan, adaptive_seeds: int, adaptive_rates: list[float]) -> Iterator[Job]:
    """Yield what is to be done.

    Defenses are fitted several times to the same rows at the highest rate and without poison, else
    once, because this takes most of the time.  `adaptive`, which costs dozens of fits of its
    defense, is done at its own rates only, for the first few seeds, and before its own defense.
    """
    labels = {row.cell: row.labels for row in plan.rows}
    seeds = sorted({group.seed for group in plan.groups})[:adaptive_seeds]
    highest = max(group.n_poison for group in plan.groups)
    for group in plan.groups:
        adaptive, tasks = group.attack.name == "adaptive" and group.n_poison > 0, group.tasks
        rate = labels[tasks[0].id].poisoning_rate
        if adaptive and (rate not in adaptive_rates or group.seed not in seeds):
            continue
        if adaptive:
            broken = group.attack.parameters["defense"]
            tasks = tuple(task for task in tasks if task.defense.name == broken)
        if 0 < group.n_poison < highest:
            tasks = tuple(replace(task, repetitions=1) for task in tasks)
        lines = []
        for task in tasks:
            label = labels[task.id]
            attack = group.attack.label
            if "outer_objective" in group.attack.parameters:
                attack += f" {label.outer_objective}"
            lines.append(
                {
                    "dataset": label.dataset,
                    "model": group.model.label,
                    "attack": "adaptive" if adaptive else attack if group.n_poison else "clean",
                    "rate": label.poisoning_rate if group.n_poison else 0.0,
                    "defense": task.defense.label,
                    "seed": group.seed,
                    "repetitions": task.repetitions,
                }
            )
        yield Job(replace(group, tasks=tasks), tuple(lines))


def measured(job: Job, dataset: Dataset, cache: Path) -> list[dict[str, Any]]:
    """Return the lines of a job with what was measured; a failure has its message only."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = store.read_poison(cache, job.group)
        stage = pipeline.stage(job.group, dataset, made)
        if made is None:
            store.write_poison(cache, job.group, stage.setting, stage.made)
        test, unit = stage.setting.test, ridge_seconds(stage.rows)
        clean = metrics.mean_squared_error(test.y, stage.clean.predict(test.X))
        lines = []
        for task, labels in zip(job.group.tasks, job.lines, strict=True):
            line = {**labels, **dict.fromkeys(MEASURES, np.nan), "failed": ""}
            lines.append(line)
            start = time.process_time()
            try:
                fits = pipeline.repeated(stage, task)
            except ValueError as error:
                line["failed"] = str(error)
                continue
            seconds = (time.process_time() - start) / task.repetitions
            model = fits.middle.model
            removal = metrics.removal(fits.middle.kept, stage.is_poison)
            line |= {
                "test_mse": fits.median,
                "ratio": fits.median / clean,
                "largest_ratio": fits.test_mse[-1] / clean,
                "spread": fits.test_mse[-1] / fits.test_mse[0],
                "poison_kept": removal["poison_kept"],
                "n_poison": job.group.n_poison,
                "assumed": getattr(model, "n_poison_", task.n_poison_assumed),
                "ridge_fits": seconds / unit,
            }
        return lines


def ridge_seconds(rows: Sample) -> float:
    """Return the median CPU time of scikit-learn's ridge on these rows."""
    seconds = []
    for _ in range(7):
        start = time.process_time()
        Ridge(alpha=0.1).fit(rows.X, rows.y)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
