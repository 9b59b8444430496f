"""Say in words why a row is suspicious: which columns, which category, which other rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poisonbench.defending.columns import Column, Rows
from poisonbench.defending.fit import Defended
from poisonbench.defending.words import amount, day, signed
from poisonbench.features import BoolArray, FloatArray, IntArray

SHARE_OF_RESIDUAL = 0.2
"""A column is named if its part in the prediction, against the residual, is at least this share of
the residual."""

MOST_COLUMNS = 3
"""The largest number of columns that a reason names."""

FAR = 8.0
"""A number is far outside if it is more than this many robust scales from the median."""

TOGETHER_ROWS, TOGETHER_SHARE = 3, 1 / 3
"""A category is named if at least this many of its rows, and at least this share of them, are
suspicious with residuals of the same sign."""

FEWEST_COPIES = 3
"""Suspicious rows with equal features are named as such from this number on."""


@dataclass(frozen=True)
class Category:
    """A category of which many rows are suspicious, all for the same reason.

    Parameters
    ----------
    column, label : str
        The raw column and the category.
    n_suspicious, n_rows : int
        Its suspicious rows with residuals of the same sign, and all its rows.
    sign : int
        1 if the responses of these rows are above the prediction, -1 if they are below.
    """

    column: str
    label: str
    n_suspicious: int
    n_rows: int
    sign: int

    def __str__(self) -> str:
        """Return the finding in words."""
        return (f"category {self.column} = {self.label}: {self.n_suspicious} of {self.n_rows} rows "
                "rejected together")  # fmt: skip


def together(rows: Rows, found: Defended) -> tuple[Category, ...]:
    """Return the categories of which many rows are suspicious on the same side.

    The data cannot tell which part of such a category is poison.
    """
    suspicious = np.zeros(len(rows.data.y), dtype=bool)
    suspicious[found.suspicious] = True
    above = found.residual > 0
    listed = []
    for column in rows.columns:
        if not column.labels:
            continue
        codes = _codes(column, rows.data.X)
        total = np.bincount(codes, minlength=len(column.labels))
        for sign, side in ((1, above), (-1, ~above)):
            counts = np.bincount(codes[suspicious & side], minlength=len(column.labels))
            listed += [
                Category(column.name, column.labels[k], int(counts[k]), int(total[k]), sign)
                for k in np.flatnonzero(
                    (counts >= TOGETHER_ROWS) & (counts >= TOGETHER_SHARE * total)
                )
                if column.kind != "indicator" or k == 1
            ]
    return tuple(sorted(listed, key=lambda one: -one.n_suspicious / one.n_rows))


def reasons(rows: Rows, found: Defended, groups: tuple[Category, ...]) -> list[str]:
    """Return a reason for each suspicious row, in the order of ``found.suspicious``."""
    parts = _contributions(rows, found)
    far = _far_outside(rows)
    copies = _copies(rows.data.X, found.suspicious)
    blank = np.array([np.isin(found.suspicious, column.filled) for column in rows.columns])
    codes = {column.name: _codes(column, rows.data.X[found.suspicious]) for column in rows.columns
             if column.labels}  # fmt: skip
    labels = {column.name: column.labels for column in rows.columns}
    texts = []
    for k, i in enumerate(found.suspicious):
        residual = found.residual[i]
        expected = amount(float(found.prediction[i]))
        where = "above" if residual > 0 else "below"
        first = f"{amount(abs(float(residual)))} {where} the expected {expected}"
        said = [str(one) for one in groups
                if labels[one.column][codes[one.column][k]] == one.label
                and one.sign == (1 if residual > 0 else -1)]  # fmt: skip
        said += _columns_against(rows, parts[:, k], residual, i)
        said += _missing(blank[:, k], rows)
        said += [f"{rows.columns[c].name} = {_value(rows, rows.columns[c], i)} is far from all "
                 "others" for c in np.flatnonzero(far[:, i])][:MOST_COLUMNS]  # fmt: skip
        if copies[k] >= FEWEST_COPIES:
            said.append(f"one of {copies[k]} suspicious rows with equal features")
        texts.append("; ".join([first, *(said or ["no column stands out"])]))
    return texts


def _columns_against(rows: Rows, parts: FloatArray, residual: float, i: int) -> Iterator[str]:
    """Yield the columns that let the model expect the opposite of what the response is."""
    against = -parts * np.sign(residual)
    order = [c for c in np.argsort(-against, kind="stable")[:MOST_COLUMNS]
             if against[c] > 0 and against[c] >= SHARE_OF_RESIDUAL * abs(residual)]  # fmt: skip
    if order:
        listed = ", ".join(
            f"{rows.columns[c].name} = {_value(rows, rows.columns[c], i)} "
            f"({signed(float(parts[c]))})"
            for c in order
        )
        yield f"too {'high' if residual > 0 else 'low'} for {listed}"


def _missing(blank: BoolArray, rows: Rows) -> Iterator[str]:
    """Yield the columns that have no value in a row, so that the model took their mean."""
    names = [column.name for column, is_blank in zip(rows.columns, blank, strict=True) if is_blank]
    if names:
        more = len(names) - MOST_COLUMNS
        also = f" and {more} more" if more > 0 else ""
        mean = "its mean was used" if len(names) == 1 else "their means were used"
        yield f"no value for {', '.join(names[:MOST_COLUMNS])}{also} ({mean})"


def _contributions(rows: Rows, found: Defended) -> FloatArray:
    """Return what each raw column adds to the prediction of a suspicious row, beyond its median.

    Returns
    -------
    ndarray of shape (columns, suspicious rows)
        In the unit of the response.
    """
    parts = np.empty((len(rows.columns), len(found.suspicious)))
    for c, column in enumerate(rows.columns):
        design = list(column.design)
        values = np.clip(rows.data.X[:, design], found.box.low[design], found.box.high[design])
        added = values @ found.coef[design]
        parts[c] = added[found.suspicious] - np.median(added)
    return parts


def _far_outside(rows: Rows) -> BoolArray:
    """Return a mask of the numbers that are far from the others, shape (columns, rows)."""
    far = np.zeros((len(rows.columns), len(rows.data.y)), dtype=bool)
    for c, column in enumerate(rows.columns):
        if column.kind in ("number", "date"):
            values = rows.data.X[:, column.design[0]]
            low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
            scale = (high - low) / 2.56  # of a normal distribution with these quantiles
            if scale > 0:
                far[c] = np.abs(values - middle) > FAR * scale
    return far


def _copies(X: FloatArray, suspicious: IntArray) -> IntArray:
    """Return for each suspicious row how many suspicious rows have the same features."""
    if not len(suspicious):
        return np.zeros(0, dtype=np.intp)
    _, inverse, counts = np.unique(X[suspicious], axis=0, return_inverse=True, return_counts=True)
    found: IntArray = counts[inverse.ravel()]
    return found


def _codes(column: Column, X: FloatArray) -> IntArray:
    """Return the category of each row as an index into the labels."""
    ones = X[:, list(column.design)]
    codes: IntArray = np.where(ones.any(axis=1), ones.argmax(axis=1) + 1, 0)
    return codes


def _value(rows: Rows, column: Column, i: int) -> str:
    """Return the value of a raw column in a row, as text."""
    if column.labels:
        return column.labels[int(_codes(column, rows.data.X[i : i + 1])[0])]
    value = float(rows.data.X[i, column.design[0]])
    return day(value) if column.kind == "date" else amount(value)
