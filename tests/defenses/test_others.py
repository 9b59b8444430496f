"""Huber, RANSAC, RONI and robust thresholding: each against what it should equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import (
    HuberRegressor,
    OrthogonalMatchingPursuit,
    RANSACRegressor,
    TheilSenRegressor,
)
from sklearn.linear_model import Lasso as SklearnLasso
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline

from poisonbench.defenses import (
    ChenDefense,
    HuberDefense,
    RANSACDefense,
    RoMPDefense,
    RONIDefense,
    TheilSenDefense,
)
from poisonbench.defenses.chen import trimmed_sums
from poisonbench.defenses.huber import huber_scale
from poisonbench.defenses.ransac import NoConsensusError, _quick, _Unchecked
from poisonbench.defenses.romp import pursue
from poisonbench.defenses.roni import rises_by_rank_one, rises_by_refits
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge


def noisy(n: int, d: int, seed: int = 0, outliers: float = 0.2) -> tuple[Any, Any, Any]:
    """Return rows, responses, and which responses were shifted up by about 1."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    y = X @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n)
    mask = rng.random(n) < outliers
    y[mask] += 1 + rng.random(int(mask.sum()))
    return X, y, mask


# --- Huber ---------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize("epsilon", [1.1, 1.35, 2.0])
def test_huber_with_ridge_is_scikit_learns(alpha: float, epsilon: float) -> None:
    X, y, _ = noisy(200, 5)
    ours = HuberDefense(Ridge(alpha=alpha), epsilon=epsilon, tol=1e-9, max_iter=5000).fit(X, y)
    theirs = HuberRegressor(
        epsilon=epsilon, alpha=alpha / ours.scale_, max_iter=5000, tol=1e-9
    ).fit(X, y)
    assert ours.scale_ == pytest.approx(theirs.scale_, rel=1e-3)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-4)


def test_huber_with_ols_is_scikit_learns() -> None:
    X, y, _ = noisy(200, 5)
    ours = HuberDefense(OLS(), epsilon=1.35, tol=1e-9, max_iter=5000).fit(X, y)
    theirs = HuberRegressor(epsilon=1.35, alpha=0.0, max_iter=5000, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-2), Lasso(1e-2), ElasticNet(1e-2)], ids=str)
def test_huber_with_a_large_threshold_is_the_learner(model: Any) -> None:
    X, y, _ = noisy(100, 5)
    huber = HuberDefense(model, epsilon=1e6).fit(X, y)
    np.testing.assert_allclose(huber.coef_, model.fit(X, y).coef_, atol=1e-6)


def test_huber_says_what_came_of_its_iteration() -> None:
    X, y, _ = noisy(100, 5)
    assert HuberDefense(epsilon=1.35).fit(X, y).note_ is None
    short = HuberDefense(epsilon=1.35, max_iter=2, tol=1e-12).fit(X, y)
    assert short.note_ == "not converged after 2 rounds of reweighting"
    assert short.n_iter_ == 3
    for seed in range(20):  # in any order of rows, whatever is left of the residuals by rounding
        exact = HuberDefense(OLS(), epsilon=1.35, random_state=seed)
        exact.fit(np.eye(5), np.arange(5.0))
        assert exact.note_ == "scale 0: most rows are fitted exactly"


@pytest.mark.parametrize("model", [Lasso(0.02), ElasticNet(0.02, rho=0.4)], ids=str)
def test_huber_meets_the_optimality_conditions(model: Any) -> None:
    X, y, _ = noisy(150, 6)
    huber = HuberDefense(model, epsilon=1.35, tol=1e-9, max_iter=5000).fit(X, y)
    cut = huber.epsilon_ * huber.scale_
    pull = np.clip(y - huber.predict(X), -cut, cut)
    w, lam, rho = huber.coef_, model.lambda_for(150), model.l1_ratio()
    gradient = 2 * X.T @ pull / 150 - lam * (1 - rho) * w
    active = w != 0
    np.testing.assert_allclose(gradient[active], lam * rho * np.sign(w[active]), atol=1e-5)
    assert (np.abs(gradient[~active]) <= lam * rho + 1e-5).all()
    assert abs(pull.mean()) < 1e-5


def test_huber_agrees_for_learners_with_and_without_weights() -> None:
    X, y, _ = noisy(100, 5)
    ours, theirs = (
        HuberDefense(model, epsilon=1.35, tol=1e-8, max_iter=5000).fit(X, y)
        for model in (Lasso(alpha=1e-2), SklearnLasso(alpha=1e-2, tol=1e-10))
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@given(seed=st.integers(0, 1000), epsilon=st.floats(1.01, 4.0), scale=st.floats(1e-3, 1e3))
def test_the_scale_solves_its_equation(seed: int, epsilon: float, scale: float) -> None:
    residual = np.random.default_rng(seed).standard_t(2, 50) * scale
    s = huber_scale(residual, epsilon)
    assert np.mean(np.minimum((residual / s) ** 2, epsilon**2)) == pytest.approx(1.0)
    assert huber_scale(3 * residual, epsilon) == pytest.approx(3 * s)


def test_the_scale_of_an_exact_fit_is_zero() -> None:
    assert huber_scale(np.r_[np.zeros(30), np.ones(5)], 1.35) == 0.0
    assert huber_scale(np.zeros(10), np.inf) == 0.0


def test_huber_chooses_a_small_threshold_under_attack() -> None:
    X, y, mask = noisy(200, 5)
    attacked = HuberDefense(random_state=0).fit(X, y)
    assert attacked.epsilon_ == min(attacked.errors_, key=attacked.errors_.__getitem__)
    assert attacked.epsilon_ < 1.5
    clean = Ridge().fit(X[~mask], y[~mask])
    assert np.abs(attacked.coef_ - clean.coef_).max() < 0.15
    assert np.abs(Ridge().fit(X, y).coef_ - clean.coef_).max() > 0.15


# --- RANSAC --------------------------------------------------------------------------------


def test_ransac_is_scikit_learns() -> None:
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
def test_the_learner_without_checks_is_the_learner(model: Any, d: int) -> None:
    X, y, _ = noisy(30, d)
    quick, checked = _Unchecked(model).fit(X, y), model.fit(X, y)
    np.testing.assert_allclose(quick.predict(X), checked.predict(X), atol=1e-9)
    np.testing.assert_allclose(quick.coef_, checked.coef_, atol=1e-9)
    assert quick.score(X, y) == pytest.approx(checked.score(X, y))


def test_ransac_keeps_the_rows_that_agree() -> None:
    X, y, mask = noisy(200, 3)
    ransac = RANSACDefense(residual_threshold=0.4, random_state=0).fit(X, y)
    assert not (ransac.support_ & mask).any()
    assert ransac.support_.sum() > 0.9 * (~mask).sum()
    assert ransac.min_samples_ in ransac.errors_


@pytest.mark.parametrize("model", [Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2),
                                   ElasticNet(1e-2, rho=0.4)], ids=str)  # fmt: skip
def test_samples_have_the_penalty_of_all_rows(model: Any) -> None:
    X, y, _ = noisy(100, 4)
    few = _quick(model, 100, 20).fit(X[:20], y[:20])

    def objective(w: Any, b: float) -> float:
        squares = ((y[:20] - X[:20] @ w - b) ** 2).sum()
        return float(squares + 100 * model.lambda_for(100) * model.penalty(w))

    least = objective(few.coef_, few.intercept_)
    for step in 1e-2 * np.vstack([np.eye(4), -np.eye(4)]):
        w = few.coef_ + step
        assert objective(w, (y[:20] - X[:20] @ w).mean()) > least


def test_ransac_refines_its_consensus() -> None:
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


def test_ransac_says_when_nothing_agrees() -> None:
    X, y, _ = noisy(40, 2)
    ransac = RANSACDefense(min_samples=0.5, residual_threshold=1e-9, random_state=0)
    with pytest.raises(NoConsensusError, match="within 1e-09; expected a larger"):
        ransac.fit(X, y)


# --- RONI ----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([1, 5, 30]), by=st.sampled_from("la"))
def test_rank_one_rises_are_those_of_refits(seed: int, d: int, by: str) -> None:
    X, y, _ = noisy(40, d, seed)
    rows = np.random.default_rng(seed).permutation(40)
    training, validation = rows[:8], rows[8:20]
    model = Ridge(1e-2) if by == "l" else Ridge(alpha=0.1)
    closed = rises_by_rank_one(model, X, y, training, validation)
    refitted = rises_by_refits(model, X, y, training, validation)
    np.testing.assert_allclose(closed, refitted, atol=1e-8)
    assert (closed[training] == 0).all()
    assert np.ptp(closed) > 0


def test_roni_removes_the_rows_that_do_harm() -> None:
    X, y, _ = noisy(100, 2, outliers=0.0)
    y[:5] += 5.0
    roni = RONIDefense(n_poison=5, trials=60, random_state=0).fit(X, y)
    assert not roni.support_[:5].any()
    assert roni.impact_[~roni.support_].min() >= roni.impact_[roni.support_].max()


@pytest.mark.filterwarnings("ignore:Singular matrix", "ignore:An ill-conditioned matrix")
def test_roni_refits_where_features_swallow_the_penalty() -> None:
    X, y, _ = noisy(60, 5)
    training, validation = np.arange(3), np.arange(3, 20)
    for closed in (
        rises_by_rank_one(Ridge(alpha=0.1), 1e8 * X, y, training, validation),
        RONIDefense(Ridge(alpha=0.1), random_state=0).fit(1e8 * X, y).impact_,
    ):
        assert np.isfinite(closed).all()
        assert np.ptp(closed) > 0


def test_roni_sizes_are_shares() -> None:
    X, y, _ = noisy(20, 2)
    with pytest.raises(ValueError, match="18 \\+ 4 rows, expected at most the 20"):
        RONIDefense(train_share=0.9, validation_share=0.2).fit(X, y)


# --- robust thresholding -------------------------------------------------------------------


@given(seed=st.integers(0, 1000), dropped=st.integers(0, 9))
def test_trimmed_sums_drop_the_largest(seed: int, dropped: int) -> None:
    terms = np.random.default_rng(seed).standard_normal((10, 3))
    expected = [sum(sorted(column, key=abs)[: 10 - dropped]) for column in terms.T]
    np.testing.assert_allclose(trimmed_sums(terms, dropped), expected, atol=1e-12)


def test_chen_without_poison_is_marginal_regression() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 6))
    w = np.array([3.0, 0.0, -2.0, 0.0, 0.0, 0.0])
    chen = ChenDefense(n_poison=0, random_state=0).fit(X, X @ w + 5)
    assert chen.n_nonzero_ == 2
    np.testing.assert_allclose(chen.coef_, w, atol=0.3)
    assert chen.intercept_ == pytest.approx(5, abs=0.2)


def test_chen_resists_rows_as_large_as_they_like() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = X @ np.array([3.0, 0.0, 0.0, 0.0])
    X[:20, 2], y[:20] = 1e6, 1e6
    chen = ChenDefense(n_poison=20, random_state=0).fit(X, y)
    assert chen.n_nonzero_ == 1
    assert 2.5 < chen.coef_[0] < 4.5  # the norm loses its largest terms, the product poison
    assert chen.coef_[2] == 0


def test_chen_leaves_out_columns_that_rest_on_p_rows() -> None:
    X, y, _ = noisy(100, 2)
    X = np.column_stack([X, np.arange(100) < 10])
    for n_poison, excluded in ((9, False), (10, True)):
        chen = ChenDefense(n_poison=n_poison, n_nonzero=3).fit(X, y)
        assert (chen.coef_[2] == 0) == excluded


def test_chen_keeps_as_many_weights_as_told() -> None:
    X, y, _ = noisy(100, 5)
    for k in (0, 2, 9):
        chen = ChenDefense(n_nonzero=k).fit(X, y)
        assert (chen.coef_ != 0).sum() == min(k, 5) == chen.n_nonzero_
    assert np.median(y) == ChenDefense(n_nonzero=0).fit(X, y).intercept_


# --- robust matching pursuit ---------------------------------------------------------------


def test_romp_without_poison_is_orthogonal_matching_pursuit() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 8))
    X -= np.median(X, axis=0)
    y = X @ np.array([3.0, 0, -2.0, 0, 0, 1.0, 0, 0])
    y -= np.median(y)
    scale = np.sqrt((X**2).sum(axis=0))
    theirs = OrthogonalMatchingPursuit(n_nonzero_coefs=3, fit_intercept=False).fit(X / scale, y)
    np.testing.assert_allclose(pursue(X, y, 3, 0.0)[-1], theirs.coef_ / scale, atol=1e-8)


def test_romp_resists_rows_as_large_as_they_like() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 4))
    y = X @ np.array([3.0, 0.0, 0.0, 1.0])
    X[:20, 2], y[:20] = 1e6, 1e6
    romp = RoMPDefense(n_poison=20, random_state=0).fit(X, y)
    assert romp.coef_[2] == 0
    # The norms lose their largest terms, the products the poison ones.
    np.testing.assert_allclose(romp.coef_[[0, 3]], [3.0, 1.0], atol=1.0)


@given(seed=st.integers(0, 200), most=st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_romp_chooses_one_column_a_round(seed: int, most: int) -> None:
    X, y, _ = noisy(40, 6, seed)
    path = pursue(X, y, most, 0.1)
    assert path.shape == (most + 1, 6)
    assert ((path != 0).sum(axis=1) <= np.arange(most + 1)).all()
    romp = RoMPDefense(n_nonzero=most + 5).fit(X, y)
    assert romp.n_nonzero_ == min(most + 5, 6)


# --- Theil-Sen -----------------------------------------------------------------------------


def test_theil_sen_on_all_components_is_scikit_learns() -> None:
    X, y, _ = noisy(60, 2)
    ours = TheilSenDefense(n_components=2, max_subsets=40_000, random_state=0).fit(X, y)
    theirs = make_pipeline(PCA(2), TheilSenRegressor(max_subpopulation=40_000, random_state=0))
    np.testing.assert_allclose(ours.predict(X), theirs.fit(X, y).predict(X), atol=1e-6)
    assert ours.note_ == "no penalty; 2 of 2 principal components"


def test_theil_sen_reduces_the_dimension() -> None:
    X, y, _ = noisy(40, 100)
    model = TheilSenDefense(max_subsets=50, random_state=0).fit(X, y)
    assert model.n_components_ == min(model.errors_, key=model.errors_.__getitem__)
    assert max(model.errors_) == 16
    assert TheilSenDefense(n_components=90, max_subsets=5).fit(X, y).n_components_ == 38


# --- RONI, the rest ------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Ridge(1e-2), SklearnRidge(0.1)], ids=str)
def test_roni_by_threshold_removes_what_stands_out(model: Any) -> None:
    X, y, _ = noisy(100, 2, outliers=0.0)
    y[:5] += 5.0
    given = {"rule": "threshold", "trials": 4, "random_state": 0}
    roni = RONIDefense(model, threshold=3.0, **given).fit(X, y)
    assert roni.n_poison_ == (~roni.support_).sum()
    above = roni.impact_ - np.median(roni.impact_)
    beyond = above > 3.0 * 1.4826 * np.median(np.abs(above))
    assert np.array_equal(beyond, ~roni.support_)
    assert beyond.any()
    assert RONIDefense(model, threshold=1e6, **given).fit(X, y).support_.all()


def test_roni_in_parallel_is_the_same() -> None:
    X, y, _ = noisy(16, 2)
    one, two = (
        RONIDefense(Lasso(1e-2), trials=2, n_jobs=jobs, random_state=0).fit(X, y) for jobs in (1, 2)
    )
    assert np.array_equal(one.impact_, two.impact_)


def test_ransac_tuning_says_where_there_is_no_consensus() -> None:
    X, y, _ = noisy(40, 2)
    ransac = RANSACDefense(random_state=0).fit(X, y)
    assert ransac.note_ is None
    assert np.isfinite(list(ransac.errors_.values())).all()
    y = np.where(np.arange(40) < 36, y, y + 1e6)
    narrow = RANSACDefense(OLS(), residual_threshold=1e-7, max_trials=1, random_state=3)
    errors = narrow._held_out_errors(X, y, 3)  # samples of more than 3 rows agree with no row
    assert errors[0.5] == np.inf
