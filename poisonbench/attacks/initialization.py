"""Initial poison rows of optimisation attacks: training rows with flipped responses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from poisonbench.features import FloatArray
from poisonbench.problem import AttackProblem, Sample


class Initialization(ABC):
    """A way to set the responses of p random training rows, whose features are kept."""

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Sec. IV-B"

    @abstractmethod
    def responses(self, y: FloatArray) -> FloatArray:
        """Return the poison responses for rows whose true responses are `y`; shape (p,)."""

    def rows(self, problem: AttackProblem, n_rows: int | None = None, restart: int = 0) -> Sample:
        """Return the starting rows.

        They are the first rows of a permutation of the training rows, repeated if more than those
        are needed.  So the starting rows at a lower rate are among those at a higher rate.

        Parameters
        ----------
        problem : AttackProblem
            What the attacker knows.
        n_rows : int, optional
            Number of rows; p if None.
        restart : int, default=0
            Number of the restart; each has another permutation.
        """
        order = problem.generator(restart).permutation(len(problem.train))
        drawn = order[np.arange(problem.n_poison if n_rows is None else n_rows) % len(order)]
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
        """Return 1 - y, clipped to the box."""
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
        """Return round(1 - y), clipped to the box."""
        return np.asarray(np.round(np.clip(1 - y, 0.0, 1.0)), dtype=np.float64)
