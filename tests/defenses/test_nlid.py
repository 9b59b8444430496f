"""N-LID: dimensionalities, weights and the fit with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses import (
    NLIDDefense,
)
from poisonbench.defenses.nlid import nlid, weights
from poisonbench.models import Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
SEEDS = st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(2, 19))
def test_nlid_is_the_ratio_of_dimensionalities(seed: int, k: int) -> None:
    Z = np.random.default_rng(seed).random((20, 3))
    distances = cdist(Z, Z)
    nearest = np.argsort(distances, axis=1)[:, 1 : k + 1]
    r = np.take_along_axis(distances, nearest, axis=1)
    lid = np.array([min(-1 / np.mean(np.log(row / row[-1])), 20) for row in r])
    np.testing.assert_allclose(nlid(Z, k), lid[nearest].mean(axis=1) / lid, rtol=1e-9)


def test_rows_with_a_copy_have_infinite_nlid() -> None:
    Z = np.random.default_rng(0).random((30, 40))
    Z[5] = Z[21] = Z[8]
    for k in (2, 7, 29, 100):
        ratio = nlid(Z, k)
        assert np.flatnonzero(np.isinf(ratio)).tolist() == [5, 8, 21]
        assert (ratio >= 0).all()
    assert np.isinf(nlid(np.ones((10, 2)), 3)).all()


@given(
    ratio=st.lists(st.floats(0.01, 9.0), min_size=1, max_size=30),
    exponent=st.sampled_from([0.07, 0.5, 1.0]),
)
def test_nlid_weights_fall_and_end_at_the_cutoff(ratio: list[float], exponent: float) -> None:
    values = np.array(ratio)
    weight = weights(values, 5.0, exponent)
    if (values >= 5).all():
        assert (weight == 1).all()
        return
    assert (weight[values >= 5] == 1e-6).all()
    assert weight[values.argmin()] == 1
    order = np.argsort(values)
    assert (np.diff(weight[order]) <= 0).all()
    inside = values[values < 5]
    if np.ptp(inside) > 0:
        u = (inside - inside.min()) / np.ptp(inside)
        expected = np.maximum(1 - (2 * u - u**2) ** exponent, 1e-6)
        np.testing.assert_allclose(weight[values < 5], expected, atol=1e-9)


def test_nlid_finds_a_crowd() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((200, 2))
    y = X @ [0.5, 0.3] + 0.02 * rng.standard_normal(200)
    X[:20], y[:20] = 1 - 0.01 * rng.random((20, 2)), 0.01 * rng.random(20)
    model = NLIDDefense(random_state=0).fit(X, y)
    assert np.median(model.nlid_[:20]) > 2 * np.median(model.nlid_[20:])
    assert model.weights_[:20].mean() < 0.3 * model.weights_[20:].mean()
    clean = np.arange(200) >= 20
    errors = [np.mean((m.predict(X) - y)[clean] ** 2) for m in (model, Ridge().fit(X, y))]
    assert errors[0] < 0.3 * errors[1]


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_nlid_fits_with_its_weights(shifted: Rows, alpha: float) -> None:
    X, y, _ = shifted(80, 4, 10)
    model = NLIDDefense(Ridge(alpha=alpha)).fit(X, y)
    weighted = SklearnRidge(alpha=alpha).fit(X, y, sample_weight=model.weights_)
    np.testing.assert_allclose(model.coef_, weighted.coef_, atol=1e-8)
    assert model.intercept_ == pytest.approx(weighted.intercept_, abs=1e-8)
    iterated = NLIDDefense(SklearnRidge(alpha=alpha), max_iter=5000).fit(X, y)
    np.testing.assert_allclose(iterated.coef_, weighted.coef_, atol=1e-6)
    assert model.n_iter_ == 1 < iterated.n_iter_
