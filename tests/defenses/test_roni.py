"""RONI: the rises of the validation error, and what is removed for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses import (
    RONIDefense,
)
from poisonbench.defenses.roni import rises_by_active_set, rises_by_rank_one, rises_by_refits
from poisonbench.models import ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([1, 5, 30]), by=st.sampled_from("la"))
def test_rank_one_rises_are_those_of_refits(noisy: Rows, seed: int, d: int, by: str) -> None:
    X, y, _ = noisy(40, d, seed)
    rows = np.random.default_rng(seed).permutation(40)
    training, validation = rows[:8], rows[8:20]
    model = Ridge(1e-2) if by == "l" else Ridge(alpha=0.1)
    closed = rises_by_rank_one(model, X, y, training, validation)
    refitted = rises_by_refits(model, X, y, training, validation)
    np.testing.assert_allclose(closed, refitted, atol=1e-8)
    assert (closed[training] == 0).all()
    assert np.ptp(closed) > 0


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([1, 5, 30]), rho=st.sampled_from([0.4, 1.0]))
def test_active_set_rises_are_those_of_refits(noisy: Rows, seed: int, d: int, rho: float) -> None:
    X, y, _ = noisy(40, d, seed)
    rows = np.random.default_rng(seed).permutation(40)
    training, validation = rows[:8], rows[8:20]
    model = Lasso(0.02) if rho == 1 else ElasticNet(0.02, rho=rho)
    ours = rises_by_active_set(model, X, y, training, validation)
    refitted = rises_by_refits(model.solver(9), X, y, training, validation)
    np.testing.assert_allclose(ours, refitted, atol=1e-6 * np.abs(refitted).max())
    assert (ours[training] == 0).all()
    assert np.ptp(ours) > 0


def test_roni_removes_the_rows_that_do_harm(noisy: Rows) -> None:
    X, y, _ = noisy(100, 2, outliers=0.0)
    y[:5] += 5.0
    roni = RONIDefense(n_poison=5, trials=60, random_state=0).fit(X, y)
    assert not roni.support_[:5].any()
    assert roni.impact_[~roni.support_].min() >= roni.impact_[roni.support_].max()


@pytest.mark.filterwarnings("ignore:Singular matrix", "ignore:An ill-conditioned matrix")
def test_roni_refits_where_features_swallow_the_penalty(noisy: Rows) -> None:
    X, y, _ = noisy(60, 5)
    training, validation = np.arange(3), np.arange(3, 20)
    for closed in (
        rises_by_rank_one(Ridge(alpha=0.1), 1e8 * X, y, training, validation),
        RONIDefense(Ridge(alpha=0.1), random_state=0).fit(1e8 * X, y).impact_,
    ):
        assert np.isfinite(closed).all()
        assert np.ptp(closed) > 0


def test_roni_sizes_are_shares(noisy: Rows) -> None:
    X, y, _ = noisy(20, 2)
    with pytest.raises(ValueError, match="18 \\+ 4 rows, expected at most the 20"):
        RONIDefense(train_share=0.9, validation_share=0.2).fit(X, y)


@pytest.mark.parametrize("model", [Ridge(1e-2), SklearnRidge(0.1)], ids=str)
def test_roni_by_threshold_removes_what_stands_out(noisy: Rows, model: Any) -> None:
    X, y, _ = noisy(50, 2, outliers=0.0)
    y[:3] += 5.0
    given = {"rule": "threshold", "trials": 4, "random_state": 0}
    roni = RONIDefense(model, threshold=3.0, **given).fit(X, y)
    assert roni.n_poison_ == (~roni.support_).sum()
    above = roni.impact_ - np.median(roni.impact_)
    beyond = above > 3.0 * 1.4826 * np.median(np.abs(above))
    assert np.array_equal(beyond, ~roni.support_)
    assert beyond.any()
    assert RONIDefense(model, threshold=1e6, **given).fit(X, y).support_.all()


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_roni_in_parallel_is_the_same(noisy: Rows, backend: str) -> None:
    X, y, _ = noisy(16, 2)
    with parallel_config(backend):
        one, two = (
            RONIDefense(Lasso(1e-2), trials=2, n_jobs=jobs, random_state=0).fit(X, y)
            for jobs in (1, 2)
        )
    assert np.array_equal(one.impact_, two.impact_)


class CountingRegressor(RegressorMixin, BaseEstimator):
    """Predicts the number of rows that it was fitted to."""

    def fit(self, X: Any, y: Any) -> Any:
        self.coef_, self.intercept_ = np.zeros(X.shape[1]), float(len(y))
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.intercept_)


def test_the_impact_is_the_mean_over_trials_that_a_row_joined() -> None:
    """A row that a trial is trained on cannot join it, and that trial says nothing of the row."""
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 2)), np.zeros(40)
    roni = RONIDefense(
        CountingRegressor(), n_poison=4, trials=6, train_share=0.25, validation_share=0.5,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    # With responses 0, one more row than 10 raises every squared error from 100 to 121.
    assert roni.impact_ == pytest.approx(np.full(40, 21.0))
