"""Remarks that the printed text and the page have in common."""

from __future__ import annotations

from collections.abc import Iterator

from poisonbench.defending.fit import Defended
from poisonbench.defending.reading import SuspectFile


def remark(found: Defended) -> str:
    """Return the remark of the defense on its fit, without its categories, which are listed."""
    parts = [part for part in found.note.split("; ") if not part.startswith("category ")]
    return "; ".join(part for part in parts if part)


def limits(raw: SuspectFile, found: Defended) -> Iterator[str]:
    """Yield what nobody can know from the file, in sentences."""
    k, n = len(found.suspicious), len(raw.rows.data.y)
    if found.share == "auto":
        yield ("How many rows are bad.  The estimate counts residuals that stand out.  It is too "
               "small if bad rows deviate by less than about five usual deviations, if they are "
               "more than about a fifth of the rows, or if clean residuals have heavy tails.  It "
               "is too large if a part of the clean rows follows another rule.")  # fmt: skip
    else:
        yield (f"How many rows are bad.  {k} rows are listed because a share of {k / n:.1%} was "
               "asked for, and they would be even in a clean file.")  # fmt: skip
    yield ("Whether a suspicious row is wrong.  It disagrees with a linear model of the others; a "
           "rare but right row does, too.")  # fmt: skip
    yield ("Whether poison remains.  Rows that agree with the other rows, or that outvote a small "
           "group, are not found.")  # fmt: skip
    yield ("The error on new rows.  The errors above leave out the rows that fit worst, and the "
           "cleaned file looks better than new rows will.")  # fmt: skip
