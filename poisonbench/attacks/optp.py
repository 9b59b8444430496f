"""OptP: the optimisation-based attack of Jagielski et al. 2018, Algorithm 1.

Variants differ in the initialization (invflip, bflip), in what is optimised (x, or x and y) and in
the outer objective (training, validation).  The paper's OptP is the best of the eight variants for
a data set and a model.  With ``best_of``, the best is chosen on the attacker's validation rows,
since an attacker has no test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Annotated, Any, Literal

from annotated_types import Ge

from poisonbench import registry
from poisonbench.attacks.base import AXES, Attack
from poisonbench.attacks.engines.functions import Quadratic
from poisonbench.attacks.engines.gradient_ascent import gradient_ascent
from poisonbench.attacks.engines.surrogate import trained_value
from poisonbench.problem import AttackProblem, PoisonSet

Variables = Literal["x", "xy"]


class OptP(Attack):
    """Gradient ascent on the bilevel problem, the paper's optimisation-based attack.

    Parameters
    ----------
    variables : {"x", "xy"}, default="xy"
        Whether to optimise only the features of a poison row, or its response too.
    initialization : str, default="bflip"
        How the starting rows are made.
    outer_objective : str, default="validation"
        What the attack maximises.
    iterations : int, default=15
        Maximum number of rounds over all poison rows; 0 keeps the initialization as it is.
    tol : float, default=1e-4
        The attack stops when a round changes the objective by less than this share.
    best_of : bool, default=False
        Run all eight variants, and keep the one whose poisoned model has the largest error on the
        attacker's validation rows.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import OptP
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> attack = OptP(outer_objective="training")
    >>> poison = attack.poison(X, y, n_poison=4, random_state=0)
    >>> poison.X.ravel().round(), poison.y
    (array([ 0., 10.,  0., 10.]), array([31.,  1., 31.,  1.]))
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "optp"
    reference = "Jagielski et al. 2018, Alg. 1 and Sec. IV"

    def __init__(
        self,
        *,
        variables: Variables = "xy",
        initialization: str = "bflip",
        outer_objective: str = "validation",
        iterations: Annotated[int, Ge(0)] = 15,
        tol: Annotated[float, Ge(0)] = 1e-4,
        best_of: bool = False,
    ) -> None:
        self.variables = variables
        self.initialization = initialization
        self.outer_objective = outer_objective
        self.iterations = iterations
        self.tol = tol
        self.best_of = best_of

    @classmethod
    def axes(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the three axes, or none if all variants are tried."""
        return () if parameters.get("best_of") else super().axes(parameters)

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows of the chosen variant, or of the best one."""
        if not self.best_of:
            return self._variant(problem, self.variables, self.initialization, self.outer_objective)
        error = Quadratic.mean_squared_error(problem.validation, problem.model)
        variants = product(("x", "xy"), ("invflip", "bflip"), ("training", "validation"))
        made = [
            replace(
                self._variant(problem, *variant),
                variant=dict(zip(AXES, variant, strict=True)),
            )
            for variant in variants
        ]
        return max(made, key=lambda poison: trained_value(problem, poison, error))

    def _variant(
        self, problem: AttackProblem, variables: str, initialization: str, objective: str
    ) -> PoisonSet:
        start = registry.components("initialization")[initialization]().rows(problem)
        W = registry.components("outer_objective")[objective]()
        return gradient_ascent(
            problem, start, W, variables=variables, iterations=self.iterations, tol=self.tol
        )
