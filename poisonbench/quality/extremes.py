"""Numbers that set the range of their column, and so the box, by themselves.

:mod:`poisonbench.preparation.robust_range` has the rule.  Values that are reported as sentinels are
not reported again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poisonbench.preparation.robust_range import robust_range
from poisonbench.quality.finding import Seen
from poisonbench.quality.profile import Profile
from poisonbench.quality.sentinels import shown


def seen(
    profile: Profile, sentinels: list[float], *, response: bool, clipped: bool
) -> Iterator[Seen]:
    """Yield a finding if the range of a column is set by a few rows.

    Parameters
    ----------
    profile : Profile
        The values of the column.
    sentinels : list of float
        Its sentinels.
    response : bool
        Whether the column is the response.
    clipped : bool
        Whether the preparation clips features whose range is set by a few numbers.
    """
    column = profile.column
    ordered = profile.ordered(without=sentinels)
    if not profile.is_number or not len(ordered):
        return
    if clipped and not response and robust_range(profile.ordered(without=[])).n_extremes:
        return
    found = robust_range(ordered)
    if not found.n_extremes:
        return
    values = np.asarray(column.values, dtype=np.float64)
    outside = (values < found.low) | (values > found.high)
    rows = np.flatnonzero(outside & ~np.isin(values, sentinels))
    low, high = (shown(float(value), column.kind) for value in ordered[[0, -1]])
    inner = f"{shown(found.low, column.kind)} to {shown(found.high, column.kind)}"
    are = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    share = (found.high - found.low) / float(ordered[-1] - ordered[0])
    message = (f"'{column.name}' ranges from {low} to {high}, but {are} outside {inner}, where all "
               f"others are; these fill only {share:.2g} of the range to which rows are "
               "scaled")  # fmt: skip
    remedy = "correct these cells, or use --clip to set them to the nearer end of the range"
    if response:
        remedy = "correct these cells, or delete the rows (--clip does not change the response)"
    yield Seen("extreme values", (column.name,), rows, message, remedy)
