"""Find the columns that stand for categories, by given groups, by names, or by values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from poisonbench.data.groups import one_hot_groups
from poisonbench.features import BoolArray, FloatArray

Groups = Iterable[Sequence[int]] | None
"""One-hot groups as column indices, or None to find them."""


def indicator_columns(groups: Groups, names: Sequence[str] | None, X: FloatArray) -> BoolArray:
    """Return the mask of the columns that stand for categories.

    Parameters
    ----------
    groups : iterable of sequences of int, or None
        One-hot groups as column indices.  If None, these are the columns named ``Group:value`` that
        contain only 0 and 1, or if there are no such names, all columns that contain 0 and 1 and
        nothing else.
    names : sequence of str or None
        Column names, if the rows have names.
    X : ndarray of shape (N, d)
        The rows.

    Raises
    ------
    ValueError
        `groups` contains a column that does not exist, or something other than column indices.
    """
    d = X.shape[1]
    mask = np.zeros(d, dtype=bool)
    if groups is not None:
        for column in _flat(groups):
            if not 0 <= column < d:
                raise ValueError(f"one_hot_groups has column {column}, expected 0 to {d - 1}")
            mask[column] = True
        return mask
    if names is not None and any(":" in name for name in names):
        for group in one_hot_groups(names, X):
            mask[list(group.columns)] = True
        return mask
    binary = ((X == 0) | (X == 1)).all(axis=0)
    return np.asarray(binary & (np.ptp(X, axis=0) > 0))


def _flat(groups: Any) -> list[int]:
    try:
        columns = [column for group in groups for column in group]
    except TypeError:
        columns = [None]
    if not all(isinstance(column, int | np.integer) for column in columns):
        raise ValueError(
            f"one_hot_groups is {groups!r}, expected sequences of column indices, as in [(3, 4)]"
        )
    return [int(column) for column in columns]
