"""Reference rows: rows of the tables with which the defenses are compared.

They are not defenses, because `train` gets what no defense may know, such as which rows are poison.
Each returns its model, the rows that it kept, and the learner whose penalty the row reports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.dummy import DummyRegressor

from poisonbench.features import BoolArray
from poisonbench.models import LinearModel, Ridge
from poisonbench.problem import Sample

HEAVY = 100
"""Factor by which the reference row heavy-ridge multiplies the penalty."""


@dataclass(frozen=True)
class Defended:
    """A model trained on the poisoned rows, by a defense or for a reference row.

    Parameters
    ----------
    model : regressor
        The fitted model.
    kept : ndarray of bool of shape (n + p,) or None
        The rows that it was fitted to; None if it does not choose rows.
    learner : LinearModel
        The learner whose penalty strength the row of the table reports.
    n_rows : int
        The number of rows to which this strength refers.
    seconds : float, default=0.0
        How long the training took.
    """

    model: Any
    kept: BoolArray | None
    learner: LinearModel
    n_rows: int
    seconds: float = 0.0


class ReferenceRow(ABC):
    """A row of the tables that is not a defense."""

    name: ClassVar[str]

    n_poison_source: ClassVar[str | None] = None
    """How it learns the number of poison rows; None if it uses no such number."""

    @abstractmethod
    def train(
        self, clean: LinearModel, undefended: LinearModel, rows: Sample, is_poison: BoolArray
    ) -> Defended:
        """Return the model of this row.

        Parameters
        ----------
        clean : LinearModel
            The learner fitted to the clean rows.
        undefended : LinearModel
            The learner fitted to all rows.
        rows : Sample
            The poisoned training set, n + p rows.
        is_poison : ndarray of bool of shape (n + p,)
            Which of its rows are poison.
        """


class Undefended(ReferenceRow):
    """No defense: the learner fitted to all rows, poison included."""

    name = "none"

    def train(
        self, clean: LinearModel, undefended: LinearModel, rows: Sample, is_poison: BoolArray
    ) -> Defended:
        """Return the undefended learner."""
        return Defended(undefended, np.ones(len(rows), dtype=bool), undefended, len(rows))


class Oracle(ReferenceRow):
    """The learner fitted to the clean rows only, as if every poison row had been removed."""

    name = "oracle"
    n_poison_source = "oracle"

    def train(
        self, clean: LinearModel, undefended: LinearModel, rows: Sample, is_poison: BoolArray
    ) -> Defended:
        """Return the clean learner."""
        return Defended(clean, ~is_poison, clean, int((~is_poison).sum()))


class Median(ReferenceRow):
    """The median of all responses for every row: no defense should do worse."""

    name = "median"

    def train(
        self, clean: LinearModel, undefended: LinearModel, rows: Sample, is_poison: BoolArray
    ) -> Defended:
        """Return the constant."""
        model = DummyRegressor(strategy="median").fit(rows.X, rows.y)
        return Defended(model, None, undefended, len(rows))


class HeavyRidge(ReferenceRow):
    """Ridge with 100 times the learner's penalty, on all rows: the effect of shrinkage alone.

    For other learners than ridge, the penalty is 100 times ridge's default penalty.
    """

    name = "heavy-ridge"

    def train(
        self, clean: LinearModel, undefended: LinearModel, rows: Sample, is_poison: BoolArray
    ) -> Defended:
        """Return the ridge with the heavy penalty."""
        if isinstance(undefended, Ridge) and undefended.alpha is not None:
            model = Ridge(alpha=HEAVY * undefended.alpha)
        else:
            lam = undefended.lam if isinstance(undefended, Ridge) else None
            model = Ridge(HEAVY * (Ridge.DEFAULT_LAMBDA if lam is None else lam))
        return Defended(model.fit(rows.X, rows.y), None, model, len(rows))


REFERENCE_ROWS: dict[str, ReferenceRow] = {
    row.name: row for row in (Undefended(), Oracle(), Median(), HeavyRidge())
}
"""The reference rows by name, in the order in which they are listed."""
