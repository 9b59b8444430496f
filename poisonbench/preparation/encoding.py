"""What becomes of each raw column: a number, a one-hot group, or nothing, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from poisonbench.data.base import DatasetError, listing
from poisonbench.features import FloatArray, IntArray
from poisonbench.preparation.columns import VOCABULARY, RawColumn
from poisonbench.registry import nearest

MISSING_LABEL = "NA"
"""The category of a missing value, named as in the files of the 2018 paper."""

RARE_LABEL = "other"
"""The category that rare ones are merged to."""

LEAKAGE = 0.9999
"""Correlation with the response, or share of its variance, from which a column is suspect."""

RANKED_ROWS = 20_000
"""Rows whose order is compared with the response's; ranking more takes longer than reading."""

_ID_NAME = re.compile(r"(^|[\W_])(id|idx|index|uuid|guid|key)$", re.I)
_ID_SUFFIX = re.compile(r"[a-z0-9]I[dD]$")


@dataclass(frozen=True)
class Choices:
    """What the user decides about a preparation.

    Parameters
    ----------
    target : str
        The response.
    categorical : tuple of str
        Columns whose values name categories, numbers though they may be.
    numeric : tuple of str
        Columns that are kept as numbers, even if they look like an identifier.
    drop : tuple of str
        Columns that are left out.
    rare : float
        Share of the rows below which a category is rare; rare ones are merged.
    missing : {"fill", "drop"}
        Whether missing values are filled, or their rows dropped.
    """

    target: str
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rare: float = 0.01
    missing: Literal["fill", "drop"] = "fill"

    def resolved(self, names: Sequence[str]) -> Self:
        """Return the choices with every column named as the file's header does.

        What is not a column may be several, with commas between them.

        Parameters
        ----------
        names : sequence of str
            The columns.

        Raises
        ------
        DatasetError
            A column is not one of them, or has two roles.
        """
        (target,) = _columns("target", [self.target], names)
        roles = {
            role: tuple(
                column
                for given in getattr(self, role)
                for column in _columns(
                    role, [given] if column_name(given) in names else given.split(","), names
                )
            )
            for role in ("categorical", "numeric", "drop")
        }
        for role, columns in roles.items():
            if target in columns and role != "numeric":
                raise DatasetError(f"{role}: '{target}' is the response")
            for other, others in roles.items():
                both = sorted(set(columns) & set(others))
                if role < other and both:
                    raise DatasetError(f"{role}: '{both[0]}' is named by {other} too")
        return replace(
            self,
            target=target,
            categorical=roles["categorical"],
            numeric=roles["numeric"],
            drop=roles["drop"],
        )


def column_name(text: str) -> str:
    """Return a name as prepared files have it: one line, no colon, which marks one-hot groups."""
    return " ".join(text.replace(":", ".").split())


def _columns(role: str, given: Iterable[str], names: Sequence[str]) -> Iterator[str]:
    for text in given:
        name = column_name(text)
        if name not in names:
            guess = nearest(name, names)
            hint = f"did you mean '{guess}'?" if guess else f"it has {listing(names)}"
            raise DatasetError(f"{role}: no column '{name}'; {hint}")
        yield name


@dataclass(frozen=True)
class Numeric:
    """A numeric column, scaled to [0, 1] by its smallest and largest value.

    Parameters
    ----------
    name : str
        Its name.
    values : ndarray of shape (rows,)
        In its own unit, nothing missing.
    """

    name: str
    values: FloatArray

    @cached_property
    def offset(self) -> float:
        """The smallest value, which becomes 0."""
        return float(self.values.min())

    @cached_property
    def span(self) -> float:
        """The range, which becomes 1."""
        return float(np.ptp(self.values))


@dataclass(frozen=True)
class Group:
    """A categorical column, written as one column for each category but one.

    Parameters
    ----------
    name : str
        Its name.
    codes : ndarray of shape (rows,)
        The category of each row, an index into `labels`.
    labels : tuple of str
        The categories; the first is the one without a column.
    merged : tuple of str
        The rare categories behind ``other``.
    """

    name: str
    codes: IntArray
    labels: tuple[str, ...]
    merged: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, ``Group:value``."""
        return tuple(f"{self.name}:{label}" for label in self.labels[1:])


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
        raise DatasetError("no feature is left: " + "; ".join(
            f"'{name}' {reason}" for name, reason in encoded.dropped.items()))  # fmt: skip
    encoded.warnings.extend(_leaks(encoded))
    return encoded


def _target(raw: list[RawColumn], choices: Choices) -> tuple[Numeric, npt.NDArray[np.bool_]]:
    """Return the response as numbers, and the mask of the rows that have one."""
    column = next(column for column in raw if column.name == choices.target)
    if column.kind == "boolean" and column.labels == ("0", "1"):
        values = np.where(column.missing, np.nan, column.values)
        column = RawColumn(column.name, "number", values)
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
        return f"free text, more than {VOCABULARY} different values"
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
    counts = len(present) > 2 and np.ptp(present) == len(present) - 1
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


def _leaks(encoded: Encoded) -> Iterator[str]:
    """Yield a warning for each column that gives the response away."""
    y = encoded.target.values
    some = slice(None, None, -(-len(y) // RANKED_ROWS))
    order = rankdata(y[some])
    for numeric in encoded.numerics:
        linear = _correlation(numeric.values, y) > LEAKAGE
        if linear or _correlation(rankdata(numeric.values[some]), order) > LEAKAGE:
            how = "linearly" if linear else "by its order"
            yield (f"'{numeric.name}' determines the response {how}: if it is not known before "
                   "the response is, leave it out with --drop")  # fmt: skip
    for group in encoded.groups:
        counts = np.bincount(group.codes)
        means = np.bincount(group.codes, weights=y) / counts
        between = float(((means[group.codes] - y.mean()) ** 2).sum())
        total = float(((y - y.mean()) ** 2).sum())
        if between > LEAKAGE * total and len(counts) < len(y) / 2:
            yield (f"the categories of '{group.name}' determine the response: if they are not "
                   "known before it is, leave them out with --drop")  # fmt: skip


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Return the absolute correlation coefficient; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(abs(a @ b)) / size if size > 0 else 0.0
