"""What attacks stand on: data, their split, a learner; and how much poison they may bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import floor

import numpy as np

from poisonbench import registry
from poisonbench.config import Choice, Config, Rate, SplitChoice
from poisonbench.data.base import Dataset
from poisonbench.data.scaling import Scaling
from poisonbench.data.split import SplitCounts, SplitSizes, read_indices, rows_of
from poisonbench.identity import RESULT_VERSION, digest
from poisonbench.problem import Split

MOST_VALUES = 10**9
"""Most values of a poison set, 8 GB; more is a slip of the poisoning rate."""


@dataclass(frozen=True)
class Ground:
    """What the attacks of a part of the grid share: the data, their split and the learner."""

    choice: Choice
    dataset: Dataset
    split_choice: SplitChoice
    split: SplitCounts | Split
    model: Choice

    @cached_property
    def key(self) -> str:
        """Identity of all that the learner on the clean rows depends on, but the seed."""
        split = self.split
        rows = (
            list(split)
            if isinstance(split, SplitCounts)
            else [part.tolist() for part in (split.train, split.validation, split.test)]
        )
        model = {key: value for key, value in self.model.resolved().items() if key != "select_on"}
        return digest(RESULT_VERSION, self.dataset.fingerprint, rows, model)

    @property
    def n_clean(self) -> int:
        """Clean training rows n."""
        split = self.split
        return split.train if isinstance(split, SplitCounts) else len(split.train)

    @cached_property
    def scaling(self) -> Scaling | None:
        """How the box relates to the data's own units; None where that differs by seed."""
        if isinstance(self.split, Split):
            return Scaling.fit(self.dataset, self.split.train)
        if self.dataset.scaling == "train":
            return None
        return Scaling.fit(self.dataset, np.arange(len(self.dataset.y)))

    @property
    def n_validation(self) -> int:
        """The attacker's validation rows."""
        split = self.split
        return split.validation if isinstance(split, SplitCounts) else len(split.validation)


def n_poison(rate: Rate, n_clean: int) -> int:
    """Return the number of poison rows p for `n_clean` clean rows.

    p = floor(rate n + 1/2), or floor(rate n / (1 - rate) + 1/2) where the rate is a share of all
    rows; computed exactly on the rate's decimal digits.

    Parameters
    ----------
    rate : Rate
        The poisoning rate; its value is not None.
    n_clean : int
        Clean training rows n.
    """
    share = Fraction(repr(rate.value))
    if rate.of == "total":
        share /= 1 - share
    return floor(share * n_clean + Fraction(1, 2))


def split_rows(config: Config, choice: SplitChoice, dataset: Dataset) -> SplitCounts | Split:
    """Return the numbers of rows to draw, or the rows of a given split."""
    try:
        if choice.indices is not None:
            return read_indices(choice.indices, len(dataset.y))
        return SplitSizes(choice.train, choice.validation, choice.test).counts(len(dataset.y))
    except ValueError as error:
        raise config.error(choice.where, str(error)) from error


def check_test_rows_unseen(config: Config, attack: Choice, ground: Ground) -> None:
    """Complain of poison rows that were made with rows that are test rows here."""
    seen = attack.build().rows_seen()
    if seen is None:
        return
    for seed in config.seeds:
        test = rows_of(ground.split, ground.dataset, seed).test
        if np.isin(test, seen).any():
            raise config.error(
                attack.where,
                f"{attack.label} was made with rows that are test rows of seed {seed}; expected "
                "split: {indices: FILE} with the same file, or a split that leaves them out",
            )


def rates(config: Config, attack: Choice, ground: Ground) -> Iterator[tuple[Rate, int]]:
    """Yield the rates at which `attack` runs, with their numbers of poison rows."""
    cls, n_clean = registry.components("attack")[attack.name], ground.n_clean
    if not ground.n_validation and cls.needs_validation(attack.parameters):
        raise config.error(
            ground.split_choice.where,
            f"the split has no validation rows, and {attack.label} needs some",
        )
    try:
        own = attack.build().own_rows(ground.dataset.space, ground.dataset.target, ground.scaling)
    except ValueError as error:
        raise config.error(attack.where, str(error)) from error
    given = [(rate, n_poison(rate, n_clean)) for rate in config.rates if rate.value is not None]
    for rate, p in given:
        if p * ground.dataset.space.n_features > MOST_VALUES:
            raise config.error(
                ("poisoning_rate",),
                f"{rate.value} of {rate.of} is {p} poison rows beside {n_clean} clean ones; "
                f"expected rows with at most {MOST_VALUES:.0e} values",
            )
    if own is None:
        yield from given
        return
    # Brings its own rows: the rates asked for do not multiply it, but one of them must fit.
    if own and given:
        fitting = [(rate, p) for rate, p in given if p == own]
        others_take_rates = any(
            registry.components("attack")[choice.name].takes_rate for choice in config.attacks
        )
        if not fitting or (len(fitting) < len(given) and not others_take_rates):
            asked = ", ".join(f"{rate.value} of {rate.of} is {p} rows" for rate, p in given)
            raise config.error(
                ("poisoning_rate",),
                f"{attack.label} has {own} rows, and with {n_clean} clean training rows {asked}; "
                "expected a rate that gives the file's number of rows, or none",
            )
        yield fitting[0]
        return
    of = config.rates[0].of
    yield Rate(own / (n_clean if of == "clean" else n_clean + own), of), own
