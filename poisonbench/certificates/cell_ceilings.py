"""The ceilings that the cells of an experiment report.

A :class:`CeilingTask` holds everything that a ceiling depends on, so that several cells can share
one ceiling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poisonbench.certificates.ceiling import Ceiling, NoCeilingError, ceiling
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.models.base import LinearModel
from poisonbench.problem import Setting

MOST_COLUMNS = 500
"""Largest number of columns for which cells report ceilings; with more, a ceiling takes seconds or
longer."""

TEST = "test"
"""The name of the loss on test rows.  No attacker knows it, but its ceiling is reported."""

LOSSES: dict[str, Callable[[Setting, LinearModel, Poisoning], Loss]] = {
    "training": lambda setting, clean, problem: Loss.training(problem),
    "validation": lambda setting, clean, problem: Loss.mean_squared_error(setting.validation),
    "prediction-shift": lambda setting, clean, problem: Loss.prediction_shift(
        problem, np.append(clean.coef_, clean.intercept_)
    ),
    TEST: lambda setting, clean, problem: Loss.mean_squared_error(setting.test),
}
"""The losses of the outer objectives that have a ceiling, by the objective's name."""


@dataclass(frozen=True)
class CeilingTask:
    """A ceiling to compute.

    Parameters
    ----------
    name : str
        The loss, a key of :data:`LOSSES`.
    setting : Setting
        The data.
    clean : LinearModel
        The learner trained on the clean rows, with its strength fixed.
    n_poison : int
        Number of poison rows p.
    """

    name: str
    setting: Setting
    clean: LinearModel
    n_poison: int

    def problem_and_loss(self) -> tuple[Poisoning, Loss]:
        """Return the poisoning problem and the loss to bound."""
        setting = self.setting
        problem = Poisoning.of(setting.train, self.clean, self.n_poison, setting.space)
        return problem, LOSSES[self.name](setting, self.clean, problem)

    def compute(self) -> Ceiling:
        """Return the ceiling.

        Raises
        ------
        NoCeilingError
            No ceiling is known, or computing it would take long.
        """
        d = self.setting.space.n_features
        if d > MOST_COLUMNS:
            raise NoCeilingError("no ceiling: it is not computed for more than "
                                 f"{MOST_COLUMNS} columns, and there are {d}")  # fmt: skip
        return ceiling(*self.problem_and_loss())


@dataclass(frozen=True)
class Ceilings:
    """Bounds on the effect of any poison set of a given size.

    Parameters
    ----------
    objective, test_mse : float or None
        Ceilings on the attacked objective and on the undefended learner's test error.
    objective_clean : float or None
        The attacked objective without poison.
    note : str or None
        The reason if a ceiling is not known.
    """

    objective: float | None = None
    test_mse: float | None = None
    objective_clean: float | None = None
    note: str | None = None

    def share(self, reached: float | None) -> float | None:
        """Return the share of the largest possible increase that an attack has reached."""
        if reached is None or self.objective is None or self.objective_clean is None:
            return None
        possible = self.objective - self.objective_clean
        return (reached - self.objective_clean) / possible if possible > 0 else None


def ceilings(
    objective: str | None,
    setting: Setting,
    clean: LinearModel,
    n_poison: int,
    ceiling_of: Callable[[CeilingTask], Ceiling],
) -> Ceilings:
    """Return the ceilings on the attacked objective and on the test error.

    Parameters
    ----------
    objective : str or None
        The objective that the attack maximises; None if it has none.
    setting : Setting
        The data.
    clean : LinearModel
        The learner trained on the clean rows, with its strength fixed.
    n_poison : int
        Number of poison rows p.
    ceiling_of : callable
        Returns the ceiling for a task, which may have been computed before.
    """
    found: dict[str, float] = {}
    notes: list[str] = []
    names = [name for name in (objective, TEST) if name in LOSSES]
    tasks = [CeilingTask(str(name), setting, clean, n_poison) for name in names]
    for task in tasks:
        try:
            found[task.name] = ceiling_of(task).bound
        except NoCeilingError as error:
            notes.append(f"{task.name}: {error}")
    objective_clean = None
    if objective in found:
        loss = tasks[0].problem_and_loss()[1]
        objective_clean = loss.value(np.append(clean.coef_, clean.intercept_))
    return Ceilings(
        found.get(objective or ""), found.get(TEST), objective_clean, "; ".join(notes) or None
    )
