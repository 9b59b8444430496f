"""What the results of an audit mean: the damage, the rate that doubles the error, the defense.

Errors are root mean squared errors.  An error "at a rate" is the median over splits of that under
the attack that does most damage there; the largest over splits stands beside it.  The defense is
chosen by errors on the validation rows, which the attacker has too; what is said about it is its
error on the test rows, which nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from poisonbench.reference_rows import REFERENCE_ROWS

CLEAN_LIMIT = 1.2
"""A defense is not recommended if its mean squared error without poison is more than this many
times that of the best defense."""

ALIKE = 1.02
"""Defenses whose worst errors differ by at most this factor are alike; the one with the best worst
split is then taken."""

HELD = 1.25
"""A defense has held if its error under every attack is at most this many times today's error."""

SUSPICIOUS = 1.2
"""The file may contain bad rows if, on the rows that fit best, the learner's mean squared error is
more than this many times that of the best defense."""


@dataclass(frozen=True)
class Reached:
    """The largest error that the attacks reach at a rate.

    Parameters
    ----------
    rate : float
        The poisoning rate.
    attack : str
        The attack with the largest median.
    median : float
        Its median over splits.
    worst : float
        The largest error of any attack on any split.
    """

    rate: float
    attack: str
    median: float
    worst: float


@dataclass(frozen=True)
class Doubling:
    """The rate at which the error is twice that without poison.

    Parameters
    ----------
    kind : {"between", "below", "above"}
        Whether it lies between two rates of the grid, below the lowest, or above the highest.
    rate : float
        The rate by linear interpolation; for "above", the highest rate.
    low, high : float
        The rates on both sides; for "below", 0 and the lowest rate.
    """

    kind: Literal["between", "below", "above"]
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Candidate:
    """A defense, and what speaks for and against it.

    Parameters
    ----------
    label : str
        Its name with its parameters.
    clean : float
        Its median error without poison on the test rows.
    curve : tuple of Reached
        Its errors under the attacks on the test rows, by rate.
    clean_ratio : float
        Its mean squared error without poison on the validation rows divided by the smallest of all
        defenses; without the largest errors unless the rows are trusted.
    plain_ratio : float
        The same with all errors, divided by the smallest of those whose `clean_ratio` is within
        the limit.
    validation : tuple of Reached
        Its errors under the attacks on the validation rows, by rate.
    """

    label: str
    clean: float
    curve: tuple[Reached, ...]
    clean_ratio: float
    plain_ratio: float
    validation: tuple[Reached, ...]

    @property
    def name(self) -> str:
        """Its name without parameters."""
        return self.label.partition("(")[0]

    @property
    def is_eligible(self) -> bool:
        """Whether its error without poison is small enough for a recommendation."""
        return self.clean_ratio <= CLEAN_LIMIT and self.plain_ratio <= CLEAN_LIMIT

    @property
    def worst(self) -> Reached:
        """The largest of its errors on the test rows over the rates."""
        return highest(self.curve)

    @property
    def worst_split(self) -> float:
        """Its largest error on the test rows over rates, attacks and splits."""
        return largest(self.curve)

    @property
    def worst_validation(self) -> Reached:
        """The largest of its errors on the validation rows over the rates."""
        return highest(self.validation)

    def at(self, rate: float) -> Reached:
        """Return its error on the test rows at a rate."""
        return next(reached for reached in self.curve if reached.rate == rate)


@dataclass(frozen=True)
class Conclusion:
    """The answer of an audit, in numbers.

    Parameters
    ----------
    target, unit : str
        The response, and its unit; the unit is empty if errors are shares of its range.
    model : str
        The learner.
    n_splits, n_train, n_validation, n_test : int
        Numbers of splits and rows.
    rate : float
        The rate that the answer is about.
    today, today_worst : float
        The error on the test rows without poison, in the median and on the worst split.
    constant : float
        The error of predicting the same value for every row.
    curve : tuple of Reached
        The errors on the test rows without a defense, by rate.
    by_attack : mapping of str to tuple of Reached
        The same for each attack.
    doubling : Doubling
        The rate at which the error doubles.
    candidates : tuple of Candidate
        The defenses, the best first.
    recommended : Candidate or None
        The defense to take.
    suspicion : float
        The learner's mean squared error on the validation rows that fit best, divided by that of
        the best defense.
    ceiling : float or None
        Proved bound on the median error at `rate`, if one is known.
    """

    target: str
    unit: str
    model: str
    n_splits: int
    n_train: int
    n_validation: int
    n_test: int
    rate: float
    today: float
    today_worst: float
    constant: float
    curve: tuple[Reached, ...]
    by_attack: Mapping[str, tuple[Reached, ...]]
    doubling: Doubling
    candidates: tuple[Candidate, ...]
    recommended: Candidate | None
    suspicion: float
    ceiling: float | None

    @property
    def reached(self) -> Reached:
        """The error without a defense at the rate that the answer is about."""
        return next(reached for reached in self.curve if reached.rate == self.rate)

    @property
    def has_held(self) -> bool:
        """Whether the recommended defense has held."""
        return self.recommended is not None and self.recommended.worst.median <= HELD * self.today

    @property
    def needs_no_defense(self) -> bool:
        """Whether the learner itself has held."""
        return max(reached.median for reached in self.curve) <= HELD * self.today


def conclude(
    results: pd.DataFrame,
    rate: float,
    trimmed: Mapping[int, Mapping[str, float]] | None = None,
    *,
    trusted: bool = False,
) -> Conclusion:
    """Return the conclusion from the rows of one data set and one learner.

    Parameters
    ----------
    results : pandas.DataFrame
        The rows of :class:`poisonbench.output.reading.Tables`.
    rate : float
        The rate that the answer is about.
    trimmed : mapping of int to mapping of str to float, optional
        For each seed and each defense's label the mean of the smallest squared errors on the
        validation rows without poison.  If it is not given, the rows are treated as trusted.
    trusted : bool, default=False
        Whether the rows of the file are known to contain no poison.
    """
    rows = _with_errors(results)
    unit = str(rows["response_unit"].iloc[0]) if rows["own"].iloc[0] else ""
    clean = rows[rows["n_poison"] == 0].drop_duplicates(["seed", "defense_label"])
    undefended = clean[clean["defense"] == "none"]["rmse"]
    poisoned = rows[rows["n_poison"] > 0]
    none = poisoned[poisoned["defense"] == "none"]
    curve = curve_of(none)
    today = float(undefended.median())
    candidates, suspicion = _candidates(clean, poisoned, None if trusted else trimmed)
    first = rows.iloc[0]
    ceilings = none[none["poisoning_rate"] == rate]["ceiling"].dropna()
    return Conclusion(
        target=str(first["target"]),
        unit=unit,
        model=str(first["model"]),
        n_splits=int(rows["seed"].nunique()),
        n_train=int(first["n_clean"]),
        n_validation=int(first["n_validation"]),
        n_test=int(first["n_test"]),
        rate=rate,
        today=today,
        today_worst=float(undefended.max()),
        constant=float(clean[clean["defense"] == "median"]["rmse"].median()),
        curve=curve,
        by_attack={
            str(name): curve_of(of_attack)
            for name, of_attack in none.groupby("attack_label", sort=False)
        },
        doubling=doubling(curve, today),
        candidates=candidates,
        recommended=recommended(candidates),
        suspicion=suspicion,
        ceiling=float(ceilings.median()) if len(ceilings) else None,
    )


def _with_errors(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with root mean squared errors in the own unit, or as shares of the range."""
    mse, validation, ceiling = (
        results[name].astype(float) for name in ("test_mse", "val_mse", "test_mse_ceiling")
    )
    own = results["test_rmse_unscaled"].astype(float)
    is_own = bool(own.notna().all())
    rmse = own if is_own else mse**0.5
    span = pd.Series(1.0, index=results.index)
    if is_own:  # the response's range in the training rows of each split, from any of its errors
        of_split = (own / mse**0.5).where(mse > 0).groupby(results["seed"])
        span = of_split.transform("median").fillna(1.0)
    return results.assign(
        rmse=rmse,
        own=is_own,
        ceiling=ceiling**0.5 * span,
        val_mse=validation,
        val_rmse=validation**0.5 * span,
    )


def curve_of(rows: pd.DataFrame, column: str = "rmse") -> tuple[Reached, ...]:
    """Return the largest error at each rate, over the attacks, from rows of one defense."""
    found = []
    for rate, at_rate in rows.groupby("poisoning_rate"):
        medians = at_rate.groupby("attack_label", sort=False)[column].median()
        attack = str(medians.idxmax())
        worst = float(at_rate[column].max())
        found.append(Reached(float(rate), attack, float(medians.max()), worst))  # type: ignore[arg-type]
    return tuple(found)


def highest(curve: tuple[Reached, ...]) -> Reached:
    """Return the largest median of a curve, with its rate and attack."""
    return max(curve, key=lambda reached: reached.median)


def largest(curve: tuple[Reached, ...]) -> float:
    """Return the largest error of a curve on any split."""
    return max(reached.worst for reached in curve)


def doubling(curve: tuple[Reached, ...], today: float) -> Doubling:
    """Return the rate at which the error first reaches twice `today`.

    Parameters
    ----------
    curve : tuple of Reached
        The errors by rate, ascending.
    today : float
        The error at rate 0.
    """
    low, before = 0.0, today
    for reached in curve:
        if reached.median >= 2 * today and reached.median > before:
            step = (2 * today - before) / (reached.median - before)
            rate = low + step * (reached.rate - low)
            return Doubling("below" if low == 0 else "between", rate, low, reached.rate)
        low, before = reached.rate, reached.median
    return Doubling("above", low, low, float("inf"))


def _candidates(
    clean: pd.DataFrame,
    poisoned: pd.DataFrame,
    trimmed: Mapping[int, Mapping[str, float]] | None,
) -> tuple[tuple[Candidate, ...], float]:
    """Return the defenses, the best first, and how much better than the learner one already is."""
    is_defense = ~clean["defense"].isin(list(REFERENCE_ROWS))
    labels = list(clean[is_defense]["defense_label"].unique())
    plain = clean.groupby("defense_label")["val_mse"].median()
    robust = plain
    if trimmed:
        robust = pd.DataFrame([trimmed[seed] for seed in sorted(trimmed)]).median()
    if not labels:
        return (), 1.0
    best = float(robust[labels].min())
    clean_ratio = {label: _ratio(float(robust[label]), best) for label in labels}
    within = [label for label in labels if clean_ratio[label] <= CLEAN_LIMIT]
    best_plain = float(plain[within].min())
    found = [
        Candidate(
            label=label,
            clean=float(clean[clean["defense_label"] == label]["rmse"].median()),
            curve=curve_of(poisoned[poisoned["defense_label"] == label]),
            clean_ratio=clean_ratio[label],
            plain_ratio=_ratio(float(plain[label]), best_plain),
            validation=curve_of(poisoned[poisoned["defense_label"] == label], "val_rmse"),
        )
        for label in labels
    ]
    found.sort(key=lambda one: (not one.is_eligible, one.worst_validation.median, one.plain_ratio))
    return tuple(found), _ratio(float(robust["none"]), best)


def _ratio(value: float, best: float) -> float:
    if best > 0:
        return value / best
    return 1.0 if value == 0 else float(np.inf)


def recommended(candidates: tuple[Candidate, ...]) -> Candidate | None:
    """Return the defense to take: of those that are good enough without poison, the safest.

    That is the one with the smallest error on the validation rows under the worst attack at any
    rate; if several are alike in this, the one whose worst split is the best.

    Parameters
    ----------
    candidates : tuple of Candidate
        The defenses.
    """
    eligible = [one for one in candidates if one.is_eligible]
    if not eligible:
        return None
    least = min(one.worst_validation.median for one in eligible)
    alike = [one for one in eligible if one.worst_validation.median <= ALIKE * least]
    return min(alike, key=lambda one: (largest(one.validation), one.plain_ratio))
