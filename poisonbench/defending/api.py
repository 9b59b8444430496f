"""The public Python interface: the suspicious rows of a data frame."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from poisonbench.data.base import DatasetError
from poisonbench.data.frames import with_response
from poisonbench.defending.fit import Share, defend
from poisonbench.defending.reading import read_file
from poisonbench.defending.table import suspicious_table
from poisonbench.preparation import Choices

if TYPE_CHECKING:
    from collections.abc import Sequence


def suspicious_rows(
    X: Any,
    y: Any,
    *,
    defense: str | None = None,
    share: Share = 0.05,
    model: str = "ridge",
    random_state: int = 0,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the rows that agree least with a robust linear regression of the others.

    The rows are treated as those of a CSV file by ``poisonbench defend``, with the same results:
    text is a category, a missing number is replaced by the mean, dates become days, and columns
    such as identifiers are left out.

    Parameters
    ----------
    X : DataFrame or array-like of shape (N, d)
        The rows, in any units, with categories and missing values.
    y : Series or array-like of shape (N,)
        The responses; a row with a missing one is never suspicious.
    defense : str, optional
        The defense, by the name that a config uses.  If not given, the most suitable of five
        is chosen by a robust held-out error.
    share : float or "auto", default=0.05
        The share of the rows to return; they are returned even if nothing is wrong with them.
        "auto" returns as many rows as stand out, possibly none.
    model : {"ridge", "ols", "lasso", "elastic-net"}, default="ridge"
        The learner.
    random_state : int, default=0
        Seed of all random numbers.
    categorical, numeric, drop : sequence of str
        Columns to read as categories, to read as numbers, and to leave out.

    Returns
    -------
    DataFrame
        The suspicious rows, the most suspicious first, with the index of `X`.  The columns are
        ``score`` (the size of the residual as a multiple of the usual one), ``residual`` and
        ``prediction`` (in the unit of `y`), ``response``, ``set_aside`` (whether the defense itself
        left out the row) and ``reason``.

    Raises
    ------
    ValueError
        An argument has no valid value, or the rows cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import poisonbench
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rooms": rng.integers(1, 6, 200)})
    >>> X["city"] = rng.choice(["Bonn", "Köln"], 200)
    >>> y = 50 * X["rooms"] + 30 * (X["city"] == "Köln") + rng.normal(0, 5, 200)
    >>> y[X.index[:6]] += 400
    >>> found = poisonbench.suspicious_rows(X, y.rename("price"), share="auto")
    >>> sorted(found.index)
    [0, 1, 2, 3, 4, 5]
    """
    frame, target = with_response(X, y)
    choices = Choices(target, tuple(categorical), tuple(numeric), tuple(drop))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "X"
        frame.to_csv(path, index=False)
        try:
            raw = read_file(
                path, choices, encoding="utf-8", delimiter=",", decimal=".", header=True
            )
        except DatasetError as error:
            raise DatasetError(str(error).replace(str(path), "X")) from None
        found = defend(
            raw.rows.data, defense=defense, share=share, model=model, random_state=random_state
        )
    table = suspicious_table(raw.rows, found)
    table.index = frame.index[table["row"] - 1]
    return table[["score", "residual", "prediction", "response", "set_aside", "reason"]]
