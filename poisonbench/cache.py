"""Numbers that several cells need and that each process computes only once.

A key is a named tuple of everything that its number depends on, so that two numbers can never be
confused.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

MOST_ENTRIES = 4096
"""A sweep may use any number of keys; of more than this, the least recently used are dropped."""

Number = TypeVar("Number", float, "float | None")


class SelectedStrength(NamedTuple):
    """The key of a lambda selected by cross-validation.

    Parameters
    ----------
    learner : str
        The learner and its parameters.
    folds : int
        Seed of the folds.
    rows : str
        Hash of the rows and responses.
    """

    learner: str
    folds: int
    rows: str


class OwnCleanError(NamedTuple):
    """The key of a defense's test error without poison.

    Parameters
    ----------
    defense : str
        The defense and its parameters.
    n_poison_assumed : int or "auto" or None
        The number of poison rows that it is told, or "auto" if it estimates it.
    repetitions : int
        The number of its fits.
    learner : str
        The learner and its strength.
    seed : int
        The seed of the cell.
    data : str
        Fingerprint of the data set.
    rows : str
        Hash of the training and test rows' indices.
    """

    defense: str
    n_poison_assumed: int | str | None
    repetitions: int
    learner: str
    seed: int
    data: str
    rows: str


_kept: OrderedDict[tuple[object, ...], float | None] = OrderedDict()


def cached(key: SelectedStrength | OwnCleanError, compute: Callable[[], Number]) -> Number:
    """Return the number stored for this key; compute and store it if there is none."""
    entry = (type(key), *key)
    if entry not in _kept:
        _kept[entry] = compute()
        if len(_kept) > MOST_ENTRIES:
            _kept.popitem(last=False)
    _kept.move_to_end(entry)
    return _kept[entry]  # type: ignore[return-value]
