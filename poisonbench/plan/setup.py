"""The setup of an attack: data set, split and learner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonbench.config import Choice, Config, SplitChoice
from poisonbench.data.base import Dataset
from poisonbench.data.scaling import Scaling
from poisonbench.data.split import Split, SplitCounts, SplitSizes, read_indices, rows_of
from poisonbench.plan.identity import RESULT_VERSION, digest


@dataclass(frozen=True)
class Setup:
    """A data set, a split and a learner, which all attacks at a point of the grid share."""

    choice: Choice
    dataset: Dataset
    split_choice: SplitChoice
    split: SplitCounts | Split
    model: Choice

    @cached_property
    def key(self) -> str:
        """Identity of everything that the learner on the clean rows depends on, except the seed."""
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
        """Number of clean training rows n."""
        split = self.split
        return split.train if isinstance(split, SplitCounts) else len(split.train)

    @cached_property
    def scaling(self) -> Scaling | None:
        """The scaling to the box; None if it differs between seeds."""
        if isinstance(self.split, Split):
            return Scaling.fit(self.dataset, self.split.train)
        if self.dataset.scaling == "train":
            return None
        return Scaling.fit(self.dataset, np.arange(len(self.dataset.y)))

    @property
    def n_validation(self) -> int:
        """Number of the attacker's validation rows."""
        split = self.split
        return split.validation if isinstance(split, SplitCounts) else len(split.validation)


def split_rows(config: Config, choice: SplitChoice, dataset: Dataset) -> SplitCounts | Split:
    """Return the numbers of rows to draw, or the rows that a split file gives."""
    try:
        if choice.indices is not None:
            return read_indices(choice.indices, len(dataset.y))
        return SplitSizes(choice.train, choice.validation, choice.test).counts(len(dataset.y))
    except ValueError as error:
        raise config.error(choice.where, str(error)) from error


def check_spare_rows(config: Config, attack: Choice, setup: Setup) -> None:
    """Raise ConfigError if the split leaves too few rows for the attacker's surrogate sample."""
    knowledge = attack.parameters.get("knowledge")
    if not knowledge or knowledge["surrogate"] == "model":
        return
    split = setup.split
    used = sum(split) if isinstance(split, SplitCounts) else sum(
        map(len, (split.train, split.validation, split.test)))  # fmt: skip
    left = len(setup.dataset.y) - used
    if left < setup.n_clean:
        raise config.error(
            attack.where,
            f"{attack.label} needs a surrogate sample of {setup.n_clean} rows, as many as the "
            f"training set, but the split leaves {left} of {len(setup.dataset.y)} rows; expected a "
            "smaller split",
        )


def check_test_rows_unseen(config: Config, attack: Choice, setup: Setup) -> None:
    """Raise ConfigError if poison from a file was made with rows that are test rows here."""
    seen = attack.build().rows_seen()
    if seen is None:
        return
    for seed in config.seeds:
        test = rows_of(setup.split, setup.dataset, seed).test
        if np.isin(test, seen).any():
            raise config.error(
                attack.where,
                f"{attack.label} was made with rows that are test rows of seed {seed} here; "
                "expected split: {indices: FILE} with the same file, or a split in which they are "
                "not test rows",
            )
