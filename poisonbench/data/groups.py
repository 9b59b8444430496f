"""One-hot groups, recognised by the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poisonbench.features import FloatArray, OneHotGroup


def one_hot_groups(names: Sequence[str], X: FloatArray) -> tuple[OneHotGroup, ...]:
    """Return the groups among columns named ``Group:value``.

    Columns whose names agree up to the first colon are a group if they contain only 0 and 1;
    otherwise they are ordinary numeric columns.  A row may have no 1, or several, in a group if a
    row of `X` does.

    Parameters
    ----------
    names : sequence of str
        Column names.
    X : ndarray of shape (rows, d)
        All rows of the data, so that what is legal does not depend on the split.

    Returns
    -------
    tuple of OneHotGroup
        In the order in which the groups first appear.
    """
    is_binary = ((X == 0) | (X == 1)).all(axis=0)
    members: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        prefix, colon, _ = name.partition(":")
        if prefix and colon:
            members.setdefault(prefix, []).append(column)
    groups = []
    for prefix, columns in members.items():
        if is_binary[columns].all():
            groups.append(one_hot_group(prefix, columns, X))
    return tuple(groups)


def one_hot_group(name: str, columns: Sequence[int], X: FloatArray) -> OneHotGroup:
    """Return the group of these columns of 0 and 1; its rows may hold what rows of `X` hold.

    Parameters
    ----------
    name : str
        The group's name.
    columns : sequence of int
        Column indices.
    X : ndarray of shape (rows, d)
        All rows of the data.
    """
    ones = np.count_nonzero(X[:, columns], axis=1)
    return OneHotGroup(name, tuple(columns), bool((ones == 0).any()), bool((ones <= 1).all()))
