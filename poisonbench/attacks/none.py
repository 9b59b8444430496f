"""No attack: the clean training set."""

from __future__ import annotations

import numpy as np

from poisonbench.attacks.base import Attack
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace
from poisonbench.problem import AttackProblem, PoisonSet


class NoAttack(Attack):
    """No poison rows; brings its own poisoning rate, 0.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import NoAttack
    >>> NoAttack().poison(np.eye(3), [0.0, 0.5, 1.0]).X.shape
    (0, 3)
    """

    name = "none"
    reference = "the clean training set"
    takes_rate = False

    def own_rows(self, space: FeatureSpace, target: str, scaling: Scaling | None = None) -> int:
        """Return 0."""
        return 0

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return a set of no rows."""
        return PoisonSet(np.empty((0, problem.space.n_features)), np.empty(0))
