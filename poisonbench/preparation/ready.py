"""One-hot groups that a raw file already contains, in columns ``Group:value`` of 0 and 1."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from poisonbench.features import BoolArray, IntArray
from poisonbench.preparation.encoded_columns import Bits, ReadyGroup
from poisonbench.preparation.raw import RawColumn


def ready_groups(
    raw: list[RawColumn], chosen: Collection[str], keep: BoolArray
) -> dict[str, ReadyGroup]:
    """Return the one-hot groups among raw columns.

    Columns whose names agree up to the first colon are a group if all of them contain only 0 and 1,
    and if no other column has the name before the colon.  Columns that do not vary are left out of
    the group.

    Parameters
    ----------
    raw : list of RawColumn
        All columns.
    chosen : collection of str
        The response, and columns for which the user has given a role.
    keep : ndarray of shape (rows,)
        Mask of the rows that are used.

    Returns
    -------
    dict of str to ReadyGroup
        The groups by name.
    """
    names = {column.name for column in raw}
    members: dict[str, dict[str, Bits | None]] = {}
    for column in raw:
        prefix, colon, value = column.name.partition(":")
        if prefix and colon and value and column.name not in chosen and prefix not in names:
            members.setdefault(prefix, {})[column.name] = _bits(column, keep)
    groups = {}
    for prefix, columns in members.items():
        complete = {name: bits for name, bits in columns.items() if bits is not None}
        varying = {name: bits for name, bits in complete.items() if np.ptp(bits)}
        if len(complete) == len(columns) and varying:
            bits = np.stack(list(varying.values()))
            groups[prefix] = ReadyGroup(prefix, tuple(varying), bits)
    return groups


def categories(group: ReadyGroup) -> IntArray:
    """Return a number for each row, equal for rows that are equal in the group; shape (rows,)."""
    packed = np.packbits(group.bits, axis=0)
    codes: IntArray = np.unique(packed, axis=1, return_inverse=True)[1].astype(np.intp)
    return codes.ravel()


def _bits(column: RawColumn, keep: BoolArray) -> Bits | None:
    """Return a column of 0 and 1; None if it has another value, or a missing one."""
    if column.kind not in ("number", "boolean") or column.labels not in ((), ("0", "1")):
        return None
    values = column.values[keep]
    if not np.isin(values, (0, 1)).all():  # a missing value is -1 or NaN
        return None
    return values.astype(np.uint8)
