"""Fits to differently weighted rows, against scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet as SklearnElasticNet

from poisonbench.defenses.engines import fits as engine
from poisonbench.defenses.engines.fits import DescentRefits, SparseRefits, fits
from poisonbench.models import ElasticNet, Lasso

Rows = Callable[..., tuple[Any, Any, Any]]


@pytest.mark.parametrize("most_columns", [2000, 0])
@pytest.mark.parametrize("model", [Lasso(0.02), ElasticNet(0.02, rho=0.4)], ids=str)
def test_weighted_and_partial_fits_are_those_of_scikit_learn(
    noisy: Rows, monkeypatch: pytest.MonkeyPatch, model: Any, most_columns: int
) -> None:
    monkeypatch.setattr(engine, "MOST_COLUMNS", most_columns)
    X, y, _ = noisy(60, 8)
    made = fits(model, X + 100.0, y)
    assert isinstance(made, SparseRefits if most_columns else DescentRefits)
    rng = np.random.default_rng(0)
    theirs = SklearnElasticNet(
        alpha=model.alpha_for(60), l1_ratio=model.l1_ratio(), tol=1e-12, max_iter=100_000
    )
    few, many = np.ones(60), rng.uniform(0.1, 2.0, 60)
    few[:10] = rng.random(10)
    for weight in (few, many, np.ones(60), few):
        # scikit-learn divides by the sum of weights where the learner's penalty is for N rows.
        theirs.set_params(alpha=model.alpha_for(60) * 60 / weight.sum())
        expected = y - theirs.fit(X, y, sample_weight=weight).predict(X)
        np.testing.assert_allclose(made.on_weights(weight).residual, expected, atol=1e-6)
    theirs.set_params(alpha=model.alpha_for(60))
    for _ in range(4):
        kept = rng.random(60) < 0.7
        fitted = made.on_rows(kept)
        expected = y - theirs.fit(X[kept], y[kept]).predict(X)
        np.testing.assert_allclose(fitted.residual, expected, atol=1e-6)
        penalty = model.lambda_for(int(kept.sum())) * model.penalty(theirs.coef_)
        assert fitted.penalty == pytest.approx(penalty, rel=1e-6)
