"""Signs in the results that an attack was weaker than it could have been.

A low error under a weak attack says little about a defense, because it may only mean that the
attack's search was poor.  Each sign is one line that says what was seen, where, and what to try.
Two kinds of attacks are left out: those that aim at a defense, as they need not do much to the
learner without one, and mere starts of an attack (``iterations: 0``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from poisonbench.output import reading

NOISE = 1.05
"""Ratio of two medians up to which they count as equal."""

STILL_RISING = 0.01
"""Relative rise of the objective in the last round above which a search has not converged."""

LOW_SHARE = 0.7
"""Share of the ceiling below which an attack may be far from the worst case."""

ROUNDING = 1e-6
"""Relative excess over its ceiling that an attack may have because of rounding."""

AIMED_AT_DEFENSES = ("subpopulation", "sever", "adaptive")
"""The attacks that choose their poison by what it does to a defense."""

SHOWN, SHOWN_ATTACKS = 12, 4
"""Largest number of signs in a summary, and of attacks in a sign."""

MORE_SEARCH = "try more rounds, other initializations, or coordinate"
OTHER_OBJECTIVES = "try coordinate, or attack: [...] with several objectives"
STRONG = "try coordinate with preset: strong"

_SETTING = ["dataset_label", "split", "model_label"]


def report(out: Path) -> str:
    """Return the signs in a folder's result files as a few lines, or '' if there are none."""
    tables = reading.read(out, defense="none")
    found = list(signs(tables.results, tables.convergence))
    if not found:
        return ""
    lines = ["Signs that an attack could be stronger:", *(f"  {sign}" for sign in found[:SHOWN])]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more; poisonbench report lists all of them")
    return "\n".join(lines)


def above_ceiling(results: pd.DataFrame) -> list[str]:
    """Return a line for each poison set above its ceiling, which can only be due to a bug."""
    rows = _undefended(results)
    rows = rows[rows["ceiling_share"].astype(float) > 1 + ROUNDING]
    return [
        f"{row['attack']} on {row['dataset']}, {row['model']}, {row['n_poison']} poison rows, seed "
        f"{row['seed']}: the objective {row['objective_final']:.8g} exceeds its proved ceiling "
        f"{row['objective_ceiling']:.8g}. This is a bug in poisonbench; please report it with "
        f"{row['poison_file']} and the plan.json beside it."
        for row in rows.to_dict("records")
    ]


def signs(results: pd.DataFrame, convergence: pd.DataFrame) -> Iterator[str]:
    """Yield the signs: for each data set, split and learner, one line for each kind.

    Parameters
    ----------
    results, convergence : pandas.DataFrame
        As in :class:`poisonbench.output.reading.Tables`.
    """
    undefended = _undefended(results)
    left_out = (
        undefended["attack"].isin(AIMED_AT_DEFENSES)
        | _has(undefended, "defense=")
        | _has(undefended, "iterations=0")
    )
    for (dataset, _, model), rows in undefended[~left_out].groupby(_SETTING, sort=False):
        for what, found, remedy in (
            ("more poison rows do less damage", _falling(rows), MORE_SEARCH),
            ("attacks that know learner and rows do less damage than one that knows less",
             _beaten_by_less_knowledge(rows), OTHER_OBJECTIVES),
            ("attacks that maximise the validation error reach less of it than another attack",
             _beaten_on_own_objective(rows), STRONG),
            (f"the objective still rose by more than {STILL_RISING:.0%} in the last round",
             _not_converged(rows, convergence), "allow more rounds"),
            (f"less than {LOW_SHARE:.0%} of the ceiling of the objective was reached (the true "
             "maximum may be lower)", _far_from_ceiling(rows), STRONG),
        ):  # fmt: skip
            attacks = [f"{attack} ({detail})" for attack, detail in found]
            if len(attacks) > SHOWN_ATTACKS:
                attacks[SHOWN_ATTACKS:] = [f"and {len(attacks) - SHOWN_ATTACKS} more"]
            if attacks:
                yield f"{dataset}, {model}: {what}: {', '.join(attacks)}; {remedy}"


def _undefended(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that show what the poison does to a learner without a defense."""
    found: pd.DataFrame = results[(results["defense"] == "none") & (results["n_poison"] > 0)]
    return found


def _falling(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield attacks that do less damage with more poison rows."""
    for attack, own in rows.groupby("attack_label", sort=False):
        by_count = own.pivot_table(index="seed", columns="n_poison", values="test_mse").dropna()
        if by_count.empty:
            continue
        counts, errors = by_count.columns.to_numpy(int), by_count.median().to_numpy(float)
        fall = np.maximum.accumulate(errors)[:-1] / errors[1:]
        if len(fall) and fall.max() > NOISE:
            k = int(fall.argmax())
            best = int(errors[: k + 1].argmax())
            yield (
                str(attack),
                f"median test MSE {errors[k + 1]:.3g} with {counts[k + 1]} rows, "
                f"{errors[best]:.3g} with {counts[best]}",
            )


def _beaten_by_less_knowledge(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield attacks that know learner and rows but do less damage than one that knows less."""
    knows_less = _has(rows, "knowledge=") | (rows["attack"] == "statp")
    has_objective = rows["outer_objective"].fillna("").astype(str) != ""
    informed, blind = rows[has_objective & ~knows_less], rows[knows_less]
    for attack, stronger, p, mine, theirs in _beaten(informed, blind, "test_mse"):
        yield attack, f"with {p} rows a median test MSE of {mine:.3g}, {stronger} {theirs:.3g}"


def _beaten_on_own_objective(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield attacks that maximise the validation error and reach less of it than another attack."""
    maximises = rows["outer_objective"].astype(str) == "validation"
    own = rows[maximises & ~_has(rows, "knowledge=")]
    for attack, stronger, p, mine, theirs in _beaten(own, rows, "val_mse"):
        yield attack, f"with {p} rows {mine:.3g}, {stronger} {theirs:.3g}"


def _has(rows: pd.DataFrame, word: str) -> pd.Series:
    """Return which rows are of attacks that have this word among their parameters."""
    return rows["attack_parameters"].fillna("").astype(str).str.contains(word, regex=False)


def _beaten(
    rows: pd.DataFrame, others: pd.DataFrame, column: str
) -> Iterator[tuple[str, str, int, float, float]]:
    """Yield each attack that others exceed by more than noise, with the one that does so most.

    The items are both attacks, the number of poison rows at which the ratio is largest, and the
    medians of `column` there, over the seeds that both have.
    """
    key = ["n_poison", "seed"]
    for attack, mine in rows.groupby("attack_label", sort=False):
        largest, found = NOISE, None
        for other, theirs in others[others["attack_label"] != attack].groupby(
            "attack_label", sort=False
        ):
            joined = mine[[*key, column]].merge(theirs[[*key, column]], on=key)
            values = joined.set_index("n_poison").drop(columns="seed").astype(float).dropna()
            medians = values.groupby("n_poison").median()
            for p, (low, high) in zip(medians.index, medians.to_numpy(float), strict=True):
                if high > largest * low:
                    largest = high / low if low else np.inf
                    found = (str(attack), str(other), int(p), float(low), float(high))
        if found is not None:
            yield found


def _not_converged(rows: pd.DataFrame, convergence: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield searches whose objective was still rising in the last round."""
    key = [name for name in ("folder", "poison_file") if name in rows and name in convergence]
    sets = rows.drop_duplicates(key)[[*key, "attack_label"]]
    joined = sets.merge(convergence, on=key).sort_values("round")
    for attack, of_attack in joined.groupby("attack_label", sort=False):
        last = of_attack.groupby(key)["objective"].agg(
            lambda values: (
                (values.iloc[-1] - values.iloc[-2]) / abs(values.iloc[-1])
                if len(values) > 1 and values.iloc[-1]
                else 0.0
            )
        )
        rising = int((last > STILL_RISING).sum())
        if rising:
            yield str(attack), f"{rising} of {len(last)} poison sets"


def _far_from_ceiling(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield attacks that stay far below the proved ceiling of their objective."""
    known = rows[rows["ceiling_share"].notna()]
    for attack, own in known.groupby("attack_label", sort=False):
        shares = own["ceiling_share"].astype(float).groupby(own["n_poison"]).median()
        if shares.min() < LOW_SHARE:
            yield str(attack), f"with {shares.idxmin()} rows {shares.min():.0%}"
