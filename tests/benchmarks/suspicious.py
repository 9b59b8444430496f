"""Measure how many planted bad rows ``poisonbench defend`` lists, for each defense.

    python tests/benchmarks/suspicious.py results/reference/suspicious-rows.csv

measures and prints the tables of results/reference/suspicious-rows.md.  Lines that the CSV file
already has are not measured again; run the same command again to resume, or with more ``--seeds``.

Each file has 3,000 synthetic rows, of which 120 are planted poison of one kind; see the page.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from poisonbench.attacks import Coordinate, StatP
from poisonbench.data.base import Dataset
from poisonbench.datasets.synthetic import Synthetic
from poisonbench.defending.choice import CANDIDATES, made
from poisonbench.defending.fit import Defended, defend

N_ROWS, N_BAD = 3000, 120
KINDS = ("corners", "group", "optimised", "errors", "clean")
TOLD, ESTIMATED = "0.04", "auto"
YARDSTICK = "a fit to the clean rows"
FIRST_SEED = 100
"""Settings were chosen on smaller seeds."""

LIFT = 0.2
"""How much responses of the group are raised, as a share of their range."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def poisoned(
    kind: str, seed: int, n_rows: int = N_ROWS, n_bad: int = N_BAD
) -> tuple[Dataset, Mask]:
    """Return a data set, and a mask of its planted rows."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    data = Synthetic(n=n_rows, d=8, informative=6, noise=0.05, groups=(6, 10), seed=seed).load()
    X, y = data.X.copy(), data.y.copy()
    bad = np.zeros(n_rows, dtype=bool)
    if kind == "group":
        members = np.flatnonzero(X[:, data.space.groups[1].columns[0]] == 1)
        bad[rng.choice(members, min(n_bad, 2 * len(members) // 5), replace=False)] = True
        y[bad] += LIFT * np.ptp(y)
    elif kind != "clean":
        bad[rng.choice(n_rows, n_bad, replace=False)] = True
    if kind == "errors":
        y[bad] = rng.uniform(y.min(), y.max(), n_bad)
    if kind in ("corners", "optimised"):
        attack = StatP() if kind == "corners" else Coordinate(outer_objective="training")
        groups = [list(group.columns) for group in data.space.groups]
        made_rows = attack.poison(
            X[~bad], y[~bad], n_poison=n_bad, groups=groups, random_state=seed
        )
        X[bad], y[bad] = made_rows.X, made_rows.y
    return Dataset("synthetic", X, y, data.space, "y", "full"), bad


def shares_of(bad: Mask, listed: Any) -> tuple[float, float]:
    """Return the precision and the recall of listed rows; NaN if there is no such row."""
    hits = float(bad[listed].sum())
    precision = hits / len(listed) if len(listed) else float("nan")
    return precision, hits / bad.sum() if bad.any() else float("nan")


def own_rows(data: Dataset, found: Defended, bad: Mask) -> tuple[float, float]:
    """Return the precision and the recall of the rows that the defense itself leaves out.

    It is told the true number of bad rows.
    """
    X, y = found.box.rows(data.X), found.box.responses(data.y)
    fitted = made(found.defense, found.learner, data.space, N_BAD, 0).fit(X, y)
    if not hasattr(fitted, "support_"):
        return float("nan"), float("nan")
    return shares_of(bad, np.flatnonzero(~fitted.support_))


def clean_fit(data: Dataset, found: Defended, bad: Mask) -> tuple[float, float]:
    """Return the precision and the recall of the rows that a fit to the clean rows fits worst."""
    X, y = found.box.rows(data.X), found.box.responses(data.y)
    fitted = found.learner.with_strength().fit(X[~bad], y[~bad])
    return shares_of(bad, np.argsort(-np.abs(y - fitted.predict(X)))[: bad.sum()])


def measured(kind: str, seed: int) -> Iterator[dict[str, object]]:
    """Yield a record for each defense and share."""
    data, bad = poisoned(kind, seed)
    for name, share in itertools.product((None, *CANDIDATES), (TOLD, ESTIMATED)):
        asked: Any = share if share == ESTIMATED else float(share)
        found = defend(data, defense=name, share=asked, random_state=seed)
        precision, recall = shares_of(bad, found.suspicious)
        own = own_rows(data, found, bad) if name and share == TOLD else (np.nan, np.nan)
        yield {"kind": kind, "seed": seed, "defense": name or "recommended", "share": share,
               "used": found.defense, "listed": len(found.suspicious), "precision": precision,
               "recall": recall, "own_precision": own[0], "own_recall": own[1]}  # fmt: skip
    if bad.any():
        precision, recall = clean_fit(data, found, bad)
        yield {"kind": kind, "seed": seed, "defense": YARDSTICK, "share": TOLD, "used": "",
               "listed": N_BAD, "precision": precision, "recall": recall}  # fmt: skip


def tables(records: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    lines = []
    for share, title in ((TOLD, "Told 4%"), (ESTIMATED, "Estimated (`--share auto`)")):
        lines += ["", f"### {title}", "", f"| defense | {' | '.join(KINDS)} |",
                  f"| --- |{' --- |' * len(KINDS)}"]  # fmt: skip
        yardstick = (YARDSTICK,) if share == TOLD else ()
        for name in ("recommended", *CANDIDATES, *yardstick):
            rows = records[(records["share"].astype(str) == share) & (records["defense"] == name)]
            lines.append(f"| {name} | {' | '.join(_cell(rows, kind) for kind in KINDS)} |")
            if share == TOLD and rows["own_recall"].notna().any():
                cells = [_cell(rows, kind, "own_") for kind in KINDS]
                lines.append(f"| {name}, its own | {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def _cell(rows: pd.DataFrame, kind: str, whose: str = "") -> str:
    rows = rows[rows["kind"] == kind]
    if rows.empty or (whose and rows[f"{whose}recall"].isna().all()):
        return ""
    if kind == "clean":
        return f"{rows['listed'].median():.0f} listed"
    if rows[f"{whose}recall"].median() == 0:
        return "none listed"
    return " / ".join(f"{rows[f'{whose}{name}'].median():.0%}" for name in ("precision", "recall"))


def _seeds(n: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + n)


def main() -> None:
    """Measure what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path, help="CSV file with a line for each measurement")
    parser.add_argument("--seeds", type=int, default=5, help="number of files of each kind")
    parser.add_argument("--most", type=int, help="measure at most this many files")
    arguments = parser.parse_args()
    path: Path = arguments.records
    done = pd.read_csv(path) if path.exists() else pd.DataFrame({"kind": [], "seed": []})
    known = set(zip(done["kind"], done["seed"], strict=True))
    wanted = [pair for pair in itertools.product(KINDS, _seeds(arguments.seeds))
              if pair not in known]  # fmt: skip
    for kind, seed in wanted[: arguments.most]:
        rows = pd.DataFrame(measured(kind, seed))
        rows.to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.4f")
        print(f"{kind} {seed}", flush=True)
    print(tables(pd.read_csv(path)))


if __name__ == "__main__":
    main()
