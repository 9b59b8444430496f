"""What becomes of each raw column: a number, a one-hot group, or nothing, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poisonbench.data.base import DatasetError
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.choices import Choices
from poisonbench.preparation.columns import VOCABULARY, RawColumn
from poisonbench.preparation.features import Group, Numeric
from poisonbench.preparation.leakage import leaks

MISSING_LABEL = "NA"
"""The category of a missing value, named as in the files of the 2018 paper."""

RARE_LABEL = "other"
"""The category that rare ones are merged to."""

FEW = 20
"""Rows that may hold the numbers from one to another by chance, without being counted by them."""

_ID_NAME = re.compile(r"(^|[\W_])(id|idx|index|key|no|nr|row|uuid|guid)$", re.I)
_ID_SUFFIX = re.compile(r"[a-z0-9]I[dD]$")


@dataclass
class Encoded:
    """The columns of the prepared file, and what happened to those of the raw one.

    Parameters
    ----------
    target : Numeric
        The response.
    numerics : list of Numeric
        The numeric columns.
    groups : list of Group
        The one-hot groups.
    fates : dict of str to str
        For each raw column what it holds and what became of it, in words.
    dropped : dict of str to str
        The raw columns that are left out, with the reason.
    filled : dict of str to str
        The columns with missing values, and what stands for them.
    warnings : list of str
        What the user should look at.
    rows_dropped : int
        Rows left out for a missing value.
    """

    target: Numeric
    numerics: list[Numeric] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    fates: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    rows_dropped: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.target.values)

    @property
    def names(self) -> list[str]:
        """The columns of the file, the response first."""
        grouped = [column for group in self.groups for column in group.columns]
        return [self.target.name, *(numeric.name for numeric in self.numerics), *grouped]


def encode(raw: list[RawColumn], choices: Choices) -> Encoded:
    """Decide what becomes of each raw column, and encode it.

    Parameters
    ----------
    raw : list of RawColumn
        The columns; the list is emptied, so that memory is freed on the way.
    choices : Choices
        What the user decides.

    Raises
    ------
    DatasetError
        The response is not numeric or never varies, a column cannot be what the user says, or
        nothing is left.
    """
    target, keep = _target(raw, choices)
    if choices.missing == "drop":
        for column in raw:
            if column.name not in choices.drop and column.kind not in ("empty", "free text"):
                keep &= ~column.missing
    values = target.values[keep]
    if len(values) < 2 or np.ptp(values) == 0:
        raise DatasetError(f"target: '{target.name}' has {len(values)} rows left and "
                           "needs two different values at least")  # fmt: skip
    encoded = Encoded(Numeric(target.name, values), rows_dropped=int((~keep).sum()))
    encoded.fates[target.name] = "number, the response"
    while raw:
        column = raw.pop(0)
        if column.name == target.name:
            continue
        found = column.kind + (f" ({column.note})" if column.note else "")
        column = column.select(keep)
        reason = _reason_to_drop(column, choices)
        feature: Numeric | Group | None = None
        if reason is None:
            feature = _number(column, encoded) if _is_number(column) else _group(column, choices)
            reason = None if feature else f"no category has {choices.rare:.3g} of the rows"
        if isinstance(feature, Numeric):
            encoded.numerics.append(feature)
            encoded.fates[column.name] = f"{found}, scaled"
        elif feature is not None:
            if (n_missing := int(column.missing.sum())) > 0:
                encoded.filled[column.name] = f"{n_missing} rows, category {MISSING_LABEL}"
            encoded.groups.append(feature)
            encoded.fates[column.name] = f"{found}, {_words(feature)}"
        else:
            encoded.dropped[column.name] = str(reason)
            encoded.fates[column.name] = f"{found}, dropped: {reason}"
    if not encoded.numerics and not encoded.groups:
        name, reason = next(iter(encoded.dropped.items()), ("", "there is none"))
        more = f", and {len(encoded.dropped) - 1} more" if len(encoded.dropped) > 1 else ""
        raise DatasetError(f"no feature is left: '{name}' {reason}{more}")
    encoded.warnings.extend(leaks(encoded.target, encoded.numerics, encoded.groups))
    return encoded


def _target(raw: list[RawColumn], choices: Choices) -> tuple[Numeric, npt.NDArray[np.bool_]]:
    """Return the response as numbers, and the mask of the rows that have one."""
    column = next(column for column in raw if column.name == choices.target)
    if column.kind == "boolean" and column.labels == ("0", "1"):
        values = np.where(column.missing, np.nan, column.values)
        column = RawColumn(column.name, "number", values)
    if not len(column.values):
        raise DatasetError("no rows of data below the header")
    if column.kind != "number":
        example = f" such as '{column.labels[0]}'" if column.labels else f" {column.note}"
        raise DatasetError(f"target: '{column.name}' holds {column.kind}{example}, "
                           "expected numbers")  # fmt: skip
    return Numeric(column.name, column.values.astype(np.float64, copy=False)), ~column.missing


def _is_number(column: RawColumn) -> bool:
    return column.kind in ("number", "date")


def _reason_to_drop(column: RawColumn, choices: Choices) -> str | None:
    """Return why a column is left out, or None if it is kept."""
    name, missing = column.name, column.missing
    if name in choices.drop:
        return "as asked"
    if name in choices.categorical and column.kind == "free text":
        raise DatasetError(f"categorical: '{name}' has more than {VOCABULARY} different values")
    if name in choices.numeric and column.kind in ("category", "free text"):
        example = column.note or f"such as '{column.labels[0]}'"
        raise DatasetError(f"numeric: '{name}' holds {column.kind} {example}, expected numbers")
    if column.kind == "empty" or missing.all():
        return "no values"
    if column.kind == "free text":
        return f"more than {VOCABULARY} different values"
    present = column.values[~missing]
    n_distinct = len(np.unique(present))
    if n_distinct == 1 and (_is_number(column) or not missing.any()):
        return "constant"
    chosen = name in (*choices.categorical, *choices.numeric)
    if n_distinct == len(missing) and not chosen and _is_identifier(column, present):
        return "identifier, another value in every row"
    return None


def _is_identifier(column: RawColumn, present: FloatArray | IntArray) -> bool:
    """Whether a column with another value in every row names the rows.

    Every such text does; of numbers, whole ones that count the rows or are called an identifier.
    """
    if not _is_number(column):
        return True
    if column.kind == "date" or (present % 1).any():
        return False
    counts = len(present) > FEW and np.ptp(present) == len(present) - 1
    return bool(counts or _ID_NAME.search(column.name) or _ID_SUFFIX.search(column.name))


def _number(column: RawColumn, encoded: Encoded) -> Numeric:
    values = column.values.astype(np.float64, copy=False)
    if (n_missing := int(column.missing.sum())) > 0:
        mean = float(np.nanmean(values))
        values = np.where(column.missing, mean, values)
        encoded.filled[column.name] = f"{n_missing} rows, mean {mean:.6g}"
    return Numeric(column.name, values)


def _group(column: RawColumn, choices: Choices) -> Group | None:
    """Return the one-hot group of a column; None if its categories are all rare.

    Of a boolean column the false value, of any other the most frequent category has no column.
    """
    codes, labels = column.values, list(column.labels)
    if column.missing.any():
        codes = np.where(column.missing, len(labels), codes)
        labels.append(MISSING_LABEL)
    # What different codes call alike (a category named NA or other) is one category.
    position = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([position[label] for label in labels], dtype=np.intp)[codes]
    labels = list(position)
    counts = np.bincount(codes, minlength=len(labels))
    rare = [k for k, count in enumerate(counts) if 0 < count < choices.rare * len(codes)]
    used = [k for k, count in enumerate(counts) if count > 0]
    merged: tuple[str, ...] = ()
    if len(rare) > 1:
        merged = tuple(labels[k] for k in rare)
        kept = [k for k in used if k not in set(rare) and labels[k] != RARE_LABEL]
        if not kept:
            return None
        target_of = np.full(len(labels), len(kept), dtype=np.intp)
        target_of[kept] = range(len(kept))
        codes, labels = target_of[codes], [*(labels[k] for k in kept), RARE_LABEL]
    else:
        renumbered = np.zeros(len(labels), dtype=np.intp)
        renumbered[used] = range(len(used))
        codes, labels = renumbered[codes], [labels[k] for k in used]
    order = np.arange(len(labels))
    if column.kind != "boolean":
        order = np.argsort(-np.bincount(codes, minlength=len(labels)), kind="stable")
    return Group(column.name, np.argsort(order)[codes], tuple(labels[k] for k in order), merged)


def _words(group: Group) -> str:
    text = f"{len(group.labels)} categories, '{group.labels[0]}' without a column"
    return f"{text}, {len(group.merged)} rare ones merged" if group.merged else text
