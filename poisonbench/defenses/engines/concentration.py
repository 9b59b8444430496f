"""Concentration steps: alternate between a fit to the kept rows and keeping the rows that fit best.

This is the step of Algorithm 2 in Jagielski et al. 2018 and of least trimmed squares.  With fixed
lambda, neither half of it increases L(D_I, theta), so a run ends after finitely many steps (Theorem
1), but in a local minimum.  How good the minimum is depends on the start.  Therefore many cheap
fits to a few rows each are ranked by their trimmed loss, and the best ones are run to the end
(FAST-LTS, Rousseeuw and Van Driessen 2006).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from poisonbench.defenses.engines.elemental import after_steps, fits_to_few, random_sets
from poisonbench.defenses.engines.fits import Fitted, LeastSquaresFits, Refits, RidgeFits, fits
from poisonbench.defenses.engines.units import columns_for, standardised
from poisonbench.features import BoolArray, FloatArray, IntArray
from poisonbench.models import OLS, Ridge

START_ROWS = 30
"""Number of rows in a small start; at most d + 1."""

SHRINKAGE = 1e-2
"""Ridge penalty of a small start, relative to the mean squared norm of its centred rows."""

DETERMINED = 1e-3
"""Rows determine a least-squares fit if the smallest singular value of the design, relative to the
largest, is above this."""

FEW_ROWS = 10
"""Number of rows in a small start if the number of poison rows is not known."""

FINALISTS = 10
"""Number of small starts that are run to the end."""

EXCHANGE_ALL = 500
"""With at most this many rows, all finalists of least squares are continued by exchanges."""

SEARCHABLE = 2e6
"""Largest number of rows times squared number of parameters for which all starts of least squares
take concentration steps before they are ranked."""

LEAST_SQUARES_STARTS = 500
"""Number of starts of each kind for least squares with many rows for each feature."""

NESTED_ROWS = 5000
"""With more rows than this, starts are found in samples of the rows."""

SAMPLES, SAMPLE_ROWS, ROWS_PER_FEATURE = 20, 2000, 10
"""Number of samples in which starts are found, the smallest number of rows in each, and the
smallest number of rows for each feature."""

NESTED_TOLERANCE = 1e-4
"""With so many rows, a run ends when the objective decreases by less than this share of itself."""

EARLY_STEPS = 3
"""Number of fits in a sample, before the samples are merged."""


@dataclass(frozen=True)
class Run:
    """One run of concentration steps.

    Parameters
    ----------
    kept : ndarray of bool of shape (N,)
        The rows of the last fit.
    fitted : Fitted
        That fit.
    objective_path : tuple of float
        L(D_I, theta) after each fit.
    """

    kept: BoolArray
    fitted: Fitted
    objective_path: tuple[float, ...]

    @property
    def residual(self) -> FloatArray:
        """The residuals of the last fit, for all rows; shape (N,)."""
        return self.fitted.residual

    @property
    def objective(self) -> float:
        """L(D_I, theta) at the end."""
        return self.objective_path[-1]


def smallest(squared: FloatArray, n_kept: int) -> BoolArray:
    """Return the mask of the `n_kept` smallest entries."""
    kept = np.zeros(len(squared), dtype=bool)
    kept[np.argpartition(squared, n_kept - 1)[:n_kept]] = True
    return kept


def concentrate(
    engine: Refits, kept: BoolArray, max_iter: int, tol: float, seen: set[bytes]
) -> Run:
    """Run concentration steps from the rows `kept` until the objective no longer decreases.

    Parameters
    ----------
    engine : Refits
        Fits the learner to rows.
    kept : ndarray of bool of shape (N,)
        The starting set I_0.
    max_iter : int
        Maximum number of fits.
    tol : float
        Stop when the objective decreases by less than this share of itself.
    seen : set of bytes
        Sets of rows that this run or an earlier one has reached, at which a run can stop.  Sets
        that this run reaches are added.
    """
    n_kept = int(kept.sum())
    fitted = engine.on_rows(kept)
    run = Run(kept, fitted, (fitted.objective(kept),))
    while len(run.objective_path) < max_iter:
        seen.add(run.kept.tobytes())
        following = smallest(run.residual**2, n_kept)
        if following.tobytes() in seen:
            break
        fitted = engine.on_rows(following)
        objective = fitted.objective(following)
        if not run.objective - objective > tol * abs(run.objective):
            break
        run = Run(following, fitted, (*run.objective_path, objective))
    return run


def all_runs(
    engine: Refits, starts: Iterable[BoolArray], max_iter: int = 100, tol: float = 1e-9
) -> Iterator[Run]:
    """Run each start to the end, unless an earlier run has reached it."""
    seen: set[bytes] = set()
    for kept in starts:
        if kept.tobytes() not in seen:
            yield concentrate(engine, kept, max_iter, tol, seen)


def best_run(
    engine: Refits, starts: Iterable[BoolArray], max_iter: int = 100, tol: float = 1e-9
) -> Run:
    """Run each start to the end and return the run with the lowest objective."""
    return min(all_runs(engine, starts, max_iter, tol), key=lambda run: run.objective)


def exchanged(
    engine: RidgeFits | LeastSquaresFits, run: Run, max_iter: int = 100, tol: float = 1e-9
) -> Run:
    """Continue a run past local minima in which a row fits well only because it is kept.

    Exchanging a poison row for a similar clean row may lower the objective, but no concentration
    step does it, because the model fits the row that it has.  Therefore the best exchange of one
    row is made, followed by concentration steps, as long as the objective decreases (Hawkins 1994).
    Let H be the derivatives of predictions by responses.  Leaving out row i lowers the sum of
    squares by r_i^2 / (1 - H_ii).  It changes the residual of row j to
    r'_j = r_j + H_ji r_i / (1 - H_ii), and q_j, which is z_j'K z_j with the inverse K of the
    penalised Gram matrix, to q'_j = q_j + H_ji^2 / (1 - H_ii).  Adding row j then increases the sum
    by r'_j^2 / (1 + q'_j).
    """
    while len(run.objective_path) < max_iter:
        inside, outside = np.flatnonzero(run.kept), np.flatnonzero(~run.kept)
        leverage, H, own = engine.sensitivity(run.kept)
        left = np.maximum(1 - leverage, 1e-9)
        left_out = run.residual[inside] / left
        rises = (run.residual[outside, None] + H * left_out) ** 2
        rises /= 1 + own[:, None] + H**2 / left
        gains = run.residual[inside] * left_out - rises
        out, into = np.unravel_index(gains.argmax(), gains.shape)[::-1]
        following = run.kept.copy()
        following[inside[out]], following[outside[into]] = False, True
        other = concentrate(engine, following, max_iter - len(run.objective_path), tol, set())
        if not run.objective - other.objective > tol * abs(run.objective):
            break
        below = (objective for objective in other.objective_path if objective < run.objective)
        run = Run(other.kept, other.fitted, (*run.objective_path, *below))
    return run


def stand_in(estimator: Any, X: FloatArray) -> tuple[Any, FloatArray]:
    """Return the learner that chooses rows, and its columns; for least squares, a small ridge.

    If there are nearly as many features as rows, least squares of minimum norm fits any row that
    has a direction of its own, with arbitrarily large weights, so a small residual says nothing.
    The ridge regression has the strength of small starts, on standardised columns.
    """
    if not isinstance(estimator, OLS):
        return estimator, X
    columns = standardised(X)
    spread = float(np.var(columns[:1000], axis=0).sum())
    return (Ridge(alpha=SHRINKAGE * spread), columns) if spread > 0 else (estimator, X)


def determined(X: FloatArray) -> bool:
    """Return whether the rows determine a least-squares fit well in every direction."""
    columns = standardised(X)
    singular = np.linalg.svd(columns - columns.mean(axis=0), compute_uv=False)
    return len(X) > X.shape[1] and bool(singular[-1] > DETERMINED * singular[0])


def small_starts(
    estimator: Any,
    X: FloatArray,
    y: FloatArray,
    n_kept: int,
    restarts: int,
    rng: np.random.RandomState,
) -> list[BoolArray]:
    """Return the best subsets to start from, by the trimmed loss of fits to few rows.

    Parameters
    ----------
    estimator : estimator
        The learner, for samples of large data; the small fits are ridge for every learner.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    n_kept : int
        Number of rows in each subset.
    restarts : int
        Number of small fits.
    rng : RandomState
        Draws the rows of the small fits.

    Returns
    -------
    list of ndarray of bool of shape (N,)
        At most :data:`FINALISTS` masks.
    """
    n_rows = len(y)
    if n_rows > NESTED_ROWS:
        m = n_nested(*X.shape)
        engine, run = nested_start(estimator, X[:m], y[:m], n_kept / n_rows, restarts, rng)
        return [smallest((y - engine.elsewhere(run.kept, run.fitted, X)) ** 2, n_kept)]
    squared = small_residuals(columns_for(estimator, X), y, restarts, rng) ** 2
    return ranked_starts(squared, n_kept, FINALISTS)


def small_residuals(
    X: FloatArray, y: FloatArray, restarts: int, rng: np.random.RandomState
) -> FloatArray:
    """Return the residuals of all rows under ridge fits to few random rows; shape (restarts, N)."""
    size = min(START_ROWS, X.shape[1] + 1, len(y))
    return few_row_residuals(X, y, random_sets(len(y), size, restarts, rng))


def well_searched(
    engine: Refits, n_kept: int, rows_per_parameter: float = 1.0
) -> TypeGuard[LeastSquaresFits]:
    """Return whether :func:`least_squares_run` is suitable for these rows, and affordable.

    Parameters
    ----------
    engine : Refits
        The learner and the rows.
    n_kept : int
        Number of rows to keep.
    rows_per_parameter : float
        `n_kept` must be more than this, times the number of parameters that the rows determine.
    """
    if not isinstance(engine, LeastSquaresFits) or len(engine.y) > NESTED_ROWS:
        return False
    n_rows, n_parameters = engine.basis.shape
    affordable: bool = n_rows * n_parameters**2 <= SEARCHABLE
    return affordable and n_kept > rows_per_parameter * n_parameters


def least_squares_run(
    engine: LeastSquaresFits,
    n_kept: int,
    restarts: int,
    rng: np.random.RandomState,
    max_iter: int = 100,
    tol: float = 1e-9,
) -> Run:
    """Return the best run of least trimmed squares for many rows for each parameter.

    Half of the starts are fits to as many rows as there are parameters; if a quarter of the rows
    are poison and there are ten parameters, one in 20 of these is clean.  The other half are ridge
    fits to ten rows, which are better if there are more parameters.  The best run is continued by
    exchanges.

    Parameters
    ----------
    engine : LeastSquaresFits
        The rows, for which :func:`well_searched` is true.
    n_kept : int
        Number of rows to keep.
    restarts : int
        Number of starts of each kind.
    rng : RandomState
        Draws the rows of the starts.
    max_iter, tol : int and float
        See :func:`concentrate`.
    """
    basis, y, n_rows = engine.basis, engine.y, len(engine.y)
    parameters = random_sets(n_rows, basis.shape[1], restarts, rng)
    few = random_sets(n_rows, min(FEW_ROWS, n_rows), restarts, rng)
    squared = np.vstack([
        (y - np.median(y))[None] ** 2,
        fits_to_few(basis, y, parameters),
        few_row_residuals(basis[:, 1:], y, few) ** 2,
    ])  # fmt: skip
    starts = ranked_starts(after_steps(basis, y, squared, n_kept), n_kept, FINALISTS)
    runs = {run.kept.tobytes(): run for run in all_runs(engine, starts, max_iter, tol)}
    by_objective = sorted(runs.values(), key=lambda run: run.objective)
    few_enough = len(by_objective) if n_rows <= EXCHANGE_ALL else 1
    return min((exchanged(engine, run, max_iter, tol) for run in by_objective[:few_enough]),
               key=lambda run: run.objective)  # fmt: skip


def ranked_starts(squared: FloatArray, n_kept: int, count: int) -> list[BoolArray]:
    """Return the rows that the fits with the smallest trimmed losses fit best.

    Parameters
    ----------
    squared : ndarray of shape (S, N)
        Squared residuals of all rows under each fit.
    n_kept : int
        Number of rows in each set.
    count : int
        Largest number of sets.
    """
    losses = np.partition(squared, n_kept - 1, axis=1)[:, :n_kept].sum(axis=1)
    best: dict[bytes, BoolArray] = {}  # because different starts often keep the same rows
    for start in np.argsort(losses, kind="stable"):
        if len(best) == count:
            break
        kept = smallest(squared[start], n_kept)
        best.setdefault(kept.tobytes(), kept)
    return list(best.values())


def n_nested(n_rows: int, n_features: int) -> int:
    """Return the number of rows, out of many, that :func:`nested_start` needs."""
    return min(n_rows, SAMPLES * max(SAMPLE_ROWS, ROWS_PER_FEATURE * n_features))


def nested_start(
    estimator: Any,
    X: FloatArray,
    y: FloatArray,
    share: float,
    restarts: int,
    rng: np.random.RandomState,
) -> tuple[Refits, Run]:
    """Return the engine of a sample, and its fit to the best rows.

    Each part of the sample has its own starts and takes a few concentration steps.  The resulting
    models are compared on the whole sample, and the best one takes concentration steps there to the
    end.

    Parameters
    ----------
    estimator : estimator
        The learner.
    X, y : ndarray of shape (M, d) and (M,)
        The sample, in random order.
    share : float
        Share of the rows to keep.
    restarts : int
        Number of small fits in all parts together.
    rng : RandomState
        Draws the rows of the small fits.
    """
    chooser, columns = stand_in(estimator, X)
    size = min(len(y), max(SAMPLE_ROWS, ROWS_PER_FEATURE * X.shape[1]))
    parts = np.array_split(np.arange(len(y)), len(y) // size)
    n_kept = max(1, round(share * len(y)))
    best, least = np.ones(len(y), dtype=bool), np.inf
    for part in parts:
        engine = fits(chooser, columns[part], y[part])
        n_part = max(1, round(share * len(part)))
        starts = small_starts(
            chooser, columns[part], y[part], n_part, max(1, restarts // len(parts)), rng
        )
        run = concentrate(engine, starts[0], EARLY_STEPS, 0.0, set())
        squared = (y - engine.elsewhere(run.kept, run.fitted, columns)) ** 2
        kept = smallest(squared, n_kept)
        if not least <= (loss := float(squared[kept].sum())):
            best, least = kept, loss
    engine = fits(estimator, X, y)
    return engine, concentrate(engine, best, 100, NESTED_TOLERANCE, set())


def few_row_residuals(X: FloatArray, y: FloatArray, drawn: IntArray) -> FloatArray:
    """Return the residuals of all rows under a ridge fit to each set of few rows.

    Each fit is solved in the dual, with a penalty of :data:`SHRINKAGE` times the mean squared norm
    of its centred rows.

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    drawn : ndarray of int of shape (S, m)
        The rows of each fit.

    Returns
    -------
    ndarray of shape (S, N)
    """
    n_fits, m = drawn.shape
    n_rows = len(y)
    # Compute one kernel for all fits if that costs less than the products of each set's rows.
    shared = n_rows**2 <= n_fits * (m**2 + n_rows)
    if shared:
        centred = X - X.mean(axis=0)
        kernel = centred @ centred.T
        gram = kernel[drawn[:, :, None], drawn[:, None, :]]
        means = gram.mean(axis=2)
        gram += means.mean(axis=1)[:, None, None] - means[:, :, None] - means[:, None, :]
    else:
        few = X[drawn] - X[drawn].mean(axis=1)[:, None, :]
        gram = few @ few.transpose(0, 2, 1)
    diagonal = np.arange(m)
    ridge = SHRINKAGE * np.trace(gram, axis1=1, axis2=2) / m
    # The penalty is 0 if all rows of the set are equal.
    gram[:, diagonal, diagonal] += np.where(ridge > 0, ridge, 1.0)[:, None]
    target = y[drawn] - y[drawn].mean(axis=1)[:, None]
    dual = np.linalg.solve(gram, target[:, :, None])[:, :, 0]
    if shared:
        weights = np.zeros((n_fits, n_rows))
        np.put_along_axis(weights, drawn, dual - dual.mean(axis=1)[:, None], axis=1)
        residual = y - weights @ kernel
    else:
        residual = y - (dual[:, None, :] @ few)[:, 0, :] @ X.T
    # The intercept makes the mean residual of the fitted rows 0.
    residual -= np.take_along_axis(residual, drawn, axis=1).mean(axis=1)[:, None]
    return np.asarray(residual)
