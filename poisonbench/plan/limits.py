"""Limits on the size of an experiment, checked before any data are loaded."""

from __future__ import annotations

from itertools import product
from math import prod

from poisonbench.config import Choice, Config
from poisonbench.data.split import SplitSizes
from poisonbench.datasets.catalogue.entries import entries
from poisonbench.plan.rates import MOST_VALUES, n_poison

MOST_CELLS = 10**6
"""Largest number of cells of a config; the tables of more would not fit into memory."""

MOST_REPETITIONS = 10**6
"""Largest number of restarts, rounds, neighbours and the like; more is probably a mistake."""

MOST_BYTES = 16 * 10**9
"""Memory in bytes for all data of a config, their copies in the box, and one learner."""

COPIES = 4
"""Number of copies of the rows in memory at one time: in their own units, in the box, the training
rows, and the training rows with poison."""

SQUARES = 3
"""Number of matrices of shape (columns, columns) in memory at one time: a learner's matrix, its
factorisation, and the defense's matrix."""


def check_limits(config: Config) -> None:
    """Raise an error if a config needs more memory or time than a machine can provide.

    Parameters
    ----------
    config : Config
        The config.

    Raises
    ------
    ConfigError
        It does; the message says how much it needs.
    """
    axes = (config.datasets, config.splits, config.models, config.attacks, config.rates,
            config.seeds, config.defenses)  # fmt: skip
    if (n_cells := prod(map(len, axes))) > MOST_CELLS:
        raise config.error((), f"the grid has up to {n_cells} cells, expected at most "
                               f"{MOST_CELLS}; use --force to run it anyway")  # fmt: skip
    for choice in (*config.attacks, *config.defenses):
        for name, value in choice.parameters.items():
            if isinstance(value, int) and value > MOST_REPETITIONS:
                raise config.error(choice.where, f"{name} is {value}, expected at most "
                                                 f"{MOST_REPETITIONS}; use --force to run it "
                                                 "anyway")  # fmt: skip
    _check_sizes(config)


def _check_sizes(config: Config) -> None:
    """Raise ConfigError if the data or the poison would not fit into memory."""
    total = 0.0
    for choice in config.datasets:
        n_rows, n_columns = expected_size(choice)
        rows, matrices = held(n_rows, n_columns).values()
        total += rows
        needed = total + matrices
        if needed > MOST_BYTES:
            raise config.error(
                choice.where,
                f"{n_rows} rows and {n_columns} columns need about {needed / 1e9:.1f} GB of "
                "memory, counting the data sets before them and a learner's matrices; expected at "
                f"most {MOST_BYTES / 1e9:g} GB; use --force to run it anyway",
            )
        for split, rate in product(config.splits, config.rates):
            if not n_rows or split.indices is not None or rate.value is None:
                continue
            try:
                counts = SplitSizes(split.train, split.validation, split.test).counts(n_rows)
            except ValueError:
                continue  # reported once the data are loaded, with the reason
            p = n_poison(rate, counts.train)
            if p * n_columns > MOST_VALUES:
                raise config.error(
                    ("poisoning_rate",),
                    f"{rate.value} of {rate.of} means {p} poison rows for {counts.train} clean "
                    f"rows; expected poison rows with at most {MOST_VALUES:.0e} values",
                )


def held(n_rows: int, n_columns: int) -> dict[str, float]:
    """Return the memory in bytes that a process needs for data of this size, part by part."""
    return {
        "of rows": 8.0 * COPIES * n_rows * n_columns,
        "of a learner's matrices": 8.0 * SQUARES * n_columns**2,
    }


def expected_size(choice: Choice) -> tuple[int, int]:
    """Return the size of a data set, if the config or the catalogue gives it.

    Parameters
    ----------
    choice : Choice
        The data set.

    Returns
    -------
    n_rows, n_columns : int
        Numbers of rows and columns; 0 if a number is known only once the file is read.
    """
    given = choice.resolved()
    if choice.name == "synthetic":
        return int(given["n"]), int(given["d"]) + sum(given["groups"])
    entry = entries().get(choice.name)
    if entry is None:
        return 0, 0
    return entry.rows or 0, entry.features or entry.columns or 0
