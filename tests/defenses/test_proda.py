"""Proda: how many draws, and which model is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from poisonbench.defenses import (
    ProdaDefense,
)
from poisonbench.defenses.proda import clean_probability, draws_needed
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
MODELS = [OLS(), Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.4)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)


@given(n=st.integers(1, 9), data=st.data())
def test_the_chance_of_a_clean_draw_is_counted(n: int, data: Any) -> None:
    p, m = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    draws = list(itertools.combinations(range(n), m))
    clean = sum(all(row >= p for row in draw) for draw in draws)
    assert clean_probability(n, p, m) == pytest.approx(clean / len(draws))


@given(clean=st.floats(1e-6, 1.0), confidence=st.floats(0.01, 0.999))
def test_as_many_draws_as_the_confidence_needs(clean: float, confidence: float) -> None:
    draws = draws_needed(clean, confidence, most=10**9)
    assert 1 - (1 - clean) ** draws >= confidence - 1e-9
    assert draws == 1 or 1 - (1 - clean) ** (draws - 1) <= confidence + 1e-9


def test_draws_are_bounded_and_the_confidence_reported(shifted: Rows) -> None:
    assert draws_needed(0.0, 0.99, most=7) == 7
    assert draws_needed(1e-300, 0.99, most=7) == 7
    X, y, _ = shifted(60, 20, 10)
    proda = ProdaDefense(n_poison=30, max_draws=5, random_state=0).fit(X, y)
    assert proda.n_draws_ == 5
    assert proda.confidence_ == pytest.approx(1 - (1 - clean_probability(60, 30, 10)) ** 5)
    proda = ProdaDefense(n_poison=10, random_state=0).fit(X, y)
    assert 0.99 <= proda.confidence_ < 1
    assert ProdaDefense(n_poison=0).fit(X, y).n_draws_ == 1


@EVERY_MODEL
def test_proda_returns_the_model_of_its_smallest_loss(shifted: Rows, model: Any) -> None:
    X, y, mask = shifted(80, 4, 20)
    proda = ProdaDefense(model, n_poison=20, random_state=0).fit(X, y)
    assert np.array_equal(proda.support_, ~mask)
    kept = clone(model).fit(X[~mask], y[~mask])
    assert proda.objective_ == pytest.approx(kept.objective(X[~mask], y[~mask]), rel=1e-6)
    np.testing.assert_allclose(proda.coef_, kept.coef_, atol=1e-9)
