"""The rows of the result files: every column with its meaning, in one place.

``results/README.md`` is made from this module, so the data dictionary cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def column(meaning: str, unit: str = "") -> Any:
    """Return a dataclass field for a column with this meaning and unit."""
    return field(metadata={"meaning": meaning, "unit": unit})


@dataclass(frozen=True)
class Labels:
    """What tells a row from every other: the key of ``results.csv`` and ``timings.csv``."""

    dataset: str = column("data set; of a CSV file the name without its ending")
    target: str = column("name of its response")
    dataset_parameters: str = column("its parameters that differ from their defaults")
    split: str = column("training/validation/test rows, or the file of row indices")
    seed: int = column("seed of all random streams of the row")
    model: str = column("learner")
    model_parameters: str = column("its parameters that differ from their defaults")
    attack: str = column("attack")
    attack_parameters: str = column("its parameters that differ from their defaults")
    variables: str | None = column("what the attack moves: x, or xy; empty where it does not apply")
    initialization: str | None = column("how the attack starts; empty where it does not apply")
    outer_objective: str | None = column("what the attack maximises; empty where it does not apply")
    poisoning_rate: float = column("poisoning rate asked for, as a share of what rate_of says")
    rate_of: str = column("clean: the rate is p/n; total: it is p/(n+p)")
    defense: str = column("defense; none, oracle, median and heavy-ridge are reference rows")
    defense_parameters: str = column("its parameters that differ from their defaults")
    n_poison_source: str | None = column("where a defense's number of poison rows comes from: "
                                         "oracle (the true p), estimated, or a rate or count "
                                         "of the config; empty where it takes none")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the tables: its labels, and the cell that holds its numbers."""

    labels: Labels
    cell: str


@dataclass(frozen=True)
class Measured:
    """What a cell measures; everything here is the same for the same config, whoever runs it."""

    lambda_: float = column("the learner's strength in the paper's objective, on the n + p rows "
                            "that it was given (oracle: on the n clean ones; heavy-ridge: its "
                            "own)")  # fmt: skip
    alpha: float = column("the same strength in scikit-learn's convention")
    n_clean: int = column("clean training rows n", "rows")
    n_poison: int = column("poison rows p", "rows")
    rate_clean: float = column("p/n")
    rate_total: float = column("p/(n+p)")
    n_features: int = column("features d, after one-hot encoding")
    n_validation: int = column("the attacker's validation rows", "rows")
    n_test: int = column("test rows", "rows")
    n_poison_assumed: int | None = column("poison rows that the defense assumed or estimated; "
                                          "empty where it assumes no number", "rows")  # fmt: skip
    test_mse: float = column("mean squared error on the test rows", "squared box unit")
    test_mse_clean: float = column("the same for the learner trained on the clean rows only, on "
                                   "the same split", "squared box unit")  # fmt: skip
    ratio_to_clean: float | None = column("test_mse / test_mse_clean")
    ratio_to_none: float | None = column("test_mse / that of the undefended learner on the same "
                                         "poison")  # fmt: skip
    ratio_to_own_clean: float | None = column("test_mse / that of the same defense on the clean "
                                              "rows, without poison; empty where it cannot be "
                                              "fitted to them")  # fmt: skip
    test_mse_clipped: float = column("test_mse with predictions clipped to [0, 1]",
                                     "squared box unit")  # fmt: skip
    test_median_se: float = column("median squared error on the test rows", "squared box unit")
    test_mae: float = column("mean absolute error on the test rows", "box unit")
    test_r2: float | None = column("coefficient of determination on the test rows; empty if they "
                                   "do not vary")  # fmt: skip
    test_rmse_unscaled: float = column("root of test_mse in the response's own unit",
                                       "unit of the response")  # fmt: skip
    val_mse: float | None = column("mean squared error on the attacker's validation rows; empty "
                                   "without any", "squared box unit")  # fmt: skip
    objective_initial: float | None = column("outer objective of the learner trained with the "
                                             "attack's starting rows")  # fmt: skip
    objective_final: float | None = column("outer objective of the learner trained with the poison "
                                           "rows")  # fmt: skip
    chosen_variant: str | None = column("variables, initialization and outer objective of the "
                                        "variant kept, where an attack tries several")  # fmt: skip
    n_removed: int | None = column("training rows that the defense removed; empty where it removes "
                                   "none by design", "rows")  # fmt: skip
    removal_precision: float | None = column("share of the removed rows that are poison; empty if "
                                             "none was removed")  # fmt: skip
    removal_recall: float | None = column("share of the poison rows that were removed; empty "
                                          "without poison")  # fmt: skip
    poison_kept: float | None = column("share of the poison rows that were kept; empty without "
                                       "poison")  # fmt: skip
    defense_note: str | None = column("what the defense says of its model that the parameters do "
                                      "not: a reduced dimension, no penalty, fits that failed or "
                                      "did not converge, categories whose rows were rejected "
                                      "together")  # fmt: skip
    bound_theorem2: float | None = column("Theorem 2's bound on bound_lhs; like the next three "
                                          "empty where the defense takes no number of poison "
                                          "rows, or removes none", "squared box unit")  # fmt: skip
    bound_sharp: float | None = column("the sharper bound on bound_lhs", "squared box unit")
    bound_lhs: float | None = column("largest mean squared error of the defended model on as many "
                                     "clean rows as must be among those kept",
                                     "squared box unit")  # fmt: skip
    bound_condition: float | None = column("trimmed objective / objective of the learner on the "
                                           "clean rows; where it is at most 1, both bounds are "
                                           "proved")  # fmt: skip
    poison_file: str | None = column("file of the poison rows below the output folder; empty "
                                     "without poison")  # fmt: skip


@dataclass(frozen=True)
class Timings:
    """What running a cell took; in ``timings.csv``, apart from what must be reproducible."""

    attack_seconds: float | None = column("making the poison set, once for all defenses; empty if "
                                          "the record of it was lost", "seconds")  # fmt: skip
    defense_seconds: float | None = column("fitting the defense", "seconds")
    attack_rounds: int | None = column("rounds of the attack's outer loop")


@dataclass(frozen=True)
class Round:
    """A round of an attack; a row of ``convergence.csv``."""

    poison_file: str = column("the poison set that the attack made; as in results.csv")
    round: int = column("round of the attack's outer loop; 0 is the start of the climb that was "
                        "kept")  # fmt: skip
    objective: float = column("outer objective after the round, of the learner or its surrogate")


def names(record: type) -> list[str]:
    """Return the column names of a record type, in order."""
    return [entry.name.rstrip("_") for entry in fields(record)]


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
