"""BGD: the baseline gradient-descent attack, after Xiao et al. 2015.

Xiao, Biggio, Brown, Fumera, Eckert & Roli, "Is feature selection secure against training data
poisoning?" (ICML 2015), as adapted to regression by Jagielski et al. 2018: the responses are
inverted and kept, and the features ascend the training loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge

from poisonbench.attacks.base import Attack
from poisonbench.attacks.engines.gradient_ascent import gradient_ascent
from poisonbench.attacks.initialization import InvFlip
from poisonbench.attacks.objectives import Training
from poisonbench.problem import AttackProblem, PoisonSet


class BGD(Attack):
    """Baseline gradient attack: inverted responses, features only, training loss.

    Parameters
    ----------
    iterations : int, default=15
        Maximum number of rounds over all poison rows.
    tol : float, default=1e-4
        The attack stops when a round changes the objective by less than this share.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import BGD
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> poison = BGD().poison(X, y, n_poison=4, random_state=0)
    >>> poison.X.ravel().round()
    array([ 0., 10.,  0., 10.])
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "bgd"
    reference = "Xiao et al. 2015; Jagielski et al. 2018, Sec. IV-A"
    fixed_axes: ClassVar[Mapping[str, str]] = {
        "variables": "x",
        "initialization": "invflip",
        "outer_objective": "training",
    }

    def __init__(
        self, *, iterations: Annotated[int, Ge(0)] = 15, tol: Annotated[float, Ge(0)] = 1e-4
    ) -> None:
        self.iterations = iterations
        self.tol = tol

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows."""
        return gradient_ascent(
            problem,
            InvFlip().rows(problem),
            Training(),
            variables="x",
            iterations=self.iterations,
            tol=self.tol,
        )
