"""The suspicious rows as a table."""

from __future__ import annotations

import pandas as pd

from poisonbench.defending.columns import Rows
from poisonbench.defending.fit import Defended
from poisonbench.defending.reasons import reasons, together
from poisonbench.features import IntArray


def suspicious_table(rows: Rows, found: Defended, lines: IntArray | None = None) -> pd.DataFrame:
    """Return the suspicious rows, the most suspicious first.

    Parameters
    ----------
    rows : Rows
        All rows.
    found : Defended
        The defense of these rows.
    lines : ndarray of int of shape (all rows of the file, 2), optional
        The lines of each row of the file.

    Returns
    -------
    DataFrame
        ``row`` (the number of the row in the file, counted from 1 below the header), ``line`` if
        `lines` is given, ``score``, ``residual``, ``prediction`` and ``response`` in the unit of
        the response, ``set_aside`` (whether the defense left out the row; missing if it weights
        rows instead), ``reason``.
    """
    chosen = found.suspicious
    number = rows.number[chosen]
    table = pd.DataFrame({"row": number})
    if lines is not None:
        table["line"] = lines[number - 1, 0]
    table["score"] = found.score[chosen]
    table["residual"] = found.residual[chosen]
    table["prediction"] = found.prediction[chosen]
    table["response"] = rows.data.y[chosen]
    table["set_aside"] = None if found.set_aside is None else found.set_aside[chosen]
    table["reason"] = reasons(rows, found, together(rows, found))
    return table
