"""Subpopulation: p poison rows that outnumber a small group of clean rows.

Jagielski, Severi, Pousette Harger & Oprea, "Subpopulation Data Poisoning Attacks" (CCS 2021),
copy rows of a subpopulation and change their labels, so that the model is wrong there and nowhere
else.  For regression, this attack copies the rows of one category and shifts all their responses in
the same direction.

It is designed to break trimming.  TRIM removes p rows.  If the group has m < p clean rows, TRIM may
remove those and the p - m worst of the other rows, and fit the p copies, which agree with each
other.  If the penalty on one more category effect is small, this gives a lower loss than removing
the poison.  Then the exact minimum of the trimmed problem is poisoned, although p is known.  The
data cannot decide which side is right: if the copies were clean and the m rows poison, they would
look the same.  A defense that survives has to assume that categories differ little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from poisonbench.attacks.base import Attack
from poisonbench.attacks.engines.trimming import damage
from poisonbench.features import BoolArray
from poisonbench.problem import AttackProblem, PoisonSet

FEWER = 0.95
"""A group must have fewer clean rows than this times p, so that the copies outnumber it."""


@dataclass(frozen=True)
class _Group:
    """Rows that share a value: masks of the training and the validation rows."""

    train: BoolArray
    validation: BoolArray


class Subpopulation(Attack):
    """Copies of a small group's rows, with all responses shifted in the same direction.

    The group is a level of a categorical feature that fewer than 0.95 p training rows have.  If
    there is no such level, as with numeric features only, the group consists of the rows at one end
    of a column, as many as are allowed.  The attack chooses the group and direction that do the
    most damage, on validation rows, to a TRIM that knows p.

    Parameters
    ----------
    shift : float, default=0.9
        How far to shift the responses towards 0 or 1, in box units; they are clipped to [0, 1].
    candidates : int, default=12
        Number of groups that are tried on TRIM, each with both directions: those with the most
        validation rows.  A trial costs about ten fits of the learner.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Subpopulation
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> poison = Subpopulation().poison(X, y, n_poison=4, X_val=X, y_val=y, random_state=0)
    >>> poison.X.ravel().round(1)
    array([ 9.5,  9.7, 10. ,  9.5])
    """

    name = "subpopulation"
    reference = "Jagielski et al. 2021, Subpopulation Data Poisoning Attacks"
    fixed_axes: ClassVar[Mapping[str, str]] = {"outer_objective": "validation"}

    def __init__(
        self,
        *,
        shift: Annotated[float, Gt(0), Le(1)] = 0.9,
        candidates: Annotated[int, Ge(1)] = 12,
    ) -> None:
        self.shift = shift
        self.candidates = candidates

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the copies that do the most damage."""
        train, p = problem.train, problem.n_poison
        if not p:
            return PoisonSet(train.X[:0].copy(), train.y[:0].copy())
        tried = [
            (group, self._shifted(problem, group.train, sign))
            for group in _groups(problem)[: self.candidates]
            for sign in (-1.0, 1.0)
        ]
        return max(tried, key=lambda one: damage(problem, one[1], one[0].train))[1]

    def _shifted(self, problem: AttackProblem, group: BoolArray, sign: float) -> PoisonSet:
        """Return p shifted copies of a group's rows, those that the clean model fits best first."""
        X, y = problem.train.X[group], problem.train.y[group]
        order = np.argsort(np.abs(problem.model.predict(X) - y), kind="stable")
        copied = np.resize(order, problem.n_poison)
        return PoisonSet(X[copied], np.clip(y[copied] + sign * self.shift, 0.0, 1.0))


def _groups(problem: AttackProblem) -> list[_Group]:
    """Return the groups that p copies outnumber, those with the most validation rows first."""
    most = max(1, int(np.ceil(FEWER * problem.n_poison)) - 1)
    levels = list(_levels(problem))
    groups = [group for group in levels if group.train.sum() <= most]
    groups = groups or [group for group in _ends(problem, most) if group.train.any()]
    if not groups:  # take the smallest level, or all rows if there are no levels
        groups = [min([*levels, _everyone(problem)], key=lambda group: int(group.train.sum()))]
    return sorted(groups, key=lambda group: -group.validation.sum())


def _everyone(problem: AttackProblem) -> _Group:
    return _Group(*(np.ones(len(part), dtype=bool) for part in (problem.train, problem.validation)))


def _levels(problem: AttackProblem) -> Iterator[_Group]:
    """Yield the rows of each level of the categorical features that training rows have."""
    parts = (problem.train.X, problem.validation.X)
    for feature in problem.space.groups:
        columns = list(feature.columns)
        masks = [tuple(X[:, column] == 1 for X in parts) for column in columns]
        masks.append(tuple(~X[:, columns].any(axis=1) for X in parts))  # the level without a column
        yield from (_Group(*mask) for mask in masks if mask[0].any())


def _ends(problem: AttackProblem, most: int) -> Iterator[_Group]:
    """Yield the rows at either end of each feature, at most `most` of the training rows."""
    for column in range(problem.space.n_features):
        for sign in (-1.0, 1.0):
            values, others = (
                sign * part.X[:, column] for part in (problem.train, problem.validation)
            )
            # Strictly beyond the first value that is left out, so that ties are not divided.
            bound = -np.partition(-values, most)[most] if most < len(values) else -np.inf
            yield _Group(values > bound, others > bound)
