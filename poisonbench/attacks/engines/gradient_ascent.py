"""Algorithm 1 of Jagielski et al. 2018: poison rows climb the outer objective one at a time.

Repeat { for each poison row: a line search along the hypergradient, with true retraining on the
clean rows and *all* current poison rows } until W changes by less than a tolerance.  The search
considers legal rows only: every step is projected on the box and its one-hot groups are made legal
before W is evaluated.  A climb through points that are not legal would lose its gain when its last
point is made legal.
"""

from __future__ import annotations

import logging

import numpy as np

from poisonbench.attacks.engines.functions import with_intercept
from poisonbench.attacks.engines.retraining import retraining
from poisonbench.attacks.engines.surrogate import columns_not_to_touch, trained_value
from poisonbench.attacks.objectives import OuterObjective
from poisonbench.features import BoolArray, FloatArray
from poisonbench.problem import AttackProblem, PoisonSet, Sample

logger = logging.getLogger(__name__)

STEPS = np.geomspace(0.05, 25.0, 20)
"""Lengths of the steps tried along the normalised gradient.

The box of d features has a diagonal of sqrt(d), and a gradient is spread over all features.  So a
step that takes most of them to the boundary is many units long.
"""


def gradient_ascent(
    problem: AttackProblem,
    start: Sample,
    objective: OuterObjective,
    *,
    variables: str,
    iterations: int,
    tol: float,
) -> PoisonSet:
    """Climb `objective` from the rows `start`.

    Parameters
    ----------
    problem : AttackProblem
        What the attacker knows.
    start : Sample
        The p legal rows of the initialization.
    objective : OuterObjective
        W.
    variables : {"x", "xy"}
        Whether only the features of a row move, or its response too.
    iterations : int
        Largest number of rounds over all rows; 0 returns the initialization.
    tol : float
        The climb ends when a round changes W by at most this, relative to W.

    Returns
    -------
    PoisonSet
        Never worse than the initialization in W of the true model.
    """
    W = objective.function(problem)
    initial = trained_value(problem, start, W)
    fixed = columns_not_to_touch(problem)
    learner = retraining(problem.model, problem.train, start)
    value = W.value(learner.theta)
    trace = [value]
    rounds = 0
    gradient = W.gradient(learner.theta)
    while rounds < iterations and len(start):
        for c in range(len(start)):
            dx, dy = learner.hypergradient(c, gradient)
            X, y = _candidates(
                problem,
                learner.Z[c, :-1],
                learner.y[c],
                dx,
                dy if variables == "xy" else 0.0,
                fixed,
            )
            if learner.improve(c, with_intercept(X), y, W):
                gradient = W.gradient(learner.theta)
        rounds += 1
        previous, value = value, W.value(learner.theta)
        trace.append(value)
        logger.info("round %d: W = %.6g", rounds, value)
        if abs(value - previous) <= tol * abs(previous):
            break
    reached = Sample(learner.Z[:, :-1].copy(), learner.y.copy())
    final = trained_value(problem, reached, W)
    # This happens only with a surrogate for the learner, or if LASSO has more than one minimiser.
    if final < initial:
        reached, final = start, initial
    return PoisonSet(
        reached.X,
        reached.y,
        objective_initial=initial,
        objective_final=final,
        rounds=rounds,
        trace=tuple(trace),
    )


def _candidates(
    problem: AttackProblem,
    x: FloatArray,
    y: float,
    dx: FloatArray,
    dy: float,
    fixed: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the legal rows at each step along (dx, dy) from (x, y)."""
    dx = np.where(fixed, 0.0, dx)
    length = np.sqrt(dx @ dx + dy * dy)
    if length == 0:
        return x[None, :], np.array([y])
    steps = STEPS / length
    X, responses = problem.space.project(x + steps[:, None] * dx), np.clip(y + steps * dy, 0.0, 1.0)
    if not fixed.any():
        return X, responses
    kept = np.all(X[:, fixed] == x[fixed], axis=1)
    if not kept.any():
        return x[None, :], np.array([y])
    return X[kept], responses[kept]
