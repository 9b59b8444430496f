"""Features and a response as one data frame, as they would stand in a CSV file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def with_response(X: Any, y: Any) -> tuple[pd.DataFrame, str]:
    """Return the rows with the response as the last column, and its name.

    Parameters
    ----------
    X : DataFrame or array-like of shape (N, d)
        The features; the columns of an array are named x0, x1, ...
    y : Series or array-like of shape (N,)
        The response; it is named ``y`` if it has no name.

    Raises
    ------
    ValueError
        The numbers of rows differ, or a column of `X` has the name of the response.
    """
    frame = X.copy() if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    if not isinstance(X, pd.DataFrame):
        frame.columns = [f"x{j}" for j in range(frame.shape[1])]
    frame.columns = frame.columns.map(str)
    target = str(y.name) if isinstance(y, pd.Series) and y.name is not None else "y"
    response = np.asarray(y)
    if response.shape != (len(frame),):
        raise ValueError(f"X has {len(frame)} rows and y has shape {response.shape}; expected one "
                         "response for each row")  # fmt: skip
    if target in frame:
        raise ValueError(f"X: the column '{target}' has the name of the response; expected X "
                         "without it")  # fmt: skip
    frame[target] = response
    return frame, target
