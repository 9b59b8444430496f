"""A data set in memory, and the checks that it must pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from poisonbench.features import BOX_TOLERANCE, FeatureSpace, FloatArray

ScalingMode = Literal["train", "full", "none"]
"""The rows whose minima and maxima define the box: the training rows, all rows, or none (the data
are already scaled)."""

LARGEST = 1e150
"""Largest absolute value; squares of larger values, and so squared errors, may overflow."""

SHOWN_NAMES = 5
"""How many column names an error message lists."""


class DatasetError(ValueError):
    """A data set cannot be used; the message says what is wrong, and where."""


def listing(names: Sequence[str]) -> str:
    """Return the first few names, quoted, and how many more there are."""
    text = ", ".join(f"'{name}'" for name in names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{text} and {more} more" if more > 0 else text


@dataclass(frozen=True)
class ResponseUnit:
    """The response's own unit, and the conversion to it: own = offset + span * value.

    Parameters
    ----------
    name : str
        The name of the unit, in the plural.
    offset, span : float
        The value of 0 in that unit, and the size of a difference of 1.
    """

    name: str
    offset: float = 0.0
    span: float = 1.0


@dataclass(frozen=True)
class Dataset:
    """Rows and responses in the data's own units.

    Parameters
    ----------
    name : str
        Name of the data set in tables.
    X : ndarray of shape (rows, d)
        The features; columns of one-hot groups hold 0 or 1.
    y : ndarray of shape (rows,)
        The responses.
    space : FeatureSpace
        The columns, and which rows are legal once numeric columns are scaled to [0, 1].
    target : str
        The response's name.
    scaling : {"train", "full", "none"}
        The rows whose minima and maxima define the box: the training rows, all rows, or none (the
        data are already scaled).
    unit : ResponseUnit or None
        The response's own unit, if it is known and `y` is not given in it.
    """

    name: str
    X: FloatArray
    y: FloatArray
    space: FeatureSpace
    target: str
    scaling: ScalingMode
    unit: ResponseUnit | None = None

    @cached_property
    def content(self) -> str:
        """SHA-256 (hex) of the column names and all values; random streams depend on it."""
        header = json.dumps([self.space.names, self.target, self.X.shape])
        digest = hashlib.sha256(header.encode())
        for values in (self.X, self.y):
            digest.update(np.ascontiguousarray(values, dtype="<f8").data)  # usually not a copy
        return digest.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content, the groups, the scaling, and the unit if there is one."""
        groups = [astuple(group) for group in self.space.groups]
        unit = [] if self.unit is None else [astuple(self.unit)]
        parts = json.dumps([self.content, groups, self.scaling, *unit])
        return hashlib.sha256(parts.encode()).hexdigest()

    @cached_property
    def constant(self) -> tuple[str, ...]:
        """The features that have the same value in every row."""
        return tuple(name for name, column in zip(self.space.names, self.X.T, strict=True)
                     if (column == column[:1]).all())  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the data, for the user."""
        if not self.constant:
            return ()
        value = "keep their value" if self.scaling == "none" else "are 0"
        return (f"{self.name}: constant features: {listing(self.constant)}; in the box they "
                f"{value}, and only poison rows can give them a weight",)  # fmt: skip

    def validated(
        self, source: str | None = None, place: Callable[[int], str] = "row {}".format
    ) -> Self:
        """Return the data set itself, after checking that a regression can be run on it.

        Parameters
        ----------
        source : str, optional
            How error messages name the data; ``name`` if not given.
        place : callable, optional
            Turns a row index into the place that error messages give.

        Raises
        ------
        DatasetError
            There are fewer than two rows; a value is not finite, or too large; the response or
            all features are constant; or a value lies outside [0, 1] despite ``scaling="none"``.
        """
        source = self.name if source is None else source
        if len(self.y) < 2:
            raise DatasetError(f"{source}: {len(self.y)} rows of data, expected at least 2")
        for name, column in self._columns():
            wrong = np.flatnonzero(~(np.abs(column) <= LARGEST))  # NaN compares false
            if wrong.size:
                raise DatasetError(f"{source}: {place(wrong[0])}, column '{name}' is "
                                   f"{column[wrong[0]]:.6g}, expected a finite number with an "
                                   f"absolute value of at most {LARGEST:g}")  # fmt: skip
            if self.scaling == "none":
                wrong = np.flatnonzero((column < -BOX_TOLERANCE) | (column > 1 + BOX_TOLERANCE))
                if wrong.size:
                    raise DatasetError(
                        f"{source}: {place(wrong[0])}, column '{name}' is {column[wrong[0]]:.6g}, "
                        "outside the box [0, 1] that scaling 'none' declares; use scaling 'train' "
                        "or 'full' to scale it"
                    )
        if (self.y == self.y[0]).all():
            raise DatasetError(f"{source}: the response '{self.target}' is {self.y[0]:.6g} in "
                               "every row; expected at least two different values")  # fmt: skip
        if len(self.constant) == self.space.n_features:
            raise DatasetError(f"{source}: every feature ({listing(self.constant)}) has the same "
                               "value in all rows; expected at least one that varies"
                               )  # fmt: skip
        return self

    def _columns(self) -> Iterator[tuple[str, FloatArray]]:
        """Yield the name and the values of every column, the response last."""
        yield from zip(self.space.names, self.X.T, strict=True)
        yield self.target, self.y
