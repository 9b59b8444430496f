"""Splits of a data set into training, validation and test rows: drawn at random, or given."""

from __future__ import annotations

import math
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from poisonbench import seeds
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.npz import read_arrays
from poisonbench.features import IntArray

if TYPE_CHECKING:
    from pathlib import Path

ROUNDING = 1e-9
"""Largest rounding error in a sum of fractions, or in a fraction times a number of rows."""


class SplitCounts(NamedTuple):
    """Number of rows of each part."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class SplitSizes:
    """Sizes of the parts, each a count (int) or a fraction of all rows (float).

    Counts and fractions may be mixed; a fraction always refers to all rows.  Parts that are not
    given share the remaining rows equally; if none is given, each part is a third.

    Parameters
    ----------
    train : int or float, optional
        At least 2, or a fraction in (0, 1).
    validation : int or float, optional
        At least 0, or a fraction in [0, 1).
    test : int or float, optional
        At least 1, or a fraction in (0, 1).

    Raises
    ------
    ValueError
        A size is out of range, or the fractions sum to more than 1.
    """

    train: int | float | None = None
    validation: int | float | None = None
    test: int | float | None = None

    def __post_init__(self) -> None:
        for part, smallest in (("train", 2), ("validation", 0), ("test", 1)):
            size = getattr(self, part)
            if size is None:
                continue
            if isinstance(size, int) and not isinstance(size, bool):
                valid = size >= smallest
            else:
                valid = isinstance(size, float) and (0 < size < 1 or size == smallest == 0)
            if not valid:
                expected = f"a number of rows (an integer >= {smallest}) or a fraction in (0, 1)"
                raise ValueError(f"split size {part} is {size!r}, expected {expected}")
        total = sum(size for size in astuple(self) if isinstance(size, float))
        if total > 1 + ROUNDING:
            raise ValueError(f"the fractions of the split sum to {total:.6g}, expected at most 1")

    def counts(self, n_rows: int) -> SplitCounts:
        """Return the number of rows of each part of a data set of `n_rows` rows.

        Fractions and shares are rounded down.

        Raises
        ------
        DatasetError
            The data set has fewer rows than the split needs, or a part is left without rows.
        """
        sizes: dict[str, int | float | None] = asdict(self)
        found = {
            part: size if isinstance(size, int) else math.floor(size * n_rows + ROUNDING)
            for part, size in sizes.items()
            if size is not None
        }
        left = n_rows - sum(found.values())
        share = max(left, 0) // max(len(sizes) - len(found), 1)
        counts = SplitCounts(**{part: found.get(part, share) for part in sizes})
        if left < 0:
            raise DatasetError(f"the split needs {sum(counts)} rows ({_described(counts)}), "
                               f"the data set has {n_rows}")  # fmt: skip
        # 0 validation rows are legal if the user asked for 0, but not as a result of rounding.
        smallest = SplitCounts(2, 0 if self.validation == 0 else 1, 1)
        if any(count < least for count, least in zip(counts, smallest, strict=True)):
            raise DatasetError(f"the split of {n_rows} rows would be {_described(counts)}, "
                               f"expected at least {_described(smallest)}")  # fmt: skip
        return counts


def _described(counts: SplitCounts) -> str:
    return f"{counts.train} train + {counts.validation} validation + {counts.test} test"


def draw(n_rows: int, counts: SplitCounts, generator: np.random.Generator) -> Split:
    """Return disjoint parts of one random permutation, the training rows first.

    Parameters
    ----------
    n_rows : int
        Number of rows of the data set, at least the sum of `counts`.
    counts : SplitCounts
        Numbers of rows of the parts.
    generator : numpy.random.Generator
        The stream of the split.
    """
    order = generator.permutation(n_rows).astype(np.intp, copy=False)
    train, validation, test, _ = np.split(order, np.cumsum(counts))
    return Split(train, validation, test)


def rows_of(split: SplitCounts | Split, dataset: Dataset, seed: int) -> Split:
    """Return the rows of a split: as given, or drawn with the seed."""
    if isinstance(split, Split):
        return split
    stream = seeds.generator(seed, "split", dataset.content)
    return draw(len(dataset.y), split, stream)


def spare_rows(split: Split, n_rows: int, count: int, generator: np.random.Generator) -> IntArray:
    """Return row indices that are in no part of a split, drawn at random.

    Parameters
    ----------
    split : Split
        The split.
    n_rows : int
        Number of rows of the data set.
    count : int
        How many to draw; at most as many as there are.
    generator : numpy.random.Generator
        The stream that draws.
    """
    used = np.concatenate([split.train, split.validation, split.test])
    spare = np.setdiff1d(np.arange(n_rows), used)
    drawn: IntArray = generator.permutation(spare)[:count].astype(np.intp, copy=False)
    return drawn


def read_indices(path: Path, n_rows: int) -> Split:
    """Read a split from an ``.npz`` file with the arrays ``train``, ``validation``, ``test``.

    Parameters
    ----------
    path : Path
        The file; each array holds row indices from 0, and ``validation`` may be empty.
    n_rows : int
        Number of rows of the data set.

    Raises
    ------
    DatasetError
        The file cannot be read, or its arrays are not disjoint sets of row indices.
    """
    parts = {
        part: _indices(path, part, array, n_rows)
        for part, array in read_arrays(path, SplitCounts._fields).items()
    }
    parts_of_row = np.zeros(n_rows, dtype=np.intp)
    for part, rows in parts.items():
        if not rows.size and part != "validation":
            raise DatasetError(f"{path}: array '{part}' is empty, expected row indices")
        unique, repeats = np.unique(rows, return_counts=True)
        if (repeats > 1).any():
            repeated = unique[repeats > 1][0]
            raise DatasetError(f"{path}: array '{part}' has row {repeated} more than once")
        parts_of_row[rows] += 1
    if (parts_of_row > 1).any():
        row = np.flatnonzero(parts_of_row > 1)[0]
        shared = " and ".join(f"'{part}'" for part, rows in parts.items() if row in rows)
        raise DatasetError(f"{path}: row {row} is in {shared}, expected disjoint parts")
    return Split(**parts)


def _indices(path: Path, part: str, array: npt.NDArray[Any], n_rows: int) -> IntArray:
    """Return `array` as row indices."""
    if array.ndim != 1:
        raise DatasetError(f"{path}: array '{part}' has shape {array.shape}, expected one axis")
    # np.array([]) is an array of floats, so do not check the type of an empty array.
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise DatasetError(f"{path}: array '{part}' is of type {array.dtype}, expected integers")
    outside = array[(array < 0) | (array >= n_rows)]
    if outside.size:
        raise DatasetError(f"{path}: array '{part}' has row {outside[0]}, expected 0 to "
                           f"{n_rows - 1} (the data set has {n_rows} rows)")  # fmt: skip
    return array.astype(np.intp)


@dataclass(frozen=True)
class Split:
    """Row indices of the disjoint parts of a data set."""

    train: IntArray
    validation: IntArray
    test: IntArray
