"""Concentration steps and exchanges, against refits by scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses.engines.concentration import (
    NESTED_ROWS,
    best_run,
    exchanged,
    small_starts,
)
from poisonbench.defenses.engines.fits import fits
from poisonbench.models import Ridge


def rows(n: int, n_wrong: int, seed: int) -> tuple[Any, Any]:
    """Rows of which the last `n_wrong` follow another line."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, 3))
    y = X @ [1.0, -0.5, 0.3] + 0.05 * rng.standard_normal(n)
    y[n - n_wrong :] = 3 - X[n - n_wrong :, 0]
    return X, y


def objective(X: Any, y: Any, kept: Any, lam: float) -> float:
    """Mean squared error + lambda ||w||^2 / 2 of the ridge fitted to the rows `kept`."""
    n = int(kept.sum())
    fitted = SklearnRidge(alpha=n * lam / 2).fit(X[kept], y[kept])
    errors = fitted.predict(X[kept]) - y[kept]
    return float(np.mean(errors**2) + lam * np.sum(fitted.coef_**2) / 2)


@pytest.mark.parametrize(
    ("n", "n_wrong", "n_kept", "lam", "seed"),
    [*((20, 6, 14, 0.01, seed) for seed in range(6)), (14, 5, 8, 1e-4, 79)],
)
def test_after_the_exchanges_no_exchange_of_one_row_lowers_the_objective(
    n: int, n_wrong: int, n_kept: int, lam: float, seed: int
) -> None:
    X, y = rows(n, n_wrong, seed)
    engine = fits(Ridge(lam), X, y)
    start = np.zeros(n, dtype=bool)
    start[np.random.default_rng(seed).choice(n, n_kept, replace=False)] = True
    run = exchanged(engine, best_run(engine, [start]))
    assert run.kept.sum() == n_kept
    reached = objective(X, y, run.kept, lam)
    assert run.objective == pytest.approx(reached, rel=1e-8)
    for i in np.flatnonzero(run.kept):
        for j in np.flatnonzero(~run.kept):
            other = run.kept.copy()
            other[i], other[j] = False, True
            assert objective(X, y, other, lam) >= reached * (1 - 1e-8)


@pytest.mark.parametrize("n", [400, NESTED_ROWS + 400])
def test_small_fits_find_a_subset_that_is_nearly_free_of_wrong_rows(n: int) -> None:
    n_wrong = n // 5
    X, y = rows(n, n_wrong, 0)
    rng = np.random.RandomState(0)
    starts = small_starts(Ridge(0.001), X, y, n - n_wrong, 50, rng)
    assert all(start.sum() == n - n_wrong for start in starts)
    assert starts[0][n - n_wrong :].mean() < 0.02
