"""The columns of the result files, each with its meaning and unit.

A test keeps the tables of ``results/README.md`` equal to what :func:`dictionary` makes of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any


def column(meaning: str, unit: str = "") -> Any:
    """Return a dataclass field for a column with this meaning and unit."""
    return field(metadata={"meaning": meaning, "unit": unit})


@dataclass(frozen=True)
class Labels:
    """The columns that identify a row of ``results.csv`` and ``timings.csv``."""

    dataset: str = column("data set; for a CSV file, its name without the extension")
    target: str = column("name of the response")
    dataset_parameters: str = column("parameters of the data set that differ from their defaults")
    split: str = column("training/validation/test rows, or the file of row indices")
    seed: int = column("seed of all random streams of the row")
    model: str = column("learner")
    model_parameters: str = column("parameters of the learner that differ from their defaults")
    attack: str = column("attack")
    attack_parameters: str = column("parameters of the attack that differ from their defaults")
    variables: str | None = column("what the attack optimises: x (features) or xy (features and "
                                   "response); empty if it does not apply")  # fmt: skip
    initialization: str | None = column("how the attack starts; empty if it does not apply")
    outer_objective: str | None = column("what the attack maximises; empty if it does not apply")
    poisoning_rate: float = column("poisoning rate of the config, as rate_of defines it")
    rate_of: str = column("clean: the rate is p/n; total: the rate is p/(n+p)")
    defense: str = column("defense; none, oracle, median and heavy-ridge are reference rows")
    defense_parameters: str = column("parameters of the defense that differ from their defaults")
    n_poison_source: str | None = column("how the defense learns the number of poison rows: oracle "
                                         "(told the true p), estimated, or a rate or count from "
                                         "the config; empty if it uses no such number")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the tables: its labels, and the cell that holds its numbers."""

    labels: Labels
    cell: str


@dataclass(frozen=True)
class Measured:
    """The numbers that a cell measures; the same config always gives the same numbers."""

    lambda_: float = column("penalty strength in the paper's objective, on the n + p training "
                            "rows (oracle: on the n clean rows; heavy-ridge: its own)")  # fmt: skip
    alpha: float = column("the same strength in scikit-learn's convention")
    n_clean: int = column("clean training rows n", "rows")
    n_poison: int = column("poison rows p", "rows")
    rate_clean: float = column("p/n")
    rate_total: float = column("p/(n+p)")
    n_features: int = column("features d, after one-hot encoding")
    n_validation: int = column("the attacker's validation rows", "rows")
    n_test: int = column("test rows", "rows")
    n_poison_assumed: int | None = column("number of poison rows that the defense was told or "
                                          "estimated; empty if it uses no such number",
                                          "rows")  # fmt: skip
    test_mse: float = column("mean squared error on the test rows", "squared box unit")
    repetitions: int = column("fits of the defense to the same rows, which differ in its random "
                              "numbers only; all other columns describe the fit with the median "
                              "test_mse (of an even number, the lower of the two in the "
                              "middle)")  # fmt: skip
    test_mse_least: float | None = column("least test_mse of these fits; like the next two "
                                          "columns, empty if there is only one fit",
                                          "squared box unit")  # fmt: skip
    test_mse_largest: float | None = column("largest test_mse of these fits", "squared box unit")
    spread: float | None = column("test_mse_largest / test_mse_least; empty if "
                                  "there is only one fit, or if the least is 0")  # fmt: skip
    test_mse_clean: float = column("test_mse of the learner trained on the clean rows alone, on "
                                   "the same split", "squared box unit")  # fmt: skip
    ratio_to_clean: float | None = column("test_mse / test_mse_clean")
    ratio_to_none: float | None = column("test_mse / test_mse of the undefended learner on the "
                                         "same poison")  # fmt: skip
    ratio_to_own_clean: float | None = column("test_mse / test_mse of the same defense on the "
                                              "clean rows, without poison; empty if it cannot be "
                                              "fitted to them")  # fmt: skip
    test_mse_clipped: float = column("test_mse with predictions clipped to [0, 1]",
                                     "squared box unit")  # fmt: skip
    test_median_se: float = column("median squared error on the test rows", "squared box unit")
    test_mae: float = column("mean absolute error on the test rows", "box unit")
    test_r2: float | None = column("coefficient of determination on the test rows; empty if their "
                                   "responses are all equal")  # fmt: skip
    test_rmse_unscaled: float | None = column("root of test_mse, in the response's own unit; empty "
                                              "where that is not known",
                                              "response_unit")  # fmt: skip
    response_unit: str | None = column("the response's own unit: that of the catalogue, else of "
                                       "the values in the file; empty if the file was scaled "
                                       "beforehand and its original range is not "
                                       "known")  # fmt: skip
    val_mse: float | None = column("mean squared error on the attacker's validation rows; empty "
                                   "if there are none", "squared box unit")  # fmt: skip
    objective_initial: float | None = column("outer objective of the learner trained with the "
                                             "attack's initial poison rows; with limited "
                                             "knowledge, that of the attacker's "
                                             "surrogate")  # fmt: skip
    objective_final: float | None = column("outer objective of the learner trained with the final "
                                           "poison rows; with limited knowledge, that of the "
                                           "attacker's surrogate")  # fmt: skip
    objective_ceiling: float | None = column("proved bound on the outer objective of the learner "
                                             "trained with any n_poison legal poison rows; empty "
                                             "if none is known")  # fmt: skip
    ceiling_share: float | None = column("(objective_final - c) / (objective_ceiling - c), where "
                                         "c is the outer objective of the learner trained on the "
                                         "clean rows")  # fmt: skip
    test_mse_ceiling: float | None = column("the same bound on the undefended learner's mean "
                                            "squared error on the test rows, which no attacker "
                                            "sees", "squared box unit")  # fmt: skip
    ceiling_note: str | None = column("why a ceiling is not known")
    chosen_variant: str | None = column("for an attack that tries several variants, the "
                                        "variables, initialization and outer objective of the one "
                                        "it kept")  # fmt: skip
    n_removed: int | None = column("training rows that the defense removed; empty if it never "
                                   "removes rows", "rows")  # fmt: skip
    removal_precision: float | None = column("share of the removed rows that are poison; empty if "
                                             "none were removed")  # fmt: skip
    removal_recall: float | None = column("share of the poison rows that were removed; empty "
                                          "without poison")  # fmt: skip
    poison_kept: float | None = column("share of the poison rows that were kept; empty without "
                                       "poison")  # fmt: skip
    defense_note: str | None = column("what the defense reports about its fit: a reduced "
                                      "dimension, no penalty, fits that failed or did not "
                                      "converge, categories whose rows were rejected "
                                      "together")  # fmt: skip
    bound_theorem2: float | None = column("Theorem 2's bound on bound_lhs; like the next three "
                                          "columns, empty if the defense uses no number of poison "
                                          "rows, or removes none", "squared box unit")  # fmt: skip
    bound_sharp: float | None = column("a sharper bound on bound_lhs", "squared box unit")
    bound_lhs: float | None = column("mean squared error of the defended model on the clean rows "
                                     "among those kept, the h - p worst of them",
                                     "squared box unit")  # fmt: skip
    bound_condition: float | None = column("trimmed objective / objective of the learner on the "
                                           "clean rows; where it is at most 1, both bounds are "
                                           "proved")  # fmt: skip
    poison_file: str | None = column("path of the poison file, relative to the output folder; "
                                     "empty without poison")  # fmt: skip

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Timings:
    """How long a cell took; in ``timings.csv``, because it is not reproducible."""

    attack_seconds: float | None = column("making the poison set, once for all defenses; empty if "
                                          "the time was lost", "seconds")  # fmt: skip
    defense_seconds: float | None = column("fitting the defense, once", "seconds")
    attack_rounds: int | None = column("rounds of the attack's outer loop")

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Round:
    """A round of an attack; a row of ``convergence.csv``."""

    poison_file: str = column("the poison file, as in results.csv")
    round: int = column("round of the attack's outer loop; 0 is the start; of several climbs, the "
                        "one that was kept")  # fmt: skip
    objective: float = column("outer objective after the round, for the learner or its surrogate")


def _check(record: Any) -> None:
    """Raise an error if a value does not have its column's type, or is not finite."""
    for entry in fields(record):
        value = getattr(record, entry.name)
        kind, _, empty = str(entry.type).partition(" | ")
        if value is None and empty:
            continue
        expected = {"float": float | int, "int": int, "str": str}[kind]
        if isinstance(value, bool) or not isinstance(value, expected):
            raise TypeError(f"{entry.name} is {value!r}, expected {entry.type}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{entry.name} is {value}, expected a finite number")


@dataclass(frozen=True)
class Predictions:
    """The predictions of a cell on its test rows, which are kept with ``--predictions``.

    Parameters
    ----------
    unit : str
        Unit of the numbers: the response's own unit, or box units if that is not known.
    rows : tuple of int
        Row indices of the test rows in the data set, from 0.
    y, predicted, clean : tuple of float
        For each test row the response, the prediction of the cell's model, and the prediction of
        the learner trained on the clean rows.
    """

    unit: str
    rows: tuple[int, ...]
    y: tuple[float, ...]
    predicted: tuple[float, ...]
    clean: tuple[float, ...]


@dataclass(frozen=True)
class Change:
    """How far a cell moved single predictions; a row of ``changes.csv``.

    A change is |prediction - clean prediction| / |clean prediction| of a test row, both in the
    response's own unit.
    """

    response_unit: str = column("unit of the responses")
    response_q50: float = column("median response of the test rows", "response_unit")
    change_q10: float = column("quantile 10% over test rows of the relative change of a prediction")
    change_q25: float = column("quantile 25%")
    change_q50: float = column("median")
    change_q75: float = column("quantile 75%")
    change_q90: float = column("quantile 90%")


def names(record: type) -> list[str]:
    """Return the column names of a record type, in order."""
    return [entry.name.rstrip("_") for entry in fields(record)]


def types(record: type) -> dict[str, str]:
    """Return the type of each column of a record type, such as ``"float | None"``, in order."""
    return {entry.name.rstrip("_"): str(entry.type) for entry in fields(record)}


def values(record: Any) -> list[Any]:
    """Return the values of a record, in the order of :func:`names`."""
    return [getattr(record, entry.name) for entry in fields(record)]


def dictionary(record: type) -> str:
    """Return the columns of a record type as a Markdown table: name, meaning, unit, type."""
    lines = ["| column | meaning | unit | type |", "| --- | --- | --- | --- |"]
    for entry, name in zip(fields(record), names(record), strict=True):
        kind = str(entry.type).replace(" | None", ", may be empty")
        meaning, unit = entry.metadata["meaning"], entry.metadata["unit"]
        lines.append(f"| `{name}` | {meaning} | {unit} | {kind} |")
    return "\n".join(lines)
