"""Columns that give the response away, and so would make any defense look good."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from poisonbench.features import FloatArray
from poisonbench.preparation.features import Group, Numeric

LEAKAGE = 0.9999
"""Correlation with the response, or share of its variance, from which a column is suspect."""

RANKED_ROWS = 20_000
"""Rows whose order is compared with the response's; ranking more takes longer than reading."""


def leaks(target: Numeric, numerics: list[Numeric], groups: list[Group]) -> Iterator[str]:
    """Yield a warning for each column that gives the response away.

    Parameters
    ----------
    target : Numeric
        The response.
    numerics : list of Numeric
        The numeric features; perfectly correlated with it, by value or by rank, is suspect.
    groups : list of Group
        The categories; suspect are those whose means are all of the response's variance.
    """
    y = target.values
    some = slice(None, None, -(-len(y) // RANKED_ROWS))
    order = rankdata(y[some])
    for numeric in numerics:
        linear = _correlation(numeric.values, y) > LEAKAGE
        if linear or _correlation(rankdata(numeric.values[some]), order) > LEAKAGE:
            how = "linearly" if linear else "by its order"
            yield (f"'{numeric.name}' determines the response {how}: if it is not known before "
                   "the response is, leave it out with --drop")  # fmt: skip
    for group in groups:
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
