"""How often the searches for least trimmed squares end at the best known minimum.

    python tests/benchmarks/classic.py FOLDER

fits `lts` and `trim` around OLS to every CSV file of a folder, whose last column is the response,
in its own units and scaled to [0, 1], with 20 seeds, and prints the share of the runs that end at
the best known minimum.  See README.md, which also has the command for the data sets.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from poisonbench.defenses import LTSRegressor, TORRENTDefense, TRIMRegressor
from poisonbench.models import OLS

CORES = (0.75, 0.5)
UNITS = ("raw", "[0, 1]")
WITHIN = 1e-6
"""A run ends at the best known minimum if its sum is larger by at most this share."""

EXACT = 1e-12
"""A sum below this share of the responses' sum of squares is a rounding error."""

LONG_SEED = 1000
"""First seed of the long search."""


def defense(name: str, n_rows: int, h: int, seed: int, restarts: int | None = None) -> Any:
    """Return the defense around OLS that keeps `h` of the rows."""
    if name == "lts":
        # The core is rounded up to whole rows, and must be at least half of them.
        core = max(0.5, (h - 0.5) / n_rows)
        return LTSRegressor(OLS(), core=core, restarts=restarts, random_state=seed)
    if name == "trim":
        return TRIMRegressor(OLS(), n_poison=n_rows - h, restarts=restarts, random_state=seed)
    step = name.removeprefix("torrent-")
    return TORRENTDefense(OLS(), n_poison=n_rows - h, step=step, random_state=seed)


def trimmed_sum(model: Any, X: Any, y: Any, h: int) -> float:
    """Return the sum of squared residuals of least squares on the `h` rows that a defense kept."""
    kept = getattr(model, "core_", model.support_)
    assert kept.sum() == h
    Z = np.column_stack([np.ones(h), X[kept]])
    size = np.linalg.norm(Z, axis=0)
    size[size == 0] = 1.0
    theta = np.linalg.lstsq(Z / size, y[kept], rcond=None)[0]
    return float(((y[kept] - Z / size @ theta) ** 2).sum())


def measured(
    path: Path, core: float, names: list[str], n_seeds: int, n_long: int, peer: pd.DataFrame | None
) -> Iterator[dict[str, Any]]:
    """Yield a line for each defense and unit, on one data set with one core.

    Parameters
    ----------
    path : Path
        The data set.
    core : float
        Share of the rows to keep.
    names : list of str
        The defenses.
    n_seeds : int
        Number of runs of each.
    n_long : int
        Number of runs of the long search, `lts` and `trim` in turn, with ten times as many starts.
    peer : DataFrame or None
        The lines of ltsreg.csv for this data set and core, which also set h.
    """
    rows = pd.read_csv(path).to_numpy(float)
    X, y = rows[:, :-1], rows[:, -1]
    h = int(np.ceil(core * len(y))) if peer is None else int(peer["h"].iloc[0])
    spread = np.ptp(rows, axis=0)
    scaled = (rows - rows.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    columns = {"raw": X, "[0, 1]": scaled[:, :-1]}
    responses = {"raw": y, "[0, 1]": scaled[:, -1]}

    def one(name: str, unit: str, seed: int, restarts: int | None = None) -> float:
        model = defense(name, len(y), h, seed, restarts)
        return trimmed_sum(model.fit(columns[unit], responses[unit]), X, y, h)

    sums: dict[tuple[str, str], list[float]] = {}
    cost = {}
    for name in names:
        for unit in UNITS:
            start = time.process_time()
            sums[name, unit] = [one(name, unit, seed) for seed in range(n_seeds)]
            cost[name, unit] = (time.process_time() - start) / n_seeds
    if peer is not None:
        default = peer.loc[peer["starts"].astype(str) == "500", "objective"]
        sums["ltsReg", "raw"] = list(default)
    long = [one(("lts", "trim")[i % 2], "raw", LONG_SEED + i, 5000) for i in range(n_long)]
    if peer is not None:
        long += list(peer["objective"])
    best = min([*long, *(value for values in sums.values() for value in values)])
    nothing = EXACT * float(y @ y)
    for (name, unit), values in sums.items():
        found = np.array(values)
        yield {
            "dataset": path.stem,
            "N": len(y),
            "d": X.shape[1],
            "core": core,
            "h": h,
            "defense": name,
            "unit": unit,
            "best": best,
            "hits": float(np.mean(found <= best * (1 + WITHIN) + nothing)),
            "median": float(np.median(found) + nothing) / (best + nothing),
            "worst": float(found.max() + nothing) / (best + nothing),
            "ms": 1000 * cost.get((name, unit), np.nan),
        }


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="CSV files, one for each data set")
    add("--peer", type=Path, help="ltsreg.csv of classic.R; its h is used in place of ceil(core N)")
    add("--defense", nargs="+", default=["lts", "trim"],
        choices=["lts", "trim", "torrent-full", "torrent-gradient"])  # fmt: skip
    add("--seeds", type=int, default=20, help="runs of each defense")
    add("--long", type=int, default=10, help="runs with ten times as many starts")
    add("--output", type=Path, help="CSV file for the lines behind the averages")
    options = parser.parse_args(arguments)
    peers = None if options.peer is None else pd.read_csv(options.peer)
    lines: list[dict[str, Any]] = []
    for path in sorted(options.folder.glob("*.csv")):
        for core in CORES:
            peer = None
            if peers is not None:
                peer = peers[(peers["dataset"] == path.stem) & (peers["core"] == core)]
                if peer.empty:
                    parser.error(f"{options.peer} has no line for {path.stem} and core {core}")
            lines += measured(path, core, options.defense, options.seeds, options.long, peer)
    table = pd.DataFrame(lines)
    if options.output:
        table.to_csv(options.output, index=False)
    order = list(dict.fromkeys(zip(table["defense"], table["unit"], strict=True)))
    wide = table.pivot_table(
        index=["dataset", "N", "d", "core", "h"], columns=["defense", "unit"], values="hits"
    )[order].sort_index(level="core", ascending=False, sort_remaining=False)
    print(wide.to_string(float_format=lambda value: f"{value:.2f}"))
    means = table.groupby(["core", "defense", "unit"], sort=False)[
        ["hits", "median", "worst", "ms"]
    ]
    print("\naverages; of the ratios to the best known sum, the median and the largest")
    shown = means.agg({"hits": "mean", "median": "median", "worst": "max", "ms": "mean"})
    print(shown.to_string(float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
