"""Where an optimisation attack starts: rows of the training set with their responses flipped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.problem import AttackProblem, Sample


class Initialization(ABC):
    """A way to set the responses of p training rows drawn at random; features are kept."""

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Sec. IV-B"

    @abstractmethod
    def responses(self, y: FloatArray) -> FloatArray:
        """Return the poison responses for rows whose true responses are `y`; shape (p,)."""

    def rows(self, problem: AttackProblem) -> Sample:
        """Return the p starting rows.

        Rows are a prefix of one permutation of the training rows, so that the start at a lower
        rate is part of the start at a higher one; beyond n rows the permutation repeats.
        """
        order = problem.generator().permutation(len(problem.train))
        drawn = np.resize(order, problem.n_poison)
        return Sample(problem.train.X[drawn].copy(), self.responses(problem.train.y[drawn]))


class InvFlip(Initialization):
    """Inverted responses, y = 1 - y.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import InvFlip
    >>> InvFlip().responses(np.array([0.2, 0.7, 1.0])).round(1)
    array([0.8, 0.3, 0. ])
    """

    name = "invflip"

    def responses(self, y: FloatArray) -> FloatArray:
        """Return 1 - y, in the box even where y lies outside it."""
        flipped: FloatArray = np.clip(1 - y, 0.0, 1.0)
        return flipped


class BFlip(Initialization):
    """Inverted responses rounded to the boundary, y = round(1 - y).

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import BFlip
    >>> BFlip().responses(np.array([0.2, 0.7, 1.0])).round(1)
    array([1., 0., 0.])
    """

    name = "bflip"

    def responses(self, y: FloatArray) -> FloatArray:
        """Return round(1 - y), in the box even where y lies outside it."""
        return np.asarray(np.round(np.clip(1 - y, 0.0, 1.0)), dtype=np.float64)
