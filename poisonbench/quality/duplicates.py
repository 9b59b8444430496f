"""Rows that repeat an earlier row in every column.

Of two copies of a row, one may be used for training and the other for the test, which makes errors
look smaller than they are; and many copies of one row are a way of poisoning data.  Fewer than
:data:`FEWEST` copies, and fewer than :data:`SHARE` of the rows, are not worth a warning.  Data with
few different values have equal rows by chance; :mod:`poisonbench.quality.pairs` has the rule that
tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poisonbench.preparation.fingerprints import repeats
from poisonbench.quality.finding import Seen, line_of
from poisonbench.quality.pairs import Comparison, pairs

FEWEST = 3
"""Smallest number of rows that repeat others."""

SHARE = 0.001
"""Smallest share of the rows that repeat others."""


def check(compared: Comparison) -> Iterator[Seen]:
    """Yield at most one finding, on the rows that repeat others."""
    if len(compared.columns) < 2:
        return
    rows, origins = repeats(compared.whole)
    n_rows = len(compared.whole)
    if len(rows) < max(FEWEST, SHARE * n_rows):
        return
    if not compared.no_coincidence(pairs(compared.whole)):
        return
    originals = len(np.unique(origins))
    message = (f"{len(rows)} of {n_rows} rows repeat one of {originals} earlier rows in all of "
               f"{len(compared.columns)} columns, such as line {line_of(int(rows[0]))}, which "
               f"repeats line {line_of(int(origins[0]))}; copies of a row may be in both "
               "the training and the test rows")  # fmt: skip
    remedy = "if they are no separate observations, keep one of each with --drop-duplicates"
    yield Seen("duplicates", tuple(c.name for c in compared.columns), rows, message, remedy)
