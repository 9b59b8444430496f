"""Defend rows: everything that is computed, in the order in which it is computed.

    scale -> penalty -> estimated share -> choice of a defense -> fit -> ranking of the rows

All rows take part, and none is trusted.  The defended model is that of the defense, which decides
itself what rows it uses; it is not fitted again without the suspicious rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from poisonbench import registry, seeds
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.defending.box import Box
from poisonbench.defending.choice import Choice, choose, made, told
from poisonbench.defending.learners import learner_named, with_penalty
from poisonbench.defending.suspicion import ranking
from poisonbench.defenses.engines.excess import Excess, estimated_excess
from poisonbench.defenses.engines.fits import fits
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models import LinearModel
from poisonbench.rounding import rows_at

Share = float | Literal["auto"]

FEWEST_ROWS = 20
"""With fewer rows than this, no held-out error means anything."""

MOST = 0.5
"""Nothing can be defended if half of the rows or more are bad."""


@dataclass(frozen=True)
class Defended:
    """The result of a defense of rows that may be poisoned, in the rows' own units.

    Parameters
    ----------
    defense : str
        The defense.
    choice : Choice or None
        Why it was recommended, with errors in the unit of the response; None if it was given.
    share : float or "auto"
        The share that was asked for.
    excess : Excess
        The estimated number of bad rows.
    suspicious : ndarray of int of shape (k,)
        Indices of the suspicious rows, the most suspicious first.
    score : ndarray of shape (N,)
        The size of each row's residual, as a multiple of the scale.
    residual : ndarray of shape (N,)
        Response minus prediction, by the model of the defense; for a row that this model was fitted
        to, by a fit without the row.
    set_aside : ndarray of bool of shape (N,) or None
        The rows that the defense did not use; None if it weights rows instead.
    scale : float
        The robust scale of the residuals: about two thirds of the other rows are within it.
    learner : LinearModel
        The learner, with its penalty.
    coef, intercept : ndarray of shape (d,) and float
        The defended model, which is that of the defense.
    prediction : ndarray of shape (N,)
        The predictions that belong to `residual`.
    box : Box
        The map to the box in which the penalty was used.
    note : str
        The remark of the defense on its fit.
    """

    defense: str
    choice: Choice | None
    share: Share
    excess: Excess
    suspicious: IntArray
    score: FloatArray
    residual: FloatArray
    set_aside: BoolArray | None
    scale: float
    learner: LinearModel
    coef: FloatArray
    intercept: float
    prediction: FloatArray
    box: Box
    note: str


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings of solvers; the defenses have remarks of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield


@_quiet()
def defend(
    data: Dataset,
    *,
    defense: str | None = None,
    share: Share = 0.05,
    model: str = "ridge",
    random_state: int = 0,
) -> Defended:
    """Defend rows that may be poisoned.

    Parameters
    ----------
    data : Dataset
        The rows, in their own units.
    defense : str, optional
        The defense; if not given, one is recommended from the data.
    share : float or "auto", default=0.05
        The share of the rows to call suspicious, or "auto" to estimate it.
    model : str, default="ridge"
        The learner.
    random_state : int, default=0
        Seed of all random numbers.

    Raises
    ------
    DatasetError
        There are too few rows, or the defense cannot be fitted to them.
    ValueError
        An argument has no valid value.
    """
    check(defense, share)
    learner = learner_named(model)
    if len(data.y) < FEWEST_ROWS:
        raise DatasetError(f"{data.name}: {len(data.y)} rows that can be used, expected at least "
                           f"{FEWEST_ROWS}")  # fmt: skip
    box = Box.fit(data)
    X, y = box.rows(data.X), box.responses(data.y)
    learner = with_penalty(learner, X, y, random_state)
    rng = np.random.RandomState(seeds.random_state(random_state, "defend", "share"))
    excess = estimated_excess(fits(learner, X, y), rng)
    if share == "auto":
        n_bad = min(excess.n_rows, rows_at(MOST, len(y)) - 1)
    else:
        n_bad = max(rows_at(share, len(y)), 1)
    choice = None
    if defense is None:
        choice = choose(learner, X, y, data.space, n_bad / len(y), random_state)
    name = defense if choice is None else choice.name
    assert name is not None
    seed = seeds.random_state(random_state, "defend", name)
    fitted = made(name, learner, data.space, told(n_bad / len(y), len(y)), seed)
    try:
        fitted.fit(X, y)
    except ValueError as error:  # such as too few rows for this defense
        raise DatasetError(f"{data.name}: {name} cannot be fitted: {error}") from error
    if not hasattr(fitted, "coef_"):
        raise DatasetError(f"{data.name}: {name} gives no linear model; expected another defense")
    found = ranking(fitted, learner, X, y)
    suspicious = found.order[:n_bad]
    coef, intercept = box.in_own_units(fitted.coef_, fitted.intercept_)
    span = box.scaling.y_span
    residual = (found.residual - y) * span + (data.y - box.scaling.y_offset)
    return Defended(
        defense=name,
        choice=None if choice is None else choice.in_unit(span),
        share=share,
        excess=excess,
        suspicious=suspicious,
        score=np.abs(residual) / (found.scale * span),
        residual=residual,
        set_aside=found.set_aside,
        scale=found.scale * span,
        learner=learner,
        coef=coef,
        intercept=intercept,
        prediction=data.y - residual,
        box=box,
        note=fitted.note_ or "",
    )


def check(defense: str | None, share: Share) -> None:
    """Raise ValueError if an argument has no valid value; the message gives the nearest name."""
    known = registry.components("defense")
    if defense is not None and defense not in known:
        near = registry.nearest(defense, known)
        hint = f"did you mean '{near}'?" if near else f"expected {', '.join(known)}"
        raise ValueError(f"no defense is named '{defense}'; {hint}")
    if share != "auto" and not (isinstance(share, int | float) and 0 < share < MOST):
        raise ValueError(f"share is {share!r}, expected a share of the rows above 0 and below "
                         f"{MOST:g}, such as 0.05, or auto")  # fmt: skip
