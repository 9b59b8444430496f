"""Starts of least trimmed squares for many rows for each feature (FAST-LTS).

Each start fits least squares to as many random rows as there are parameters and takes a few
concentration steps.  Only then are the starts ranked, because the trimmed loss says little before
the first steps (Rousseeuw and Van Driessen 2006, Section 3).  One step of all starts together is a
product of their masks with the outer products of the rows.  Everything is computed on an
orthonormal basis of the columns, so that the result does not depend on their units or on near
collinearity.
"""

from __future__ import annotations

import numpy as np

from poisonbench.features import BoolArray, FloatArray, IntArray

STEPS = 5
"""Number of concentration steps before the ranking.  Rousseeuw and Van Driessen take two; five cost
a fifth more time in all, and find the lowest objective more often if there are few rows for each
parameter (tests/benchmarks/classic.py)."""

WORK = 1e8
"""Largest number of multiplications in a step of all starts; with more rows and features, fewer
starts take it."""

REGULAR = 1e-10
"""Ridge penalty, relative to the mean eigenvalue, with which any few rows determine a fit."""


def random_sets(n_rows: int, size: int, count: int, rng: np.random.RandomState) -> IntArray:
    """Return `count` random sets of `size` different rows; shape (count, size)."""
    drawn = np.argpartition(rng.random_sample((count, n_rows)), size - 1, axis=1)[:, :size]
    return np.asarray(drawn)


def smallest_of_each(squared: FloatArray, n_kept: int) -> BoolArray:
    """Return, for each row of `squared`, a mask of its `n_kept` smallest entries."""
    kept = np.zeros(squared.shape, dtype=bool)
    nearest = np.argpartition(squared, n_kept - 1, axis=1)[:, :n_kept]
    np.put_along_axis(kept, nearest, True, axis=1)
    return kept


def fits_to_sets(basis: FloatArray, y: FloatArray, sets: BoolArray) -> FloatArray:
    """Return the squared residuals of all rows under least squares on each set of rows.

    Parameters
    ----------
    basis : ndarray of shape (N, D)
        The columns, including one for the intercept.
    y : ndarray of shape (N,)
        The responses.
    sets : ndarray of bool of shape (S, N)
        The rows of each fit.

    Returns
    -------
    ndarray of shape (S, N)
    """
    n_rows, D = basis.shape
    member = sets.astype(np.float64)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(n_rows, D * D)
    gram = (member @ products).reshape(-1, D, D)
    return _squared(basis, y, gram, member @ (basis * y[:, None]))


def fits_to_few(basis: FloatArray, y: FloatArray, drawn: IntArray) -> FloatArray:
    """Return the result of :func:`fits_to_sets` for sets of few rows, given by their indices."""
    few = basis[drawn]
    gram = few.transpose(0, 2, 1) @ few
    return _squared(basis, y, gram, (y[drawn][:, None, :] @ few)[:, 0, :])


def _squared(basis: FloatArray, y: FloatArray, gram: FloatArray, cross: FloatArray) -> FloatArray:
    """Solve for each start; `gram` of shape (S, D, D) is changed, `cross` has shape (S, D)."""
    diagonal = np.arange(basis.shape[1])
    size = np.trace(gram, axis1=1, axis2=2) / len(diagonal)
    gram[:, diagonal, diagonal] += (REGULAR * size)[:, None]
    theta = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
    squared: FloatArray = (y - theta @ basis.T) ** 2
    return squared


def after_steps(
    basis: FloatArray, y: FloatArray, squared: FloatArray, n_kept: int, steps: int = STEPS
) -> FloatArray:
    """Return the squared residuals after concentration steps from each start.

    Parameters
    ----------
    basis, y : ndarray of shape (N, D) and (N,)
        See :func:`fits_to_sets`.
    squared : ndarray of shape (S, N)
        Squared residuals of all rows under each start.
    n_kept : int
        Number of rows to which a step fits.
    steps : int
        Number of steps.

    Returns
    -------
    ndarray of shape (min(S, number that :data:`WORK` allows), N)
    """
    affordable = max(1, int(WORK / (len(y) * basis.shape[1] ** 2)))
    if len(squared) > affordable:
        losses = np.partition(squared, n_kept - 1, axis=1)[:, :n_kept].sum(axis=1)
        squared = squared[np.argsort(losses, kind="stable")[:affordable]]
    for _ in range(steps):
        squared = fits_to_sets(basis, y, smallest_of_each(squared, n_kept))
    return squared
