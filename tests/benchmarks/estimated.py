"""Measure what ``n_poison: estimated`` assumes, against the true number of poison rows.

    python tests/benchmarks/estimated.py --data-dir datasets

measures every attack at three rates on four data sets, with ten seeds, and writes the page
results/reference/estimated-p.md and its numbers, estimated-p.csv.  Lines that the CSV file already
has are not measured again; run the same command again to resume, or with more ``--seeds``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from poisonbench import metrics, pipeline
from poisonbench.config import load
from poisonbench.data.base import Dataset
from poisonbench.defenses import ITRIMRegressor, TRIMRegressor
from poisonbench.pipeline import Stage
from poisonbench.plan.groups import Group
from poisonbench.plan.make import make_plan

SIZES = {"train": 300, "validation": 250, "test": 500}
DATASETS: dict[str, tuple[Any, Any]] = {
    "diabetes": ("diabetes", "thirds"),
    "synthetic": ({"name": "synthetic", "n": 1050, "groups": [4, 8]}, SIZES),
    "house": ("house", SIZES),
    "health": ("health", SIZES),
}
"""For each data set, what a config says about it and its split."""

ATTACKS: tuple[Any, ...] = (
    {"name": "optp", "outer_objective": "validation"},
    "bgd",
    "statp",
    {"name": "coordinate", "outer_objective": "validation"},
    {"name": "coordinate", "outer_objective": "training"},
    {"name": "subpopulation", "shift": [0.2, 0.4, 0.9]},
    "sever",
)
RATES = (0.04, 0.12, 0.2)
FIRST_SEED = 600
"""The estimator was chosen on the seeds 500 to 502."""

ESTIMATES = ("estimated", "itrim", "absolute")
"""What estimates: n_poison: estimated, iTRIM, and iTRIM with the threshold of its paper."""

KEY = ["dataset", "attack", "rate", "seed"]

PAGE = Path(__file__).resolve().parents[2] / "results" / "reference" / "estimated-p.md"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def main() -> None:
    """Measure what is missing, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help="where the files of house and health lie")
    parser.add_argument("--dataset", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds")
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file with the tables")
    arguments = parser.parse_args()
    records = arguments.page.with_suffix(".csv")
    for name in arguments.dataset:
        measure(name, range(arguments.first_seed, arguments.first_seed + arguments.seeds),
                arguments.data_dir, records)  # fmt: skip
    tables = markdown(read(records))
    if arguments.page.exists():
        before, _, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        tables = f"{before}{BEGIN}\n\n{tables}\n{END}{after}"
    arguments.page.write_text(tables, encoding="utf-8")


def read(path: Path) -> pd.DataFrame:
    """Return the lines of a file."""
    return pd.read_csv(path, keep_default_na=False)


def measure(name: str, seeds: range, data_dir: Path | None, records: Path) -> None:
    """Append a line for each poison set of a data set that the file lacks."""
    dataset, split = DATASETS[name]
    words = {
        "dataset": dataset,
        "split": split,
        "model": {"name": "ridge", "alpha": 0.1},
        "attack": list(ATTACKS),
        "poisoning_rate": [0, *RATES],
        "seeds": list(seeds),
        "ceiling": "off",
    }
    plan = make_plan(load(words), data_dir)
    labels = {row.cell: row.labels for row in plan.rows}
    known = set()
    if records.exists():
        known = set(read(records)[KEY].itertuples(index=False, name=None))
    for group in tqdm(plan.groups, desc=name, disable=None):
        label = labels[group.tasks[0].id]
        attack = group.attack.label
        if "outer_objective" in group.attack.parameters:
            attack += f" {label.outer_objective}"
        rate = label.poisoning_rate if group.n_poison else 0.0
        key = (name, attack if group.n_poison else "clean", rate, group.seed)
        if key not in known:
            line = dict(zip(KEY, key, strict=True)) | estimates(group, plan.datasets[group.data])
            frame = pd.DataFrame([line])
            header = not records.exists()
            frame.to_csv(records, mode="a", header=header, index=False, float_format="%.4g")


def estimates(group: Group, dataset: Dataset) -> dict[str, float]:
    """Return the true and the assumed numbers, and TRIM's error ratio when told each."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stage = pipeline.stage(group, dataset)
        model = clone(stage.undefended["clean"])
        X, y = stage.rows.X, stage.rows.y
        told = TRIMRegressor(model, n_poison=group.n_poison, random_state=group.seed)
        found: dict[str, float] = {
            "n_rows": len(y),
            "n_poison": group.n_poison,
            "ratio_none": ratio(stage, stage.undefended["clean"]),
            "ratio_told": ratio(stage, told.fit(X, y)),
        }
        for name, defense in (
            ("estimated", TRIMRegressor(model, contamination="auto", random_state=group.seed)),
            ("itrim", ITRIMRegressor(model, random_state=group.seed)),
            ("absolute", ITRIMRegressor(model, criterion="absolute", random_state=group.seed)),
        ):
            defense.fit(X, y)
            found[name], found[f"ratio_{name}"] = defense.n_poison_, ratio(stage, defense)
    return found


def ratio(stage: Stage, model: Any) -> float:
    """Return the test MSE of a model divided by that of the learner on the clean rows."""
    test = stage.setting.test
    error, clean = (metrics.mean_squared_error(test.y, one.predict(test.X))
                    for one in (model, stage.clean))  # fmt: skip
    return error / clean


def markdown(records: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    poisoned = records[records["n_poison"] > 0]
    return "\n".join([*overview(records), *numbers(poisoned)])


def overview(records: pd.DataFrame) -> Iterator[str]:
    """Yield a table of all attacks together, by data set."""
    yield "### All attacks together"
    yield ""
    yield "| data | estimate | 0 assumed | within a quarter of p | assumed without poison | " \
          "TRIM with it | TRIM told p | no defense |"  # fmt: skip
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for dataset, rows in records.groupby("dataset", sort=False):
        bad, clean = rows[rows["n_poison"] > 0], rows[rows["n_poison"] == 0]
        for name in ESTIMATES:
            near = (bad[name] - bad["n_poison"]).abs() <= bad["n_poison"] / 4
            cells = [
                str(dataset),
                TITLES[name],
                f"{(bad[name] == 0).mean():.0%}",
                f"{near.mean():.0%}",
                f"{clean[name].median():.0f} of {clean['n_rows'].iloc[0]}",
                *(f"{geometric(bad[column]):.2f}"
                  for column in (f"ratio_{name}", "ratio_told", "ratio_none")),
            ]  # fmt: skip
            yield f"| {' | '.join(cells)} |"
    yield ""


TITLES = {
    "estimated": "`n_poison: estimated`",
    "itrim": "`itrim`",
    "absolute": "`itrim`, `criterion: absolute`",
}


def numbers(poisoned: pd.DataFrame) -> Iterator[str]:
    """Yield a table for each estimate: its median for each attack, data set and rate."""
    columns = [(dataset, rate) for dataset in poisoned["dataset"].unique() for rate in RATES]
    true = poisoned.groupby(["dataset", "rate"])["n_poison"].first()
    for name in ESTIMATES:
        yield f"### {TITLES[name]}"
        yield ""
        yield f"| attack | {' | '.join(f'{dataset} {rate:g}' for dataset, rate in columns)} |"
        yield "| --- |" + " --- |" * len(columns)
        yield f"| true p | {' | '.join(str(true[column]) for column in columns)} |"
        for attack, rows in poisoned.groupby("attack", sort=False):
            cells = []
            for dataset, rate in columns:
                found = rows[(rows["dataset"] == dataset) & (rows["rate"] == rate)][name]
                zero = (found == 0).mean()
                cells.append(f"{found.median():.0f}" + (f" ({zero:.0%})" if zero else ""))
            yield f"| {attack} | {' | '.join(cells)} |"
        yield ""


def geometric(values: pd.Series) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.log(values).mean()))


if __name__ == "__main__":
    main()
