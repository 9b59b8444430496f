"""The rows of a file as a design matrix that remembers which raw columns it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from poisonbench.data.base import Dataset
from poisonbench.data.groups import one_hot_groups
from poisonbench.features import FeatureSpace, IntArray
from poisonbench.preparation.encoded_columns import Group, Numeric, ReadyGroup
from poisonbench.preparation.encoding import Encoded

Kind = Literal["number", "date", "boolean", "category", "indicator"]


@dataclass(frozen=True)
class Column:
    """A raw column, and where it is in the design matrix.

    Parameters
    ----------
    name : str
        Its name in the raw file.
    kind : {"number", "date", "boolean", "category", "indicator"}
        What it contains; an indicator is a column ``Group:value`` that the file already has.
    design : tuple of int
        The columns of the design matrix: one, or one for each category except the first.
    labels : tuple of str
        The categories, the first being the one without a column; or false and true.
    merged : tuple of str
        The rare categories that were merged into `merged_label`.
    merged_label : str
        The name of the merged category.
    filled : ndarray of int
        The rows whose number or date was missing and was replaced by the mean.
    """

    name: str
    kind: Kind
    design: tuple[int, ...]
    labels: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    merged_label: str = ""
    filled: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@dataclass(frozen=True)
class Rows:
    """The rows that can be used, in their own units.

    Parameters
    ----------
    data : Dataset
        The design matrix, the responses and the columns.
    columns : tuple of Column
        The raw columns that are used.
    number : ndarray of int of shape (N,)
        For each row, its number among the data rows of the file, counted from 1.
    """

    data: Dataset
    columns: tuple[Column, ...]
    number: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


def rows_of(encoded: Encoded, name: str) -> Rows:
    """Return encoded columns as rows.

    Parameters
    ----------
    encoded : Encoded
        The columns.
    name : str
        How messages name the data.

    Raises
    ------
    DatasetError
        No regression can be run on them.
    """
    X = np.empty((encoded.n_rows, len(encoded.names) - 1))
    columns: list[Column] = []
    filled = 0
    every = slice(None)
    for numeric in encoded.numerics:
        X[:, filled] = numeric.values
        columns.append(_of_numeric(numeric, filled))
        filled += 1
    for group in encoded.groups:
        for k, ones in enumerate(group.indicators(every)):
            X[:, filled + k] = ones
        columns += _of_group(group, filled)
        filled += len(group.columns)
    names = tuple(encoded.names[1:])
    data = Dataset(
        name,
        X,
        encoded.target.values.copy(),
        FeatureSpace(names, one_hot_groups(names, X)),
        encoded.target.source or encoded.target.name,
        "full",
    )
    return Rows(data.validated(), tuple(columns), np.flatnonzero(encoded.kept) + 1)


def _of_numeric(numeric: Numeric, place: int) -> Column:
    kind: Kind = "date" if numeric.kind == "date" else "number"
    return Column(numeric.source or numeric.name, kind, (place,), filled=numeric.filled)


def _of_group(group: Group | ReadyGroup, place: int) -> list[Column]:
    design = tuple(range(place, place + len(group.columns)))
    if isinstance(group, ReadyGroup):
        return [Column(name, "indicator", (j,), ("0", "1"))
                for name, j in zip(group.columns, design, strict=True)]  # fmt: skip
    kind: Kind = "boolean" if group.kind == "boolean" else "category"
    return [
        Column(group.source or group.name, kind, design, group.labels, group.merged,
               group.merged_label)
    ]  # fmt: skip
