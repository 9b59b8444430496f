"""Legal rows: points of the box [0, 1]^d with a valid choice in each one-hot group.

Attacks move points through the box and then need the nearest legal row.  The pipeline checks that
every row of a poison set is legal.  Both are defined here, so that they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BOX_TOLERANCE = 1e-9
"""How far outside [0, 1] a value may lie, to allow for rounding."""


@dataclass(frozen=True)
class OneHotGroup:
    """Columns ``name:value`` that encode one categorical feature.

    Parameters
    ----------
    name : str
        The feature's name, the part of the column names before the colon.
    columns : tuple of int
        Column indices.
    all_zero : bool
        Whether a row may have no 1 in the group.  It may if the data have such a row, for example
        because a reference category was dropped.
    one_of_k : bool
        Whether a row has at most one 1.  If the rows of a group can have several, its columns are
        treated as independent binary columns.
    """

    name: str
    columns: tuple[int, ...]
    all_zero: bool
    one_of_k: bool = True


@dataclass(frozen=True)
class FeatureSpace:
    """The columns of a design matrix and the rows that are legal in it.

    Parameters
    ----------
    names : tuple of str
        Column names, in order.
    groups : tuple of OneHotGroup
        The categorical features; every other column is numeric.
    """

    names: tuple[str, ...]
    groups: tuple[OneHotGroup, ...] = ()

    @property
    def n_features(self) -> int:
        """Number of columns d."""
        return len(self.names)

    @cached_property
    def choices(self) -> tuple[OneHotGroup, ...]:
        """The groups in which a row makes one choice out of k."""
        return tuple(group for group in self.groups if group.one_of_k)

    @cached_property
    def binary(self) -> IntArray:
        """Indices of the columns of all other groups; each is 0 or 1, independently of others."""
        columns = [j for group in self.groups if not group.one_of_k for j in group.columns]
        return np.array(columns, dtype=np.intp)

    @cached_property
    def numeric(self) -> IntArray:
        """Indices of the columns that belong to no group and may have any value in [0, 1]."""
        grouped = {j for group in self.groups for j in group.columns}
        return np.array([j for j in range(self.n_features) if j not in grouped], dtype=np.intp)

    @cached_property
    def _blocks(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """The columns of the choices; for each its group; where groups begin; and thresholds."""
        sizes = np.array([len(group.columns) for group in self.choices], dtype=np.intp)
        columns = np.array([j for group in self.choices for j in group.columns], dtype=np.intp)
        # The arg max always wins where the group must have a 1.
        thresholds = [
            1 / (1 + len(group.columns)) if group.all_zero else -np.inf for group in self.choices
        ]
        owner = np.repeat(np.arange(len(sizes)), sizes)
        return columns, owner, np.cumsum(sizes) - sizes, np.array(thresholds)

    def project(self, X: FloatArray) -> FloatArray:
        """Return the legal rows nearest to `X`.

        Values are clipped to the box, and independent binary columns are rounded.  In each one-hot
        group of k columns the largest entry becomes 1 and the others 0, except that all become 0 if
        an all-zero group is legal and no entry exceeds 1/(1 + k).

        Parameters
        ----------
        X : ndarray of shape (m, d)
            Any finite points.

        Returns
        -------
        ndarray of shape (m, d)
            A new array of legal rows.
        """
        legal: FloatArray = np.clip(X, 0.0, 1.0)
        if self.binary.size:
            legal[:, self.binary] = np.round(legal[:, self.binary])
        if self.choices:
            columns, owner, starts, thresholds = self._blocks
            values = X.T[columns]
            largest = np.maximum.reduceat(values, starts)
            wins = largest > thresholds[:, None]
            chosen = values == np.where(wins, largest, np.inf)[owner]
            if np.count_nonzero(chosen) > np.count_nonzero(wins):
                # Of equal entries the first one wins.
                places = np.arange(len(columns))[:, None]
                first = np.minimum.reduceat(np.where(chosen, places, len(columns)), starts)
                chosen = places == first[owner]
            legal[:, columns] = chosen.T
        return legal

    def violations(self, X: FloatArray) -> list[str]:
        """Return descriptions of what makes rows of `X` illegal.

        Parameters
        ----------
        X : ndarray of shape (m, d)
            Rows to check.

        Returns
        -------
        list of str
            One sentence for each kind of violation, with the first row and column where it
            occurs; empty if every row is legal.
        """
        if X.ndim != 2 or X.shape[1] != self.n_features:
            return [f"the rows have shape {X.shape}, expected (rows, {self.n_features})"]
        found = []
        bad = np.argwhere(~np.isfinite(X))
        if bad.size:
            row, column = bad[0]
            return [f"row {row}, column '{self.names[column]}' is {X[row, column]}, not finite"]
        bad = np.argwhere((X < -BOX_TOLERANCE) | (X > 1 + BOX_TOLERANCE))
        if bad.size:
            row, column = bad[0]
            found.append(
                f"row {row}, column '{self.names[column]}' is {X[row, column]:.6g}, "
                "outside the box [0, 1]"
            )
        for group in self.groups:
            block = X[:, group.columns]
            bad = np.argwhere((block != 0) & (block != 1))
            if bad.size:
                row, column = bad[0]
                name = self.names[group.columns[column]]
                value = float(block[row, column])  # shown with all digits, as it may be almost 1
                found.append(f"row {row}, one-hot column '{name}' is {value!r}, "
                             "not 0 or 1")  # fmt: skip
                continue
            if not group.one_of_k:
                continue
            ones = block.sum(axis=1)
            low = 0 if group.all_zero else 1
            wrong = np.flatnonzero((ones > 1) | (ones < low))
            if wrong.size:
                legal = "at most one" if group.all_zero else "exactly one"
                found.append(
                    f"row {wrong[0]} has {int(ones[wrong[0]])} ones in the one-hot group "
                    f"'{group.name}', expected {legal}"
                )
        return found
