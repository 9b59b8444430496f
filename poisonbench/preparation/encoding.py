"""Decide what each raw column becomes: a numeric column, a one-hot group, or nothing; and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np

from poisonbench.data.base import DatasetError
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.preparation.cells import looks_like_number
from poisonbench.preparation.choices import Choices
from poisonbench.preparation.columns import VOCABULARY
from poisonbench.preparation.encoded_columns import Group, Numeric, ReadyGroup
from poisonbench.preparation.fingerprints import cell_hashes, hashes, repeated_rows, repeats
from poisonbench.preparation.grouping import MISSING_LABEL, one_hot, words
from poisonbench.preparation.header import distinct
from poisonbench.preparation.leakage import Leakage
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.ready import categories, ready_groups
from poisonbench.preparation.robust_range import robust_range

KINDS = {"date": "dates", "boolean": "booleans", "category": "categories", "free text": "free text"}
"""The kinds of columns that are not numbers, in the plural."""

SAME = "its whole numbers beyond 2**53 are equal as floats"
"""The reason for leaving out a column that varies, but not once its numbers are floats."""

FEW = 20
"""In at most this many rows, the values of a column may be consecutive numbers by chance; in more
rows, such a column is an identifier."""

_ID_NAME = re.compile(r"(^|[\W_])(id|idx|index|key|no|nr|row|uuid|guid)$", re.I)
_ID_SUFFIX = re.compile(r"[a-z0-9]I[dD]$")


@dataclass
class Encoded:
    """The columns of the prepared file, and what was done with those of the raw file.

    Parameters
    ----------
    target : Numeric
        The response.
    numerics : list of Numeric
        The numeric columns.
    groups : list of Group or ReadyGroup
        The one-hot groups.
    fates : dict of str to str
        For each raw column, a text that says what it contains and what was done with it.
    dropped : dict of str to str
        The raw columns that are left out, with the reason.
    filled : dict of str to str
        The columns with missing values, and what replaced these.
    warnings : list of str
        What the user should check.
    rows_dropped : int
        Number of rows that were dropped because of a missing value.
    duplicates_dropped : int
        Number of other rows that were dropped because they repeat an earlier row.
    clipped : dict of str to str
        The columns whose numbers were clipped, and to what.
    replaceable : dict of (str, str) to list of str
        Those of the warnings that a finding on the same column makes unnecessary, by the kind of
        the finding and the column.
    kept : ndarray of bool of shape (rows of the raw file,)
        Mask of the rows that were not dropped.
    """

    target: Numeric
    numerics: list[Numeric] = field(default_factory=list)
    groups: list[Group | ReadyGroup] = field(default_factory=list)
    fates: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    rows_dropped: int = 0
    duplicates_dropped: int = 0
    clipped: dict[str, str] = field(default_factory=dict)
    replaceable: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    kept: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.target.values)

    @property
    def names(self) -> list[str]:
        """The columns of the file; the response is the first."""
        grouped = [column for group in self.groups for column in group.columns]
        return [self.target.name, *(numeric.name for numeric in self.numerics), *grouped]

    def warn_unless(self, kind: str, column: str, warning: str) -> None:
        """Add a warning that is not needed if there is a finding of a kind on the column."""
        self.warnings.append(warning)
        self.replaceable.setdefault((kind, column), []).append(warning)


def encode(raw: list[RawColumn], choices: Choices) -> Encoded:
    """Decide what each raw column becomes, and encode it.

    Parameters
    ----------
    raw : list of RawColumn
        The columns; the list is emptied, to free memory on the way.
    choices : Choices
        The user's choices.

    Raises
    ------
    DatasetError
        The response is not numeric or does not vary, a column cannot be read as the user wants, or
        no feature is left.
    """
    response, keep = _target(raw, choices)
    if choices.missing == "drop":
        for column in raw:
            if column.name not in choices.drop and column.kind not in ("empty", "free text"):
                keep &= ~column.missing
    n_missing = int((~keep).sum())
    if choices.drop_duplicates:
        keep &= ~repeated_rows(raw, choices.target, choices.drop)
    values = response.values[keep].astype(np.float64, copy=False)
    if len(values) < 2:
        raise DatasetError(f"target: '{response.name}' has {len(values)} rows left, expected at "
                           "least two")  # fmt: skip
    if np.ptp(values) == 0:
        raise DatasetError(f"target: '{response.name}' is {values[0]:.6g} in every row, expected "
                           "at least two different values"
                           f"{_but(response.rounded)}")  # fmt: skip
    chosen = (response.name, *choices.categorical, *choices.numeric, *choices.drop)
    ready = ready_groups(raw, chosen, keep)
    names = _written_names(raw, ready)
    encoded = Encoded(
        Numeric(names[response.name], values, response.name),
        rows_dropped=n_missing,
        duplicates_dropped=int((~keep).sum()) - n_missing,
        kept=keep,
    )
    leakage = Leakage(values)
    # Rows that are equal in all columns that are kept say the same thing twice.
    fingerprints = hashes(values + 0.0, len(raw))
    raw.reverse()
    while raw:
        column = raw.pop()
        in_doubt = bool(column.remarks) or column.name in choices.drop
        if column.name not in choices.drop:
            encoded.warnings += [said for said in column.remarks if said != column.mixture]
            if column.mixture:
                encoded.warn_unless("units", column.name, column.mixture)
        found = column.kind + (f" ({column.note})" if column.note else "")
        if column.name == response.name:
            encoded.fates = {response.name: f"{found}, the response", **encoded.fates}
            encoded.warnings += filter(None, [column.rounded])
            continue
        group = ready.get(column.name.partition(":")[0])
        if group is not None and column.name not in chosen:
            reason = None if column.name in group.columns else "constant"
            found = f"0 and 1, a column of the one-hot group '{group.name}'"
            if reason is None and column.name == group.columns[0]:
                encoded.groups.append(group)
                codes = categories(group)
                leakage.of_categories(group.name, codes)
                fingerprints += hashes(codes.astype(np.float64), len(encoded.fates))
            _decided(encoded, column.name, found, "kept", reason)
            continue
        column = column.select(keep)
        reason, what = _reason_to_drop(column, choices), ""
        if reason in (None, SAME):
            encoded.warnings += filter(None, [column.rounded])
        if reason is not None and column.kind in ("category", "free text") and not in_doubt:
            for doubt in _perhaps_numbers(column):
                encoded.warn_unless("units", column.name, doubt)
        if reason is None and _is_number(column):
            numeric = _number(column, names[column.name], encoded, clip=choices.clip)
            encoded.numerics.append(numeric)
            leakage.of_numbers(column.name, numeric.values, ~column.missing)
            fingerprints += cell_hashes(column, len(encoded.fates))
            what = "kept, in days since 1970" if column.kind == "date" else "kept"
        elif reason is None:
            made = one_hot(column, names[column.name], choices.rare)
            if isinstance(made, str):
                reason = made
                encoded.warn_unless("units", column.name, f"'{column.name}' is left out: {made}; "
                                    "use a smaller --rare, such as 0, to keep it")  # fmt: skip
            else:
                encoded.groups.append(made)
                leakage.of_categories(column.name, column.values.astype(np.intp))
                fingerprints += cell_hashes(column, len(encoded.fates))
                what = words(made)
                if (n_missing := int(column.missing.sum())) > 0:
                    label = made.merged_label if MISSING_LABEL in made.merged else MISSING_LABEL
                    encoded.filled[column.name] = f"{n_missing} rows, category {label}"
        if ":" in column.name and reason is None:
            what += f", named '{names[column.name]}', because a colon marks one-hot groups"
        _decided(encoded, column.name, found, what, reason)
    if not encoded.numerics and not encoded.groups:
        name, reason = next(iter(encoded.dropped.items()), ("", "there is none"))
        more = f", and {len(encoded.dropped) - 1} more" if len(encoded.dropped) > 1 else ""
        raise DatasetError(f"no feature is left: '{name}' {reason}{more}")
    first = np.ones(len(values), dtype=np.bool_)
    first[repeats(fingerprints)[0]] = False
    for name, leak in leakage.found(first).items():
        encoded.warn_unless("near-leak", name, leak)
    return encoded


def _decided(encoded: Encoded, name: str, found: str, what: str, reason: str | None) -> None:
    """Record what was done with a column."""
    if reason is not None:
        encoded.dropped[name] = reason
    encoded.fates[name] = f"{found}, {what}" if reason is None else f"{found}, dropped: {reason}"


def _written_names(raw: list[RawColumn], ready: dict[str, ReadyGroup]) -> dict[str, str]:
    """Return the columns' names in the prepared file, by their names in the raw file.

    Colons are replaced, because they would mark one-hot groups.
    """
    kept = {column for group in ready.values() for column in group.columns}
    before = [column.name for column in raw]
    after = distinct([name if name in kept else name.replace(":", ".") for name in before])
    return dict(zip(before, after, strict=True))


def _target(raw: list[RawColumn], choices: Choices) -> tuple[RawColumn, BoolArray]:
    """Return the response as numbers, and a mask of the rows that have a response."""
    column = next(column for column in raw if column.name == choices.target)
    if column.kind == "boolean" and column.labels == ("0", "1"):
        values = np.where(column.missing, np.nan, column.values)
        column = replace(column, kind="number", values=values)
    if not len(column.values):
        raise DatasetError("there are no rows of data below the header")
    if column.kind != "number":
        raise DatasetError(f"target: '{column.name}' {_holds(column)}, expected numbers"
                           f"{_but(*column.remarks)}")  # fmt: skip
    return column, ~column.missing


def _perhaps_numbers(column: RawColumn) -> list[str]:
    """Return a warning if texts that are left out look like numbers or dates."""
    labels = column.labels or (column.example,)
    alike = [label for label in labels if looks_like_number(label)]
    if 2 * len(alike) <= len(labels):
        return []
    return [f"'{column.name}' is left out as text, but cells such as '{alike[0]}' look like "
            "numbers or dates; if they are, write them as 1234.5 or 2020-12-31 in the file"
            ]  # fmt: skip


def _holds(column: RawColumn) -> str:
    if column.kind == "empty":
        return "holds no values"
    what = f"such as '{column.labels[0]}'" if column.labels else column.note
    return f"holds {KINDS[column.kind]} {f'({what})' if column.kind == 'date' else what}"


def _but(*remarks: str) -> str:
    return "".join(f"; {remark}" for remark in remarks if remark)


def _is_number(column: RawColumn) -> bool:
    return column.kind in ("number", "date")


def _reason_to_drop(column: RawColumn, choices: Choices) -> str | None:
    """Return the reason for leaving out a column, or None if it is kept."""
    name, missing = column.name, column.missing
    if name in choices.drop:
        return "as asked"
    if name in choices.categorical and column.kind == "free text":
        raise DatasetError(f"categorical: '{name}' has more than {VOCABULARY} different values")
    if name in choices.numeric and column.kind in ("category", "free text"):
        raise DatasetError(
            f"numeric: '{name}' {_holds(column)}, expected numbers{_but(*column.remarks)}"
        )
    if column.kind == "empty" or missing.all():
        return "no values"
    if column.kind == "free text":
        return f"more than {VOCABULARY} different values"
    present = column.present()
    n_distinct = len(np.unique(present))
    if n_distinct == 1 and (_is_number(column) or not missing.any()):
        return "constant"
    chosen = name in (*choices.categorical, *choices.numeric)
    if n_distinct == len(missing) and not chosen and _identifies(column, present):
        return "identifier with a different value in every row"
    if _is_number(column) and np.ptp(column.values[~missing]) == 0:
        return SAME
    return None


def is_identifier(column: RawColumn) -> bool:
    """Whether a column has a different value in every row, by which it identifies the rows.

    Texts always do.  Whole numbers do if they are consecutive, or if the column's name says so.

    Parameters
    ----------
    column : RawColumn
        The column.
    """
    present = column.present()
    everywhere = len(present) == len(column.values) == len(np.unique(present))
    return everywhere and _identifies(column, present)


def _identifies(column: RawColumn, present: FloatArray | IntArray) -> bool:
    """Whether a column with a different value in every row identifies the rows."""
    if not _is_number(column):
        return True
    if column.kind == "date" or (present % 1).any():
        return False
    counts = len(present) > FEW and np.ptp(present) == len(present) - 1
    return bool(counts or _ID_NAME.search(column.name) or _ID_SUFFIX.search(column.name))


def _number(column: RawColumn, name: str, encoded: Encoded, *, clip: bool) -> Numeric:
    values = column.values.astype(np.float64, copy=False)
    if clip:
        inner = robust_range(values[~column.missing])
        if inner.n_extremes:
            values = np.clip(values, inner.low, inner.high)
            cells = "1 cell" if inner.n_extremes == 1 else f"{inner.n_extremes} cells"
            range_ = f"{inner.low:.6g} to {inner.high:.6g}"
            encoded.clipped[column.name] = f"{cells}, to the range {range_} of the others"
    if (n_missing := int(column.missing.sum())) > 0:
        mean = float(np.nanmean(values))
        values = np.where(column.missing, mean, values)
        encoded.filled[column.name] = f"{n_missing} rows, mean {mean:.6g}"
    return Numeric(name, values, column.name, column.kind, np.flatnonzero(column.missing))
