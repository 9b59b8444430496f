"""TORRENT: full steps, gradient steps and what they withstand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses import (
    TORRENTDefense,
    TRIMRegressor,
)
from poisonbench.defenses.torrent import descend
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]
MODELS = [OLS(), Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.4)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)


@EVERY_MODEL
def test_torrent_with_full_steps_is_trim_from_all_rows(shifted: Rows, model: Any) -> None:
    X, y, mask = shifted(100, 4, 20)
    torrent = TORRENTDefense(model, n_poison=20, step="full", tol=1e-9, random_state=3).fit(X, y)
    trim = TRIMRegressor(model, n_poison=20, start="all", random_state=3).fit(X, y)
    assert np.array_equal(torrent.support_, trim.support_)
    np.testing.assert_allclose(torrent.coef_, trim.coef_, atol=1e-9)
    assert not (torrent.support_ & mask).any()


@EVERY_MODEL
@pytest.mark.parametrize("d", [3, 40])
def test_gradient_steps_end_at_the_learner_on_the_rows_kept(
    shifted: Rows, model: Any, d: int
) -> None:
    X, y, _ = shifted(30, d, 6, noise=0.1)
    end = descend(model, X, y, 24, max_iter=200_000, tol=1e-10)
    assert end.converged
    assert end.n_iter < 200_000
    fitted = clone(model).fit(X[end.kept], y[end.kept])
    np.testing.assert_allclose(end.residual[end.kept], (y - fitted.predict(X))[end.kept], atol=1e-5)
    size = np.abs(end.residual)
    assert size[end.kept].max() <= size[~end.kept].min()


def test_gradient_steps_withstand_rows_that_a_full_fit_hugs() -> None:
    rng = np.random.default_rng(0)
    X = np.hstack([rng.random((120, 2)), np.zeros((120, 20))])
    y = X[:, 0] / 2 + 0.01 * rng.standard_normal(120)
    X[100:, 2:] = np.eye(20)  # each row in a category of its own
    y[100:] = 1.0
    kept = {}
    for step in ("full", "gradient"):
        torrent = TORRENTDefense(Ridge(alpha=1e-3), n_poison=20, step=step).fit(X, y)  # type: ignore[arg-type]
        kept[step] = torrent.support_[100:].sum()
        assert torrent.step_ == step
    assert kept["gradient"] == 0
    assert kept["full"] > 10


def test_torrent_takes_full_steps_where_it_knows_no_gradient(shifted: Rows) -> None:
    X, y, _ = shifted(50, 3, 10)
    assert TORRENTDefense(SklearnRidge(0.1)).fit(X, y).step_ == "full"
    assert TORRENTDefense(Ridge(alpha=0.1)).fit(X, y).step_ == "gradient"
    with pytest.raises(ValueError, match="step is 'gradient', expected 'full' or 'auto' for a Li"):
        TORRENTDefense(LinearRegression(), step="gradient").fit(X, y)
