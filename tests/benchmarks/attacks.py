"""The cost of the attacks and the objectives that they reach; see README.md in this folder.

Every attack runs in poisonbench's own pipeline, on one processor and with one BLAS thread.  Its
CPU time is given as a multiple of that of scikit-learn's ``Ridge.fit`` on the same clean training
rows, fitted many times before and after the attack in the same process.  This makes it possible to
compare numbers from different machines, or from a busy machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from threadpoolctl import threadpool_limits
from tqdm import tqdm

# Nothing of poisonbench up here: which engine its attacks use is decided when they are imported.

PAPER_SPLIT = {"train": 300, "validation": 250, "test": 500}

ATTACKS = (
    "statp",
    "bgd",
    "optp",
    "{name: optp, outer_objective: training}",
    "{name: coordinate, preset: fast}",
    "coordinate",
    "{name: coordinate, preset: strong}",
    "{name: coordinate, max_distinct: 32}",
)

SYNTHETIC = (
    *("300x50x60", "3000x50x60", "30000x50x60", "300000x50x60"),
    *("3000x20x60", "3000x100x60", "3000x200x60"),
    *("3000x50x300", "3000x50x1500"),
)
"""Lines through 3000 x 50 x 60 along each of n, d and p."""

CASE = ["dataset", "n", "d", "p", "model", "attack", "engine"]
"""The columns that tell cases apart; the other ones of a run are measured."""

FITS, FIT_SECONDS = 25, 0.5
"""Ridge fits before an attack, and again after it: this many, or as many as this time allows."""


def main(arguments: list[str] | None = None) -> None:
    """Measure what the arguments ask for, print the tables and write the files."""
    parser = command()
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.engine == "both":
        runs = pd.concat([in_a_process_of_its_own(engine, options.output, arguments)
                          for engine in ("numpy", "numba")])  # fmt: skip
    else:
        runs = pd.DataFrame(measured(options, parser.error))
    runs.to_csv(options.output / "runs.csv", index=False)
    summary = summarized(runs)
    summary.to_csv(options.output / "summary.csv", index=False)
    print(summary.to_string(index=False, float_format="{:.4g}".format))
    for title, table in scaling(summary):
        print(f"\nmilliseconds against {title}\n{table.to_string(float_format='{:.4g}'.format)}")


def command() -> argparse.ArgumentParser:
    """Return the command line; its values are YAML, as a config has them."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--datasets", nargs="*", type=yaml.safe_load, default=["diabetes"], metavar="DATASET",
        help="such as house health, or {name: csv, path: FILE, target: COLUMN}")  # fmt: skip
    add("--data-dir", type=Path, help="where the files of house, health and the like lie")
    add("--split", type=yaml.safe_load, metavar="SPLIT",
        help="of --datasets; 300/250/500 rows if not given, of diabetes thirds")  # fmt: skip
    add("--rates", nargs="+", type=float, default=[0.2], metavar="RATE",
        help="poisoning rates p/n of --datasets")  # fmt: skip
    add("--synthetic", nargs="*", type=size, default=[size(text) for text in SYNTHETIC],
        metavar="NxDxP", help="synthetic data: clean training rows, columns, poison")  # fmt: skip
    add("--models", nargs="+", type=yaml.safe_load, default=[{"name": "ridge", "alpha": 0.1}],
        metavar="MODEL", help="such as {name: lasso, lambda: cv}")  # fmt: skip
    add("--attacks", nargs="+", type=yaml.safe_load, metavar="ATTACK",
        default=[yaml.safe_load(text) for text in ATTACKS],
        help="such as optp, or {name: coordinate, preset: strong}")  # fmt: skip
    add("--seeds", type=yaml.safe_load, default=10, help="such as 10, or {start: 300, count: 10}")
    add("--engine", choices=("numpy", "numba", "both"),
        help="if not given, numba where the extra `fast` is installed")  # fmt: skip
    add("--output", type=Path, default=Path("results/benchmarks"), metavar="FOLDER",
        help="for runs.csv, summary.csv, and the configs that were run")  # fmt: skip
    return parser


def size(text: str) -> tuple[int, int, int]:
    """Return n, d and p of ``NxDxP``."""
    try:
        n, d, p = map(int, text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NxDxP") from None
    return n, d, p


def in_a_process_of_its_own(engine: str, output: Path, arguments: list[str] | None) -> pd.DataFrame:
    """Measure with another engine, and return the runs."""
    given = sys.argv[1:] if arguments is None else arguments
    output = output / engine
    # What comes later wins.
    own = ["--engine", engine, "--output", str(output)]
    command = [sys.executable, __file__, *given, *own]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if code:
        sys.exit(code)
    return pd.read_csv(output / "runs.csv")


def measured(options: argparse.Namespace, refuse: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """Yield a run for each data set, model, attack, rate and seed; :data:`CASE` and measures."""
    if options.engine == "numpy":
        sys.modules["numba"] = None  # type: ignore[assignment]  # importing it fails now
    from poisonbench import config, pipeline
    from poisonbench.attacks.base import AXES
    from poisonbench.attacks.engines import climb
    from poisonbench.plan.make import make_plan

    engine = climb.engine().name
    if options.engine and options.engine != engine:
        refuse(f"the attacks compute with {engine} here, not with {options.engine}; "
               "the extra `fast` installs Numba")  # fmt: skip
    plans = []
    for name, content in configs(options):
        path = options.output / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        try:
            plans.append(make_plan(config.load(path), options.data_dir))
        except config.ConfigError as error:
            refuse(str(error))
    n_runs = sum(len(made.groups) for made in plans)
    with threadpool_limits(1), tqdm(total=n_runs, unit="run", disable=None) as bar:
        for made in plans:
            peaks: dict[tuple[Any, ...], float] = {}
            for group in made.groups:
                dataset = made.datasets[group.data]
                setting = pipeline.prepare(group, dataset)
                model = pipeline.learner(group.model, setting.train, setting, group.seed)
                axes = [str(value) for axis in AXES if (value := group.attack.parameters.get(axis))]
                case = {
                    "dataset": dataset.name,
                    "n": len(setting.train),
                    "d": setting.space.n_features,
                    "p": group.n_poison,
                    "model": group.model.label,
                    "attack": " ".join([group.attack.label, *axes]),
                    "engine": engine,
                }
                key = tuple(case.values())
                if key not in peaks:
                    peaks[key] = peak_memory(group, setting, model, dataset)
                yield {**case, **run(group, dataset, setting, model), "peak_mb": peaks[key]}
                bar.update()


def configs(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the configs to measure, with names for their files."""
    shared = {"model": options.models, "attack": options.attacks, "seeds": options.seeds}
    for number, dataset in enumerate(options.datasets):
        name = dataset if isinstance(dataset, str) else f"dataset{number}"
        split = options.split or ("thirds" if name == "diabetes" else PAPER_SPLIT)
        yield name, {"dataset": dataset, "split": split, "poisoning_rate": options.rates, **shared}
    for n, d, p in options.synthetic:
        # Half of the columns are one-hot, in groups of five, as far as that goes.
        groups = d // 10
        dataset = {
            "name": "synthetic",
            "n": n + PAPER_SPLIT["validation"] + PAPER_SPLIT["test"],
            "d": d - 5 * groups,
            "informative": min(5, d - 5 * groups),
            "groups": [5] * groups,
        }
        split = {**PAPER_SPLIT, "train": n}
        name = f"synthetic-{n}x{d}x{p}"
        yield name, {"dataset": dataset, "split": split, "poisoning_rate": p / n, **shared}


def peak_memory(group: Any, setting: Any, model: Any, dataset: Any) -> float:
    """Return what the attack allocates at most beside what was there, in MB of 10^6 bytes."""
    from poisonbench import pipeline

    pipeline.attack(
        group, setting, model, dataset
    )  # loads and compiles what is to be loaded and compiled
    tracemalloc.start()
    pipeline.attack(group, setting, model, dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def run(group: Any, dataset: Any, setting: Any, model: Any) -> dict[str, Any]:
    """Return the measures of one attack on one split."""
    from poisonbench import pipeline

    train = setting.train
    fits = ridge_fits(train.X, train.y)
    start = time.process_time()
    made = pipeline.attack(group, setting, model, dataset)
    seconds = time.process_time() - start
    fit = float(np.median(fits + ridge_fits(train.X, train.y)))
    row, _ = pipeline.measure(pipeline.stage(group, dataset, made), group.tasks[0])
    return {
        "seed": group.seed,
        "ridge_ms": 1e3 * fit,
        "attack_ms": 1e3 * seconds,
        "ridge_fits": seconds / fit,
        "rounds": made.poison.rounds,
        "objective": row.objective_final,
        "test_mse_clean": row.test_mse_clean,
        "test_mse": row.test_mse,
        "test_mse_clipped": row.test_mse_clipped,
        "test_median_se": row.test_median_se,
        "data_mb": train.X.nbytes / 1e6,
    }


def ridge_fits(X: Any, y: Any) -> list[float]:
    """Return the CPU seconds of some fits of scikit-learn's ``Ridge(alpha=0.1)``."""
    from sklearn.linear_model import Ridge

    seconds: list[float] = []
    while len(seconds) < FITS and sum(seconds) < FIT_SECONDS:
        start = time.process_time()
        Ridge(alpha=0.1).fit(X, y)
        seconds.append(time.process_time() - start)
    return seconds


def summarized(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each case: medians over the seeds, and a geometric mean."""
    runs = runs.assign(log=np.log(runs["test_mse"]))
    grouped = runs.groupby(CASE, sort=False)
    summary = grouped.agg(
        seeds=("seed", "size"),
        ridge_ms=("ridge_ms", "median"),
        attack_ms=("attack_ms", "median"),
        ridge_fits=("ridge_fits", "median"),
        objective=("objective", "median"),
        test_mse_clean=("test_mse_clean", "median"),
        test_mse=("test_mse", "median"),
        test_mse_geometric=("log", "mean"),
        test_mse_clipped=("test_mse_clipped", "median"),
        test_median_se=("test_median_se", "median"),
        peak_mb=("peak_mb", "first"),
        data_mb=("data_mb", "first"),
    )
    summary["test_mse_geometric"] = np.exp(summary["test_mse_geometric"])
    return summary.reset_index()


def scaling(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield tables of time against n, d or p, wherever only that differs between cases."""
    for axis in ("n", "d", "p"):
        others = [name for name in CASE if name not in (axis, "attack")]
        for key, part in summary.groupby(others, sort=False):
            if part[axis].nunique() > 1:
                fixed = dict(zip(others, key, strict=True))
                table = part.pivot_table(
                    index="attack", columns=axis, values="attack_ms", sort=False
                )
                table.loc["Ridge.fit"] = part.groupby(axis)["ridge_ms"].median()
                title = ", ".join(f"{name} {value}" for name, value in fixed.items())
                yield f"{axis} ({title})", table.sort_index(axis=1)


if __name__ == "__main__":
    main()
