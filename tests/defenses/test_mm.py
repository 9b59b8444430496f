"""MM-regression and least trimmed squares: what they solve, and what they withstand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses import LTSRegressor, MMRegressor, SparseLTSRegressor, mm, sparse_lts
from poisonbench.defenses.engines.fits import leave_one_out
from poisonbench.defenses.engines.indicator_columns import indicator_columns
from poisonbench.defenses.fast_lts import lts_scale
from poisonbench.models import OLS, Lasso, Ridge

CITIES = [f"city:{j}" for j in range(6)]


def households(n: int = 240, seed: int = 0) -> tuple[Any, Any]:
    """Return rows with four numeric columns and six cities, the last of which has 30 rows."""
    rng = np.random.default_rng(seed)
    city = np.r_[np.full(30, 5), rng.integers(0, 5, n - 30)]
    X = np.hstack([rng.random((n, 4)), np.eye(6)[city]])
    y = 0.2 + X[:, :4] @ [0.3, -0.1, 0.2, 0.05] + 0.02 * rng.standard_normal(n)
    return X, y


def with_copies(shift: float, p: int = 45, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return the households with copies of the small city's rows, their responses shifted."""
    X, y = households(seed=seed)
    copied = np.arange(p) % 30
    mask = np.arange(len(y) + p) >= len(y)
    return np.vstack([X, X[copied]]), np.append(y, y[copied] + shift), mask


def clean_error(model: Any, seed: int = 1) -> float:
    X, y = households(1000, seed)
    return float(np.mean((X @ model.coef_ + model.intercept_ - y) ** 2))


@pytest.mark.parametrize("d", [3, 60], ids=["primal", "dual"])
@pytest.mark.parametrize("alpha", [1e-3, 0.5])
def test_leave_one_out_is_that_of_refits(d, alpha):
    rng = np.random.default_rng(d)
    X, y = rng.random((25, d)), rng.random(25)
    residual = y - SklearnRidge(alpha).fit(X, y).predict(X)
    expected = [
        y[i] - SklearnRidge(alpha).fit(np.delete(X, i, 0), np.delete(y, i)).predict(X[i : i + 1])[0]
        for i in range(25)
    ]
    np.testing.assert_allclose(leave_one_out(X, y, residual, alpha), expected, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    numeric=st.sampled_from([3, 50]),
    shrinkage=st.sampled_from([0.0, 1 / 12, 1.0]),
    model=st.sampled_from([Ridge(alpha=0.3), Ridge(0.01), OLS()]),
)
def test_the_penalised_estimating_equations_hold(seed, numeric, shrinkage, model):
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.random((40, numeric)), np.eye(4)[rng.integers(0, 4, 40)]])
    y = X[:, 0] + 0.1 * rng.standard_normal(40)
    y[:6] += 2.0
    mm = MMRegressor(
        model, group_shrinkage=shrinkage, tol=1e-9, max_iter=2000, restarts=20, random_state=seed
    ).fit(X, y)
    residual = y - mm.predict(X)
    cut = 4.685 * mm.scale_
    psi = np.maximum(1 - (residual / cut) ** 2, 0) ** 2 * residual
    np.testing.assert_allclose(mm.weights_ * residual, psi, atol=1e-4 * mm.scale_)
    alpha = 0.0 if isinstance(model, OLS) else model.alpha_for(40)
    penalty = np.full(numeric + 4, alpha)
    penalty[numeric:] += shrinkage * 40
    pulls = X.T @ psi - penalty * mm.coef_
    assert np.abs(pulls).max() < 1e-3 * cut + 1e-4 * np.abs(residual).sum()
    assert abs(psi.sum()) < 1e-3 * cut


@pytest.mark.parametrize("model", [Ridge(alpha=0.1), OLS(), Lasso(1e-4)], ids=str)
@pytest.mark.parametrize("shift", [0.4, -0.9])
def test_copies_in_a_small_category_are_rejected_without_knowing_p(model, shift):
    X, y, mask = with_copies(shift)
    names = [*"abcd", *CITIES]
    mm = MMRegressor(model, random_state=0).fit(pd.DataFrame(X, columns=names), y)
    assert not mm.support_[mask].any()
    assert mm.support_[~mask].mean() > 0.95
    assert np.array_equal(mm.support_, mm.weights_ > 0)
    assert clean_error(mm) < 1.2 * clean_error(clone(model).fit(*households()))
    assert mm.rejected_groups_ == ("category city:5: 45 of 75 rows rejected together",)


def test_without_shrinkage_the_copies_are_kept():
    X, y, mask = with_copies(0.4, p=70)
    plain = MMRegressor(Ridge(alpha=0.1), group_shrinkage=0.0, random_state=0).fit(X, y)
    assert plain.support_[mask].all()
    assert clean_error(plain) > 10 * clean_error(MMRegressor(random_state=0).fit(X, y))


def test_reweighting_that_is_cut_short_is_told():
    X, y, _ = with_copies(0.4)
    whole = MMRegressor(random_state=0).fit(X, y)
    short = MMRegressor(max_iter=1, random_state=0).fit(X, y)
    assert "not converged" not in whole.note_
    assert short.note_.endswith("not converged after 1 rounds")


def test_clean_categories_are_not_reported():
    X, y = households()
    mm = MMRegressor(random_state=0).fit(X, y)
    assert mm.rejected_groups_ == ()
    assert mm.scale_ == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("defense", [MMRegressor, LTSRegressor, SparseLTSRegressor])
def test_copies_of_a_central_row_do_not_spoil_the_starts(defense):
    """Every sample of thirty rows would hold some of them."""
    rng = np.random.default_rng(0)
    X = rng.random((300, 25))
    y = 0.3 + (X - 0.5) @ rng.uniform(-0.2, 0.2, 25) + 0.01 * rng.standard_normal(300)
    center = np.argmin(((X - 0.5) ** 2).sum(axis=1))
    X, y = np.vstack([X, np.repeat(X[[center]], 60, axis=0)]), np.append(y, np.ones(60))
    model = defense(random_state=0).fit(X, y)
    assert not model.support_[300:].any()
    assert model.support_[:300].mean() > 0.9


def test_which_columns_are_categories():
    X = np.array([[0.0, 1, 0, 0.5, 0], [1, 0, 1, 0.2, 0], [1, 0, 1, 1.0, 0]])
    names = ["a", "c:1", "c:2", "n:1", "z"]

    def found(groups: Any, names: Any) -> list[int]:
        return np.flatnonzero(indicator_columns(groups, names, X)).tolist()

    assert found(None, None) == [0, 1, 2]  # z has one value only, n:1 others than 0 and 1
    assert found(None, list("abcde")) == [0, 1, 2]
    assert found(None, names) == [1, 2]
    assert found([(3,), np.array([4])], names) == [3, 4]
    assert found([], names) == []


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([(0, 12)], "one_hot_groups has column 12, expected 0 to 9"),
        ([(-1,)], "one_hot_groups has column -1"),
        ([1, 2], r"one_hot_groups is \[1, 2\], expected sequences of column indices"),
        ([("city",)], "expected sequences of column indices"),
    ],
)
def test_groups_that_are_none_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        MMRegressor(one_hot_groups=groups).fit(*households())


@pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
def test_the_scale_is_consistent_at_normal_errors(share):
    residual = 3.0 * np.random.default_rng(0).standard_normal(40_000)
    assert lts_scale(residual, int(share * len(residual))) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize("p", [0, 20, 70])
def test_lts_gives_back_the_clean_rows_that_its_core_leaves_out(p):
    rng = np.random.default_rng(p)
    X = rng.random((300, 5))
    y = X @ np.linspace(0, 1, 5) + 0.05 * rng.standard_normal(300)
    y[:p] = 3.0
    lts = LTSRegressor(random_state=0).fit(X, y)
    assert lts.core_.sum() == 225
    assert not lts.support_[:p].any()
    assert lts.support_[p:].mean() > 0.95
    assert 0.04 < lts.scale_ < 0.1  # h of 300 rows spans nearly all of the clean ones at p = 70
    refit = Ridge().fit(X[lts.support_], y[lts.support_])
    np.testing.assert_allclose(lts.coef_, refit.coef_, atol=1e-12)


@pytest.mark.parametrize("defense", [MMRegressor, LTSRegressor])
def test_many_rows(defense):
    rng = np.random.default_rng(0)
    X = rng.random((20_000, 4))
    y = X @ [0.4, -0.2, 0.1, 0.0] + 0.05 * rng.standard_normal(20_000)
    y[:3000], X[:3000, 0] = 1.0, 0.0
    model = defense(random_state=0).fit(X, y)
    assert not model.support_[:3000].any()
    np.testing.assert_allclose(model.coef_, [0.4, -0.2, 0.1, 0.0], atol=0.01)


@pytest.fixture
def few_are_many(monkeypatch):
    """Many rows are more than 5000; yields whether each fit was that of many rows."""
    monkeypatch.setattr(mm, "MANY_ROWS", 5000)
    monkeypatch.setattr(mm, "SAMPLE_ROWS", 2000)
    outcomes: list[bool] = []
    fit_many = MMRegressor._fit_many

    def noted(*arguments: Any) -> bool:
        outcomes.append(fit_many(*arguments))
        return outcomes[-1]

    monkeypatch.setattr(MMRegressor, "_fit_many", noted)
    return outcomes


def many_households(n: int = 6000) -> tuple[Any, Any, Any]:
    """Return many households; a sixth of the rows are copies with shifted responses."""
    X, y = households(n)
    poison = np.arange(n) % 6 == 0
    X[poison] = X[0]
    y[poison] = y[0] + 0.4
    return X, y, poison


def in_full(model: Any, X: Any, y: Any) -> Any:
    """Return the fit that does not treat the rows as many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mm, "MANY_ROWS", 10**9)
        return clone(model).fit(X, y)


@pytest.mark.parametrize("model", [Ridge(alpha=0.1), Ridge(lam=1e-3)], ids=str)
def test_the_equations_hold_for_many_rows_too(few_are_many, model):
    X, y, poison = many_households()
    fitted = MMRegressor(model, tol=1e-7, random_state=0).fit(X, y)
    assert few_are_many == [True]
    residual = y - X @ fitted.coef_ - fitted.intercept_
    weight = np.maximum(1 - (residual / (4.685 * fitted.scale_)) ** 2, 0) ** 2
    assert np.allclose(fitted.weights_, weight, atol=1e-6)
    penalty = model.alpha_for(len(y)) + np.where(np.arange(10) < 4, 0, len(y) / 12)
    Z = np.column_stack([X, np.ones(len(y))])
    pull = Z.T @ (weight * residual) - np.append(penalty * fitted.coef_, 0)
    assert (np.abs(pull) < 1e-5 * (Z.T @ (weight * np.abs(residual)) + 1e-3)).all()
    assert not fitted.support_[poison].any()
    assert fitted.support_[~poison].mean() > 0.99
    assert fitted.rejected_groups_ == ("category 9: 1000 of 1025 rows rejected together",)
    assert np.allclose(fitted.estimator_.predict(X), fitted.predict(X))


@pytest.mark.parametrize("model", [Ridge(alpha=0.1), Ridge(alpha=300), Lasso(1e-4)], ids=str)
def test_many_rows_are_fitted_as_others_are(few_are_many, model):
    X, y, _ = many_households()
    X[:, 0] += 1e6
    defense = MMRegressor(model, one_hot_groups=[range(4, 10)], tol=1e-6, random_state=0)
    fitted, expected = defense.fit(X, y), in_full(defense, X, y)
    assert few_are_many == [True]
    assert fitted.scale_ == pytest.approx(expected.scale_, rel=0.08)
    assert np.abs(fitted.predict(X) - expected.predict(X)).max() < 0.1 * expected.scale_
    assert (fitted.support_ != expected.support_).mean() < 0.003


@pytest.mark.parametrize("model", [Ridge(alpha=0.1), Lasso(1e-4)], ids=str)
@pytest.mark.usefixtures("few_are_many")
def test_the_order_of_many_rows_makes_no_difference(model):
    X, y, _ = many_households()
    order = np.random.default_rng(1).permutation(len(y))
    given = MMRegressor(model, random_state=0).fit(X, y)
    permuted = MMRegressor(model, random_state=0).fit(X[order], y[order])
    assert np.allclose(given.coef_, permuted.coef_, rtol=1e-6, atol=1e-9)
    assert np.array_equal(given.support_[order], permuted.support_)
    assert clean_error(given) < 1.1 * 0.02**2


@pytest.mark.parametrize("n_rare", [1, 3, 10, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_with_rare_values_are_not_lost_among_many(few_are_many, n_rare, seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.random(6000), np.zeros(6000)])
    rare = rng.choice(6000, n_rare, replace=False)
    X[rare, 1] = rng.integers(1, 4, n_rare) / 3
    y = 0.2 + X @ [0.5, 0.2] + 0.02 * rng.standard_normal(6000)
    defense = MMRegressor(Ridge(alpha=0.1), one_hot_groups=(), random_state=0)
    fitted, expected = defense.fit(X, y), in_full(defense, X, y)
    assert np.allclose(fitted.coef_, expected.coef_, atol=2e-3)
    assert np.array_equal(fitted.support_[rare], expected.support_[rare])
    assert fitted.note_ is None
    assert len(few_are_many) == 1


@pytest.mark.parametrize("alpha", [1e-9, 1e-20])
@pytest.mark.usefixtures("few_are_many")
def test_many_rows_with_copies_of_columns(alpha):
    X, y, _ = many_households()
    doubled = np.hstack([X[:, :4], X[:, :4]])
    defense = MMRegressor(Ridge(alpha=alpha), one_hot_groups=(), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        fitted, expected = defense.fit(doubled, y), in_full(defense, doubled, y)
    assert np.abs(fitted.predict(doubled) - expected.predict(doubled)).max() < 0.5 * fitted.scale_


def test_the_fit_is_that_of_few_rows_if_hardly_any_row_is_kept(few_are_many):
    X, y, _ = many_households()
    defense = MMRegressor(Ridge(alpha=0.1), tuning=1e-4, random_state=0)
    fitted = defense.fit(X, y)
    assert few_are_many == [False]
    assert fitted.scale_ == pytest.approx(in_full(defense, X, y).scale_, rel=0.08)


def test_sparse_lts_finds_the_features_that_matter():
    rng = np.random.default_rng(3)
    X = rng.random((80, 120))
    y = X[:, 0] - X[:, 1] + 0.03 * rng.standard_normal(80)
    y[:16] += 2.0
    model = SparseLTSRegressor(random_state=0).fit(X, y)
    assert not model.support_[:16].any()
    assert set(np.argsort(-np.abs(model.coef_))[:2]) == {0, 1}
    assert np.count_nonzero(model.coef_) < 30
    assert len(model.criterion_) == 5
    assert 1 <= model.n_iter_ <= 4
    refit = Lasso(model.penalty_).fit(X[model.support_], y[model.support_])
    np.testing.assert_allclose(model.coef_, refit.coef_, atol=1e-12)
    given = SparseLTSRegressor(penalty=0.05, random_state=0).fit(X, y)
    assert given.penalty_ == 0.05
    refit = Lasso(0.05).fit(X[given.support_], y[given.support_])
    np.testing.assert_allclose(given.coef_, refit.coef_, atol=1e-12)


def test_sparse_lts_has_all_its_starts_at_every_strength(monkeypatch):
    X, y = np.random.default_rng(0).random((60, 8)), np.random.default_rng(1).random(60)
    tried, best = [], sparse_lts.best_run

    def watched(engine, masks):
        tried.append(list(masks))
        return best(engine, masks)

    monkeypatch.setattr(sparse_lts, "best_run", watched)
    SparseLTSRegressor(random_state=0).fit(X, y)
    first, *others = tried
    assert [len(masks) for masks in tried] == [3, 4, 4, 4, 4]
    for masks in others:
        np.testing.assert_array_equal(masks[1:], first)


def test_sparse_lts_keeps_clean_rows_that_a_strong_lasso_puts_too_low():
    rng = np.random.default_rng(0)
    X = rng.random((150, 30))
    y = np.exp(2 * X[:, 0]) / 8 + 0.1 * X[:, 1] + 0.02 * rng.standard_normal(150)
    model = SparseLTSRegressor(random_state=0).fit(X, y)
    assert model.support_.mean() > 0.9
    strengths = list(model.criterion_)
    chosen = min(strengths, key=model.criterion_.__getitem__)
    assert model.penalty_ < chosen


@pytest.mark.parametrize("seed", range(3))
def test_many_copies_of_a_good_row_do_not_make_the_others_outliers(seed):
    """They are fitted closely, so the median of the residuals is almost 0."""
    X, y = households(seed=seed)
    copies = 96
    X, y = np.vstack([X, np.repeat(X[40:41], copies, axis=0)]), np.append(y, np.full(copies, y[40]))
    mm = MMRegressor(random_state=0).fit(X, y)
    assert mm.scale_ > 0.25 * 0.02
    assert mm.support_[:240].mean() > 0.85
    assert clean_error(mm) < 2 * clean_error(Ridge(alpha=0.1).fit(*households(seed=seed)))


@pytest.mark.parametrize("shift", [0.4, -0.9])
def test_copies_in_two_sevenths_of_all_rows_are_rejected(shift):
    X, y, mask = with_copies(shift, p=96)
    mm = MMRegressor(random_state=0).fit(X, y)
    assert not mm.support_[mask].any()
    assert clean_error(mm) < 1.2 * clean_error(Ridge(alpha=0.1).fit(*households()))


@pytest.mark.parametrize("model", [OLS(), Ridge(alpha=0.1)])
def test_a_good_row_with_high_leverage_does_not_widen_the_scale(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X @ [0.5, 0.2, -0.1] + 0.02 * rng.normal(size=200)
    y[:40] += 0.4
    X[199], y[199] = [1e4, 0, 0], 5e3  # on the model of the others; without it, nothing is known
    fitted = MMRegressor(model, random_state=0).fit(X, y)
    assert not fitted.support_[:40].any()
    assert fitted.support_[40:].mean() > 0.95
    assert fitted.scale_ == pytest.approx(0.02, rel=0.25)
