"""RANSAC: its samples, its consensus and its tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import (
    RANSACRegressor,
)

from poisonbench.defenses import (
    RANSACDefense,
)
from poisonbench.defenses.ransac import NoConsensusError, _quick, _Unchecked
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

Rows = Callable[..., tuple[Any, Any, Any]]


def test_ransac_is_scikit_learns(noisy: Rows) -> None:
    X, y, _ = noisy(100, 4)
    ours = RANSACDefense(Ridge(1e-2), min_samples=0.1, residual_threshold=0.3, random_state=0)
    ours.fit(X, y)
    kept = ours.support_
    np.testing.assert_allclose(ours.coef_, Ridge(1e-2).fit(X[kept], y[kept]).coef_, atol=1e-12)
    theirs = RANSACRegressor(
        Ridge(1e-2), min_samples=10, residual_threshold=0.3, random_state=0
    ).fit(X, y)
    assert abs(int(kept.sum()) - int(theirs.inlier_mask_.sum())) <= 5


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-2), Ridge(alpha=0.3)], ids=str)
@pytest.mark.parametrize("d", [3, 40])
def test_the_learner_without_checks_is_the_learner(noisy: Rows, model: Any, d: int) -> None:
    X, y, _ = noisy(30, d)
    quick, checked = _Unchecked(model).fit(X, y), model.fit(X, y)
    np.testing.assert_allclose(quick.predict(X), checked.predict(X), atol=1e-9)
    np.testing.assert_allclose(quick.coef_, checked.coef_, atol=1e-9)
    assert quick.score(X, y) == pytest.approx(checked.score(X, y))


def test_ransac_keeps_the_rows_that_agree(noisy: Rows) -> None:
    X, y, mask = noisy(200, 3)
    ransac = RANSACDefense(residual_threshold=0.4, random_state=0).fit(X, y)
    assert not (ransac.support_ & mask).any()
    assert ransac.support_.sum() > 0.9 * (~mask).sum()
    assert ransac.min_samples_ in ransac.errors_


@pytest.mark.parametrize("model", [Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2),
                                   ElasticNet(1e-2, rho=0.4)], ids=str)  # fmt: skip
def test_samples_have_the_penalty_of_all_rows(noisy: Rows, model: Any) -> None:
    X, y, _ = noisy(100, 4)
    few = _quick(model, 100, 20).fit(X[:20], y[:20])

    def objective(w: Any, b: float) -> float:
        squares = ((y[:20] - X[:20] @ w - b) ** 2).sum()
        return float(squares + 100 * model.lambda_for(100) * model.penalty(w))

    least = objective(few.coef_, few.intercept_)
    for step in 1e-2 * np.vstack([np.eye(4), -np.eye(4)]):
        w = few.coef_ + step
        assert objective(w, (y[:20] - X[:20] @ w).mean()) > least


def test_ransac_refines_its_consensus(noisy: Rows) -> None:
    X, y, mask = noisy(200, 3)
    given: dict[str, Any] = {
        "min_samples": 0.02, "residual_threshold": 0.3, "max_trials": 3, "random_state": 0
    }  # fmt: skip
    plain, refined = (RANSACDefense(refinements=r, **given).fit(X, y) for r in (0, 50))
    assert refined.support_.sum() > plain.support_.sum()
    agrees = np.abs(y - refined.predict(X)) <= 0.3
    assert agrees.sum() <= refined.support_.sum()  # one more would not be more
    errors = [np.mean((m.predict(X) - y)[~mask] ** 2) for m in (plain, refined)]
    assert errors[1] < errors[0]


def test_ransac_says_when_nothing_agrees(noisy: Rows) -> None:
    X, y, _ = noisy(40, 2)
    ransac = RANSACDefense(min_samples=0.5, residual_threshold=1e-9, random_state=0)
    with pytest.raises(NoConsensusError, match="within 1e-09; expected a larger"):
        ransac.fit(X, y)


def test_ransac_tuning_says_where_there_is_no_consensus(noisy: Rows) -> None:
    X, y, _ = noisy(40, 2)
    ransac = RANSACDefense(random_state=0).fit(X, y)
    assert ransac.note_ is None
    assert np.isfinite(list(ransac.errors_.values())).all()
    y = np.where(np.arange(40) < 36, y, y + 1e6)
    narrow = RANSACDefense(OLS(), residual_threshold=1e-7, max_trials=1, random_state=3)
    errors = narrow._held_out_errors(X, y, 3)  # samples of more than 3 rows agree with no row
    assert errors[0.5] == np.inf
