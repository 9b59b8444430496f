"""The sanitizer: each score against its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.base import clone

from poisonbench.defenses import (
    SanitizerDefense,
)
from poisonbench.defenses.sanitizer import distance_from_components, leverages, neighbour_distance
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
MODELS = [OLS(), Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.4)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)
SCORES = ("loss", "leverage", "cook", "knn", "svd", "isolation-forest")
SEEDS = st.integers(0, 10_000)


@EVERY_MODEL
@pytest.mark.parametrize("d", [3, 30])
def test_leverages_are_derivatives(shifted: Rows, model: Any, d: int) -> None:
    X, y, _ = shifted(20, d, 0, noise=0.3)
    step = 1e-5
    expected = [
        (
            clone(model).fit(X, y + step * row).predict(X)[i]
            - clone(model).fit(X, y - step * row).predict(X)[i]
        )
        / (2 * step)
        for i, row in enumerate(np.eye(20))
    ]
    np.testing.assert_allclose(leverages(clone(model).fit(X, y), X), expected, atol=1e-4)


def test_cook_measures_what_deleting_a_row_changes(shifted: Rows) -> None:
    X, y, _ = shifted(40, 3, 5)
    scores = SanitizerDefense(OLS(), score_by="cook").fit(X, y).scores_
    full = OLS().fit(X, y).predict(X)
    deleted = [
        ((full - OLS().fit(np.delete(X, i, 0), np.delete(y, i)).predict(X)) ** 2).sum()
        for i in range(40)
    ]
    np.testing.assert_allclose(scores, deleted, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 30))
def test_neighbour_distances_are_sorted_ones(seed: int, k: int) -> None:
    Z = np.random.default_rng(seed).random((20, 3))
    expected = np.sort(cdist(Z, Z), axis=1)[:, min(k, 19)]
    np.testing.assert_allclose(neighbour_distance(Z, k), expected, atol=1e-9)


def test_components_leave_a_twentieth_of_the_norm() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 8)) * 10.0 ** -np.arange(8)
    distance = distance_from_components(Z)
    centred = Z - Z.mean(axis=0)
    whole = np.linalg.norm(centred)
    assert np.linalg.norm(distance) <= 0.05 * whole
    _, s, Vt = np.linalg.svd(centred)
    k = next(k for k in range(9) if np.sqrt((s[k:] ** 2).sum()) <= 0.05 * whole)
    np.testing.assert_allclose(distance, np.linalg.norm(centred @ Vt[k:].T, axis=1), atol=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_each_score_finds_what_it_looks_for(score: Any) -> None:
    rng = np.random.default_rng(0)
    t = rng.random((100, 1))
    X = np.hstack([t, t]) + 0.01 * rng.standard_normal((100, 2))
    y = t[:, 0] + 0.01 * rng.standard_normal(100)
    # Alone, off the line, and wrong; but if it is far away, it is a component of its own.
    X[0], y[0] = ((0.55, 0.45), 0.5) if score == "svd" else ((1.0, 0.0), 3.0)
    model = SanitizerDefense(n_poison=1, score_by=score, random_state=0).fit(X, y)
    assert np.flatnonzero(~model.support_).tolist() == [0]
    assert model.scores_.argmax() == 0


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("case", ["wide", "one distinct row", "constant y", "identical poison"])
def test_sanitizers_survive_degenerate_rows(shifted: Rows, score: Any, case: str) -> None:
    X, y, _ = shifted(30, 40 if case == "wide" else 3, 6)
    if case == "one distinct row":
        X, y = np.repeat(X[:1], 30, axis=0), np.repeat(y[:1], 30)
    elif case == "constant y":
        y = np.full(30, 0.7)
    elif case == "identical poison":
        X[20:], y[20:] = 1.0, 0.0
    for p in (0, 15) if score != "isolation-forest" else (15,):
        model = SanitizerDefense(n_poison=p, score_by=score, random_state=0).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert (~model.support_).sum() == p
