"""Remarks that the printed text and the page have in common."""

from __future__ import annotations

from collections.abc import Iterator

from poisonbench.defending.fit import Defended
from poisonbench.defending.reading import SuspectFile

FEW = 100
"""Below this number of rows, the estimate of bad rows says that it can tell little."""


def remark(found: Defended) -> str:
    """Return the remark of the defense on its fit, without its categories, which are listed."""
    parts = [part for part in found.note.split("; ") if not part.startswith("category ")]
    return "; ".join(part for part in parts if part)


def estimate(found: Defended) -> str:
    """Return in sentences how many rows stand out."""
    n, n_bad = len(found.score), found.excess.n_rows
    if n_bad:
        rows = "1 row stands" if n_bad == 1 else f"{n_bad} rows ({n_bad / n:.1%}) stand"
        return f"About {rows} out from the others."
    few = (f"  Among {n} rows, chance cannot be told from bad rows unless these are very far off."
           if n < FEW else "")  # fmt: skip
    return ("No rows stand out from the others by more than chance or a heavy tail explains."
            f"{few}  This does not mean that there is no poison: it may agree with the other "
            "rows.")  # fmt: skip


def limits(raw: SuspectFile, found: Defended) -> Iterator[str]:
    """Yield what nobody can know from the file, in sentences."""
    k = len(found.suspicious)
    if found.share == "auto":
        yield ("How many rows are bad.  The estimate counts residuals that stand out.  It is too "
               "small if bad rows deviate by less than about five usual deviations, if they are "
               "more than about a fifth of the rows, or if clean residuals have heavy tails.  It "
               "is too large if a part of the clean rows follows another rule.")  # fmt: skip
    else:
        listed = "1 row is" if k == 1 else f"{k} rows are"
        yield (f"How many rows are bad.  {listed} listed because of --share {found.share:g}, and "
               "as many would be in a clean file.")  # fmt: skip
    yield ("Whether a suspicious row is wrong.  It disagrees with a linear model of the others; a "
           "rare but right row does, too.")  # fmt: skip
    yield ("Whether poison remains.  Rows that agree with the other rows, or that outvote a small "
           "group, are not found.")  # fmt: skip
    yield ("The error on new rows.  The errors above leave out the rows that fit worst, and the "
           "cleaned file looks better than new rows will.")  # fmt: skip
