"""Values that are written in more than one way in the same column.

- *Dates* in different orders: at least :data:`MOST` of the cells are dates, but not all in the
  order that fits most of them, such as 2020-12-31 and 31.12.2020.  A date that fits both is not
  counted.
- *Numbers* with different decimal marks, by the same rule.
- *Categories* that differ only in upper and lower case, accents, or blanks, hyphens and underscores
  between letters, such as "New York" and "new-york".  Other characters may distinguish categories
  (A+ and A, <5 and >5), so they do not count; nor do columns of names, in which most values occur
  once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from poisonbench.features import BoolArray
from poisonbench.preparation.cells import DATE_ORDERS, Parser, date_parser, number_parser
from poisonbench.preparation.raw_file import RawFile
from poisonbench.quality.finding import Seen
from poisonbench.quality.texts import Texts

MOST = 0.9
"""Smallest share of the cells that are dates, or numbers, in any notation."""

_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")


def check(file: RawFile, columns: Sequence[Texts]) -> Iterator[Seen]:
    """Yield the columns of a file with mixed notations."""
    decimal = file.dialect.decimal
    marks = [decimal, "," if decimal == "." else "."]
    dates: dict[str, Parser] = {order: date_parser(order) for order in DATE_ORDERS}
    numbers = {f"decimal {'point' if mark == '.' else 'comma'}": number_parser(mark)
               for mark in marks}  # fmt: skip
    for column in columns:
        seen = _mixed(column, "dates", dates) or _mixed(column, "numbers", numbers)
        if seen is None and column.column.kind == "category":
            seen = _spellings(column)
        if seen:
            yield seen


def _mixed(column: Texts, what: str, parsers: Mapping[str, Parser]) -> Seen | None:
    """Return a finding if no single notation fits all values."""
    counts = column.counts
    fits: BoolArray = np.array([[parse(text) is not None for text in column.texts]
                                if any(map(str.isdigit, "".join(column.texts[:50])))
                                else [False] * len(column.texts)
                                for parse in parsers.values()], dtype=np.bool_)  # fmt: skip
    by_notation = fits @ counts
    best = int(np.argmax(by_notation))
    any_notation = fits.any(axis=0)
    odd = np.flatnonzero(any_notation & ~fits[best] & (counts > 0))
    if not len(odd) or any_notation @ counts < MOST * counts.sum():
        return None
    rows = column.rows(odd.tolist())
    name = column.column.name
    usual = next(text for k, text in enumerate(column.texts) if fits[best, k])
    other = column.texts[int(odd[0])]
    effect = "the cells are then missing"
    if column.column.kind in ("category", "free text"):
        effect = f"it is then no column of {what}"
    message = (f"'{name}' has {what} in different notations: {int(by_notation[best])} cells such "
               f"as '{usual}' ({list(parsers)[best]}), and {len(rows)} such as '{other}'; "
               f"{effect}")  # fmt: skip
    return Seen("notations", (name,), rows, message, "write these cells like the others in the "
                "file")  # fmt: skip


def _spellings(column: Texts) -> Seen | None:
    """Return a finding if categories differ only in their spelling."""
    counts = column.counts
    if 2 * len(counts) > counts.sum():
        return None
    alike: dict[str, list[int]] = {}
    for k, text in enumerate(column.texts):
        if counts[k]:
            alike.setdefault(_plain(text), []).append(k)
    groups = [sorted(group, key=lambda k: -counts[k]) for group in alike.values() if len(group) > 1]
    if not groups:
        return None
    rows = column.rows([k for group in groups for k in group[1:]])
    name = column.column.name
    shown = [" and ".join(f"'{column.texts[k]}' ({counts[k]} rows)" for k in group[:3])
             for group in groups[:3]]  # fmt: skip
    more = f", and {len(groups) - 3} more" if len(groups) > 3 else ""
    message = (f"'{name}' has categories that differ only in their spelling: {'; '.join(shown)}"
               f"{more}; each spelling is a category of its own")  # fmt: skip
    return Seen("notations", (name,), rows, message, "spell them alike in the file")


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    return _BETWEEN_LETTERS.sub("", letters)
