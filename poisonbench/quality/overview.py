"""The description of a CSV file: what each column contains, and what the checks have found."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from poisonbench.preparation.encoding import is_identifier
from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile
from poisonbench.preparation.ready import ready_groups
from poisonbench.quality.finding import Finding
from poisonbench.quality.profile import Profile
from poisonbench.quality.sentinels import shown

WIDTH = 96
LONGEST_NAME = 30
LONGEST_VALUE = 20
FREQUENT = 3
"""How many of the most frequent values are shown."""

MIDDLE = (0.005, 0.995)
"""The quantiles between which the middle 99% of the numbers are."""

HEADER = ("column", "holds", "missing", "different", "smallest to largest", "middle 99%",
          "most frequent (rows)")  # fmt: skip


def overview(file: RawFile) -> str:
    """Return a table of the columns of a file, and remarks on how they were read.

    Parameters
    ----------
    file : RawFile
        The file.
    """
    n_rows, target = file.n_rows, file.choices.target
    lines = [f"{file.path}: {n_rows} rows, {len(file.columns)} columns"
             + (f", response '{target}'" if target else ""), f"read as {file.dialect}"]  # fmt: skip
    table = [HEADER, *_table(file)]
    widths = [max(len(row[k]) for row in table) for k in range(len(HEADER))]
    lines += ["  ".join(cell.rjust(width) if k in (2, 3) else cell.ljust(width)
                        for k, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
              for row in table]  # fmt: skip
    remarks = [*file.dialect.remarks, *file.remarks]
    remarks += [remark for column in file.columns for remark in column.remarks]
    lines += [wrapped(f"warning: {remark}") for remark in remarks]
    return "\n".join(lines)


def listing(findings: Sequence[Finding], target: str | None) -> str:
    """Return the findings on a file as text.

    Parameters
    ----------
    findings : sequence of Finding
        The findings.
    target : str or None
        The response; without one, the text says which checks are left out.
    """
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    lines = [count if findings else "no findings"]
    lines += [wrapped(str(finding), "  ") for finding in findings]
    if target is None:
        lines.append("Near-leaks and strong categories are not looked for without a response; name "
                     "it with --target")  # fmt: skip
    return "\n".join(lines)


def wrapped(text: str, indent: str = "") -> str:
    """Return a text on lines of at most 96 characters."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _table(file: RawFile) -> Iterator[tuple[str, ...]]:
    groups = {}
    if file.n_rows:
        groups = ready_groups(file.columns, (), np.ones(file.n_rows, dtype=np.bool_))
    group_of = {name: group for group in groups.values() for name in group.columns}
    shown_groups = set()
    for column in file.columns:
        group = group_of.get(column.name)
        if group is None:
            yield _row(column)
        elif group.name not in shown_groups:
            shown_groups.add(group.name)
            counts = group.bits.sum(axis=1)
            most = [(group.columns[k].partition(":")[2], int(counts[k]))
                    for k in np.argsort(-counts, kind="stable")[:FREQUENT]]  # fmt: skip
            kind = f"one-hot group of {len(group.columns)} columns"
            yield (_cut(group.name, LONGEST_NAME), kind, "0", str(len(group.columns)), "", "",
                   _frequent(most))  # fmt: skip


def _row(column: RawColumn) -> tuple[str, ...]:
    name = _cut(column.name, LONGEST_NAME)
    n_missing = str(int(column.missing.sum()))
    if column.kind == "free text":
        return name, "free text", "", "", "", "", f"such as '{_cut(column.example, LONGEST_VALUE)}'"
    profile = Profile.of(column)
    n_distinct = str(len(profile.distinct))
    if not profile.n_present:
        return name, "nothing", n_missing, n_distinct, "", "", ""
    kind: str = column.kind
    if is_identifier(column):
        kind += ", identifier"
    whole = middle = ""
    if profile.is_number:
        low, high = profile.distinct[[0, -1]].tolist()
        whole = f"{_value(low, column)} to {_value(high, column)}"
        low, high = map(profile.quantile, MIDDLE)
        middle = f"{_value(low, column)} to {_value(high, column)}"
    order = np.argsort(-profile.counts, kind="stable")[:FREQUENT]
    most = [(_value(float(profile.distinct[k]), column), int(profile.counts[k])) for k in order
            if profile.counts[k] > 1]  # fmt: skip
    return name, kind, n_missing, n_distinct, whole, middle, _frequent(most)


def _value(value: float, column: RawColumn) -> str:
    if column.kind in ("number", "date"):
        if column.kind == "date":
            return shown(value, "date")
        return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"
    return _cut(column.labels[int(value)], LONGEST_VALUE)


def _frequent(most: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_cut(value, LONGEST_VALUE)} ({count})" for value, count in most)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
