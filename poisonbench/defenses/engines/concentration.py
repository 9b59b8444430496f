"""Concentration steps: alternate a fit to the kept rows and keeping the rows that fit best.

The step of Algorithm 2 in Jagielski et al. 2018 and of least trimmed squares.  With lambda fixed
neither half raises L(D_I, theta), so a run ends after finitely many steps (Theorem 1), but in a
local minimum.  Where it starts decides how good: many cheap starts, fitted to a few rows each,
ranked by their trimmed loss, the best ones run to the end (FAST-LTS, Rousseeuw and Van Driessen
2006).
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
"""Rows in a small start; fewer where d + 1 are enough."""

SHRINKAGE = 1e-2
"""Ridge penalty of a small start, relative to the mean squared norm of its centred rows."""

DETERMINED = 1e-3
"""Least singular value, relative to the largest, of a design that determines least squares."""

FEW_ROWS = 10
"""Rows in a small start where it is not known how many rows are poison."""

FINALISTS = 10
"""Small starts that are run to the end."""

EXCHANGE_ALL = 500
"""With no more rows than this, all finalists of least squares are continued by exchanges."""

SEARCHABLE = 2e6
"""Most rows times squared parameters with which all starts of least squares take steps."""

LEAST_SQUARES_STARTS = 500
"""Starts of each kind where the learner is least squares and rows are many for each feature."""

NESTED_ROWS = 5000
"""With more rows than this, starts are sought in samples of the rows."""

SAMPLES, SAMPLE_ROWS, ROWS_PER_FEATURE = 20, 2000, 10
"""Samples in which starts are sought, the least rows in each, and the least for each feature."""

NESTED_TOLERANCE = 1e-4
"""With so many rows, a run ends when the objective falls by less than this share of itself."""

EARLY_STEPS = 3
"""Fits in a sample, before the samples are merged."""


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
    """Run concentration steps from the rows `kept` until the objective no longer falls.

    Parameters
    ----------
    engine : Refits
        Fits the learner to rows.
    kept : ndarray of bool of shape (N,)
        I_0.
    max_iter : int
        Most fits.
    tol : float
        Stop when the objective falls by less than this share of itself.
    seen : set of bytes
        Sets that this or another run has been at, and that need no second visit; grows.
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
    """Run each start to the end, unless another has been there."""
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
    """Return a run that continues `run` past local minima in which a row fits because it is kept.

    A poison row and its clean twin can change places for ever so small a loss, yet no
    concentration step does it: the model hugs the one that it has.  So the best exchange of one
    row is made and concentrated, as long as the objective falls (Hawkins 1994).  With H the
    derivatives of predictions by responses, leaving out row i lowers the sum of squares by
    r_i^2 / (1 - H_ii), makes row j's residual r_j + H_ji r_i / (1 - H_ii) and its q_j, by which
    the fit gives way to it, q_j + H_ji^2 / (1 - H_ii); taking row j in then raises the sum by the
    square of the one over 1 plus the other.
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
    """Return the learner to choose rows by, and its columns: for least squares a small ridge.

    Where features are nearly as many as rows, least squares of minimum norm follows any row that
    has a direction for itself, with weights without bound: what it fits well says nothing.  The
    ridge is of the strength that small starts have, on columns in units of their own.
    """
    if not isinstance(estimator, OLS):
        return estimator, X
    columns = standardised(X)
    spread = float(np.var(columns[:1000], axis=0).sum())
    return (Ridge(alpha=SHRINKAGE * spread), columns) if spread > 0 else (estimator, X)


def determined(X: FloatArray) -> bool:
    """Return whether the rows determine a least-squares fit in every direction, and well."""
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
        The learner, for samples of large data; the small fits are ridge, whatever it is.
    X, y : ndarray of shape (N, d) and (N,)
        All rows.
    n_kept : int
        Rows in each subset.
    restarts : int
        Number of small fits.
    rng : RandomState
        Draws their rows.

    Returns
    -------
    list of ndarray of bool of shape (N,)
        At most :data:`FINALISTS` masks.
    """
    n_rows = len(y)
    if n_rows > NESTED_ROWS:
        m = n_nested(*X.shape)
        model = nested_start(estimator, X[:m], y[:m], n_kept / n_rows, restarts, rng)
        return [smallest((y - np.ravel(model.predict(X))) ** 2, n_kept)]
    squared = small_residuals(columns_for(estimator, X), y, restarts, rng) ** 2
    return ranked_starts(squared, n_kept, FINALISTS)


def small_residuals(
    X: FloatArray, y: FloatArray, restarts: int, rng: np.random.RandomState
) -> FloatArray:
    """Return the residuals of all rows under ridge fits to few random rows; (restarts, N)."""
    size = min(START_ROWS, X.shape[1] + 1, len(y))
    return few_row_residuals(X, y, random_sets(len(y), size, restarts, rng))


def well_searched(
    engine: Refits, n_kept: int, rows_per_parameter: float = 1.0
) -> TypeGuard[LeastSquaresFits]:
    """Return whether :func:`least_squares_run` is for these rows, and affordable.

    Parameters
    ----------
    engine : Refits
        The learner and the rows.
    n_kept : int
        Rows to keep.
    rows_per_parameter : float
        They must be more than so many for each parameter that the rows determine.
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
    """Return the best run of least trimmed squares where rows are many for each parameter.

    Starts are fits to as many rows as there are parameters, of which one in 20 is clean where
    a quarter of the rows is poison and there are ten parameters, and as many ridge fits to ten
    rows, which are better where there are more.  The best run is continued by exchanges.

    Parameters
    ----------
    engine : LeastSquaresFits
        The rows; :func:`well_searched` is true of them.
    n_kept : int
        Rows to keep.
    restarts : int
        Number of starts of each kind.
    rng : RandomState
        Draws their rows.
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
    """Return the `n_kept` best rows of the fits whose trimmed loss is least, `count` sets.

    Parameters
    ----------
    squared : ndarray of shape (S, N)
        Squared residuals of all rows under each fit.
    n_kept, count : int
        See above.
    """
    losses = np.partition(squared, n_kept - 1, axis=1)[:, :n_kept].sum(axis=1)
    best: dict[bytes, BoolArray] = {}  # different starts often keep the same rows
    for start in np.argsort(losses, kind="stable"):
        if len(best) == count:
            break
        kept = smallest(squared[start], n_kept)
        best.setdefault(kept.tobytes(), kept)
    return list(best.values())


def n_nested(n_rows: int, n_features: int) -> int:
    """Return how many of many rows :func:`nested_start` needs."""
    return min(n_rows, SAMPLES * max(SAMPLE_ROWS, ROWS_PER_FEATURE * n_features))


def nested_start(
    estimator: Any,
    X: FloatArray,
    y: FloatArray,
    share: float,
    restarts: int,
    rng: np.random.RandomState,
) -> Any:
    """Return a learner fitted to the rows to keep of a sample.

    Each part of the sample has starts of its own and a few concentration steps; the models so
    found compete on the whole of it, where the best one is concentrated to the end.

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
        Draws their rows.
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
    run = concentrate(engine, best, 100, NESTED_TOLERANCE, set())
    return engine.model(run.kept, run.fitted)


def few_row_residuals(X: FloatArray, y: FloatArray, drawn: IntArray) -> FloatArray:
    """Return the residuals of all rows under a ridge fit to each set of few rows.

    Each is solved in the dual, with a penalty of :data:`SHRINKAGE` times the mean squared norm of
    its centred rows.

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
    # One kernel for all fits, where it costs less than the products of each set's rows.
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
    gram[:, diagonal, diagonal] += np.where(ridge > 0, ridge, 1.0)[:, None]  # 0: rows all equal
    target = y[drawn] - y[drawn].mean(axis=1)[:, None]
    dual = np.linalg.solve(gram, target[:, :, None])[:, :, 0]
    if shared:
        weights = np.zeros((n_fits, n_rows))
        np.put_along_axis(weights, drawn, dual - dual.mean(axis=1)[:, None], axis=1)
        residual = y - weights @ kernel
    else:
        residual = y - (dual[:, None, :] @ few)[:, 0, :] @ X.T
    # The intercept: residuals of the rows fitted have mean 0.
    residual -= np.take_along_axis(residual, drawn, axis=1).mean(axis=1)[:, None]
    return np.asarray(residual)
