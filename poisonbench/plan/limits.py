"""What a config would take, estimated from the config alone, before any data are loaded."""

from __future__ import annotations

from itertools import product
from math import prod

from poisonbench.config import Choice, Config
from poisonbench.data.split import SplitSizes
from poisonbench.datasets.catalogue.entries import entries
from poisonbench.plan.rates import MOST_VALUES, n_poison

MOST_CELLS = 10**6
"""Cells of a config; the tables of more do not fit into memory either."""

MOST_REPETITIONS = 10**6
"""The largest number of restarts, rounds, neighbours or the like; more is a slip."""

MOST_BYTES = 16 * 10**9
"""Memory for all data of a config, their copies in the box, and one learner."""

COPIES = 4
"""Copies of the rows at one time: own units, box, training rows, with poison."""

SQUARES = 3
"""Matrices of columns x columns at one time: a learner's, its factor, the defense's."""


def check_limits(config: Config) -> None:
    """Complain of a config that asks for more than a machine can do.

    Parameters
    ----------
    config : Config
        The config.

    Raises
    ------
    ConfigError
        It does; the message has the figure.
    """
    axes = (config.datasets, config.splits, config.models, config.attacks, config.rates,
            config.seeds, config.defenses)  # fmt: skip
    if (n_cells := prod(map(len, axes))) > MOST_CELLS:
        raise config.error((), f"the grid has up to {n_cells} cells, expected at most "
                               f"{MOST_CELLS}; --force makes the plan all the same")  # fmt: skip
    for choice in (*config.attacks, *config.defenses):
        for name, value in choice.parameters.items():
            if isinstance(value, int) and value > MOST_REPETITIONS:
                raise config.error(choice.where, f"{name} is {value}, expected at most "
                                                 f"{MOST_REPETITIONS}; --force tries it all the "
                                                 "same")  # fmt: skip
    _check_sizes(config)


def _check_sizes(config: Config) -> None:
    """Complain of data, or poison, that no memory holds."""
    total = 0
    for choice in config.datasets:
        n_rows, n_columns = expected_size(choice)
        total += 8 * COPIES * n_rows * n_columns
        needed = total + 8 * SQUARES * n_columns**2
        if needed > MOST_BYTES:
            raise config.error(
                choice.where,
                f"{n_rows} rows and {n_columns} columns take about {needed / 1e9:.1f} GB, with the "
                f"data before them and a learner's matrices; expected at most {MOST_BYTES / 1e9:g} "
                "GB; --force tries it all the same",
            )
        for split, rate in product(config.splits, config.rates):
            if not n_rows or split.indices is not None or rate.value is None:
                continue
            try:
                counts = SplitSizes(split.train, split.validation, split.test).counts(n_rows)
            except ValueError:
                continue  # said once the data are there, with what is wrong
            p = n_poison(rate, counts.train)
            if p * n_columns > MOST_VALUES:
                raise config.error(
                    ("poisoning_rate",),
                    f"{rate.value} of {rate.of} is {p} poison rows beside {counts.train} clean "
                    f"ones; expected rows with at most {MOST_VALUES:.0e} values",
                )


def expected_size(choice: Choice) -> tuple[int, int]:
    """Return the rows and columns of a data set as far as the config or the catalogue knows.

    Parameters
    ----------
    choice : Choice
        The data set.

    Returns
    -------
    n_rows, n_columns : int
        0 where it is not known before the file is read.
    """
    given = choice.resolved()
    if choice.name == "synthetic":
        return int(given["n"]), int(given["d"]) + sum(given["groups"])
    entry = entries().get(choice.name)
    if entry is None:
        return 0, 0
    return entry.rows or 0, entry.features or entry.columns or 0
