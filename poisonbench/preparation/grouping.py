"""Make the one-hot group of a column of categories, and merge its rare categories."""

from __future__ import annotations

import numpy as np

from poisonbench.preparation.encoded_columns import Group
from poisonbench.preparation.header import distinct
from poisonbench.preparation.raw import RawColumn

MISSING_LABEL = "NA"
"""The category for missing values, named as in the files of the 2018 paper."""

LONGEST_LABEL = 100
"""Largest length of a category's name; longer ones are cut."""

RARE_LABEL = "other"
"""The category into which rare categories are merged."""


def one_hot(column: RawColumn, name: str, rare_below: float) -> Group | str:
    """Return the one-hot group of a column, or the reason if it has none.

    The most frequent category has no column; in a boolean column, the false value has none.
    """
    codes, labels = column.values, list(column.labels)
    if column.missing.any():
        codes = np.where(column.missing, len(labels), codes)
        labels.append(MISSING_LABEL)
    # Different codes may have the same label, such as a category that is named NA.
    position = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([position[label] for label in labels], dtype=np.intp)[codes]
    labels = list(position)
    counts = np.bincount(codes, minlength=len(labels))
    rare = [k for k, count in enumerate(counts) if 0 < count < rare_below * len(codes)]
    used = [k for k, count in enumerate(counts) if count > 0]
    merged: tuple[str, ...] = ()
    label = RARE_LABEL
    if len(rare) > 1:
        merged = tuple(labels[k] for k in rare)
        kept = [k for k in used if k not in set(rare)]
        if not kept:
            return (f"all of its {len(used)} categories are rare, with less than {rare_below:.3g} "
                    "of the rows")  # fmt: skip
        target_of = np.full(len(labels), len(kept), dtype=np.intp)
        target_of[kept] = range(len(kept))
        labels = [labels[k] for k in kept]
        while label in labels:
            label += " (rare)"
        codes, labels = target_of[codes], [*labels, label]
    else:
        renumbered = np.zeros(len(labels), dtype=np.intp)
        renumbered[used] = range(len(used))
        codes, labels = renumbered[codes], [labels[k] for k in used]
    order = np.arange(len(labels))
    if column.kind != "boolean":
        order = np.argsort(-np.bincount(codes, minlength=len(labels)), kind="stable")
    labels = [labels[k] for k in order]
    written = distinct([shortened(label) for label in labels])
    return Group(name, np.argsort(order)[codes], written, merged, label if merged else "",
                 column.name, column.kind)  # fmt: skip


def shortened(label: str) -> str:
    """Return a category's name, cut if it is too long."""
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"


def words(group: Group) -> str:
    """Return a description of a group for the user."""
    n_merged, n_after = len(group.merged), len(group.labels)
    text = f"{n_after} categories"
    if n_merged:
        text = (f"{n_after - 1 + n_merged} categories, {n_merged} rare ones merged into "
                f"'{group.merged_label}', {n_after} left")  # fmt: skip
    return f"{text}, '{group.labels[0]}' without a column"
