"""What must not depend on the units of columns and responses does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, PoissonRegressor, TweedieRegressor

from poisonbench import registry
from poisonbench.defenses import LTSRegressor, MMRegressor, RANSACDefense, RONIDefense
from poisonbench.defenses.engines.fits import LeastSquaresFits, fits
from poisonbench.defenses.engines.partly_penalized import PartlyPenalized
from poisonbench.defenses.engines.units import column_units
from poisonbench.models import OLS, Ridge

COMPONENTS = registry.components("defense")

DEPENDENT = {
    "nlid": "distances between rows",
    "sparse-lts": "the LASSO's penalty",
    "theil-sen": "principal components and a spatial median",
    "low-rank": "principal components",
    "roni": "fits to fewer rows than features have the least norm",
}
"""Defenses whose docstrings say that units matter even with a learner without a penalty."""

FREE = pytest.mark.parametrize("name", sorted(set(COMPONENTS) - set(DEPENDENT)))


def around_ols(name: str) -> Any:
    """Return the defense of that name around OLS, told of 16 poison rows."""
    cls = COMPONENTS[name]
    given = {"estimator": OLS(), "n_poison": 16, "restarts": 50, "max_subsets": 300,
             "max_trials": 30, "random_state": 0}  # fmt: skip
    return cls(**{key: value for key, value in given.items() if registry.accepts(cls, key)})


def far_off(seed: int, n: int = 64, p: int = 16) -> tuple[Any, Any]:
    """Return rows on a plane with noise, and p rows well off it."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + p, 3))
    y = X @ [1.0, -0.7, 0.4] + 0.1 * rng.standard_normal(n + p)
    y[n:] += 4.0
    return X, y


@FREE
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1000), data=st.data())
def test_units_of_columns_make_no_difference(name: str, seed: int, data: Any) -> None:
    X, y = far_off(seed)
    exponents = data.draw(st.lists(st.integers(-12, 12), min_size=3, max_size=3))
    shift = data.draw(st.sampled_from([0.0, 50.0]))
    other = (X + shift) * 10.0 ** np.array(exponents)
    before = around_ols(name).fit(X, y).predict(X)
    after = around_ols(name).fit(other, y).predict(other)
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("name", ["theil-sen", "low-rank", "sparse-lts"])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_one_unit_for_all_columns_makes_no_difference(name: str, factor: float) -> None:
    X, y = far_off(5)
    before = around_ols(name).fit(X, y)
    assert np.abs(before.coef_).max() > 0.1
    after = around_ols(name).fit(factor * X, y)
    np.testing.assert_allclose(after.coef_ * factor, before.coef_, atol=1e-3)


@FREE
@pytest.mark.parametrize(("factor", "shift"), [(1e-9, 0.0), (1e9, 0.0), (3.0, 100.0)])
def test_responses_in_other_units_give_predictions_in_them(
    name: str, factor: float, shift: float
) -> None:
    if name in ("proda", "ransac", "romp"):
        pytest.skip("rows are drawn, or put into folds, in an order that depends on the responses")
    X, y = far_off(3)
    before = around_ols(name).fit(X, y).predict(X)
    after = around_ols(name).fit(X, factor * y + shift).predict(X)
    tolerance = 0.02 if name == "huber" else 1e-5
    np.testing.assert_allclose((after - shift) / factor, before, atol=tolerance)


@pytest.mark.parametrize("name", ["trim", "itrim", "torrent", "lts", "mm"])
def test_raw_units_keep_the_right_rows(name: str) -> None:
    rng = np.random.default_rng(11)
    X = np.column_stack([rng.normal(5e4, 1.5e4, 150), rng.normal(45, 12, 150), rng.random(150)])
    truth = np.array([2e-4, 0.5, -12.0])
    y = 10 + X @ truth + 0.5 * rng.standard_normal(150)
    poison = np.arange(150) < 30
    X[poison, 0] += 4e4
    y[poison] -= 25
    model = around_ols(name)
    if registry.accepts(type(model), "n_poison"):
        model.set_params(n_poison=30)
    model.fit(X, y)
    if name != "mm":
        assert not (model.support_ & poison).any()
    np.testing.assert_allclose(model.coef_ / truth, 1.0, atol=0.1)


@pytest.mark.parametrize("spread", [1e-2, 1e-4])
@pytest.mark.parametrize("indicator", [False, True])
def test_mm_keeps_no_penalty_on_numeric_columns(spread: float, indicator: bool) -> None:
    """What nearly collinear columns tell apart stays told apart."""
    rng = np.random.default_rng(4)
    a = rng.standard_normal(200)
    X = np.column_stack([a, a + spread * rng.standard_normal(200)])
    y = (X[:, 0] - X[:, 1]) / spread + 0.02 * rng.standard_normal(200)
    if indicator:
        X = np.column_stack([X, rng.integers(0, 2, 200)])
    mm = MMRegressor(OLS(), random_state=0).fit(X, y)
    assert np.mean((mm.predict(X) - y) ** 2) < 1.5 * 0.02**2
    assert np.mean((MMRegressor(random_state=0).fit(X, y).predict(X) - y) ** 2) > 0.01


def test_the_penalty_on_some_columns_is_the_one_asked_for() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.random((40, 2)), rng.integers(0, 2, (40, 3))])
    y, weight = rng.random(40), rng.random(40)
    penalized = np.array([False, False, True, True, True])
    engine = PartlyPenalized(X, y, penalized, 2.0)
    # The same from one system of normal equations.
    Z = np.column_stack([X, np.ones(40)])
    system = (Z * weight[:, None]).T @ Z + np.diag([0.0, 0, 2, 2, 2, 0])
    theta = np.linalg.solve(system, Z.T @ (weight * y))
    fitted = engine.on_weights(weight)
    np.testing.assert_allclose(fitted.residual, y - Z @ theta, atol=1e-10)
    model = engine.weighted_model(weight, fitted)
    np.testing.assert_allclose(model.predict(X), Z @ theta, atol=1e-10)
    kept = np.arange(40) < 30
    left_out = engine.left_out(kept, engine.on_rows(kept))
    others = kept.copy()
    others[7] = False
    assert left_out[7] == pytest.approx(engine.on_rows(others).residual[7], abs=1e-10)


def test_least_squares_leaves_rows_out_exactly() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 4)), rng.random(30)
    engine, kept = fits(OLS(), X, y), np.arange(30) < 25
    assert isinstance(engine, LeastSquaresFits)
    others = kept.copy()
    others[3] = False
    left_out = engine.left_out(kept, engine.on_rows(kept))
    assert left_out[3] == pytest.approx(engine.on_rows(others).residual[3], abs=1e-10)


def test_units_survive_rare_entries_and_constants() -> None:
    rng = np.random.default_rng(0)
    rare = (np.arange(100) < 3).astype(float)
    X = np.column_stack([rng.random(100), rare, np.full(100, 7.0), 1e-12 * rng.random(100)])
    _, unit = column_units(X)
    assert unit == pytest.approx([1.0, 1.0, 1.0, 1e-12], rel=0.25)
    X[:20, 0] = 1e9  # poison does not set the unit
    assert column_units(X)[1][0] < 2


def test_mm_says_where_the_data_speak_against_its_shrinkage() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 7, 210)
    X = np.column_stack([rng.random(210), np.eye(7)[group]])
    y = 0.2 * X[:, 0] + 0.01 * rng.standard_normal(210)
    quiet = MMRegressor(Ridge(alpha=0.1), random_state=0).fit(X, y)
    assert quiet.note_ is None or "categories matter" not in quiet.note_
    effects = y + np.linspace(-0.03, 0.03, 7)[group]
    told = MMRegressor(Ridge(alpha=0.1), random_state=0).fit(X, effects)
    assert "categories matter: without their shrinkage" in str(told.note_)


LINKED = [
    PLSRegression(2),
    PoissonRegressor(alpha=1e-3),
    pytest.param(TweedieRegressor(power=1.5, alpha=1e-3), marks=pytest.mark.slow),
    pytest.param(LinearRegression(), marks=pytest.mark.slow),
]
WRAPPING = [
    name
    for name, cls in COMPONENTS.items()
    if registry.accepts(cls, "estimator") and name not in ("roni", "huber")  # many refits
]


@pytest.mark.filterwarnings("ignore:y residual is constant")
@pytest.mark.parametrize("learner", LINKED, ids=lambda learner: type(learner).__name__)
@pytest.mark.parametrize("name", WRAPPING)
def test_predictions_are_those_of_the_fitted_learner(name: str, learner: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.random((60, 4))
    y = np.exp(X @ [1.0, 0.5, 0.2, 0.1]) + 0.05 * rng.random(60)
    y[50:] = 6.0
    given = {"n_poison": 10, "restarts": 5, "max_trials": 10}
    given = {key: value for key, value in given.items() if registry.accepts(COMPONENTS[name], key)}
    model = COMPONENTS[name](learner, random_state=0, **given).fit(X, y)
    np.testing.assert_allclose(model.predict(X), np.ravel(model.estimator_.predict(X)), rtol=1e-9)
    affine = isinstance(learner, PLSRegression | LinearRegression)
    assert hasattr(model, "coef_") == affine


def test_a_refit_forgets_weights_that_no_longer_hold() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((60, 2))
    y = np.exp(2 * X[:, 0])
    model = LTSRegressor(LinearRegression(), random_state=0).fit(X, y)
    model.set_params(estimator=PoissonRegressor()).fit(X, y)
    assert not hasattr(model, "coef_")


def test_ransac_fits_the_majority_where_its_responses_are_equal() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(100)
    y = np.where(np.arange(100) < 60, 1.0, x)
    for learner in (OLS(), Ridge(alpha=0.1), LinearRegression()):
        ransac = RANSACDefense(learner, random_state=0).fit(x[:, None], y)
        np.testing.assert_allclose(ransac.predict(x[:, None]), 1.0, atol=1e-8)
        assert ransac.note_ == "more than half of the responses are equal: only exact fits agree"


def test_a_scale_of_zero_is_said() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((60, 2))
    y = X @ [1.0, 2.0]
    y[:10] += rng.random(10)
    for model in (LTSRegressor(OLS(), random_state=0), MMRegressor(OLS(), random_state=0)):
        assert "scale 0" in str(model.fit(X, y).note_)
        np.testing.assert_allclose(model.coef_, [1.0, 2.0], atol=1e-6)
    flat = RONIDefense(rule="threshold", random_state=0).fit(X, np.ones(60))
    assert flat.note_ == "scale of the impacts 0: every impact above the median is removed"
