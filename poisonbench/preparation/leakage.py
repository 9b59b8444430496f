"""Find columns that determine the response, which would make any defense look good."""

from __future__ import annotations

import shlex

import numpy as np
from scipy.stats import rankdata

from poisonbench.features import BoolArray, FloatArray, IntArray

LEAKAGE = 0.9999
"""A column is suspect if its correlation with the response, or the share of the response's variance
that it explains, is above this."""

RANKED_ROWS = 20_000
"""Number of rows whose order is compared; ranking more would take longer than reading the file."""

FEWEST = 5
"""Smallest number of rows, beyond one for each category, that is not considered a coincidence."""


class Leakage:
    """Compares columns with the response, one at a time, on the rows where they are not missing.

    Parameters
    ----------
    y : ndarray of shape (rows,)
        The response.
    """

    def __init__(self, y: FloatArray) -> None:
        self._y = y
        self._step = -(-len(y) // RANKED_ROWS)
        # How a column determines the response, and if by equal values, the rows and their values.
        self._suspects: dict[str, tuple[str, IntArray | None, IntArray | None]] = {}

    def of_numbers(self, name: str, values: FloatArray, present: BoolArray) -> None:
        """Note whether the numbers of a column determine the response.

        They may do so by an affine function, by their order, or because rows with equal numbers
        always have equal responses.

        Parameters
        ----------
        name : str
            The column.
        values : ndarray of shape (rows,)
            Its numbers.
        present : ndarray of shape (rows,)
            Mask of the rows that are not missing.
        """
        x, y = values[present], self._y[present]
        if len(x) < FEWEST:
            return
        if _correlation(x, y) > LEAKAGE:
            self._suspects[name] = ("linearly", None, None)
            return
        x, y = x[:: self._step], y[:: self._step]
        if _correlation(rankdata(x), rankdata(y)) > LEAKAGE:
            self._suspects[name] = ("by its order", None, None)
            return
        codes = np.unique(x, return_inverse=True)[1]
        if _determined(y, codes):
            rows = np.flatnonzero(present)[:: self._step]
            self._suspects[name] = ("by its values", rows, codes)

    def of_categories(self, name: str, codes: IntArray) -> None:
        """Note whether the categories of a column determine the response.

        Parameters
        ----------
        name : str
            The column.
        codes : ndarray of shape (rows,)
            The category of each row, -1 if it is missing.
        """
        rows = np.flatnonzero(codes >= 0)
        if _determined(self._y[rows], codes[rows]):
            self._suspects[name] = ("by its categories", rows, codes[rows])

    def found(self, first: BoolArray) -> dict[str, str]:
        """Return the warnings, by the name of the column.

        Parameters
        ----------
        first : ndarray of bool of shape (rows,)
            Whether a row does not repeat an earlier one.  If rows with equal values in a column are
            copies of each other, it is no wonder that their responses are equal too.  This does not
            explain it if most rows are copies; then there are only few different rows.
        """
        found = {}
        for name, (how, rows, codes) in self._suspects.items():
            if rows is not None and codes is not None and 2 * first.sum() > len(first):
                kept = first[rows]
                if not _determined(self._y[rows[kept]], codes[kept]):
                    continue
            found[name] = _warning(name, how)
        return found


def _warning(name: str, how: str) -> str:
    return (f"'{name}' determines the response {how}; if it is not known before the response, "
            f"leave it out with --drop {shlex.quote(name)}")  # fmt: skip


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Return the absolute correlation coefficient; 0 if one of the arrays does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return float(abs(a @ b)) / size if size > 0 else 0.0


def _determined(y: FloatArray, codes: IntArray) -> bool:
    """Whether rows of the same category have almost the same response.

    Categories with a single row do not count.  The variances within categories and over all rows
    are unbiased estimates, so that many small categories by themselves are no evidence.
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
