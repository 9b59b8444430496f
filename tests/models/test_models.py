"""The learners: the paper's objective, scikit-learn's minimiser, both conventions of strength."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from poisonbench import models, registry
from poisonbench.data.scaling import Scaling
from poisonbench.datasets.csv import Csv
from poisonbench.models import OLS, ElasticNet, Lasso, LinearModel, Ridge

COMPONENTS = registry.components("model")
EVERY = pytest.mark.parametrize("cls", COMPONENTS.values(), ids=COMPONENTS)
PENALIZED = pytest.mark.parametrize("cls", [Ridge, Lasso, ElasticNet])
EXACT = {"tol": 1e-13, "max_iter": 1_000_000}


def regression(n: int = 60, d: int = 5, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    return X, 0.3 + X @ np.linspace(0.5, -0.2, d) + 0.05 * rng.standard_normal(n)


def in_scikit_learn(model: LinearModel, n_rows: int) -> Any:
    """Return the estimator of the table in the method's notes, built from lambda alone."""
    lam = model.lambda_for(n_rows)
    if isinstance(model, OLS):
        return linear_model.LinearRegression()
    if isinstance(model, Ridge):
        return linear_model.Ridge(alpha=n_rows * lam / 2)
    if isinstance(model, Lasso):
        return linear_model.Lasso(alpha=lam / 2, **EXACT)
    assert isinstance(model, ElasticNet)
    return linear_model.ElasticNet(alpha=lam / 2, l1_ratio=model.rho, **EXACT)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", SkipTestWarning)  # array API: not installed

    @parametrize_with_checks([cls() for cls in COMPONENTS.values()])
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
    def test_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
        check(estimator)


def test_all_are_registered_and_exported() -> None:
    assert set(COMPONENTS) >= {"ols", "ridge", "lasso", "elastic-net"}
    assert set(models.__all__) == {"LinearModel"} | {cls.__name__ for cls in COMPONENTS.values()}


@pytest.mark.parametrize("n", [10, 60, 500])
@pytest.mark.parametrize(
    "model",
    [OLS(), *(cls(s) for cls in (Ridge, Lasso, ElasticNet) for s in (1e-3, 0.02)),
     ElasticNet(0.01, rho=0.9), ElasticNet(0.01, rho=1.0)],
    ids=repr,
)  # fmt: skip
def test_agrees_with_scikit_learn(model: LinearModel, n: int) -> None:
    X, y = regression(n)
    theirs = in_scikit_learn(model, n).fit(X, y)
    ours = model.fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-8)


@pytest.mark.parametrize("lam", [1e-2, 1e-4])
@EVERY
def test_agrees_on_correlated_columns(cls: Any, lam: float) -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 30))
    for j in range(1, 30):
        X[:, j] = 0.95 * X[:, j - 1] + 0.3 * X[:, j]
    y = X @ rng.standard_normal(30) + rng.standard_normal(200)
    model = cls(lam) if registry.accepts(cls, "lam") else cls()
    theirs = in_scikit_learn(model, 200).fit(X, y)
    np.testing.assert_allclose(model.fit(X, y).coef_, theirs.coef_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_ols_is_the_minimum_norm_solution_on_deficient_house_rows(
    house_csv: Any, seed: int
) -> None:
    dataset = Csv(path=house_csv, target="SalePrice", scaling="none").load()
    rows = np.random.default_rng(seed).permutation(len(dataset.y))[:300]
    scaling = Scaling.fit(dataset, rows)
    X, y = scaling.transform(dataset.X[rows]), scaling.transform_response(dataset.y[rows])
    assert np.linalg.matrix_rank(X) < X.shape[1]
    theirs = linear_model.LinearRegression(tol=1e-6).fit(X, y)
    ours = OLS().fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-6)
    # The same, from the definition.
    U, s, Vt = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    kept = s > 1e-6 * s[0]
    w = Vt[kept].T @ ((U[:, kept].T @ (y - y.mean())) / s[kept])
    np.testing.assert_allclose(ours.coef_, w, rtol=0, atol=1e-6)


@PENALIZED
@pytest.mark.parametrize("n", [10, 100, 375])
def test_each_strength_can_be_had_from_the_other(cls: Any, n: int) -> None:
    lam = cls(alpha=0.1).lambda_for(n)
    assert lam == pytest.approx(0.2 / n if cls is Ridge else 0.2, rel=1e-14)
    assert cls(lam=lam).alpha_for(n) == pytest.approx(0.1, rel=1e-14)
    assert cls(alpha=0.1).alpha_for(n) == 0.1
    assert cls(lam=0.3).lambda_for(n) == pytest.approx(0.3, rel=1e-14)
    assert cls().lambda_for(n) == pytest.approx(cls.DEFAULT_LAMBDA, rel=1e-14)
    X, y = regression(n)
    by_lambda, by_alpha = cls(lam=lam).fit(X, y), cls(alpha=0.1).fit(X, y)
    np.testing.assert_allclose(by_lambda.coef_, by_alpha.coef_, rtol=0, atol=1e-12)


def test_ols_has_no_strength() -> None:
    assert OLS().lambda_for(10) == OLS().alpha_for(10) == 0


@PENALIZED
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["lam", "alpha"])
def test_a_bad_strength_is_named(cls: Any, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}, expected a positive number"):
        cls(**{name: value}).fit(*regression())


@PENALIZED
def test_two_strengths_are_refused(cls: Any) -> None:
    with pytest.raises(ValueError, match=r"both lam .* and alpha .* are given"):
        cls(0.1, alpha=0.1).fit(*regression())


@pytest.mark.parametrize("rho", [0.0, -0.5, 1.5, np.nan])
def test_a_bad_share_of_the_l1_norm_is_named(rho: float) -> None:
    with pytest.raises(ValueError, match=f"rho is {rho}, expected 0 < rho <= 1"):
        ElasticNet(rho=rho).fit(*regression())


def test_another_strength_leaves_the_rest() -> None:
    model = ElasticNet(0.1, rho=0.3)
    other = model.with_strength(lam=None, alpha=0.2)
    assert (other.lam, other.alpha, other.rho) == (None, 0.2, 0.3)
    assert (model.lam, model.alpha) == (0.1, None)


@EVERY
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 30), size=st.floats(1e-4, 1.0))
def test_the_fit_minimises_the_objective(cls: Any, seed: int, n: int, size: float) -> None:
    X, y = regression(n, d=4, seed=seed)
    strength = {"lam": 0.01} if registry.accepts(cls, "lam") else {}
    model = cls(**strength).fit(X, y)
    lowest = model.objective(X, y)
    rng = np.random.default_rng(seed)
    other = clone(model).fit(X, y)
    for _ in range(10):
        other.coef_ = model.coef_ + size * rng.standard_normal(4)
        other.intercept_ = model.intercept_ + size * rng.standard_normal()
        assert other.objective(X, y) >= lowest - 1e-12


def test_the_objective_is_the_papers() -> None:
    X, y = regression()
    model = ElasticNet(0.02, rho=0.3).fit(X, y)
    w = model.coef_
    omega = 0.3 * np.abs(w).sum() + 0.7 / 2 * (w**2).sum()
    loss = np.mean((X @ w + model.intercept_ - y) ** 2)
    assert model.penalty(w) == pytest.approx(omega)
    assert model.objective(X, y) == pytest.approx(loss + 0.02 * omega)


@EVERY
def test_the_gradient_of_the_penalty(cls: Any) -> None:
    model, w, step = cls(), np.array([0.4, -0.3, 1.2]), 1e-6
    numeric = [
        (model.penalty(w + step * e) - model.penalty(w - step * e)) / (2 * step) for e in np.eye(3)
    ]
    if isinstance(model, OLS):
        return  # its strength, 0, is outside Omega
    np.testing.assert_allclose(model.penalty_gradient(w), numeric, atol=1e-8)
    if model.l1_ratio() == 1:
        assert model.penalty_gradient(np.zeros(3)).tolist() == [0, 0, 0]


@PENALIZED
def test_selection_is_repeatable_and_near_the_best_on_fresh_rows(cls: Any) -> None:
    rng = np.random.default_rng(0)
    X, fresh = rng.random((80, 40)), rng.random((2000, 40))
    truth = np.where(np.arange(40) < 4, 0.5, 0.0)
    y, fresh_y = X @ truth + 0.2 * rng.standard_normal(80), fresh @ truth
    lam = cls().select_lambda(X, y, random_state=3)
    assert 0 < lam < np.inf
    assert lam == cls().select_lambda(X, y, random_state=3)

    def error(strength: float) -> float:
        return float(np.mean((cls(strength).fit(X, y).predict(fresh) - fresh_y) ** 2))

    best = min(error(strength) for strength in np.logspace(-5, 1, 25))
    assert error(lam) < 1.5 * best
    assert error(lam) < 0.7 * error(1e-5)


def test_selection_knows_the_other_parameters() -> None:
    X, y = regression()
    chosen = {rho: ElasticNet(rho=rho).select_lambda(X, y, random_state=0) for rho in (0.1, 1.0)}
    assert chosen[0.1] != chosen[1.0]
    assert chosen[1.0] == Lasso().select_lambda(X, y, random_state=0)
    assert OLS().select_lambda(X, y, random_state=0) == 0


@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e12])
def test_ols_does_not_depend_on_units(factor: float) -> None:
    """A share beside a time in Unix seconds, and an exact cubic."""
    rng = np.random.default_rng(0)
    share, seconds = rng.random(200), 1.7e9 + 1e6 * rng.random(200)
    X = np.column_stack([share * factor, seconds])
    y = 5 * share + 2e-6 * seconds
    np.testing.assert_allclose(OLS().fit(X, y).coef_ * [factor, 1.0], [5.0, 2e-6], rtol=1e-6)
    x = factor * np.linspace(0, 1000, 50)
    cubic = np.column_stack([x, x**2, x**3])
    truth = 1 + 2 * (x / factor) - 3e-3 * (x / factor) ** 2 + 1e-6 * (x / factor) ** 3
    np.testing.assert_allclose(OLS().fit(cubic, truth).predict(cubic), truth, atol=1e-8)


def test_ols_of_least_norm_is_that_of_the_units_given() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((30, 6))
    X[:, 4], X[:, 5] = 100 * X[:, 0] + X[:, 1], 1e-3 * X[:, 2]
    y = rng.random(30)
    centred = X - X.mean(axis=0)
    shortest = np.linalg.pinv(centred, rcond=1e-10) @ (y - y.mean())
    np.testing.assert_allclose(OLS().fit(X, y).coef_, shortest, atol=1e-8)
    weight = rng.random(30) + 0.1
    solved = OLS().solver(30).fit(X[:, :4], y, sample_weight=weight)
    theirs = linear_model.LinearRegression().fit(X[:, :4], y, sample_weight=weight)
    np.testing.assert_allclose(solved.coef_, theirs.coef_, atol=1e-10)


def test_ols_shortens_no_weights_at_the_cost_of_the_fit() -> None:
    """Two columns that differ by 1e-7, below the cut, in what a column of size 1e-8 tells too."""
    rng = np.random.default_rng(0)
    first, tiny = rng.random(20), rng.random(20)
    second = first + 1e-7 * (tiny + rng.random(20))
    X, y = np.column_stack([first, second, 1e-8 * tiny]), first + tiny
    np.testing.assert_allclose(OLS().fit(X, y).predict(X), y, atol=1e-6)
