"""Exact conversions of poisoning rates to numbers of poison rows, true and assumed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from poisonbench import registry
from poisonbench.config import Choice, Config, Rate
from poisonbench.plan.setup import Setup
from poisonbench.rounding import exact, rows_at

MOST_VALUES = 10**9
"""Largest number of values in a poison set, 8 GB; more is probably a mistyped poisoning rate."""


def n_poison(rate: Rate, n_clean: int) -> int:
    """Return the number of poison rows p for `n_clean` clean rows.

    p = floor(rate n + 1/2), or floor(rate n / (1 - rate) + 1/2) if the rate is a share of all
    rows.  It is computed exactly from the rate's decimal digits.

    Parameters
    ----------
    rate : Rate
        The poisoning rate; its value is not None.
    n_clean : int
        Number of clean training rows n.
    """
    share = exact(rate.value or 0.0)
    if rate.of == "total":
        share /= 1 - share
    return rows_at(share, n_clean)


def rates(config: Config, attack: Choice, setup: Setup) -> Iterator[tuple[Rate, int]]:
    """Yield the rates at which `attack` runs, with the numbers of poison rows."""
    cls, n_clean = registry.components("attack")[attack.name], setup.n_clean
    if not setup.n_validation and cls.needs_validation(attack.parameters):
        raise config.error(
            setup.split_choice.where,
            f"the split has no validation rows, which {attack.label} needs; expected at least 1",
        )
    try:
        own = attack.build().own_rows(setup.dataset.space, setup.dataset.target, setup.scaling)
    except ValueError as error:
        raise config.error(attack.where, str(error)) from error
    given = [(rate, n_poison(rate, n_clean)) for rate in config.rates if rate.value is not None]
    for rate, p in given:
        if p * setup.dataset.space.n_features > MOST_VALUES:
            raise config.error(
                ("poisoning_rate",),
                f"{rate.value} of {rate.of} means {p} poison rows for {n_clean} clean rows; "
                f"expected poison rows with at most {MOST_VALUES:.0e} values",
            )
    if own is None:
        yield from given
        return
    # An attack that brings its own rows runs only once, at the rate that matches their number.
    if own and given:
        fitting = [(rate, p) for rate, p in given if p == own]
        others_take_rates = any(
            registry.components("attack")[choice.name].takes_rate for choice in config.attacks
        )
        if not fitting or (len(fitting) < len(given) and not others_take_rates):
            asked = ", ".join(f"{rate.value} of {rate.of} means {p} rows" for rate, p in given)
            raise config.error(
                ("poisoning_rate",),
                f"{attack.label} has {own} rows, but with {n_clean} clean training rows {asked}; "
                "expected a rate that gives the file's number of rows, or no poisoning_rate",
            )
        yield fitting[0]
        return
    of = config.rates[0].of
    yield Rate(own / (n_clean if of == "clean" else n_clean + own), of), own


def assumed_poison(source: Any, rate: Rate, n_clean: int, p: int) -> int | str | None:
    """Return the number of poison rows that a defense with this ``n_poison`` is told.

    "auto" means that it has to estimate the number, None that it uses no such number.
    """
    if source is None or source == "oracle":
        return None if source is None else p
    if source == "estimated":
        return "auto"
    if "count" in source:
        return int(source["count"])
    # The defense sees N = n + p rows and assumes the number of poison rows that N rows have at its
    # rate.
    share = exact(source["rate"])
    if rate.of == "clean":
        share /= 1 + share
    return rows_at(share, n_clean + p)
