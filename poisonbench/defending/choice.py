"""Choose a defense by a robust held-out error, because no row of the file can be trusted.

The rows are split into folds.  Each defense is fitted to the rows outside a fold, and predicts
those in it.  Some of these may be poison, so the largest residuals do not count: the error of a
fold is the mean of the smallest squared residuals, and the error of a defense is the median over
the folds.  A defense is recommended only if its error is close to the smallest one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from poisonbench import registry, seeds
from poisonbench.defenses.base import Defense
from poisonbench.defenses.engines.held_out import folds, trimmed_mean
from poisonbench.features import FeatureSpace, FloatArray
from poisonbench.models import LinearModel
from poisonbench.rounding import rows_at

CANDIDATES = ("torrent", "trim", "lts", "mm", "huber")
"""The defenses that are compared, in the order in which they are preferred if they are equally
accurate: that of the planted rows that they find (tests/benchmarks/suspicious.py), and of two alike
the faster first.  Huber regression comes last, because rows with extreme features mislead it."""

WIDE = 200
"""With more columns than this, TRIM is not compared, because it takes minutes."""

WITHOUT = "none"
"""The name of the learner without a defense, which is shown beside the defenses."""

CAUTION, LEAST_TOLD, MOST_TOLD = 4.0, 0.2, 0.4
"""A defense that wants to know the share of poison is told four times the assumed share, but at
least a fifth and at most two fifths.  Too many costs it little.  With too few, the poison that is
left moves the model, and the rows beside it no longer stand out."""

FOLDS = 5
MOST_ROWS = 3000
"""Number of rows, drawn at random, on which the defenses are compared."""

TRIMMED, LEAST_TRIMMED = 2.0, 0.1
"""The share of the held-out residuals that does not count: twice the assumed share of poison, and
at least a tenth, so that a clean fit is not blamed for the poison."""

NOTHING = 1e-4
"""Typical errors below this share of the range of the responses count as equal."""

EQUAL = 1.05
"""Typical errors that differ by less than this factor count as equal.  So the squared error of the
recommended defense is at most 1.11 times the smallest one."""


@dataclass(frozen=True)
class Alternative:
    """A defense that could be used, and what it would cost.

    Parameters
    ----------
    name : str
        The defense.
    error : float
        Its typical held-out error: the root of the median over the folds of the trimmed mean of the
        squared residuals, in the unit of the response.
    ratio : float
        Its squared error as a multiple of the smallest one among the defenses.
    set_aside : float
        The share of the training rows that it did not use; NaN if it weights rows instead.
    seconds : float
        How long a fit took, on the rows that were used for the comparison.
    """

    name: str
    error: float
    ratio: float
    set_aside: float
    seconds: float


@dataclass(frozen=True)
class Choice:
    """The recommended defense and the alternatives.

    Parameters
    ----------
    name : str
        The recommended defense.
    alternatives : tuple of Alternative
        All defenses that were compared, the most accurate first, and the learner without a defense.
    counted : float
        Share of the held-out residuals that counted.
    n_rows : int
        Number of rows that were used.
    """

    name: str
    alternatives: tuple[Alternative, ...]
    counted: float
    n_rows: int

    def in_unit(self, span: float) -> Self:
        """Return the choice with errors in a unit of which one unit of the box has `span`."""
        scaled = tuple(replace(one, error=one.error * span) for one in self.alternatives)
        return replace(self, alternatives=scaled)


def told(share: float, n_rows: int) -> int:
    """Return the number of poison rows that a defense is told, for an assumed share of the rows."""
    return rows_at(min(max(CAUTION * share, LEAST_TOLD), MOST_TOLD), n_rows)


def made(
    name: str,
    learner: LinearModel,
    space: FeatureSpace,
    n_poison: int,
    random_state: int,
) -> Defense:
    """Return an unfitted defense, told how many poison rows to assume if it wants to know."""
    cls = registry.components("defense")[name]
    defense: Defense = cls(**cls.init_arguments(learner, space, n_poison, random_state))
    return defense


def choose(
    learner: LinearModel,
    X: FloatArray,
    y: FloatArray,
    space: FeatureSpace,
    share: float,
    random_state: int,
    names: Sequence[str] = CANDIDATES,
) -> Choice:
    """Compare defenses on held-out rows and recommend one.

    Parameters
    ----------
    learner : LinearModel
        The learner, with its penalty.
    X, y : ndarray of shape (N, d) and (N,)
        The rows, scaled.
    space : FeatureSpace
        The columns.
    share : float
        The assumed share of poison among all rows.
    random_state : int
        Seed for the sample, the folds and the defenses.
    names : sequence of str
        The defenses to compare; of equally accurate ones, the first is recommended.

    Returns
    -------
    Choice
        The recommendation, with errors in the unit of `y`.
    """
    rng = np.random.RandomState(seeds.random_state(random_state, "defend", "folds"))
    rows = rng.permutation(len(y))[:MOST_ROWS]
    X, y = X[rows], y[rows]
    if space.n_features > WIDE:
        names = [name for name in names if name != "trim"]
    counted = 1 - min(max(TRIMMED * share, LEAST_TRIMMED), 0.5)
    found = [
        _held_out(name, learner, X, y, space, share, counted, random_state)
        for name in (*names, WITHOUT)
    ]
    defenses = [one for one in found if one.name != WITHOUT]
    floor = max(min(one.error for one in defenses), NOTHING)
    found = [replace(one, ratio=(max(one.error, floor) / floor) ** 2) for one in found]
    good = [one.name for one in found if one.name != WITHOUT and one.ratio <= EQUAL**2]
    return Choice(
        min(good, key=list(names).index),
        tuple(sorted(found, key=lambda one: (one.name == WITHOUT, one.error))),
        counted,
        len(y),
    )


def _held_out(
    name: str,
    learner: LinearModel,
    X: FloatArray,
    y: FloatArray,
    space: FeatureSpace,
    share: float,
    counted: float,
    random_state: int,
) -> Alternative:
    """Return the held-out error of one defense; its ratio is not known yet."""
    errors, aside, seconds = [], [], []
    for k, (training, held_out) in enumerate(folds(len(y), FOLDS)):
        start = time.perf_counter()
        fitted: Any = learner.with_strength() if name == WITHOUT else made(
            name,
            learner,
            space,
            told(share, len(training)),
            seeds.random_state(random_state, "defend", name, k),
        )  # fmt: skip
        fitted.fit(X[training], y[training])
        seconds.append(time.perf_counter() - start)
        residual = y[held_out] - fitted.predict(X[held_out])
        errors.append(float(trimmed_mean(residual**2, counted)))
        support = getattr(fitted, "support_", None)
        aside.append(np.nan if support is None else float(np.mean(~support)))
    return Alternative(
        name, float(np.sqrt(np.median(errors))), 1.0, float(np.median(aside)),
        float(np.median(seconds)),
    )  # fmt: skip
