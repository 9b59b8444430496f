"""Auto: the worst of a fixed suite of attacks, chosen on the attacker's validation rows.

No single attack is the strongest on every data set, and a table that shows for each case the attack
with the largest test error shows what no attacker can do, because no attacker has the test rows.
This attack runs a suite without parameters and keeps the poison set that does the most damage on
the attacker's own rows, as AutoAttack does for classifiers (Croce & Hein, "Reliable Evaluation of
Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks", ICML 2020).  If only one
number is quoted for the error under attack, it should be that of this attack.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from typing import ClassVar

import numpy as np

from poisonbench.attacks.adaptive import Adaptive
from poisonbench.attacks.base import Attack
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.attacks.engines.defender import defender
from poisonbench.attacks.engines.functions import Quadratic
from poisonbench.attacks.engines.surrogate import trained_value
from poisonbench.attacks.sever import Sever
from poisonbench.attacks.statp import StatP
from poisonbench.attacks.subpopulation import Subpopulation
from poisonbench.problem import AttackProblem, PoisonSet

logger = logging.getLogger(__name__)

SUITE: Mapping[str, Attack] = {
    "coordinate validation": Coordinate(outer_objective="validation"),
    "coordinate training": Coordinate(outer_objective="training"),
    "coordinate clipped": Coordinate(outer_objective="clipped"),
    "subpopulation": Subpopulation(),
    "sever": Sever(),
    "statp": StatP(),
}
"""The attacks that are always run, with default parameters."""


class Auto(Attack):
    """The worst, on the attacker's validation rows, of a fixed suite of attacks.

    The suite: ``coordinate`` for the objectives validation, training and clipped,
    ``subpopulation``, ``sever`` and ``statp``; if a defense is named, also ``adaptive``, tuned to
    it.  The damage is the validation error of the undefended learner or, if a defense is named, of
    that defense with its default parameters and, if it uses the number of poison rows, the true p.
    ``chosen_variant`` in the results names the attack that was kept.  The cost is that of all the
    attacks together.

    Parameters
    ----------
    defense : str, optional
        The defense to attack.  The config may have other defenses; they get the same poison set.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Auto
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> poison = Auto().poison(X, y, n_poison=4, X_val=X, y_val=y, random_state=0)
    >>> poison.variant["attack"]
    'coordinate validation'
    """

    name = "auto"
    reference = "introduced in poisonbench; the idea is that of AutoAttack, Croce & Hein 2020"
    fixed_axes: ClassVar[Mapping[str, str]] = {"outer_objective": "validation"}

    @classmethod
    def engine(cls) -> str | None:
        """Return the library that computes ``coordinate``; see the base class."""
        return Coordinate.engine()

    def __init__(self, *, defense: str | None = None) -> None:
        self.defense = defense

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison set that does the most damage."""
        train = problem.train
        if not problem.n_poison:
            return PoisonSet(train.X[:0].copy(), train.y[:0].copy())
        W = Quadratic.mean_squared_error(problem.validation, problem.model)
        if self.defense is not None:
            defend = defender(problem, self.defense, int(problem.generator().integers(2**31)))

        def damage(poison: PoisonSet) -> float:
            if self.defense is None:
                return trained_value(problem, poison, W)
            try:
                predict = defend(np.vstack([train.X, poison.X]), np.append(train.y, poison.y))
            except ValueError as failure:
                logger.info("%s fails: %s", self.defense, failure)
                return -np.inf
            residuals = predict(problem.validation.X) - problem.validation.y
            return float(np.mean(residuals**2))

        made = [(damage(poison), name, poison) for name, poison in self._suite(problem)]
        for error, name, _ in made:
            logger.info("%s: validation error %.4g", name, error)
        _, name, worst = max(made, key=itemgetter(0))
        return replace(
            worst,
            objective_initial=None,
            objective_final=trained_value(problem, worst, W),
            variant={"attack": name},
            trace=(),  # it may be of another objective
        )

    def _suite(self, problem: AttackProblem) -> Iterator[tuple[str, PoisonSet]]:
        """Yield the name and the poison set of each attack."""
        suite = dict(SUITE)
        if self.defense is not None:
            suite["adaptive"] = Adaptive(defense=self.defense)
        for name, attack in suite.items():
            yield name, attack.generate(problem)
