"""TRIM: its objective, its starts, and the count it estimates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.defenses import ITRIMRegressor, TRIMRegressor
from poisonbench.defenses.engines.concentration import concentrate, exchanged, few_row_residuals
from poisonbench.defenses.engines.fits import RidgeFits, SparseRefits, WeightedRefits, fits
from poisonbench.defenses.engines.moments import RowMoments
from poisonbench.defenses.engines.rate_search import RateSearch
from poisonbench.defenses.engines.row_order import content_keys
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

MODELS = [OLS(), Ridge(1e-3), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.3)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)


def mixed(n: int, p: int, d: int, seed: int) -> tuple[Any, Any, Any]:
    """Return shuffled rows, and which of them are poison: corners with flipped responses."""
    rng = np.random.default_rng(seed)
    X = rng.random((n + p, d))
    w = rng.standard_normal(d) / np.sqrt(d)
    y = X @ w + 0.02 * rng.standard_normal(n + p)
    mask = np.zeros(n + p, dtype=bool)
    mask[rng.choice(n + p, p, replace=False)] = True
    X[mask] = np.round(X[mask])
    y[mask] = y[mask] + np.sign(y.mean() - y[mask]) * 1.5
    return X, y, mask


@EVERY_MODEL
@pytest.mark.parametrize("start", ["subsets", "random", "all"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([3, 40]))
def test_the_objective_never_rises(model: Any, start: Any, seed: int, d: int) -> None:
    X, y, _ = mixed(40, 12, d, seed)
    trim = TRIMRegressor(model, n_poison=12, start=start, restarts=5, tol=0.0, random_state=seed)
    trim.fit(X, y)
    path = np.array(trim.objective_path_)
    assert (np.diff(path) <= 1e-9 * path[0]).all()
    assert trim.n_iter_ == len(path)
    assert trim.objective_ == path[-1]
    assert trim.start_ == start


@EVERY_MODEL
@pytest.mark.parametrize("d", [3, 40])
def test_the_end_is_a_fixed_point_of_both_halves(model: Any, d: int) -> None:
    X, y, _ = mixed(60, 12, d, 1)
    trim = TRIMRegressor(model, n_poison=12, tol=0.0, random_state=0).fit(X, y)
    refit = type(model)(**model.get_params()).fit(X[trim.support_], y[trim.support_])
    np.testing.assert_allclose(trim.coef_, refit.coef_, atol=1e-9)
    kept_objective = refit.objective(X[trim.support_], y[trim.support_])
    assert trim.objective_ == pytest.approx(kept_objective, rel=1e-6, abs=1e-12)
    size = np.abs(y - trim.predict(X))
    assert size[trim.support_].max() <= size[~trim.support_].min() + 1e-6


def test_small_starts_reach_the_global_minimum() -> None:
    for seed in range(2):
        X, y, _ = mixed(9, 3, 1, seed)
        model = Ridge(1e-3)
        trim = TRIMRegressor(model, n_poison=3, random_state=0).fit(X, y)
        best = min(
            Ridge(1e-3).fit(X[rows], y[rows]).objective(X[rows], y[rows])
            for rows in map(list, itertools.combinations(range(12), 9))
        )
        assert trim.objective_ == pytest.approx(best, rel=1e-9)


@EVERY_MODEL
def test_small_starts_find_the_poison(model: Any) -> None:
    X, y, mask = mixed(150, 40, 8, 5)
    trim = TRIMRegressor(model, n_poison=40, random_state=0).fit(X, y)
    assert not (trim.support_ & mask).any()


def test_more_restarts_are_no_worse() -> None:
    X, y, _ = mixed(60, 25, 10, 2)
    objectives = [
        TRIMRegressor(n_poison=25, start="random", restarts=k, random_state=0).fit(X, y).objective_
        for k in (1, 5, 40)
    ]
    assert objectives == sorted(objectives, reverse=True)


def test_a_poison_row_changes_places_with_its_clean_twin() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((40, 30))
    y = X @ rng.standard_normal(30) / 6
    X, y = np.vstack([X, X[:1]]), np.append(y, y[0] + 1.0)
    engine = fits(Ridge(alpha=1e-2), X, y)
    assert isinstance(engine, RidgeFits)
    with_poison = np.arange(41) > 0
    stuck = concentrate(engine, with_poison, 100, 0.0, set())
    assert stuck.kept[40]
    freed = exchanged(engine, stuck)
    assert freed.kept[0]
    assert not freed.kept[40]
    assert freed.objective < stuck.objective


@pytest.mark.parametrize("seed", range(3))
def test_no_exchange_of_a_row_improves_where_trim_ends(seed: int) -> None:
    """Concentration steps alone end where some exchange would gain 4 to 20 % on these rows."""
    rng = np.random.default_rng(seed)
    X = rng.random((30, 12))
    y = X @ rng.standard_normal(12) + 0.3 * rng.standard_normal(30)
    trim = TRIMRegressor(Ridge(1e-2), n_poison=6, restarts=1, random_state=0).fit(X, y)
    for kept, left in itertools.product(
        np.flatnonzero(trim.support_), np.flatnonzero(~trim.support_)
    ):
        rows = trim.support_.copy()
        rows[kept], rows[left] = False, True
        exchanged = Ridge(1e-2).fit(X[rows], y[rows]).objective(X[rows], y[rows])
        assert exchanged >= trim.objective_ * (1 - 1e-9)


@pytest.mark.parametrize("d", [3, 60], ids=["primal", "dual"])
def test_sensitivity_is_the_derivative_of_predictions(d: int) -> None:
    X, y, _ = mixed(30, 6, d, 0)
    kept = np.arange(36) % 4 > 0
    engine = fits(Ridge(1e-2), X, y)
    assert isinstance(engine, RidgeFits)
    rows = np.flatnonzero(kept)
    moved = y.copy()
    moved[rows[5]] += 1.0
    change = Ridge(1e-2).fit(X[kept], moved[kept]).predict(X) - Ridge(1e-2).fit(
        X[kept], y[kept]
    ).predict(X)
    leverage, outside, own = engine.sensitivity(kept)
    assert leverage[5] == pytest.approx(change[rows[5]], abs=1e-10)
    np.testing.assert_allclose(outside[:, 5], change[~kept], atol=1e-10)
    # A row that joins, with alpha held: the objective in sums rises by r^2 / (1 + q).
    alpha, joining = Ridge(1e-2).alpha_for(len(rows)), np.flatnonzero(~kept)[2]

    def objective(mask: Any) -> float:
        model = SklearnRidge(alpha=alpha).fit(X[mask], y[mask])
        loss = ((y[mask] - model.predict(X[mask])) ** 2).sum()
        return float(loss + alpha * model.coef_ @ model.coef_)

    joined = kept.copy()
    joined[joining] = True
    residual = y[joining] - SklearnRidge(alpha=alpha).fit(X[kept], y[kept]).predict(X[[joining]])
    rise = objective(joined) - objective(kept)
    assert rise == pytest.approx(residual[0] ** 2 / (1 + own[2]), rel=1e-8)


@pytest.mark.parametrize("n_rows", [20, 400], ids=["one kernel", "products"])
def test_fits_to_few_rows_are_ridge(n_rows: int) -> None:
    X, y, _ = mixed(n_rows, 0, 6, 0)
    drawn = np.array([np.random.default_rng(s).choice(n_rows, 5, replace=False) for s in range(9)])
    for residual, rows in zip(few_row_residuals(X, y, drawn), drawn, strict=True):
        centred = X[rows] - X[rows].mean(axis=0)
        model = SklearnRidge(1e-2 * (centred**2).sum() / 5).fit(X[rows], y[rows])
        np.testing.assert_allclose(residual, y - model.predict(X), atol=1e-10)


def test_many_rows_are_searched_by_a_sample() -> None:
    X, y, mask = mixed(9_000, 3_000, 3, 0)
    trim = TRIMRegressor(n_poison=3_000, random_state=0).fit(X, y)
    assert (trim.support_ & mask).sum() < 30


def test_one_round_is_allowed() -> None:
    X, y, _ = mixed(40, 10, 3, 0)
    trim = TRIMRegressor(n_poison=10, start="random", max_iter=1, random_state=0).fit(X, y)
    assert trim.n_iter_ == 1


@pytest.mark.parametrize("d", [3, 60], ids=["primal", "dual"])
@pytest.mark.parametrize("model", [Ridge(1e-2), Ridge(alpha=0.5), Lasso(1e-2), ElasticNet(1e-2)])
def test_weighted_fits_are_those_of_repeated_rows(model: Any, d: int) -> None:
    X, y, _ = mixed(30, 6, d, 0)
    engine = fits(model, X, y)
    assert isinstance(engine, RidgeFits if isinstance(model, Ridge) else SparseRefits)
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    repeat = weight.astype(int)
    # sum_i w_i r_i^2 + N lambda Omega: lambda on the sum(w) repeated rows is N / sum(w) of it.
    alpha_or_lam = {"lam": model.lambda_for(len(y)) * len(y) / weight.sum(), "alpha": None}
    repeated = model.with_strength(**alpha_or_lam)
    repeated.fit(np.repeat(X, repeat, axis=0), np.repeat(y, repeat))
    assert isinstance(engine, WeightedRefits)
    fitted = engine.on_weights(weight)
    np.testing.assert_allclose(fitted.residual, y - repeated.predict(X), atol=2e-6)


def test_fits_to_rows_are_scikit_learns() -> None:
    X, y, _ = mixed(50, 10, 80, 3)
    kept = np.arange(60) % 3 > 0
    fitted = fits(Ridge(alpha=0.2), X, y).on_rows(kept)
    expected = SklearnRidge(0.2).fit(X[kept], y[kept])
    np.testing.assert_allclose(fitted.residual, y - expected.predict(X), atol=1e-10)
    assert fitted.objective(kept) == pytest.approx(
        Ridge(alpha=0.2).fit(X[kept], y[kept]).objective(X[kept], y[kept])
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), copies=st.integers(1, 5))
def test_keys_follow_the_rows(seed: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.integers(0, 2, (12, 3)).astype(float), copies, axis=0)
    y = np.repeat(rng.integers(0, 2, 12).astype(float), copies)
    order = rng.permutation(len(y))
    keys = content_keys(X, y, np.random.RandomState(seed))
    others = content_keys(X[order], y[order], np.random.RandomState(seed))
    assert len(np.unique(keys)) == len(keys)
    rows = np.column_stack([y, X])
    assert np.array_equal(rows[np.argsort(keys)], rows[order][np.argsort(others)])
    signed = content_keys(
        np.where(X == 0, -0.0, X), np.where(y == 0, -0.0, y), np.random.RandomState(seed)
    )
    assert np.array_equal(keys, signed)


@pytest.mark.parametrize("seed", range(5))
def test_keys_do_not_follow_the_last_digits(seed: int) -> None:
    X, y, _ = mixed(150, 40, 5, seed)
    rng = np.random.default_rng(seed)
    moved_X = X + 1e-9 * rng.standard_normal(X.shape)
    moved_y = 40 * (y + 1e-9 * rng.standard_normal(len(y))) - 7  # nor the unit
    one, other = (
        content_keys(rows, responses, np.random.RandomState(seed))
        for rows, responses in ((X, y), (moved_X, moved_y))
    )
    assert np.array_equal(one, other)


def test_keys_shuffle_the_rows() -> None:
    X, y, _ = mixed(2000, 0, 2, 0)
    y[:1000] = 0.5  # half of the rows are known by more than their response
    orders = [np.argsort(content_keys(X, y, np.random.RandomState(s))) for s in (0, 1)]
    first_half = [np.isin(order[:1000], np.arange(1000)).sum() for order in orders]
    assert all(400 < count < 600 for count in first_half)
    assert np.intersect1d(orders[0][:100], orders[1][:100]).size < 30
    assert abs(np.corrcoef(y[orders[0]], np.arange(2000))[0, 1]) < 0.1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), far=st.sampled_from([0.0, 1e6]))
def test_moments_carried_on_are_those_of_the_rows(seed: int, far: float) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.random((60, 4)) + far, rng.random(60)
    X[0] += 1e7
    carried = RowMoments(X, y)
    kept = np.ones(60, dtype=bool)
    for _ in range(5):
        moments = carried.of(kept)
        rows, responses = X[kept] - X[kept].mean(axis=0), y[kept] - y[kept].mean()
        size = np.abs(rows).max()
        np.testing.assert_allclose(moments.mean, X[kept].mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(moments.gram, rows.T @ rows, atol=1e-7 * size**2)
        np.testing.assert_allclose(moments.cross, rows.T @ responses, atol=1e-7 * size)
        assert moments.square == pytest.approx(responses @ responses)
        kept = kept.copy()
        kept[rng.integers(60, size=6)] ^= True
        kept[0] = False  # takes nearly all of the sums with it


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-3), Ridge(alpha=1e-12), Lasso(1e-3),
                                   ElasticNet(1e-3)], ids=str)  # fmt: skip
def test_fits_from_moments_are_scikit_learns(model: Any) -> None:
    X, y, _ = mixed(100, 20, 6, 0)
    X = np.column_stack([X, X[:, 0]])  # deficient
    engine = fits(model, X, y)
    for seed in (0, 1):
        kept = np.random.default_rng(seed).random(120) < 0.8
        fitted = engine.on_rows(kept)
        expected = type(model)(**model.get_params()).fit(X[kept], y[kept])
        assert fitted.coef is not None
        np.testing.assert_allclose(fitted.residual, y - expected.predict(X), atol=1e-6)
        assert fitted.objective(kept) == pytest.approx(expected.objective(X[kept], y[kept]))
        predicted = engine.model(kept, fitted).predict(X)
        np.testing.assert_allclose(predicted, y - fitted.residual, atol=1e-12)


@pytest.mark.parametrize("model", [OLS(), Ridge(1e-3), Lasso(1e-3), SklearnRidge(0.1)], ids=str)
def test_many_rows_in_another_order(model: Any) -> None:
    X, y, mask = mixed(4_500, 1_000, 3, 0)
    X[:500], y[:500] = X[500:1000], y[500:1000]
    mask[:500] = mask[500:1000]
    order = np.random.default_rng(1).permutation(len(y))
    given = {"n_poison": int(mask.sum()), "random_state": 0}
    one = TRIMRegressor(model, **given).fit(X, y)
    other = TRIMRegressor(model, **given).fit(X[order], y[order])
    np.testing.assert_allclose(other.coef_, one.coef_, atol=1e-8)
    assert (~one.support_).sum() == mask.sum()
    assert (one.support_ & mask).sum() < 0.02 * mask.sum()
    refit = type(model)(**model.get_params()).fit(X[one.support_], y[one.support_])
    np.testing.assert_allclose(one.coef_, refit.coef_, atol=1e-6)
    assert (np.diff(one.objective_path_) <= 0).all()


def test_least_squares_on_few_rows_chooses_by_a_ridge() -> None:
    rng = np.random.default_rng(3)
    X = (rng.random((60, 50)) < 0.05).astype(float)
    X[:, :5] = rng.random((60, 5))
    y = X[:, :5] @ np.ones(5) / 5 + 0.02 * rng.standard_normal(60)
    y[:10] = 1 - np.round(y[:10])
    plain, subsets = (
        TRIMRegressor(OLS(), n_poison=10, start=start, random_state=0).fit(X, y)
        for start in ("all", "subsets")
    )
    assert subsets.support_[:10].sum() < plain.support_[:10].sum()
    refit = OLS().fit(X[subsets.support_], y[subsets.support_])
    np.testing.assert_allclose(subsets.coef_, refit.coef_, atol=1e-12)


# --- iTRIM ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0, 10, 25])
@pytest.mark.parametrize("model", [Ridge(1e-3), Lasso(1e-3)], ids=str)
def test_the_rate_is_found(model: Any, p: int) -> None:
    X, y, mask = mixed(100, p, 4, 0)
    itrim = ITRIMRegressor(model, random_state=0).fit(X, y)
    assert abs(itrim.contamination_ - p / (100 + p)) <= 0.04
    assert itrim.n_poison_ == (~itrim.support_).sum() == round(itrim.contamination_ * (100 + p))
    assert (itrim.support_ & mask).sum() <= 2
    known = TRIMRegressor(model, n_poison=p, random_state=0).fit(X, y)
    clean_error = [np.mean((m.predict(X) - y)[~mask] ** 2) for m in (itrim, known)]
    assert clean_error[0] <= 1.2 * clean_error[1]


def test_errors_and_the_elbow() -> None:
    search = RateSearch(np.arange(6) * 0.1, np.array([1.0, 0.9, 0.3, 0.1, 0.09, 0.089]))
    assert search.elbow(0.5, relative=True) == pytest.approx(0.3)
    assert search.elbow(0.7, relative=True) == 0.0
    assert search.elbow(0.005, relative=False) == pytest.approx(0.4)
    X, y, _ = mixed(100, 20, 4, 0)
    itrim = ITRIMRegressor(random_state=0).fit(X, y)
    assert (np.diff(itrim.errors_) < 0.05 * itrim.errors_[:-1]).all()
    assert itrim.rates_[-1] == pytest.approx(0.3)


def test_the_papers_threshold_is_absolute() -> None:
    X, y, _ = mixed(100, 20, 4, 0)
    paper = ITRIMRegressor(criterion="absolute", random_state=0).fit(X, y)
    falls = -np.diff(paper.errors_)
    last = np.flatnonzero(falls > 1e-3)[-1]
    assert paper.contamination_ == pytest.approx(paper.rates_[last + 1])
