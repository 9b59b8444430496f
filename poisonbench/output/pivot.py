"""Tables of results for people and papers, with any rows, columns and metric.

A table averages over the seeds that all its cells have, so that its columns can be compared.  If no
seed is in all cells, the table says that it is not paired and gives the count of every cell.  The
best value of a column is marked only if it is significantly better than every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from poisonbench.config import fields
from poisonbench.output import spread
from poisonbench.output.comparison import paired_rows
from poisonbench.output.statistics import holm

AXES = {
    "dataset": "dataset_label",
    "split": "split",
    "model": "model_label",
    "attack": "attack_label",
    "rate": "rate",
    "defense": "defense_label",
    "folder": "folder",
}
"""The axes that rows, columns and separate tables can show, and the columns that hold them."""

SIGNIFICANT = 0.05
"""Level of the test that decides whether the best value is marked."""

STATISTICS = ("mean", "median")


@dataclass(frozen=True)
class Metric:
    """A measure that a table can show.

    Parameters
    ----------
    column : str
        The column of the results.
    title : str
        A description, with the unit.
    """

    column: str
    title: str


METRICS = {
    "test_mse": Metric("test_mse", "test MSE"),
    "clipped": Metric("test_mse_clipped", "test MSE, predictions clipped to [0, 1]"),
    "median": Metric("test_median_se", "median squared test error"),
    "mae": Metric("test_mae", "mean absolute test error"),
    "rmse": Metric("test_rmse_unscaled", "root of the test MSE in the response's own unit"),
    "ratio": Metric("ratio_to_clean", "test MSE / that of the learner on the clean rows"),
    "ratio-none": Metric("ratio_to_none", "test MSE / that without a defense"),
    "own-clean": Metric("ratio_to_own_clean", "test MSE / that of the defense without poison"),
    "spread": Metric("spread", "largest / least test MSE of a defense over its repetitions"),
    "removed": Metric("removal_recall", "share of the poison rows that was removed"),
    "change": Metric("change_q50", "median relative change of a prediction (with --predictions)"),
    "attack-seconds": Metric("attack_seconds", "seconds to make the poison"),
    "defense-seconds": Metric("defense_seconds", "seconds to fit the defense"),
    "ceiling": Metric("test_mse_ceiling", "proved ceiling on the test MSE without a defense"),
    "ceiling-share": Metric("ceiling_share", "share of the ceiling that the objective reached"),
    "white-box-share": Metric("white_box_share", "damage / that of the same attack, white-box"),
}
"""The metrics by their names on the command line."""

HIGHER_IS_BETTER = frozenset({"removed"})
"""The metrics that are higher for better defenses."""


OF_THE_MODEL = frozenset({"test_mse", "clipped", "median", "mae", "rmse", "ratio", "ratio-none",
                          "own-clean", "removed", "change"})  # fmt: skip
"""The metrics of a defense's model, which depend on its random numbers."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: statistics over seeds.

    Parameters
    ----------
    mean, sd, median, first_quartile, third_quartile, largest : float
        The statistics; the standard deviation divides by the count less one and is NaN for one
        seed.
    count : int
        Number of seeds.
    best : bool
        Whether it is significantly the best of its column.
    """

    mean: float
    sd: float
    median: float
    first_quartile: float
    third_quartile: float
    largest: float
    count: int
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be written in any format.

    Parameters
    ----------
    title : str
        What the table shows.
    statistic : {"mean", "median"}
        Whether cells show mean and standard deviation, or median and quartiles.
    row_names : tuple of str
        Names of the columns that label the rows.
    columns : tuple of str
        Labels of the columns.  If some defense was fitted several times to the same rows, the last
        column is the spread of these fits over all cells of the line.
    rows : tuple of (tuple of str, tuple of (Cell or None))
        Labels and cells.
    counts_differ : bool
        Whether cells have different numbers of seeds; if so, the numbers are shown.
    notes : tuple of str
        Remarks to print below the table.
    has_spread : bool, default=False
        Whether the last column is the spread.
    """

    title: str
    statistic: str
    row_names: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell | None, ...]], ...]
    counts_differ: bool
    notes: tuple[str, ...]
    has_spread: bool = False

    def statistic_of(self, column: int) -> str:
        """Return what the cells of a column show: the table's statistic, or "largest"."""
        is_spread = self.has_spread and column == len(self.columns) - 1
        return "largest" if is_spread else self.statistic


def make(
    results: pd.DataFrame,
    rows: Sequence[str] = ("attack", "defense"),
    columns: str = "rate",
    metric: str = "test_mse",
    statistic: str = "mean",
) -> list[Table]:
    """Return tables of results, one for each combination of the axes not in rows or columns.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of :class:`poisonbench.output.reading.Tables`.
    rows : sequence of str
        Keys of :data:`AXES`.
    columns : str
        A key of :data:`AXES`.
    metric : str
        A key of :data:`METRICS`.
    statistic : {"mean", "median"}
        What the cells show.

    Raises
    ------
    ValueError
        An axis or the metric is unknown, an axis is given twice, or no row has the metric.
    """
    for axis in (*rows, columns):
        _check_known(axis, "axis", list(AXES))
    _check_known(metric, "metric", list(METRICS))
    _check_known(statistic, "statistic", list(STATISTICS))
    if len({*rows, columns}) < len(rows) + 1:
        raise ValueError("an axis is given twice; expected different axes for rows and columns")
    measure = METRICS[metric]
    known_rows = _with_rates(with_metric(results, metric), measure.column)
    known_rows = known_rows[known_rows[measure.column].notna()]
    if known_rows.empty:
        raise ValueError(f"no row has the metric {metric} ({measure.title}); expected another one")
    others = [axis for axis in AXES if axis not in (*rows, columns)]
    if known_rows["folder"].nunique() == 1:
        others.remove("folder")
    return [
        _table(
            block,
            rows,
            columns,
            metric,
            statistic,
            dict(zip(others, map(str, values), strict=True)),
        )
        for values, block in known_rows.groupby([AXES[axis] for axis in others], sort=False)
    ]


def _check_known(given: str, what: str, known: list[str]) -> None:
    if given not in known:
        raise ValueError(
            f"there is no {what} '{given}'{fields.hint(given, known)} "
            f"expected {fields.one_of(known)}"
        )


def with_metric(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return results with the column of a metric, also if it follows from several rows."""
    return with_white_box_share(results) if metric == "white-box-share" else results


def with_white_box_share(results: pd.DataFrame) -> pd.DataFrame:
    """Return results with the column ``white_box_share``, for attacks with limited knowledge.

    It is the damage divided by that of the same attack with full knowledge, where damage is the
    test error minus the clean learner's.  It is known if the results contain that attack on the
    same split, at the same rate and under the same defense.
    """
    known = results["attack_parameters"].str.extract(_KNOWLEDGE, expand=False)
    key = [
        "dataset_label",
        "split",
        "model_label",
        "seed",
        "poisoning_rate",
        "rate_of",
        "defense_label",
        "attack",
        *_ATTACK_AXES,
        "others",
    ]
    others = results["attack_parameters"].str.replace(_KNOWLEDGE, "", regex=True).str.strip(",")
    damage = results["test_mse"].astype(float) - results["test_mse_clean"].astype(float)
    frame = results.assign(others=others, damage=damage)
    white = frame[known.isna()].drop_duplicates(key)
    joined = frame[[*key, "damage"]].merge(
        white[[*key, "damage"]], on=key, how="left", suffixes=("", "_white")
    )
    share = (joined["damage"] / joined["damage_white"]).to_numpy()
    shown = known.notna().to_numpy() & (results["n_poison"].to_numpy() > 0)
    return results.assign(white_box_share=np.where(shown, share, np.nan))


_KNOWLEDGE = r"((?:^|,)knowledge=surrogate:\w+(?:,model:[\w-]+)?)"
_ATTACK_AXES = ("variables", "initialization", "outer_objective")


def common_seeds(cells: Sequence[set[int]]) -> set[int]:
    """Return the seeds that all cells have, ignoring cells without any seed."""
    there = [seeds for seeds in cells if seeds]
    return set.intersection(*there) if there else set()


def _with_rates(results: pd.DataFrame, column: str) -> pd.DataFrame:
    rates = [
        f"{rate:g}" if of == "clean" else f"{rate:g} of total"
        for rate, of in zip(results["poisoning_rate"], results["rate_of"], strict=True)
    ]
    return results.assign(rate=rates, **{column: results[column].astype(float)})


def _table(
    block: pd.DataFrame,
    rows: Sequence[str],
    columns: str,
    metric: str,
    statistic: str,
    setting: dict[str, str],
) -> Table:
    column = METRICS[metric].column
    keys = [AXES[axis] for axis in rows]
    headers = list(
        dict.fromkeys(
            block.sort_values("poisoning_rate", kind="stable")["rate"]
            if columns == "rate"
            else block[AXES[columns]]
        )
    )
    labels = list(dict.fromkeys(block[keys].itertuples(index=False, name=None)))
    grouped = {
        (*key[:-1], key[-1]): cell
        for key, cell in block.groupby([*keys, AXES[columns]], sort=False)
    }
    seeds = {key: set(cell["seed"]) for key, cell in grouped.items()}
    shared = common_seeds(list(seeds.values()))
    most = max(map(len, seeds.values()))
    notes = []
    if shared:
        grouped = {key: cell[cell["seed"].isin(shared)] for key, cell in grouped.items()}
        over = f"over {_seeds(len(shared))}"
        if len(shared) < most:
            over += " that all cells have"
            notes.append(
                f"Cells have up to {_seeds(most)}; only the seeds that all cells have are used."
            )
    else:
        over = f"over 1 to {_seeds(most)}"
        notes.append(
            "Not paired: no seed is in all cells, so rows and columns average over different "
            "splits. The numbers of seeds are in brackets."
        )
    counts = {len(cell) for cell in grouped.values()}
    best = _best(grouped, labels, headers, rows, metric)
    if best:
        notes.append(
            "Marked: significantly better than all others in the same column and "
            f"{'attack' if 'defense' in rows else 'table'} (corrected resampled t-test with Holm's "
            "adjustment, 5% level)."
        )
    has_spread = metric in OF_THE_MODEL and spread.known(block)
    if has_spread:
        notes.append(spread.note(block))
    made = tuple(
        (
            label,
            (
                *(
                    _cell(grouped[(*label, header)][column], (label, header) in best)
                    if (*label, header) in grouped
                    else None
                    for header in headers
                ),
                *([_spread(grouped, label, headers)] if has_spread else []),
            ),
        )
        for label in labels
    )
    shown = ", ".join(
        f"{axis} {value}" if axis in ("split", "folder") else value
        for axis, value in setting.items()
        if axis != "rate"
    )
    if "rate" in setting:
        shown += f", poisoning rate {setting['rate']}"
    what = {"mean": "mean (standard deviation)", "median": "median [quartiles]"}[statistic]
    return Table(
        f"{shown}: {METRICS[metric].title}, {what} {over}",
        statistic,
        tuple(rows),
        (*map(str, headers), *(["spread"] if has_spread else [])),
        made,
        len(counts) > 1,
        tuple(notes),
        has_spread,
    )


def _spread(
    grouped: Mapping[Any, pd.DataFrame], label: tuple[str, ...], headers: Sequence[str]
) -> Cell | None:
    """Return the spread of the fits of a line; None if none was repeated."""
    cells = [grouped[(*label, header)] for header in headers if (*label, header) in grouped]
    values = pd.concat(cells)["spread"].astype(float).dropna()
    return None if values.empty else _cell(values, best=False)


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _cell(values: pd.Series, best: bool) -> Cell:
    quartiles = values.quantile([0.25, 0.5, 0.75]).tolist()
    return Cell(
        float(values.mean()),
        float(values.std()),
        quartiles[1],
        quartiles[0],
        quartiles[2],
        float(values.max()),
        len(values),
        best,
    )


def _best(
    grouped: Mapping[Any, pd.DataFrame],
    labels: list[tuple[str, ...]],
    headers: list[str],
    rows: Sequence[str],
    metric: str,
) -> set[tuple[tuple[str, ...], str]]:
    """Return the cells that are significantly better than every rival in their column.

    The rivals are the defenses against one attack, or the attacks.  The reference row oracle does
    not compete.
    """
    axis = "defense" if "defense" in rows else "attack" if "attack" in rows else None
    if axis is None:
        return set()
    place = list(rows).index(axis)
    wanted_high = (axis == "attack") != (metric in HIGHER_IS_BETTER)
    if metric.endswith("seconds"):
        wanted_high = False
    column = METRICS[metric].column
    fields_: dict[tuple[tuple[str, ...], str], list[tuple[str, ...]]] = {}
    for label in labels:
        for header in headers:
            if (*label, header) in grouped and label[place] != "oracle":
                rest = (*label[:place], *label[place + 1 :])
                fields_.setdefault((rest, header), []).append(label)
    found = set()
    for (_, header), rivals in fields_.items():
        ordered = sorted(
            rivals,
            key=lambda label: grouped[(*label, header)][column].mean(),
            reverse=wanted_high,
        )
        winner, others = ordered[0], ordered[1:]
        p_values = []
        for other in others:
            difference = paired_rows(grouped[(*winner, header)], grouped[(*other, header)], column)
            p_values.append(
                1.0 if difference is None or difference.p_value is None else difference.p_value
            )
        if others and max(holm(p_values)) < SIGNIFICANT:
            found.add((winner, header))
    return found
