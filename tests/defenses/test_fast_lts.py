"""Least trimmed squares ends at the global minimum of its objective."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from poisonbench.defenses import LTSRegressor, SparseLTSRegressor, TRIMRegressor
from poisonbench.models import OLS

STACKLOSS = """80 27 89 42|80 27 88 37|75 25 90 37|62 24 87 28|62 22 87 18|62 23 87 18|62 24 93 19
62 24 93 20|58 23 87 15|58 18 80 14|58 18 89 14|58 17 88 13|58 18 82 11|58 19 93 12|50 18 89 8
50 18 86 7|50 19 72 8|50 19 79 8|50 20 80 9|56 20 82 15|70 20 91 15"""
"""Brownlee 1965: air flow, water temperature, acid concentration, stack loss."""


def stackloss() -> tuple[Any, Any]:
    rows = np.array([row.split() for row in STACKLOSS.replace("\n", "|").split("|")], dtype=float)
    return rows[:, :-1], rows[:, -1]


def simulated(n: int, n_parameters: int, seed: int) -> tuple[Any, Any]:
    """Return rows of which a quarter have four times as large errors, in different units."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_parameters - 1))
    y = X @ rng.normal(size=n_parameters - 1) + rng.normal(size=n)
    y[: n // 4] += 4 * rng.normal(size=n // 4)
    return X * 10.0 ** rng.integers(-3, 4, n_parameters - 1), y


def least_of_all_sets(X: Any, y: Any, h: int) -> float:
    """Return the smallest mean of squares of a fit to any `h` of the rows."""
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(y)), X]))
    sets = np.array(list(itertools.combinations(range(len(y)), h)))
    few, of_few = basis[sets], y[sets][:, :, None]
    across = few.transpose(0, 2, 1)
    residual = of_few - few @ np.linalg.solve(across @ few, across @ of_few)
    return float((residual**2).mean(axis=1).min())


@pytest.mark.parametrize(
    ("rows", "h"), [(stackloss(), 16), *((simulated(18, 6, seed), 11) for seed in range(3))]
)
def test_the_minimum_over_all_sets_of_rows(rows: Any, h: int) -> None:
    X, y = rows
    least = least_of_all_sets(X, y, h)
    for seed in range(5):
        lts = LTSRegressor(OLS(), core=(h - 0.5) / len(y), random_state=seed).fit(X, y)
        trim = TRIMRegressor(OLS(), n_poison=len(y) - h, random_state=seed).fit(X, y)
        assert lts.core_.sum() == h
        assert lts.objective_ == pytest.approx(least, rel=1e-6)
        assert trim.objective_ == pytest.approx(least, rel=1e-6)


def test_nearly_all_seeds_agree_on_the_minimum() -> None:
    """Without exchanges, or with fewer starts or steps, more than a twentieth of the runs differ.

    There are two to three times as many rows to keep as parameters, and too many sets to try all.
    """
    found = []
    for n, n_parameters, h, data in [(36, 10, 23, 2), (45, 14, 30, 0), (45, 14, 30, 2)]:
        X, y = simulated(n, n_parameters, data)

        def objective(seed: int, restarts: int | None, X: Any = X, y: Any = y, h: int = h) -> float:
            lts = LTSRegressor(OLS(), core=(h - 0.5) / len(y), restarts=restarts, random_state=seed)
            return float(lts.fit(X, y).objective_)

        least = min(objective(seed, 5000) for seed in range(100, 102))
        found += [objective(seed, None) <= least * (1 + 1e-6) for seed in range(15)]
    assert np.mean(found) > 0.95


@pytest.mark.parametrize(("core", "n", "h"), [(0.56, 25, 14), (0.55, 100, 55), (0.75, 21, 16)])
def test_the_core_has_the_smallest_number_of_rows_that_is_the_share(
    core: float, n: int, h: int
) -> None:
    X, y = simulated(n, 2, 0)
    assert LTSRegressor(OLS(), core=core, random_state=0).fit(X, y).core_.sum() == h
    assert SparseLTSRegressor(core=core, restarts=5, random_state=0).fit(X, y).core_.sum() == h


def test_a_minority_near_a_model_of_its_own_lowers_the_minimum() -> None:
    """What is returned is then the fit to the poison."""
    rng = np.random.default_rng(0)
    X = rng.random((100, 1))
    y = X[:, 0] + 0.3 * rng.standard_normal(100)
    y[:45] = 3 - X[:45, 0] + 0.001 * rng.standard_normal(45)
    lts = LTSRegressor(OLS(), core=0.5, random_state=0).fit(X, y)
    clean = LTSRegressor(OLS(), core=50 / 55, random_state=0).fit(X[45:], y[45:])
    assert lts.core_.sum() == clean.core_.sum() == 50
    assert lts.objective_ < clean.objective_
    assert lts.support_[:45].mean() > 0.9
    assert lts.coef_[0] < -0.9
