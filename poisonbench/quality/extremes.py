"""Numbers that set the range of their column, and so the box, by themselves.

:mod:`poisonbench.preparation.robust_range` has the rule.  Values that are reported as sentinels are
not reported again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from poisonbench.preparation.raw import RawColumn
from poisonbench.preparation.raw_file import RawFile
from poisonbench.preparation.robust_range import robust_range
from poisonbench.quality.finding import Seen
from poisonbench.quality.sentinels import sentinels, shown


def check(file: RawFile) -> Iterator[Seen]:
    """Yield the columns of a file whose range is set by a few rows."""
    for column in file.columns:
        if column.kind in ("number", "date") and column.name not in file.choices.drop:
            seen = _of_column(column, sentinels(column), column.name == file.choices.target)
            if seen:
                yield seen


def _of_column(column: RawColumn, known: Collection[float], response: bool) -> Seen | None:
    values = np.asarray(column.values, dtype=np.float64)
    here = ~column.missing & ~np.isin(values, list(known))
    if not here.any():
        return None
    found = robust_range(values[here])
    if not found.n_extremes:
        return None
    rows = np.flatnonzero(here & ((values < found.low) | (values > found.high)))
    low, high = (shown(v, column.kind) for v in (values[here].min(), values[here].max()))
    inner = f"{shown(found.low, column.kind)} to {shown(found.high, column.kind)}"
    are = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    share = (found.high - found.low) / float(np.ptp(values[here]))
    message = (f"'{column.name}' ranges from {low} to {high}, but {are} outside {inner}, where all "
               f"others are; these fill only {share:.2g} of the box")  # fmt: skip
    remedy = "correct these cells, or use --clip to set them to the nearer end of the range"
    if response:
        remedy = "correct these cells, or delete the rows (--clip does not change the response)"
    return Seen("extreme values", (column.name,), rows, message, remedy)
