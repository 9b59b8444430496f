"""Tables of the errors under defenses, from the measurements of ``defenses.py``."""

from __future__ import annotations

import pandas as pd
from scipy.stats import binom

CASE = ["dataset", "model", "attack", "rate", "defense"]

LEAST_SPLITS = 20
"""A worst case is shown only if it is that of at least this many splits."""

HEAD = """# Defenses against attacks

Each number is the test MSE divided by that of the learner trained on the clean rows only, on the
same split. It is the median over the seeds, each of which is a split, with the worst in brackets if
there are at least 20 seeds. Defenses draw random numbers: at the highest rate and without poison,
each was fitted several times to the same rows, with other random numbers. The median is then that
of the median fits, and the worst that of all fits. `spread` is the largest test MSE of these fits
divided by the least: the median over all attacks and seeds, with the largest in brackets. `fits` is
the CPU time of one fit of the defense, as a multiple of that of a fit of scikit-learn's Ridge to
the same rows. `adaptive` is the attack that is tuned to the defense of its line.

`none`, `median` and `heavy-ridge` are not defenses: they are the learner on all rows, a constant,
and the learner with 100 times the penalty. The CSV file of the same name has these numbers, and
errors, 95% intervals of the medians over the splits, shares of the poison rows kept, assumed
numbers of poison rows, and the spread for each attack. `tests/benchmarks/defenses.py` writes both
files.
"""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians over seeds, with the worst beside them, for each :data:`CASE`."""
    rows = rows.assign(off=(rows["assumed"] - rows["n_poison"]).abs())
    return rows.groupby(CASE, sort=False).agg(
        seeds=("seed", "size"),
        repetitions=("repetitions", "max"),
        mse=("test_mse", "median"),
        ratio=("ratio", "median"),
        ratio_low=("ratio", lambda ratios: interval(ratios)[0]),
        ratio_high=("ratio", lambda ratios: interval(ratios)[1]),
        worst=("ratio", "max"),
        worst_fit=("largest_ratio", "max"),
        spread=("spread", "median"),
        spread_worst=("spread", "max"),
        kept=("poison_kept", "mean"),
        kept_max=("poison_kept", "max"),
        assumed=("assumed", "median"),
        off=("off", "max"),
        ridge_fits=("ridge_fits", "median"),
        failed=("failed", lambda texts: int((texts != "").sum())),
    )


def interval(ratios: pd.Series) -> tuple[float, float]:
    """Return an interval that contains the median with a probability of at least 95%.

    Its ends are two of the values, by the sign test; NaN if there are fewer than 6.
    """
    ordered = sorted(ratios.dropna())
    k = int(binom.ppf(0.025, len(ordered), 0.5)) - 1  # the ends are the k-th from either side
    if k < 0:
        return float("nan"), float("nan")
    return ordered[k], ordered[-1 - k]


def markdown(table: pd.DataFrame) -> str:
    """Return the page: for each data set and learner the worst attacks, then all by rate."""
    parts = [HEAD]
    for (dataset, model), part in table.reset_index().groupby(["dataset", "model"], sort=False):
        clean, poisoned = part[part["rate"] == 0], part[part["rate"] > 0]
        unaware = poisoned[poisoned["attack"] != "adaptive"].dropna(subset="ratio")
        parts.append(f"## {dataset}, {model}\n")
        if len(unaware):
            parts += [
                "### The worst attack at each rate, except `adaptive`: the median, and its 95% "
                "interval\n",
                grid(worst_by_rate(unaware)),
            ]
        for rate in sorted(poisoned["rate"].unique(), reverse=True):
            at = pd.concat([clean, poisoned[poisoned["rate"] == rate]])
            parts += [f"### Attacks at p/n = {rate:g}\n", grid(by_attack(at))]
    return "\n".join(parts)


def worst_by_rate(part: pd.DataFrame) -> pd.DataFrame:
    """Return, for each defense and rate, the attack with the largest median ratio."""
    part = part.loc[part.groupby(["defense", "rate"], sort=False)["ratio"].idxmax()]
    between = " (" + part["ratio_low"].map(number) + " to " + part["ratio_high"].map(number) + ")"
    part = part.assign(
        cell=part["ratio"].map(number) + between.where(part["ratio_low"].notna(), "") + " "
        + part["attack"]
    )  # fmt: skip
    return table_of(part, "rate")


def by_attack(part: pd.DataFrame) -> pd.DataFrame:
    """Return, for each defense and attack, the median ratio with the worst, and the time."""
    tuned = part["attack"] == "adaptive"
    part = part.assign(
        attack=part["attack"].mask(tuned, "adaptive, " + part["seeds"].astype(str) + " seeds"),
        cell=with_worst(part, "ratio", "worst_fit")
        + part["failed"].map(lambda count: f", {count} failed" if count else ""),
    )
    cells = table_of(part, "attack")
    repeated = part[part["repetitions"] > 1]
    if (repeated["rate"] > 0).any():
        by_defense = repeated.groupby("defense", sort=False)
        spreads = by_defense.agg({"spread": "median", "spread_worst": "max", "seeds": "max"})
        cells["spread"] = with_worst(spreads, "spread", "spread_worst").reindex(
            cells.index, fill_value=""
        )
    fits = part.groupby("defense", sort=False)["ridge_fits"].median()
    return cells.assign(fits=fits.map("{:.0f}".format))


def with_worst(part: pd.DataFrame, median: str, worst: str) -> pd.Series:
    """Return a column of medians as text, with the worst in brackets if of enough splits."""
    brackets = " (" + part[worst].map(number) + ")"
    return part[median].map(number) + brackets.where(part["seeds"] >= LEAST_SPLITS, "")


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
