"""Measure defenses against attacks: error, what they keep of the poison, and what they cost.

    python tests/benchmarks/defenses.py --defense none trim itrim --seeds 400-409
    python tests/benchmarks/defenses.py --defense '{name: trim, start: random}' --model ols

Data sets are those of the catalogue (``--data-dir`` says where their files lie).  Poison sets are
made once and kept below ``--cache``, so that another defense meets the same rows.  Seconds are CPU
seconds on one thread, in units of one scikit-learn ``Ridge.fit`` on the rows that the defense got.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import yaml
from sklearn.linear_model import Ridge

from poisonbench import pipeline, store
from poisonbench.config import load
from poisonbench.plan import make
from poisonbench.problem import Sample
from poisonbench.work import Group, Task

ATTACKS = (
    "{name: optp, outer_objective: validation}",
    "{name: optp, outer_objective: training}",
    "bgd",
    "statp",
    "{name: coordinate, outer_objective: validation}",
    "{name: coordinate, outer_objective: training}",
)
TABLE = ["dataset", "attack", "rate", "defense"]


def main() -> None:
    """Read the arguments, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", nargs="+", default=["house", "health"])
    parser.add_argument("--model", nargs="+", default=["{name: ridge, alpha: 0.1}"])
    parser.add_argument("--attack", nargs="+", default=list(ATTACKS))
    parser.add_argument("--rate", nargs="+", type=float, default=[0.2], help="p/n")
    parser.add_argument("--defense", nargs="+", default=["none", "oracle", "trim"])
    parser.add_argument("--seeds", default="400-409", help="first-last")
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "poison-sets")
    parser.add_argument("--output", type=Path, help="CSV file with a row for each fit")
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    for row in measured(arguments):
        found.append(row)
        if arguments.output:  # after each one, for it may take hours
            pd.DataFrame(found).to_csv(arguments.output, index=False)
    rows = pd.DataFrame(found)
    with pd.option_context("display.width", 200, "display.max_rows", None):
        print(summary(rows).to_string(float_format=lambda value: f"{value:.4g}"))


def measured(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row for each seed, attack, rate, model and defense."""
    first, _, last = arguments.seeds.partition("-")
    words = {
        "dataset": arguments.dataset,
        "model": [yaml.safe_load(model) for model in arguments.model],
        "attack": [yaml.safe_load(attack) for attack in arguments.attack],
        "poisoning_rate": arguments.rate,
        "defense": [yaml.safe_load(defense) for defense in arguments.defense],
        "seeds": list(range(int(first), int(last or first) + 1)),
        "split": {"train": arguments.train, "validation": 250, "test": 500},
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "benchmark.yaml"
        config.write_text(yaml.safe_dump(words))
        plan = make(load(config), arguments.data_dir)
    labels = {row.cell: row.labels for row in plan.rows}
    for group in plan.groups:
        dataset = plan.datasets[group.data]
        made = store.read_poison(arguments.cache, group)
        stage = pipeline.stage(group, dataset, made)
        if made is None:
            store.write_poison(arguments.cache, group, stage.setting, stage.made)
        unit = ridge_seconds(stage.rows)
        for task in group.tasks:
            label = labels[task.id]
            yield {
                "dataset": label.dataset,
                "seed": group.seed,
                "attack": " ".join(filter(None, (group.attack.label, label.outer_objective))),
                "rate": label.poisoning_rate,
                "defense": f"{group.model.name} {task.defense.label}",
                **one(stage, group, task, unit),
            }


def one(stage: pipeline.Stage, group: Group, task: Task, unit: float) -> dict[str, Any]:
    """Return what one defense did; a defense that raises has no numbers but the message."""
    alone = replace(stage, group=replace(group, tasks=(task,)))
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            numbers, _ = pipeline.measure(alone, task)
    except ValueError as error:
        return {"failed": str(error)}
    return {
        "test_mse": numbers.test_mse,
        "clean_mse": numbers.test_mse_clean,
        "ratio": numbers.ratio_to_clean,
        "poison_kept": numbers.poison_kept,
        "assumed": numbers.n_poison_assumed,
        "true": numbers.n_poison,
        "ridge_fits": (time.process_time() - start) / unit,
        "failed": "",
    }


def ridge_seconds(rows: Sample) -> float:
    """Return the median CPU time of scikit-learn's ridge on these rows."""
    seconds = []
    for _ in range(7):
        start = time.process_time()
        Ridge(alpha=0.1).fit(rows.X, rows.y)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over seeds, with the worst seed beside them."""
    grouped = rows.groupby(TABLE, sort=False)
    return pd.DataFrame(
        {
            "mse": grouped["test_mse"].median(),
            "clean": grouped["clean_mse"].median(),
            "ratio": grouped["ratio"].median(),
            "worst": grouped["ratio"].max(),
            "kept": grouped["poison_kept"].mean(),
            "kept_max": grouped["poison_kept"].max(),
            "assumed": grouped["assumed"].median(),
            "off": (rows["assumed"] - rows["true"]).abs().groupby([rows[c] for c in TABLE]).max(),
            "ridge_fits": grouped["ridge_fits"].median(),
            "failed": grouped["failed"].agg(lambda texts: (texts != "").sum()),
        }
    )


if __name__ == "__main__":
    main()
