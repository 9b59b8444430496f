"""The learner that a defense fits, with a penalty that a few bad rows cannot choose."""

from __future__ import annotations

import numpy as np

from poisonbench import registry, seeds
from poisonbench.defenses.engines.core import find_core
from poisonbench.defenses.engines.fits import fits
from poisonbench.features import FloatArray
from poisonbench.models import OLS, LinearModel, Ridge

CORE = 0.75
"""Share of the rows on which the penalty is selected: those that agree best with each other."""

MOST_ROWS = 4000
"""Number of rows, drawn at random, from which the penalty is selected."""


def learner_named(name: str) -> LinearModel:
    """Return the unfitted learner of a name that a config may use.

    Raises
    ------
    ValueError
        There is no such learner; the message gives the nearest name.
    """
    known = registry.components("model")
    if name not in known:
        near = registry.nearest(name, known)
        hint = f"did you mean '{near}'?" if near else f"expected {', '.join(known)}"
        raise ValueError(f"no learner is named '{name}'; {hint}")
    learner: LinearModel = known[name]()
    return learner


def with_penalty(
    learner: LinearModel, X: FloatArray, y: FloatArray, random_state: int
) -> LinearModel:
    """Return the learner with the penalty that cross-validation selects on rows that agree.

    Poison increases the held-out error of every penalty, and can make a large one look good.
    Therefore the penalty is selected on the three quarters of the rows that a ridge regression fits
    best (least trimmed squares).

    Parameters
    ----------
    learner : LinearModel
        The learner; OLS is returned as it is.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, scaled.
    random_state : int
        Seed for the sample of rows, the starts and the folds.
    """
    if isinstance(learner, OLS):
        return learner
    rng = np.random.RandomState(seeds.random_state(random_state, "defend", "penalty"))
    if len(y) > MOST_ROWS:
        rows = np.sort(rng.choice(len(y), MOST_ROWS, replace=False))
        X, y = X[rows], y[rows]
    core = find_core(fits(Ridge(), X, y), CORE, None, rng).kept
    if np.ptp(y[core]) == 0:  # most responses are equal, and any penalty would do
        return learner
    lam = learner.select_lambda(X[core], y[core], random_state=rng.randint(2**31))
    return learner.with_strength(lam=lam, alpha=None)
