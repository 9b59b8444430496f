"""Tables of the errors under defenses, from the measurements of ``defenses.py``."""

from __future__ import annotations

import pandas as pd

CASE = ["dataset", "model", "attack", "rate", "defense"]

HEAD = """# Defenses against attacks

Each number is the test MSE divided by that of the learner trained on the clean rows only, on the
same split. It is the median over the seeds, with the worst seed in brackets. `fits` is the CPU time
of the defense, as a multiple of that of a fit of scikit-learn's Ridge to the same rows. `adaptive`
is the attack that is tuned to the defense of its line.

`none`, `median` and `heavy-ridge` are not defenses: they are the learner on all rows, a constant,
and the learner with 100 times the penalty. The CSV file of the same name has these numbers, and
errors, shares of the poison rows kept, and assumed numbers of poison rows.
`tests/benchmarks/defenses.py` writes both files.
"""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over seeds, with the worst seed beside them, for each :data:`CASE`."""
    rows = rows.assign(off=(rows["assumed"] - rows["n_poison"]).abs())
    return rows.groupby(CASE, sort=False).agg(
        seeds=("seed", "size"),
        mse=("test_mse", "median"),
        ratio=("ratio", "median"),
        worst=("ratio", "max"),
        kept=("poison_kept", "mean"),
        kept_max=("poison_kept", "max"),
        assumed=("assumed", "median"),
        off=("off", "max"),
        ridge_fits=("ridge_fits", "median"),
        failed=("failed", lambda texts: int((texts != "").sum())),
    )


def markdown(table: pd.DataFrame) -> str:
    """Return the page: for each data set and learner the worst attacks, then all by rate."""
    parts = [HEAD]
    for (dataset, model), part in table.reset_index().groupby(["dataset", "model"], sort=False):
        clean, poisoned = part[part["rate"] == 0], part[part["rate"] > 0]
        unaware = poisoned[poisoned["attack"] != "adaptive"].dropna(subset="ratio")
        parts.append(f"## {dataset}, {model}\n")
        if len(unaware):
            parts += [
                "### The worst attack at each rate, except `adaptive`\n",
                grid(worst_by_rate(unaware)),
            ]
        for rate in sorted(poisoned["rate"].unique(), reverse=True):
            at = pd.concat([clean, poisoned[poisoned["rate"] == rate]])
            parts += [f"### Attacks at p/n = {rate:g}\n", grid(by_attack(at))]
    return "\n".join(parts)


def worst_by_rate(part: pd.DataFrame) -> pd.DataFrame:
    """Return, for each defense and rate, the attack with the largest median ratio."""
    part = part.loc[part.groupby(["defense", "rate"], sort=False)["ratio"].idxmax()]
    part = part.assign(cell=part["ratio"].map(number) + " " + part["attack"])
    return table_of(part, "rate")


def by_attack(part: pd.DataFrame) -> pd.DataFrame:
    """Return, for each defense and attack, the median ratio with the worst, and the time."""
    tuned = part["attack"] == "adaptive"
    part = part.assign(
        attack=part["attack"].mask(tuned, "adaptive, " + part["seeds"].astype(str) + " seeds"),
        cell=part["ratio"].map(number)
        + " (" + part["worst"].map(number) + ")"
        + part["failed"].map(lambda count: f", {count} failed" if count else ""),
    )  # fmt: skip
    fits = part.groupby("defense", sort=False)["ridge_fits"].median()
    return table_of(part, "attack").assign(fits=fits.map("{:.0f}".format))


def table_of(part: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the cells with a line for each defense, all in the order in which they come."""
    cells = part.pivot(index="defense", columns=column, values="cell").fillna("")
    return cells.loc[part["defense"].unique(), part[column].unique()]


def number(value: float) -> str:
    """Return a ratio with as many digits as it deserves."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def grid(cells: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    lines = [["defense", *map(str, cells.columns)], ["---"] * (1 + len(cells.columns))]
    lines += [[str(name), *row] for name, row in zip(cells.index, cells.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
