"""The cost of the paper's grid, part by part, in CPU seconds and in multiples of plain fits.

    python tests/benchmarks/paper.py --data-dir datasets              # house, one seed
    python tests/benchmarks/paper.py --datasets house health --seeds 5 --engine numpy

The eight variants of OptP, BGD, StatP and coordinate ascent at the paper's poisoning rates, on
ridge and LASSO by cross-validation, and six defenses against each attack.  This is the computation
of ``poisonbench sweep``, in one process with one BLAS thread, without reading and writing files.  A
part is a step of the pipeline: splitting and scaling, selecting and fitting the learner, an attack,
or a defense.

For each part, data set and learner, the table has the CPU seconds, the number of times that it ran,
and the CPU seconds as a multiple of those of scikit-learn's ``Ridge.fit`` and ``Lasso.fit`` on the
clean training rows of the first seed, timed before and after.  Such multiples can be compared
between machines.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from threadpoolctl import threadpool_limits
from tqdm import tqdm

RATES = [0.04, 0.08, 0.12, 0.16, 0.2]

ATTACKS = [
    {
        "name": "optp",
        "variables": ["x", "xy"],
        "initialization": ["invflip", "bflip"],
        "outer_objective": ["training", "validation"],
    },
    "bgd",
    "statp",
    "coordinate",
]

DEFENSES = ["none", "trim", {"name": "trim", "start": "random", "restarts": 1}, "huber", "ransac",
            "roni"]  # fmt: skip

FITS = 15
"""Plain fits before the grid, and again after it."""


def main(arguments: list[str] | None = None) -> None:
    """Time the grid that the arguments ask for, print the table and write it."""
    options = command().parse_args(arguments)
    if options.engine == "numpy":
        sys.modules["numba"] = None  # type: ignore[assignment]  # importing it fails now
    options.output.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        parts = pd.DataFrame(measured(options))
    parts.to_csv(options.output / "paper-parts.csv", index=False)
    table = summarized(parts)
    table.to_csv(options.output / "paper.csv", index=False)
    print(table.to_string(index=False, float_format="{:.3g}".format))
    print(f"\nin all {parts['seconds'].sum():.1f} CPU seconds")


def command() -> argparse.ArgumentParser:
    """Return the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, formatter_class=raw)
    add = parser.add_argument
    add("--datasets", nargs="+", type=yaml.safe_load, default=["house"], metavar="DATASET")
    add("--data-dir", type=Path, help="where the files of house and health lie")
    add("--split", type=yaml.safe_load, default={"train": 300, "validation": 250, "test": 500},
        metavar="SPLIT")  # fmt: skip
    add("--models", nargs="+", type=yaml.safe_load, metavar="MODEL",
        default=[{"name": "ridge", "lambda": "cv"}, {"name": "lasso", "lambda": "cv"}])  # fmt: skip
    add("--attacks", nargs="+", type=yaml.safe_load, default=ATTACKS, metavar="ATTACK")
    add("--defenses", nargs="+", type=yaml.safe_load, default=DEFENSES, metavar="DEFENSE")
    add("--rates", nargs="+", type=float, default=RATES, metavar="RATE")
    add("--seeds", type=yaml.safe_load, default=1, help="such as 5, or {start: 300, count: 5}")
    add("--engine", choices=("numpy", "numba"), default="numba",
        help="numpy: as without the extra `fast`")  # fmt: skip
    add("--output", type=Path, default=Path("results/benchmarks"), metavar="FOLDER")
    return parser


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield each step of the pipeline with its CPU seconds."""
    from poisonbench import config, pipeline
    from poisonbench.plan.make import make_plan

    for number, dataset in enumerate(options.datasets):
        path = options.output / f"paper{number}.yaml"
        content = {
            "dataset": dataset,
            "split": options.split,
            "model": options.models,
            "attack": options.attacks,
            "poisoning_rate": options.rates,
            "defense": options.defenses,
            "seeds": options.seeds,
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        plan = make_plan(config.load(path), options.data_dir)
        first = pipeline.prepare(plan.groups[0], plan.datasets[plan.groups[0].data]).train
        load_engines(plan, pipeline)
        fits = plain_fits(first.X, first.y)
        rows = []
        for group in tqdm(plan.groups, disable=None, unit="group"):
            data = plan.datasets[group.data]
            case = {"dataset": data.name, "model": group.model.label}
            seconds, setting = timed(pipeline.prepare, group, data)
            rows.append({**case, "part": "split and scale", "seconds": seconds})
            seconds, model = timed(
                pipeline.learner, group.model, setting.train, setting, group.seed
            )
            rows.append({**case, "part": "learner", "seconds": seconds})
            seconds, made = timed(pipeline.attack, group, setting, model, data)
            rows.append({**case, "part": f"attack {group.attack.label}", "seconds": seconds})
            stage = pipeline.stage(group, data, made)
            for task in group.tasks:
                seconds, _ = timed(pipeline.measure, stage, task)
                rows.append({**case, "part": f"defense {task.defense.label}", "seconds": seconds})
        plain = {
            name: float(np.median(before + after))
            for (name, before), after in zip(
                fits.items(), plain_fits(first.X, first.y).values(), strict=True
            )
        }
        yield from ({**row, **plain} for row in rows)


def timed(action: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return the CPU seconds of a call, and what it returns."""
    start = time.process_time()
    result = action(*arguments)
    return time.process_time() - start, result


def load_engines(plan: Any, pipeline: Any) -> None:
    """Run one small attack of each learner, which loads or compiles what it computes with."""
    from dataclasses import replace

    seen = set()
    for group in plan.groups:
        key = (group.data, group.model.label, group.attack.name)
        if group.n_poison and key not in seen:
            seen.add(key)
            data = plan.datasets[group.data]
            setting = pipeline.prepare(group, data)
            model = pipeline.learner(group.model, setting.train, setting, group.seed)
            pipeline.attack(replace(group, n_poison=1), setting, model, data)


def plain_fits(X: Any, y: Any) -> dict[str, list[float]]:
    """Return the CPU seconds of some fits of scikit-learn's ``Ridge`` and ``Lasso``."""
    from sklearn.linear_model import Lasso, Ridge

    learners = {"ridge_fit": Ridge(alpha=0.1), "lasso_fit": Lasso(alpha=1e-3, tol=1e-6)}
    return {
        name: [timed(learner.fit, X, y)[0] for _ in range(FITS)]
        for name, learner in learners.items()
    }


def summarized(parts: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each part: how often it ran, seconds in all and each, and multiples."""
    table = parts.groupby(["dataset", "model", "part"], sort=False).agg(
        times=("seconds", "size"),
        seconds=("seconds", "sum"),
        mean=("seconds", "mean"),
        worst=("seconds", "max"),
        ridge_fit=("ridge_fit", "first"),
        lasso_fit=("lasso_fit", "first"),
    )
    table["ridge_fits"] = table["mean"] / table.pop("ridge_fit")
    table["lasso_fits"] = table["mean"] / table.pop("lasso_fit")
    return table.reset_index()


if __name__ == "__main__":
    main()
