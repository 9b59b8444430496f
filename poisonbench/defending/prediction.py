"""Predict from the cells of a raw file with a stored model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench import registry
from poisonbench.data.base import DatasetError, listing
from poisonbench.data.names import visible
from poisonbench.defending.lines import line_ranges
from poisonbench.defending.model_file import CellRules, Model, ModelColumn
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.cells import number_parser
from poisonbench.preparation.columns import FALSE, TRUE, ColumnReader, Role
from poisonbench.preparation.dialect import Dialect, sniff
from poisonbench.preparation.grouping import shortened
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.reading import batches


@dataclass(frozen=True)
class Predictions:
    """The predictions for the rows of a file.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        The predictions, in the unit of the response.
    response : ndarray of shape (rows,) or None
        The responses, NaN if missing; None if the file has no such column.
    lines : ndarray of int of shape (rows, 2)
        The first and the last line of each row.
    remarks : tuple of str
        What the user should check.
    """

    values: FloatArray
    response: FloatArray | None
    lines: IntArray
    remarks: tuple[str, ...]


def predict_file(
    model: Model,
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
) -> Predictions:
    """Return the predictions for the rows of a CSV file.

    The columns may be in any order; columns that the model does not use are ignored.

    Parameters
    ----------
    model : Model
        The model.
    path : Path
        The file, of the form that the model was made from.
    encoding, delimiter, decimal : str, optional
        The format of the file; detected if not given.
    header : bool, optional
        Whether its first line contains the column names.

    Raises
    ------
    DatasetError
        The file cannot be read, lacks a column of the model, or has a column with other content.
    """
    dialect = sniff(path, encoding=encoding, delimiter=delimiter, decimal=decimal, header=header)
    remarks = list(dialect.remarks)
    remarks += _check_names(model, dialect, path)
    with_response = model.target in dialect.names
    columns = _read(model, path, dialect, with_response=with_response)
    n_rows = len(next(iter(columns.values())).values)
    values = np.full(n_rows, model.intercept)
    for column in model.columns:
        values += _effect(column, columns[column.name], path, remarks)
    response = _numbers(columns[model.target], path) if with_response else None
    lines = line_ranges(path, dialect)
    if len(lines) != n_rows:
        raise DatasetError(f"{path}: {n_rows} rows were read, but {len(lines)} records were "
                           "counted; expected a file without control characters")  # fmt: skip
    return Predictions(values, response, lines, tuple(remarks))


def _check_names(model: Model, dialect: Dialect, path: Path) -> list[str]:
    """Return remarks on columns that the model does not know; raise if one of its own is absent."""
    names = dialect.names
    absent = [column.name for column in model.columns if column.name not in names]
    if absent:
        near = registry.nearest(absent[0], [name for name in names
                                            if name not in {c.name for c in model.columns}]
                                )  # fmt: skip
        hint = f"; is '{near}' meant?" if near else f"; it has {listing(names)}"
        raise DatasetError(f"{path}: no column {listing(absent)}, which the model uses{hint}")
    known = {model.target, *model.left_out, *(column.name for column in model.columns)}
    unknown = [name for name in names if name not in known]
    if not unknown:
        return []
    return [f"columns that the model does not know are ignored: {listing(unknown)}"]


def _read(
    model: Model, path: Path, dialect: Dialect, *, with_response: bool
) -> dict[str, RawColumn]:
    """Return the columns that the model uses, and the response if the file has it."""
    decimal = dialect.decimal if dialect.settled else model.decimal
    words = frozenset(model.missing_words)

    def reader(name: str, role: Role, cells: CellRules, order: str = "") -> ColumnReader:
        dates: Any = order or None
        return ColumnReader(name, decimal, True, role, words, dates, cells.missing_values,
                            cells.unit)  # fmt: skip

    readers = {column.name: reader(column.name, _role(column), column.cells, column.order)
               for column in model.columns}  # fmt: skip
    if with_response:
        readers[model.target] = reader(model.target, "numeric", model.response)
    for batch in batches(path, dialect, words, as_text=set(readers), only=set(readers)):
        for name, one in readers.items():
            one.add(batch[name])
    return {name: one.finish() for name, one in readers.items()}


def _role(column: ModelColumn) -> Role:
    if column.kind in ("category", "boolean"):
        return "categorical"
    return "any" if column.kind == "date" else "numeric"


def _numbers(column: RawColumn, path: Path) -> FloatArray:
    """Return the numbers of a column, NaN if missing."""
    if column.kind == "boolean" and column.labels == ("0", "1"):
        return np.where(column.missing, np.nan, column.values)
    if column.kind not in ("number", "empty") and not column.missing.all():
        first = column.labels[0] if column.labels else column.example
        raise DatasetError(f"{path}: column '{column.name}' holds '{first}', expected numbers as "
                           "in the file that the model was made from")  # fmt: skip
    if column.kind != "number":
        return np.full(len(column.values), np.nan)
    return column.values.astype(np.float64)


def _effect(column: ModelColumn, cells: RawColumn, path: Path, remarks: list[str]) -> FloatArray:
    """Return what a column adds to the prediction of each row; shape (rows,)."""
    if column.kind in ("category", "boolean"):
        return _of_category(column, cells, remarks)
    if column.kind == "date" and cells.kind == "date":
        values = cells.values.astype(np.float64)
    elif column.kind == "date" and not cells.missing.all():
        first = cells.labels[0] if cells.labels else f"{cells.present()[0]:g}"
        raise DatasetError(f"{path}: column '{column.name}' holds '{first}', expected dates as in "
                           "the file that the model was made from")  # fmt: skip
    else:
        values = _numbers(cells, path)
    remarks += cells.remarks
    missing = np.isnan(values)
    if missing.any():
        remarks.append(f"'{column.name}': {missing.sum()} missing values, the first in data row "
                       f"{np.argmax(missing) + 1}; {float(column.missing):.6g} is used, the mean "
                       "of the rows that the model was made from")  # fmt: skip
        values = np.where(missing, float(column.missing), values)
    if column.limits is not None:
        values = np.clip(values, *column.limits)
    effect: FloatArray = values * column.coefficient
    return effect


def _of_category(column: ModelColumn, cells: RawColumn, remarks: list[str]) -> FloatArray:
    known = _boolean(column) if column.kind == "boolean" else _category(column)
    effects = [known(label) for label in cells.labels]
    missing = column.effects.get(str(column.missing)) if column.missing else None
    # The code of a missing cell is that of the last entry of the table; an empty column has none.
    codes = np.where(cells.missing, -1, cells.values).astype(np.intp)
    if missing is None and cells.missing.any():
        remarks.append(f"'{column.name}': {cells.missing.sum()} missing values, the first in data "
                       f"row {np.argmax(cells.missing) + 1}; the model knows none, and uses the "
                       "mean over its own rows")  # fmt: skip
    strange = [k for k, effect in enumerate(effects) if effect is None]
    instead = column.effects.get(column.merged_label, column.otherwise)
    if strange:
        rows = np.flatnonzero(np.isin(codes, strange))
        used = (f"it counts as '{column.merged_label}'" if column.merged_label
                else "the mean over the model's own rows is used")  # fmt: skip
        remarks.append(f"'{column.name}': {len(rows)} rows have a category that the model does not "
                       f"know, the first '{cells.labels[codes[rows[0]]]}' in data row "
                       f"{rows[0] + 1}; {used}")  # fmt: skip
    table = [instead if effect is None else effect for effect in effects]
    table.append(column.otherwise if missing is None else missing)
    values: FloatArray = np.array(table)[codes]
    return values


def _category(column: ModelColumn) -> Callable[[str], float | None]:
    """Return a function that returns the effect of a cell, or None if it is not known."""
    merged = {visible(label) for label in column.merged}

    def effect(label: str) -> float | None:
        if label in merged:
            return column.effects[column.merged_label]
        return column.effects.get(shortened(label))

    return effect


def _boolean(column: ModelColumn) -> Callable[[str], float | None]:
    """Return a function that returns the effect of a cell that is true or false."""
    # A value that was rare may have been merged with the missing ones.
    effects = {label.lower(): effect for label, effect in column.effects.items()}
    effects |= {label.lower(): column.effects[column.merged_label] for label in column.merged}
    false = next((effects[label] for label in effects if label in FALSE), None)
    true = next((effects[label] for label in effects if label in TRUE), None)
    number = number_parser(".")

    def effect(label: str) -> float | None:
        found = number(label)
        if label.lower() in TRUE or (found and found.value == 1):
            return true
        return false if label.lower() in FALSE or (found and found.value == 0) else None

    return effect
