"""The estimated number of bad rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from poisonbench.defenses.engines.excess import excess

Draw = Callable[[np.random.Generator, int], np.ndarray]

CLEAN: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "laplace": lambda rng, n: rng.laplace(size=n),
    "lognormal": lambda rng, n: np.exp(rng.standard_normal(n)),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_residuals_have_no_excess(name: str) -> None:
    found = [excess(CLEAN[name](np.random.default_rng(seed), 2000)).n_rows for seed in range(9)]
    assert np.median(found) == 0


def test_rows_in_a_heap_are_counted() -> None:
    residual = np.random.default_rng(0).standard_normal(3000)
    residual[:120] += 8
    assert excess(residual).n_rows == pytest.approx(120, abs=5)
    residual[:450] = 8 + np.random.default_rng(1).standard_normal(450)
    assert excess(residual).n_rows == pytest.approx(450, abs=60)


def test_rows_on_both_sides_are_counted() -> None:
    residual = np.random.default_rng(0).standard_normal(3000)
    residual[:60] += 9
    residual[60:120] -= 9
    assert excess(residual).n_rows == pytest.approx(120, abs=5)


def test_a_single_absurd_row_is_counted() -> None:
    residual = np.random.default_rng(0).standard_normal(300)
    residual[0] = 1e6
    assert excess(residual).n_rows == 1


def test_of_rows_that_are_fitted_exactly_the_others_stand_out() -> None:
    residual = np.zeros(100)
    residual[:7] = [1, 2, -3, 4, 5, 6, 1e-12]
    assert excess(residual, nothing=1e-9).n_rows == 6
