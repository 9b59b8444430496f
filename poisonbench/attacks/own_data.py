"""Attacks on your own data: convert arrays or data frames to an attack problem, and back.

An experiment scales its data to the box [0, 1] once, for all attacks.  This module does the same
for a single attack on rows in memory, which may be in any units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from poisonbench import registry
from poisonbench.data.base import LARGEST
from poisonbench.data.groups import one_hot_group, one_hot_groups
from poisonbench.data.scaling import Scaling
from poisonbench.features import BOX_TOLERANCE, FeatureSpace, FloatArray, OneHotGroup
from poisonbench.models import Ridge
from poisonbench.models.scikit_learn import learner_of
from poisonbench.problem import AttackProblem, PoisonSet, Sample

Box = tuple[ArrayLike, ArrayLike]
"""Smallest and largest values: two numbers, or two arrays with one entry for each column."""


@dataclass(frozen=True)
class OwnData:
    """Rows in their own units, with one-hot groups.

    Parameters
    ----------
    train, validation : Sample
        The rows; ``validation`` may be empty.
    space : FeatureSpace
        The columns.
    target : str
        Name of the response.
    low, high : ndarray of shape (d + 1,)
        The box in the data's units: the bounds of the columns, and last those of the response.
    """

    train: Sample
    validation: Sample
    space: FeatureSpace
    target: str
    low: FloatArray
    high: FloatArray

    @property
    def scaling(self) -> Scaling:
        """The map between the data's units and the box."""
        span = self.high - self.low
        return Scaling(self.low[:-1], span[:-1], float(self.low[-1]), float(span[-1]))

    def in_box(self, rows: Sample) -> Sample:
        """Return rows scaled to the box, as read-only arrays."""
        X = self.scaling.transform(rows.X)
        y = self.scaling.transform_response(rows.y)
        X.flags.writeable = y.flags.writeable = False
        return Sample(X, y)

    def in_own_units(self, poison: PoisonSet) -> PoisonSet:
        """Return poison rows in the data's units, clipped so that rounding leaves none outside."""
        X, y = self.scaling.inverse(poison.X), self.scaling.inverse_response(poison.y)
        X = np.clip(X, self.low[:-1], self.high[:-1])
        return replace(poison, X=X, y=np.clip(y, self.low[-1], self.high[-1]))


def read(
    X: Any,
    y: Any,
    X_val: Any = None,
    y_val: Any = None,
    groups: Sequence[Sequence[int | str]] | None = None,
    box: Box | None = None,
    y_box: Box | None = None,
) -> OwnData:
    """Check the rows and return them; the parameters are those of :meth:`Attack.poison`.

    Raises
    ------
    ValueError
        The rows cannot be used, or some lie outside the given box.
    """
    names = _names(X)
    target = str(name) if (name := getattr(y, "name", None)) is not None else "y"
    train = _sample(X, y, ("X", "y"), names, target)
    if (X_val is None) != (y_val is None):
        raise ValueError("only one of X_val and y_val is given; expected both or neither")
    if X_val is None:
        validation = Sample(train.X[:0], train.y[:0])
    else:
        if _names(X_val, len(names)) != names:
            raise ValueError(f"X_val has the columns {', '.join(_names(X_val))}, expected those of "
                             f"X: {', '.join(names)}")  # fmt: skip
        validation = _sample(X_val, y_val, ("X_val", "y_val"), names, target)
    if len(train) < 2 or (train.y == train.y[0]).all():
        raise ValueError(f"y: {len(train)} rows without two different responses, from which "
                         "nothing can be learned; expected at least two")  # fmt: skip
    everything = np.vstack([train.X, validation.X])
    space = FeatureSpace(names, _groups(groups, names, everything))
    low, high = np.zeros(len(names) + 1), np.ones(len(names) + 1)
    numeric = space.numeric
    low[numeric], high[numeric] = train.X[:, numeric].min(axis=0), train.X[:, numeric].max(axis=0)
    low[-1], high[-1] = train.y.min(), train.y.max()
    if box is not None:
        bounds = _bounds(box, "box", len(names))
        low[numeric], high[numeric] = bounds[0][numeric], bounds[1][numeric]
    if y_box is not None:
        low[-1:], high[-1:] = _bounds(y_box, "y_box", 1)
    for rows, names_given in ((train, ("X", "y")), (validation, ("X_val", "y_val"))):
        if box is not None:
            _check_inside(rows.X, low[:-1], high[:-1], names_given[0], names)
        if y_box is not None:
            _check_inside(rows.y[:, None], low[-1:], high[-1:], names_given[1], (target,))
    return OwnData(train, validation, space, target, low, high)


def problem_of(
    data: OwnData, model: Any, n_poison: int | None, random_state: int | None
) -> AttackProblem:
    """Return the problem of choosing `n_poison` poison rows for these rows.

    Raises
    ------
    ValueError
        `n_poison` or `random_state` is not what it must be.
    TypeError
        The learner is not one that can be attacked.
    """
    if isinstance(n_poison, bool) or not isinstance(n_poison, Integral) or n_poison < 0:
        raise ValueError(f"n_poison is {n_poison!r}, expected a number of rows")
    train = data.in_box(data.train)
    return AttackProblem(
        train=train,
        validation=data.in_box(data.validation),
        model=learner_of(Ridge() if model is None else model).fit(train.X, train.y),
        space=data.space,
        target=data.target,
        scaling=data.scaling,
        n_poison=int(n_poison),
        entropy=_entropy(random_state),
    )


def like(values: FloatArray, given: Any) -> Any:
    """Return `values` as a data frame or series if `given` is one."""
    if not hasattr(given, "iloc"):
        return values
    if hasattr(given, "columns"):
        return type(given)(values, columns=given.columns)
    return type(given)(values, name=given.name)


def _names(X: Any, n_known: int | None = None) -> tuple[str, ...]:
    """Return the column names of a data frame, or x0, x1, ... for an array."""
    columns = getattr(X, "columns", None)
    if columns is not None:
        return tuple(map(str, columns))
    shape = np.shape(X)
    return tuple(f"x{j}" for j in range(shape[1] if len(shape) == 2 else 0))


def _sample(X: Any, y: Any, what: tuple[str, str], names: tuple[str, ...], target: str) -> Sample:
    """Return copies of the rows and responses as floats, after checking shapes and values."""
    rows = []
    for values, name in ((X, what[0]), (y, what[1])):
        try:
            rows.append(np.array(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name}: not all values are numbers ({error}); expected categories as one-hot "
                "columns of 0 and 1, which pandas.get_dummies(X, prefix_sep=':') makes"
            ) from None
    found = Sample(*rows)
    if found.X.ndim != 2 or found.y.shape != found.X.shape[:1]:
        raise ValueError(f"{what[0]} has shape {found.X.shape} and {what[1]} has shape "
                         f"{found.y.shape}, expected (rows, columns) and (rows,)")  # fmt: skip
    for values, name, columns in (
        (found.X, what[0], names),
        (found.y[:, None], what[1], (target,)),
    ):
        wrong = np.argwhere(~(np.abs(values) <= LARGEST))  # NaN compares false
        if wrong.size:
            row, column = wrong[0]
            raise ValueError(f"{name}: row {row}, column '{columns[column]}' is "
                             f"{values[row, column]:.6g}, expected a finite number with an "
                             f"absolute value of at most {LARGEST:g}")  # fmt: skip
    return found


def _groups(
    groups: Sequence[Sequence[int | str]] | None, names: tuple[str, ...], X: FloatArray
) -> tuple[OneHotGroup, ...]:
    """Return the given groups, or those that follow from the column names."""
    if groups is None:
        return one_hot_groups(names, X)
    found: list[OneHotGroup] = []
    taken: set[int] = set()
    for number, members in enumerate(groups):
        columns = [_column(member, names, f"groups[{number}]") for member in members]
        for column in columns:
            if column in taken:
                raise ValueError(f"groups[{number}]: column '{names[column]}' is named twice; "
                                 "expected each column at most once in all groups")  # fmt: skip
            taken.add(column)
            odd = X[(X[:, column] != 0) & (X[:, column] != 1), column]
            if odd.size:
                raise ValueError(f"groups[{number}]: column '{names[column]}' contains "
                                 f"{odd[0]:.6g}, expected only 0 and 1")  # fmt: skip
        found.append(one_hot_group(f"group {number}", columns, X))
    return tuple(found)


def _column(member: int | str, names: tuple[str, ...], what: str) -> int:
    """Return a column's index, given the index or the name."""
    if isinstance(member, str):
        if member in names:
            return names.index(member)
        near = registry.nearest(member, names)
        hint = f"; did you mean '{near}'?" if near else ""
        raise ValueError(f"{what}: no column is named '{member}'{hint}")
    if not 0 <= member < len(names):
        raise ValueError(f"{what}: there is no column {member}; expected 0 to {len(names) - 1}")
    return int(member)


def _bounds(box: Box, name: str, n_columns: int) -> tuple[FloatArray, FloatArray]:
    """Return the lower and the upper bounds of a box, with one value for each column."""
    try:
        low, high = (np.broadcast_to(np.asarray(bound, dtype=np.float64), n_columns)
                     for bound in box)  # fmt: skip
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {box!r}, expected (smallest, largest): two numbers, or two "
                         f"arrays of {n_columns}") from None  # fmt: skip
    if not (low < high).all() or not np.isfinite([low, high]).all():
        raise ValueError(f"{name} is {box!r}, expected finite bounds with smallest < largest")
    return low, high


def _check_inside(
    X: FloatArray, low: FloatArray, high: FloatArray, what: str, names: Sequence[str]
) -> None:
    """Raise ValueError if rows lie outside the given box."""
    beyond = np.maximum(low - X, X - high)
    wrong = np.argwhere(beyond > BOX_TOLERANCE * (high - low))
    if wrong.size:
        row, column = wrong[0]
        rows = len(np.unique(wrong[:, 0]))
        raise ValueError(
            f"{what}: row {row}, column '{names[column]}' is {X[row, column]:.6g}, outside the "
            f"given box [{low[column]:.6g}, {high[column]:.6g}] ({rows} such rows); expected rows "
            "inside the box, a wider box, or no box, so that the training rows define it"
        )


def _entropy(random_state: int | None) -> int:
    """Return the seed of an attack's random numbers."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, bool) or not isinstance(random_state, Integral) or random_state < 0:
        raise ValueError(f"random_state is {random_state!r}, expected an integer >= 0 or None")
    return int(random_state)
