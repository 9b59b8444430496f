"""Categories with a large effect on the response, for which the defense ``mm`` is the wrong choice.

``mm`` shrinks the coefficients of categories, so that poison cannot hide in a small one.  If the
categories really differ, the shrinkage costs accuracy.  This check makes the same comparison as
``mm`` itself, before any run: two ridge fits, with and without the shrinkage, and the leave-one-out
errors of both.  The file is reported if the error without shrinkage is less than :data:`EFFECTS`
times that with it, and lower by at least :data:`NOTICED` of the response's variance.  Both
fits are made twice, the second time without the :data:`LEFT_OUT` rows with the largest residuals of
either, because they may be poison.  At most :data:`ROWS` rows are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.encoded_columns import Bits, Group
from poisonbench.preparation.encoding import is_identifier
from poisonbench.preparation.grouping import one_hot
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile
from poisonbench.preparation.ready import ready_groups
from poisonbench.quality.finding import Seen

EFFECTS = 0.8
"""The same share as for the note of ``mm`` (`poisonbench.defenses.mm.EFFECTS`)."""

SHRINKAGE = 1 / 12
"""The default penalty of ``mm`` on a category, as a share of the rows."""

PENALTY = 1e-4
"""Penalty on the other columns, as a share of the rows, so that the fits are unique."""

LEFT_OUT = 0.05
"""Share of the rows that are left out of the comparison."""

ROWS = 5000
"""Largest number of rows of the fits."""

RARE = 0.01
"""Categories with a smaller share of the rows are merged, as in the preparation."""

NOTICED = 0.01
"""Smallest increase of the error, as a share of the response's variance."""

FEWEST, FEWEST_ROWS = 2, 50
"""Smallest number of rows for each column of the fits, and in total."""


def check(file: RawFile) -> Iterator[Seen]:
    """Yield at most one finding; none if no response is named, or if it is no number."""
    response = next((c for c in file.columns if c.name == file.choices.target), None)
    if response is None or response.kind != "number":
        return
    here = np.flatnonzero(~response.missing)
    rows = here[:: -(-max(len(here), 1) // ROWS)]
    y = np.asarray(response.values[rows], dtype=np.float64)
    if len(rows) < FEWEST_ROWS or not np.ptp(y):
        return
    features = [c for c in file.columns if c is not response and c.name not in file.choices.drop
                and not is_identifier(c)]  # fmt: skip
    groups = list(_groups(features))
    members = {name for group in groups for name in group.members}
    numbers = [_standardized(c, rows) for c in features
               if c.kind in ("number", "date") and c.name not in members]  # fmt: skip
    blocks = [group.bits[:, rows].T.astype(np.float64) for group in groups]
    if not blocks:
        return
    X = np.column_stack([*numbers, *blocks])
    if len(rows) < FEWEST * X.shape[1]:
        return
    indicator = np.arange(X.shape[1]) >= len(numbers)
    y = _unit_deviation(y)
    weak = np.full(X.shape[1], PENALTY)
    strong = np.where(indicator, SHRINKAGE, PENALTY)
    kept = np.ones(len(y), dtype=np.bool_)
    for penalty in (weak, strong):
        size = np.abs(_left_out(X, y, penalty)[0])
        kept &= size <= np.quantile(size, 1 - LEFT_OUT)
    X, y = X[kept], y[kept]
    plain, coefficients = _left_out(X, y, weak)
    without, with_shrinkage = (float(np.mean(r**2)) for r in (plain, _left_out(X, y, strong)[0]))
    if without < EFFECTS * with_shrinkage and with_shrinkage - without > NOTICED:
        starts = len(numbers) + np.cumsum([0, *(block.shape[1] for block in blocks)])
        own = [coefficients[a:b] for a, b in pairwise(starts)]
        yield _seen(groups, blocks, own, with_shrinkage / without)


@dataclass(frozen=True)
class _Categories:
    """A category: its indicator columns, shape (columns, rows), and the raw columns it is from."""

    name: str
    labels: tuple[str, ...]
    bits: Bits
    members: tuple[str, ...]


def _groups(features: list[RawColumn]) -> Iterator[_Categories]:
    """Yield the categories of a file, encoded as the preparation does."""
    rows = np.ones(len(features[0].values) if features else 0, dtype=np.bool_)
    ready = ready_groups(features, (), rows)
    for group in ready.values():
        labels = tuple(column.partition(":")[2] for column in group.columns)
        yield _Categories(group.name, labels, group.bits, group.columns)
    members = {name for group in ready.values() for name in group.columns}
    for column in features:
        if column.kind in ("category", "boolean") and column.name not in members:
            made = one_hot(column, column.name, RARE)
            if isinstance(made, Group) and len(made.labels) > 1:
                bits = np.stack(list(made.indicators(slice(None))))
                yield _Categories(column.name, made.labels[1:], bits, (column.name,))


def _standardized(column: RawColumn, rows: IntArray) -> FloatArray:
    """Return some rows of a column with mean 0 and deviation 1; outliers are cut off."""
    values = np.asarray(column.values[rows], dtype=np.float64)
    present = values[~np.isnan(values)]
    values = np.where(np.isnan(values), np.median(present) if len(present) else 0.0, values)
    values = np.clip(values, *np.quantile(values, [0.005, 0.995]))
    return _unit_deviation(values)


def _unit_deviation(values: FloatArray) -> FloatArray:
    """Return the values with mean 0 and deviation 1; zeros if they are all equal."""
    centred: FloatArray = values - values.mean()
    for size in (np.abs(centred).max(), None):  # first by the largest, whose square may not exist
        divisor = float(centred.std() if size is None else size)
        centred = centred / divisor if divisor > 0 else np.zeros(len(centred))
    return centred


def _left_out(X: FloatArray, y: FloatArray, penalty: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the leave-one-out residuals of ridge, and its coefficients.

    The penalty of each column is a share of the rows.
    """
    centred, y = X - X.mean(axis=0), y - y.mean()
    gram = centred.T @ centred + np.diag(penalty * len(y))
    solved = np.linalg.solve(gram, centred.T)
    coefficients: FloatArray = solved @ y
    leverage = 1 / len(y) + np.einsum("ij,ji->i", centred, solved)
    return (y - centred @ coefficients) / np.maximum(1 - leverage, 1e-3), coefficients


def _seen(
    groups: list[_Categories],
    blocks: list[FloatArray],
    coefficients: list[FloatArray],
    ratio: float,
) -> Seen:
    sizes = [float(np.std(block @ own)) for block, own in zip(blocks, coefficients, strict=True)]
    first = int(np.argmax(sizes))
    strongest = groups[first]
    effects = coefficients[first]
    mean = float(np.mean(blocks[first] @ effects))
    # Of rare categories, the effect is uncertain.
    farthest = int(np.argmax(np.abs(effects - mean) * np.sqrt(blocks[first].mean(axis=0))))
    rows = np.flatnonzero(strongest.bits[farthest])
    names = tuple(group.name for group, size in zip(groups, sizes, strict=True)
                  if size >= max(sizes) / 2)  # fmt: skip
    message = (f"categories have a large effect on the response: that of '{strongest.name}' has a "
               f"standard deviation of {max(sizes):.2g} times that of the response, most of all by "
               f"'{strongest.labels[farthest]}' in {len(rows)} rows; where they are shrunk, as by "
               f"the defense mm, the held-out error is {ratio:.2f} times as large")  # fmt: skip
    remedy = ("compare several defenses, as poisonbench defend and audit do, or set the "
              "group_shrinkage of mm to 0")  # fmt: skip
    return Seen("strong categories", names, rows, message, remedy)
