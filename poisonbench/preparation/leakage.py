"""Columns that give the response away, and so would make any defense look good."""

from __future__ import annotations

import shlex

import numpy as np
from scipy.stats import rankdata

from poisonbench.features import BoolArray, FloatArray, IntArray

LEAKAGE = 0.9999
"""Correlation with the response, or share of its variance, from which a column is suspect."""

RANKED_ROWS = 20_000
"""Rows whose order is compared with the response's; ranking more takes longer than reading."""

FEWEST = 5
"""Rows, beyond one for each category, that show a relation rather than a coincidence."""


class Leakage:
    """Compares columns with the response, one at a time, on the rows where they have a value.

    Parameters
    ----------
    y : ndarray of shape (rows,)
        The response.
    """

    def __init__(self, y: FloatArray) -> None:
        self._y = y
        self._step = -(-len(y) // RANKED_ROWS)

    def of_numbers(self, name: str, values: FloatArray, present: BoolArray) -> str | None:
        """Return a warning if numbers determine the response.

        They do by an affine function, by their order, or because equal numbers have equal
        responses throughout.

        Parameters
        ----------
        name : str
            The column.
        values : ndarray of shape (rows,)
            Its numbers.
        present : ndarray of shape (rows,)
            Where it has one.
        """
        x, y = values[present], self._y[present]
        if len(x) < FEWEST:
            return None
        if _correlation(x, y) > LEAKAGE:
            return _warning(name, "linearly")
        x, y = x[:: self._step], y[:: self._step]
        if _correlation(rankdata(x), rankdata(y)) > LEAKAGE:
            return _warning(name, "by its order")
        codes = np.unique(x, return_inverse=True)[1]
        return _warning(name, "by its values") if _determined(y, codes) else None

    def of_categories(self, name: str, codes: IntArray) -> str | None:
        """Return a warning if categories determine the response.

        Parameters
        ----------
        name : str
            The column.
        codes : ndarray of shape (rows,)
            The category of each row, -1 where missing.
        """
        present = codes >= 0
        determined = _determined(self._y[present], codes[present])
        return _warning(name, "by its categories") if determined else None


def _warning(name: str, how: str) -> str:
    return (f"'{name}' determines the response {how}: if it is not known before the response is, "
            f"leave it out with --drop {shlex.quote(name)}")  # fmt: skip


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Return the absolute correlation coefficient; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return float(abs(a @ b)) / size if size > 0 else 0.0


def _determined(y: FloatArray, codes: IntArray) -> bool:
    """Whether rows of the same category have the same response, but for a negligible part.

    Categories of a single row show nothing.  The variances within categories and over all are
    compared as unbiased estimates, so that many small categories are no evidence by themselves.
    """
    repeated = np.bincount(codes)[codes] > 1 if len(codes) else np.zeros(0, dtype=np.bool_)
    y, codes = y[repeated], np.unique(codes[repeated], return_inverse=True)[1]
    n_categories = int(codes.max(initial=-1)) + 1
    spare = len(y) - n_categories
    if n_categories < 2 or spare < FEWEST:
        return False
    means = np.bincount(codes, weights=y) / np.bincount(codes)
    within = float(((y - means[codes]) ** 2).sum()) / spare
    overall = float(((y - y.mean()) ** 2).sum()) / (len(y) - 1)
    return overall > 0 and within < (1 - LEAKAGE) * overall
