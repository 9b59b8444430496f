"""The defenses of other papers: each against its own formulas, written out a second time."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.utils.estimator_checks import parametrize_with_checks

from poisonbench.defenses import (
    CRRDefense,
    LowRankDefense,
    NLIDDefense,
    ProdaDefense,
    SanitizerDefense,
    SEVERDefense,
    TORRENTDefense,
    TRIMRegressor,
)
from poisonbench.defenses.crr import smoother
from poisonbench.defenses.low_rank import explaining_rank, subspace
from poisonbench.defenses.nlid import nlid, weights
from poisonbench.defenses.proda import clean_probability, draws_needed
from poisonbench.defenses.sanitizer import distance_from_components, leverages, neighbour_distance
from poisonbench.defenses.sever import gradient_scores
from poisonbench.defenses.torrent import descend
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge

MODELS = [OLS(), Ridge(1e-2), Ridge(alpha=0.3), Lasso(1e-2), ElasticNet(1e-2, rho=0.4)]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=str)
SCORES = ("loss", "leverage", "cook", "knn", "svd", "isolation-forest")
SEEDS = st.integers(0, 10_000)


def shifted(n: int, d: int, p: int, seed: int = 0, noise: float = 0.02) -> tuple[Any, Any, Any]:
    """Return a linear truth, and which p responses were shifted without a look at the rest."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, d))
    y = X @ rng.standard_normal(d) + noise * rng.standard_normal(n)
    mask = np.zeros(n, dtype=bool)
    mask[rng.choice(n, p, replace=False)] = True
    y[mask] += rng.choice([-1, 1], p) * (2 + rng.random(p))
    return X, y, mask


# --- SEVER ---------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n=st.integers(3, 12), d=st.integers(1, 12))
def test_sever_scores_are_projections_on_the_first_singular_vector(
    seed: int, n: int, d: int
) -> None:
    rng = np.random.default_rng(seed)
    Z, residual = rng.standard_normal((n, d)), rng.standard_normal(n)
    G = residual[:, None] * Z
    G -= G.mean(axis=0)
    v = np.linalg.svd(G)[2][0]
    np.testing.assert_allclose(gradient_scores(Z, residual), (G @ v) ** 2, atol=1e-9)


def test_sever_is_four_rounds_of_fit_and_filter() -> None:
    X, y, mask = shifted(80, 3, 10)
    sever = SEVERDefense(Ridge(1e-3), n_poison=10, random_state=0).fit(X, y)
    rows = np.arange(80)
    for _ in range(4):
        fitted = Ridge(1e-3).fit(X[rows], y[rows])
        G = (fitted.predict(X[rows]) - y[rows])[:, None] * np.c_[X[rows], np.ones(len(rows))]
        G -= G.mean(axis=0)
        v = np.linalg.svd(G)[2][0]
        rows = rows[np.sort(np.argsort((G @ v) ** 2)[:-5])]
    assert np.array_equal(np.flatnonzero(sever.support_), rows)
    np.testing.assert_allclose(sever.coef_, Ridge(1e-3).fit(X[rows], y[rows]).coef_, atol=1e-9)
    assert not (sever.support_ & mask).any()


def test_sever_never_removes_more_than_half_unless_told() -> None:
    X, y, _ = shifted(40, 3, 10)
    for p, removed in ((5, 10), (10, 20), (15, 20), (30, 30)):
        assert (~SEVERDefense(n_poison=p).fit(X, y).support_).sum() == removed


# --- TORRENT -------------------------------------------------------------------------------


@EVERY_MODEL
def test_torrent_with_full_steps_is_trim_from_all_rows(model: Any) -> None:
    X, y, mask = shifted(100, 4, 20)
    torrent = TORRENTDefense(model, n_poison=20, step="full", tol=1e-9, random_state=3).fit(X, y)
    trim = TRIMRegressor(model, n_poison=20, start="all", random_state=3).fit(X, y)
    assert np.array_equal(torrent.support_, trim.support_)
    np.testing.assert_allclose(torrent.coef_, trim.coef_, atol=1e-9)
    assert not (torrent.support_ & mask).any()


@EVERY_MODEL
@pytest.mark.parametrize("d", [3, 40])
def test_gradient_steps_end_at_the_learner_on_the_rows_kept(model: Any, d: int) -> None:
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


def test_torrent_takes_full_steps_where_it_knows_no_gradient() -> None:
    X, y, _ = shifted(50, 3, 10)
    assert TORRENTDefense(SklearnRidge(0.1)).fit(X, y).step_ == "full"
    assert TORRENTDefense(Ridge(alpha=0.1)).fit(X, y).step_ == "gradient"
    with pytest.raises(ValueError, match="step is 'gradient', expected 'full' or 'auto' with a Li"):
        TORRENTDefense(LinearRegression(), step="gradient").fit(X, y)


# --- CRR -----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, p=st.integers(0, 12))
def test_crr_with_ols_is_the_papers_algorithm(seed: int, p: int) -> None:
    X, y, _ = shifted(40, 3, 8, seed)
    crr = CRRDefense(OLS(), n_poison=p, random_state=0).fit(X, y)
    Z = np.c_[X, np.ones(40)]
    P = Z @ np.linalg.pinv(Z)
    b = np.zeros(40)
    for _ in range(crr.n_iter_):
        b = P @ b + (np.eye(40) - P) @ y
        b[np.argsort(np.abs(b))[: 40 - p]] = 0.0
    np.testing.assert_allclose(crr.corruption_, b, atol=1e-8)
    theta = np.linalg.lstsq(Z, y - b)[0]
    np.testing.assert_allclose(np.r_[crr.coef_, crr.intercept_], theta, atol=1e-8)
    assert np.array_equal(crr.support_, b == 0)


@EVERY_MODEL
def test_crr_learners_predict_what_they_are_given(model: Any) -> None:
    X, y, _ = shifted(40, 50, 0)
    fitted_to = smoother(model, X, 1e-12)
    for responses in (y, y**2, y):
        expected = clone(model).fit(X, responses).predict(X)
        np.testing.assert_allclose(fitted_to(responses), expected, atol=1e-5)


@EVERY_MODEL
def test_crr_ends_where_corruptions_are_residuals(model: Any) -> None:
    X, y, mask = shifted(100, 4, 20)
    crr = CRRDefense(model, n_poison=20, tol=1e-12, max_iter=5000).fit(X, y)
    assert np.array_equal(crr.support_, ~mask)
    residual = y - crr.predict(X)
    np.testing.assert_allclose(crr.corruption_[mask], residual[mask], atol=1e-6)
    assert (crr.corruption_[~mask] == 0).all()


@pytest.mark.parametrize(
    ("defense", "unit"), [(CRRDefense, "iterations"), (TORRENTDefense, "gradient steps")]
)
def test_iterations_that_are_cut_short_are_told(defense: Any, unit: str) -> None:
    X, y, _ = shifted(100, 4, 20)
    assert defense(n_poison=20, max_iter=100_000).fit(X, y).note_ is None
    short = defense(n_poison=20, max_iter=2).fit(X, y)
    assert short.note_ == f"not converged after 2 {unit}"
    assert short.n_iter_ == 2


def test_crr_recovers_oblivious_corruptions_exactly() -> None:
    X, y, mask = shifted(200, 4, 30, noise=0.0)
    crr = CRRDefense(OLS(), n_poison=40, tol=1e-10).fit(X, y)
    clean = OLS().fit(X[~mask], y[~mask])
    np.testing.assert_allclose(crr.coef_, clean.coef_, atol=1e-6)


def test_crr_with_ols_changes_nothing_where_all_is_interpolated() -> None:
    X, y, _ = shifted(10, 20, 3)
    np.testing.assert_allclose(
        CRRDefense(OLS(), n_poison=3).fit(X, y).coef_, OLS().fit(X, y).coef_, atol=1e-9
    )


# --- Proda ---------------------------------------------------------------------------------


@given(n=st.integers(1, 9), data=st.data())
def test_the_chance_of_a_clean_draw_is_counted(n: int, data: Any) -> None:
    p, m = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    draws = list(itertools.combinations(range(n), m))
    clean = sum(all(row >= p for row in draw) for draw in draws)
    assert clean_probability(n, p, m) == pytest.approx(clean / len(draws))


@given(clean=st.floats(1e-6, 1.0), confidence=st.floats(0.01, 0.999))
def test_as_many_draws_as_the_confidence_needs(clean: float, confidence: float) -> None:
    draws = draws_needed(clean, confidence, most=10**9)
    assert 1 - (1 - clean) ** draws >= confidence - 1e-9
    assert draws == 1 or 1 - (1 - clean) ** (draws - 1) <= confidence + 1e-9


def test_draws_are_bounded_and_the_confidence_reported() -> None:
    assert draws_needed(0.0, 0.99, most=7) == 7
    assert draws_needed(1e-300, 0.99, most=7) == 7
    X, y, _ = shifted(60, 20, 10)
    proda = ProdaDefense(n_poison=30, max_draws=5, random_state=0).fit(X, y)
    assert proda.n_draws_ == 5
    assert proda.confidence_ == pytest.approx(1 - (1 - clean_probability(60, 30, 10)) ** 5)
    proda = ProdaDefense(n_poison=10, random_state=0).fit(X, y)
    assert 0.99 <= proda.confidence_ < 1
    assert ProdaDefense(n_poison=0).fit(X, y).n_draws_ == 1


@EVERY_MODEL
def test_proda_returns_the_model_of_its_smallest_loss(model: Any) -> None:
    X, y, mask = shifted(80, 4, 20)
    proda = ProdaDefense(model, n_poison=20, random_state=0).fit(X, y)
    assert np.array_equal(proda.support_, ~mask)
    kept = clone(model).fit(X[~mask], y[~mask])
    assert proda.objective_ == pytest.approx(kept.objective(X[~mask], y[~mask]), rel=1e-6)
    np.testing.assert_allclose(proda.coef_, kept.coef_, atol=1e-9)


# --- low rank ------------------------------------------------------------------------------


def test_the_subspace_of_all_rows_is_that_of_their_components() -> None:
    X, _, _ = shifted(50, 6, 0)
    found = subspace(X, 2, 50)
    V = np.linalg.svd(X - X.mean(axis=0))[2][:2].T
    np.testing.assert_allclose(found.basis @ found.basis.T, V @ V.T, atol=1e-9)
    assert found.n_iter == 1


@given(seed=SEEDS)
def test_rounding_does_not_rank_rows_that_lie_in_the_subspace(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.random((80, 4)), np.eye(3)[rng.integers(3, size=80)]])
    assert subspace(X, 6, 64).n_iter == 2


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 5), p=st.integers(1, 20))
def test_the_subspace_is_a_fixed_point_no_worse_than_the_first(seed: int, k: int, p: int) -> None:
    X = np.random.default_rng(seed).standard_normal((40, 6))
    spread = []
    for max_iter in (1, 2, 3, 100):
        found = subspace(X, k, 40 - p, max_iter)
        centred = X[found.kept] - X[found.kept].mean(axis=0)
        spread.append((np.linalg.svd(centred, compute_uv=False)[k:] ** 2).sum())
    assert (np.diff(spread) <= 1e-9).all()
    off = X - found.mean
    distance = np.linalg.norm(off - off @ found.basis @ found.basis.T, axis=1)
    assert distance[found.kept].max() <= distance[~found.kept].min() + 1e-9


@given(seed=SEEDS, share=st.floats(0.01, 1.0))
@settings(max_examples=20, deadline=None)
def test_the_rank_is_the_least_that_explains(seed: int, share: float) -> None:
    X = np.random.default_rng(seed).standard_normal((20, 5)) * np.array([5, 3, 1, 1, 0.1])
    variances = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    explained = np.cumsum(variances) / variances.sum()
    k = explaining_rank(X, share)
    assert explained[k - 1] >= share - 1e-9
    assert k == 1 or explained[k - 2] <= share + 1e-9


def test_low_rank_finds_rows_off_the_subspace_and_rows_in_it() -> None:
    rng = np.random.default_rng(0)
    scores, directions = (
        rng.standard_normal((200, 3)),
        np.linalg.qr(rng.standard_normal((20, 3)))[0],
    )
    X = scores @ directions.T + 0.01 * rng.standard_normal((200, 20))
    y = scores @ np.array([1.0, -2.0, 0.5]) + 3 + 0.01 * rng.standard_normal(200)
    off, within = np.arange(200) < 20, np.arange(200) >= 180
    X[off] += rng.standard_normal((20, 20)) / 2
    y[off], y[within] = 10.0, 10.0
    model = LowRankDefense(n_poison=40, rank=3, random_state=0).fit(X, y)
    assert not (model.near_subspace_ & off).any()
    assert not (model.support_ & (off | within)).any()
    V = model.components_.T
    np.testing.assert_allclose(V.T @ V, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(V @ V.T @ model.coef_, model.coef_, atol=1e-9)
    np.testing.assert_allclose(model.coef_, directions @ [1.0, -2.0, 0.5], atol=0.02)
    assert model.intercept_ == pytest.approx(3, abs=0.02)


def test_low_rank_at_full_rank_without_poison_is_ols() -> None:
    X, y, _ = shifted(60, 5, 0)
    model = LowRankDefense(n_poison=0, variance=1.0).fit(X, y)
    assert model.rank_ == 5
    assert model.note_ == "no learner; 5 of 5 principal components"
    np.testing.assert_allclose(model.coef_, OLS().fit(X, y).coef_, atol=1e-9)
    assert LowRankDefense(n_poison=0, rank=99).fit(X, y).rank_ == 5


# --- sanitizers ----------------------------------------------------------------------------


@EVERY_MODEL
@pytest.mark.parametrize("d", [3, 30])
def test_leverages_are_derivatives(model: Any, d: int) -> None:
    X, y, _ = shifted(40, d, 0, noise=0.3)
    step = 1e-5
    expected = [
        (
            clone(model).fit(X, y + step * row).predict(X)[i]
            - clone(model).fit(X, y - step * row).predict(X)[i]
        )
        / (2 * step)
        for i, row in enumerate(np.eye(40))
    ]
    np.testing.assert_allclose(leverages(clone(model).fit(X, y), X), expected, atol=1e-4)


def test_cook_measures_what_deleting_a_row_changes() -> None:
    X, y, _ = shifted(40, 3, 5)
    scores = SanitizerDefense(OLS(), score_by="cook").fit(X, y).scores_
    full = OLS().fit(X, y).predict(X)
    deleted = [
        ((full - OLS().fit(np.delete(X, i, 0), np.delete(y, i)).predict(X)) ** 2).sum()
        for i in range(40)
    ]
    np.testing.assert_allclose(scores, deleted, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 30))
def test_neighbour_distances_are_sorted_ones(seed: int, k: int) -> None:
    Z = np.random.default_rng(seed).random((20, 3))
    expected = np.sort(cdist(Z, Z), axis=1)[:, min(k, 19)]
    np.testing.assert_allclose(neighbour_distance(Z, k), expected, atol=1e-9)


def test_components_leave_a_twentieth_of_the_norm() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 8)) * 10.0 ** -np.arange(8)
    distance = distance_from_components(Z)
    centred = Z - Z.mean(axis=0)
    whole = np.linalg.norm(centred)
    assert np.linalg.norm(distance) <= 0.05 * whole
    _, s, Vt = np.linalg.svd(centred)
    k = next(k for k in range(9) if np.sqrt((s[k:] ** 2).sum()) <= 0.05 * whole)
    np.testing.assert_allclose(distance, np.linalg.norm(centred @ Vt[k:].T, axis=1), atol=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_each_score_finds_what_it_looks_for(score: Any) -> None:
    rng = np.random.default_rng(0)
    t = rng.random((100, 1))
    X = np.hstack([t, t]) + 0.01 * rng.standard_normal((100, 2))
    y = t[:, 0] + 0.01 * rng.standard_normal(100)
    # Alone, off the line, and wrong; but if it is far away, it is a component of its own.
    X[0], y[0] = ((0.55, 0.45), 0.5) if score == "svd" else ((1.0, 0.0), 3.0)
    model = SanitizerDefense(n_poison=1, score_by=score, random_state=0).fit(X, y)
    assert np.flatnonzero(~model.support_).tolist() == [0]
    assert model.scores_.argmax() == 0


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("case", ["wide", "one distinct row", "constant y", "identical poison"])
def test_sanitizers_survive_degenerate_rows(score: Any, case: str) -> None:
    X, y, _ = shifted(30, 40 if case == "wide" else 3, 6)
    if case == "one distinct row":
        X, y = np.repeat(X[:1], 30, axis=0), np.repeat(y[:1], 30)
    elif case == "constant y":
        y = np.full(30, 0.7)
    elif case == "identical poison":
        X[20:], y[20:] = 1.0, 0.0
    for p in (0, 15) if score != "isolation-forest" else (15,):
        model = SanitizerDefense(n_poison=p, score_by=score, random_state=0).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert (~model.support_).sum() == p


# --- N-LID ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_nlid_fits_with_its_weights(alpha: float) -> None:
    X, y, _ = shifted(80, 4, 10)
    model = NLIDDefense(Ridge(alpha=alpha)).fit(X, y)
    weighted = SklearnRidge(alpha=alpha).fit(X, y, sample_weight=model.weights_)
    np.testing.assert_allclose(model.coef_, weighted.coef_, atol=1e-8)
    assert model.intercept_ == pytest.approx(weighted.intercept_, abs=1e-8)
    iterated = NLIDDefense(SklearnRidge(alpha=alpha), max_iter=5000).fit(X, y)
    np.testing.assert_allclose(iterated.coef_, weighted.coef_, atol=1e-6)
    assert model.n_iter_ == 1 < iterated.n_iter_


# --- the variants that are not the defaults ------------------------------------------------

VARIANTS = [
    *(SanitizerDefense(score_by=score, random_state=0) for score in SCORES[1:]),  # type: ignore[arg-type]
    TORRENTDefense(step="full", random_state=0),
    NLIDDefense(SklearnRidge(0.1)),
]

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SkipTestWarning)  # array API: not installed

    @pytest.mark.slow
    @parametrize_with_checks(VARIANTS)
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
    def test_every_variant_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
        check(estimator)
