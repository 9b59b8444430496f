"""An audit of a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from poisonbench.auditing.audit import Audit, audit_file
from poisonbench.auditing.request import MINUTES, RATES, SPLITS, Request
from poisonbench.data.base import DatasetError
from poisonbench.data.frames import with_response

NAME = "data.csv"
"""The name of the file to which the rows are written."""


def audit(
    X: Any,
    y: Any,
    *,
    rates: Sequence[float] = RATES,
    model: str = "ridge",
    splits: int = SPLITS,
    minutes: float = MINUTES,
    trusted: bool = False,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    drop: Sequence[str] = (),
    missing: Literal["fill", "drop"] = "fill",
    missing_values: Sequence[str] = (),
    clip: bool = False,
    drop_duplicates: bool = False,
    output: str | Path | None = None,
    jobs: int = 0,
) -> Audit:
    """Say how far bad rows can move a model of these rows, and which defense to use.

    The rows are written to a CSV file and treated as ``poisonbench audit`` treats it, so both give
    the same results.

    Parameters
    ----------
    X : pandas.DataFrame or array-like of shape (rows, columns)
        The features: numbers, categories, dates and missing values.
    y : pandas.Series or array-like of shape (rows,)
        The response; a series gives it its name, which otherwise is ``y``.
    rates : sequence of float
        Bad rows as shares of the good training rows.
    model : {"ols", "ridge", "lasso", "elastic-net"}, default="ridge"
        The learner.
    splits : int, default=5
        Largest number of random splits.
    minutes : float, default=3
        Time that the audit may take; the grid is made small enough.
    trusted : bool, default=False
        Whether the rows are known to contain no poison.
    categorical, numeric, drop : sequence of str
        Columns to read as categories or as numbers, and columns to leave out.
    missing : {"fill", "drop"}, default="fill"
        Whether to fill missing values or to drop their rows.
    missing_values : sequence of str
        Values that mean a missing one, such as ``"-999"`` or, in one column only, ``"age=0"``.
    clip : bool, default=False
        Whether to clip the few numbers that set the range of a feature by themselves.
    drop_duplicates : bool, default=False
        Whether to drop rows that repeat an earlier row.
    output : str or Path, optional
        Folder for the files that the command would write; none are kept if it is not given.
    jobs : int, default=0
        Number of processes; with 0, this process computes everything.  If it is not 0, a script
        must protect the call by ``if __name__ == "__main__":``.

    Returns
    -------
    Audit
        The answer; printing it gives the text of the command.

    Raises
    ------
    ValueError
        The rows or a parameter cannot be used.

    Examples
    --------
    >>> import poisonbench
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> found = poisonbench.audit(X, y, rates=[0.04], minutes=1)  # doctest: +SKIP
    >>> print(found.paragraph)  # doctest: +SKIP
    """
    request = Request(tuple(rates), model, splits, 60 * minutes, trusted)
    choices = {
        "categorical": tuple(categorical),
        "numeric": tuple(numeric),
        "drop": tuple(drop),
        "missing_values": tuple(missing_values),
        "clip": clip,
        "drop_duplicates": drop_duplicates,
        **({"missing": missing} if missing != "fill" else {}),
    }
    frame, target = with_response(X, y)
    with TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        frame.to_csv(path, index=False)
        out = nullcontext(output) if output is not None else TemporaryDirectory()
        with out as place:
            try:
                return audit_file(path, target, Path(place), request, choices=choices, jobs=jobs)
            except DatasetError as error:
                raise DatasetError(str(error).replace(str(path), "X")) from None
