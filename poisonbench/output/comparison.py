"""Compare measured results with published values, and one folder of results with another.

The comparison with published values gives a verdict on every cell, and checks the shapes of the
published curves: the order of attacks and of defenses at each rate, and whether the error rises
with the rate.  It uses medians over seeds, because a single split in which an attack is very strong
would dominate a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from poisonbench.output.reading import distinct
from poisonbench.output.statistics import Difference, holm, paired

READING_ERROR = 0.05
"""Relative difference up to which a published value counts as met, since it was read off a figure
by eye."""

TRIM_TARGET = 1.15
"""TRIM counts as staying close to the clean error if its error is at most this many times as
large."""

STRONGEST = "strongest"
"""The name for the strongest attack at a rate, in a published figure and in the results."""

COLUMNS = {
    "test_mse": "test_mse",
    **{f"relative_change_q{q}": f"change_q{q}" for q in (10, 25, 50, 75, 90)},
}
"""The published metrics that are compared, each with the column of the results that has it."""

_CELL = ["figure", "dataset", "model", "attack", "defense", "poisoning_rate", "metric"]

_SETTING = ["dataset_label", "split", "model_label"]
"""The columns that are equal for all curves of one figure."""

PAIR_KEY = [
    "dataset_label",
    "split",
    "model_label",
    "attack_label",
    "poisoning_rate",
    "rate_of",
    "defense_label",
]
"""The columns that, together with the seed, identify a cell in two folders."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison with published values.

    Parameters
    ----------
    cells : pandas.DataFrame
        A row for each published cell and each measured variant of it: the metric, the published
        value, measured median, mean, sd and count, their ratio (median over published) and the
        verdict.
    checks : pandas.DataFrame
        A row for each check of a shape: the figure, the check, the published and the measured
        shape, and the verdict.
    """

    cells: pd.DataFrame
    checks: pd.DataFrame


def with_published(results: pd.DataFrame, reference: pd.DataFrame) -> Comparison:
    """Compare results with published test errors and changes of predictions.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of :class:`poisonbench.output.reading.Tables`.
    reference : pandas.DataFrame
        Published values, as :func:`poisonbench.output.published.values` returns them.
    """
    results = _white_box(results)
    wanted = reference[
        # The other rows would match nothing, and would take several times as long.
        reference["dataset"].isin(results["dataset"].unique())
        & reference["model"].isin(results["model"].unique())
    ]
    cells: list[dict[str, object]] = []
    for metric, column in COLUMNS.items():
        values = wanted[wanted["metric"] == metric]
        if len(values) and column in results:
            known = distinct(results[results[column].notna()])
            cells += _cells(known, values, column)
            if metric == "test_mse":
                cells += _strongest(known, values)
    errors = wanted[wanted["metric"] == "test_mse"]
    checks = pd.DataFrame(list(_checks(distinct(results), errors)))
    return Comparison(pd.DataFrame(cells), checks)


def at_rate(results: pd.DataFrame, rate: Any) -> pd.DataFrame:
    """Return the rows whose number of poison rows is the one at rate p/n = `rate`."""
    wanted = np.floor(rate * results["n_clean"] + 0.5)
    found: pd.DataFrame = results[np.abs(results["n_poison"] - wanted) < 0.5]
    return found


def _white_box(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of attackers who know the training set and the learner."""
    return results[~results["attack_parameters"].str.contains("knowledge=")]


def _papers_optp(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of OptP's best of eight variants, as in the paper; all rows if it is absent.

    The paper's OptP is the best of eight variants of the attack.
    """
    best = (rows["attack"] == "optp") & rows["attack_parameters"].str.contains("best_of")
    return rows[best] if best.any() else rows


def _cells(
    results: pd.DataFrame, reference: pd.DataFrame, column: str
) -> Iterator[dict[str, object]]:
    """Yield a line for each published cell and each measured variant of it."""
    for cell, published in reference.groupby(_CELL, sort=False):
        _, dataset, model, attack, defense, rate, _ = cell
        here = at_rate(results[(results["dataset"] == dataset) & (results["model"] == model)], rate)
        met = here[(here["attack"] == attack) & (here["defense"] == defense)]
        if met.empty:
            continue
        for _, measured in _papers_optp(met).groupby(
            [*_SETTING, "attack_label", "defense_label"], sort=False
        ):
            yield _line(cell, published, measured, column)


def _strongest(results: pd.DataFrame, reference: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield, for each rate, the strongest measured attack beside the strongest published one."""
    undefended = reference[(reference["figure"] != "defenses") & (reference["poisoning_rate"] > 0)]
    for cell, published in undefended.groupby(
        ["figure", "dataset", "model", "poisoning_rate"], sort=False
    ):
        figure, dataset, model, rate = cell
        here = at_rate(results[(results["dataset"] == dataset) & (results["model"] == model)], rate)
        top = published.loc[[published["value"].idxmax()]]
        for _, setting in here[here["defense"] == "none"].groupby(_SETTING, sort=False):
            medians = setting.groupby("attack_label")["test_mse"].median()
            measured = setting[setting["attack_label"] == medians.idxmax()]
            key = (figure, dataset, model, STRONGEST, "none", rate, "test_mse")
            yield _line(key, top, measured, "test_mse")


def _line(
    cell: tuple[object, ...], published: pd.DataFrame, measured: pd.DataFrame, column: str
) -> dict[str, object]:
    values = measured[column].astype(float)
    ratio = values.median() / published["value"].iloc[0]
    first = measured.iloc[0]
    return {
        **dict(zip(_CELL, cell, strict=True)),
        "measured_attack": first["attack_label"],
        "measured_defense": first["defense_label"],
        "measured_model": first["model_label"],
        "split": first["split"],
        "published": published["value"].iloc[0],
        "median": values.median(),
        "mean": values.mean(),
        "sd": values.std(),
        "count": len(values),
        "ratio": ratio,
        "verdict": verdict(ratio, str(cell[4]), bool(float(str(cell[5])) > 0)),
    }


def verdict(ratio: float, defense: str, poisoned: bool) -> str:
    """Return the verdict for a ratio of the measured to the published error or change.

    An attack is stronger than published if the undefended learner's error is larger, and a defense
    if its error is smaller.  Without poison, the verdict only gives the difference.
    """
    if abs(ratio - 1) <= READING_ERROR:
        return "met"
    if not poisoned:
        return f"differs by {ratio - 1:+.0%}"
    if defense == "none":
        return "stronger" if ratio > 1 else f"weaker by {1 - ratio:.0%}"
    return "stronger" if ratio < 1 else f"weaker by {ratio - 1:.0%}"


def _checks(results: pd.DataFrame, reference: pd.DataFrame) -> Iterator[dict[str, object]]:
    for (figure, dataset, model), published in reference.groupby(
        ["figure", "dataset", "model"], sort=False
    ):
        here = results[(results["dataset"] == dataset) & (results["model"] == model)]
        where = {"figure": figure, "dataset": dataset, "model": model}
        axis = "attack" if figure != "defenses" else "defense"
        for setting, rows in here.groupby(_SETTING, sort=False):
            where["measured_model"] = setting[2]
            curves = {
                name: rows[(rows["attack"] == attack) & (rows["defense"] == defense)]
                for name, attack, defense in published[[axis, "attack", "defense"]]
                .drop_duplicates()
                .itertuples(index=False)
            }
            if figure == "defenses":
                curves = {name: _one_variant(_papers_optp(curve)) for name, curve in curves.items()}
            else:
                curves = {name: _one_variant(curve) for name, curve in curves.items()}
            curves = {name: curve for name, curve in curves.items() if len(curve)}
            yield from _orders(where, axis, published, curves)
            yield from _rises(where, axis, curves)
        if figure == "defenses":
            yield from _trims(where, here)


def _one_variant(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one variant of an attack or a defense.

    This is OptP's best of eight if it is there.  Otherwise it is the variant of a defense with the
    lowest median error, or the variant of an attack with the highest.
    """
    curve = _papers_optp(curve)
    labels = ["attack_label", "defense_label"]
    if curve.empty or len(curve[labels].drop_duplicates()) == 1:
        return curve
    medians = curve.groupby(labels)["test_mse"].median()
    defended = (curve["defense"] != "none").any()
    chosen: Any = medians.idxmin() if defended else medians.idxmax()
    attack, defense = chosen
    is_attack, is_defense = curve["attack_label"] == attack, curve["defense_label"] == defense
    found: pd.DataFrame = curve[is_attack & is_defense]
    return found


def _orders(
    where: dict[str, object],
    axis: str,
    published: pd.DataFrame,
    curves: dict[str, pd.DataFrame],
) -> Iterator[dict[str, object]]:
    """Yield, for each rate, whether the curves are in the same order as in the published figure.

    Pairs of curves that are closer in the figure than its reading error are not compared.
    """
    for rate, values in published[published["poisoning_rate"] > 0].groupby("poisoning_rate"):
        known = {
            name: value
            for name, value in zip(values[axis], values["value"], strict=True)
            if name in curves and len(at_rate(curves[name], rate))
        }
        if len(known) < 2:
            continue
        medians = {name: at_rate(curves[name], rate)["test_mse"].median() for name in known}
        swapped = []
        for low, high in combinations(sorted(known, key=lambda name: known[name]), 2):
            apart = known[high] > (1 + 2 * READING_ERROR) * known[low]
            if apart and medians[low] > medians[high]:
                swapped.append(f"{low} above {high}{_noise(curves, low, high, rate)}")
        yield {
            **where,
            "check": f"order of {axis}s",
            "poisoning_rate": rate,
            "published": _order(known),
            "measured": _order(medians),
            "verdict": "as published" if not swapped else f"not as published: {', '.join(swapped)}",
        }


def _order(values: dict[str, float]) -> str:
    return " > ".join(sorted(values, key=lambda name: -values[name]))


def _noise(curves: dict[str, pd.DataFrame], low: str, high: str, rate: Any) -> str:
    """Return a remark if the difference between two curves is within noise."""
    difference = paired_rows(at_rate(curves[high], rate), at_rate(curves[low], rate))
    if difference is None or difference.beyond_noise is None:
        return " (too few seeds to tell from noise)"
    return "" if difference.beyond_noise else " (within noise)"


def _rises(
    where: dict[str, object], axis: str, curves: dict[str, pd.DataFrame]
) -> Iterator[dict[str, object]]:
    """Yield whether the median error under each attack rises with the rate."""
    for name, curve in curves.items():
        if axis == "defense" and name != "none":
            continue
        medians = curve.groupby("n_poison")["test_mse"].median()
        if len(medians) < 2:
            continue
        falls = [
            f"{after} rows"
            for before, after in zip(medians.index, medians.index[1:], strict=False)
            if medians[after] < (1 - READING_ERROR) * medians[before]
        ]
        yield {
            **where,
            "check": f"{name} rises with the rate",
            "poisoning_rate": None,
            "published": "rises",
            "measured": " ".join(f"{value:.3g}" for value in medians),
            "verdict": "as published" if not falls else f"falls at {', '.join(falls)}",
        }


def _trims(where: dict[str, object], here: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield whether TRIM stays close to the clean error under each attack."""
    rows = here[(here["defense"] == "trim") & (here["n_poison"] > 0)]
    for (defense, attack), curve in rows.groupby(["defense_label", "attack_label"], sort=False):
        ratios = curve.groupby("poisoning_rate")["ratio_to_clean"].median()
        yield {
            **where,
            "check": f"{defense} against {attack}: at most {TRIM_TARGET:g} x clean",
            "poisoning_rate": None,
            "published": f"<= {TRIM_TARGET:g}",
            "measured": " ".join(f"{value:.2f}" for value in ratios),
            "verdict": "met" if (ratios <= TRIM_TARGET).all() else f"up to {ratios.max():.2f}",
        }


def paired_rows(
    first: pd.DataFrame, second: pd.DataFrame, metric: str = "test_mse"
) -> Difference | None:
    """Return the paired difference of two variants over their common seeds; None if there are none.

    It is the second minus the first.
    """
    both = pd.merge(
        first[["seed", metric, "n_clean", "n_test"]],
        second[["seed", metric]],
        on="seed",
        suffixes=("_first", "_second"),
    ).dropna()
    if both.empty:
        return None
    return paired(
        both[f"{metric}_first"].to_numpy(float),
        both[f"{metric}_second"].to_numpy(float),
        int(both["n_clean"].iloc[0]),
        int(both["n_test"].iloc[0]),
    )


def of_folders(first: pd.DataFrame, second: pd.DataFrame, metric: str = "test_mse") -> pd.DataFrame:
    """Compare two sets of results cell by cell, paired by the seeds that both have.

    Returns
    -------
    pandas.DataFrame
        For each common cell: the two means, the mean difference (second minus first) with its 95%
        interval, the p-value of the corrected resampled t-test with Holm's adjustment over all
        cells, the number of pairs, and a verdict.
    """
    theirs = dict(list(second.groupby(PAIR_KEY, sort=False)))
    lines = []
    for key, mine in first.groupby(PAIR_KEY, sort=False):
        found = paired_rows(mine, theirs[key], metric) if key in theirs else None
        if found is None:
            continue
        seeds = set(mine["seed"]) & set(theirs[key]["seed"])
        lines.append(
            {
                **dict(zip(PAIR_KEY, key, strict=True)),
                "first": mine[mine["seed"].isin(seeds)][metric].mean(),
                "second": theirs[key][theirs[key]["seed"].isin(seeds)][metric].mean(),
                **vars(found),
            }
        )
    frame = pd.DataFrame(lines)
    if frame.empty:
        return frame
    known = frame["p_value"].notna()
    frame.loc[known, "p_value"] = holm(frame.loc[known, "p_value"].to_numpy(float).tolist())
    frame["verdict"] = [_direction(row) for row in frame.to_dict("records")]
    return frame


def _direction(row: Mapping[Any, Any]) -> str:
    if row["mean"] == 0 and row["low"] in (None, 0):
        return "the same"
    if row["low"] is None or np.isnan(row["low"]):
        return "too few seeds"
    if row["low"] <= 0 <= row["high"]:
        return "within noise"
    return "higher" if row["mean"] > 0 else "lower"
