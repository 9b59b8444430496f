"""The defense as its attacker can run it: with its default parameters, told the true p."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.base import clone

from poisonbench import registry
from poisonbench.features import FloatArray
from poisonbench.problem import AttackProblem

Predict = Callable[[FloatArray], FloatArray]


def defender(
    problem: AttackProblem, name: str, random_state: int
) -> Callable[[FloatArray, FloatArray], Predict]:
    """Return a function that fits the defense to rows and returns its prediction function.

    Parameters
    ----------
    problem : AttackProblem
        The learner that is defended, and the clean rows; further rows count as poison.
    name : str
        The defense.
    random_state : int
        Seed of the attacker's own copy of it.
    """
    cls = registry.components("defense")[name]

    def fit(X: FloatArray, y: FloatArray) -> Predict:
        n_poison = len(y) - len(problem.train)
        arguments = cls.init_arguments(clone(problem.model), problem.space, n_poison, random_state)
        predict: Predict = cls(**arguments).fit(X, y).predict
        return predict

    return fit
