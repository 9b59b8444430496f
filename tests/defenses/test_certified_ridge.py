"""Certified ridge: no poison breaks its promises, and it makes the best one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as SklearnRidge

from poisonbench.attacks import Coordinate
from poisonbench.certificates.ceiling import ceiling
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.defenses import CertifiedRidge
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import Ridge
from poisonbench.problem import Sample

ROUNDING = 1 + 1e-9


def rows_in_the_box(
    seed: int, n: int, numeric: int, size: int, some_without: bool
) -> tuple[Any, Any, list[tuple[int, ...]]]:
    """Return rows, responses and groups: at most one, of `size` columns."""
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, size + some_without, n) if size else np.zeros(n, dtype=int)
    X = np.column_stack([rng.random((n, numeric)), np.eye(size + 1)[choice][:, :size]])
    truth = rng.uniform(-1, 1, numeric + size) / (numeric + 1)
    y = np.clip(0.5 + (X - 0.5) @ truth / 2 + 0.05 * rng.standard_normal(n), 0, 1)
    return X, y, [tuple(range(numeric, numeric + size))] if size else []


def legal_rows(numeric: int, size: int) -> Any:
    """Return all legal rows with numeric features at 0 or 1."""
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=numeric)))
    choices = np.vstack([np.eye(size), np.zeros(size)]) if size else np.zeros((1, 0))
    return np.array([np.append(x, choice) for x in corners for choice in choices])


def error(X: Any, y: Any, poison: Any, model: CertifiedRidge, held_out: Any) -> float:
    """Return the error on the held-out rows of ridge on the others and on the poison rows.

    Penalty and poison are scaled like the number of rows.
    """
    X_p, y_p = poison
    share = (~held_out).mean()
    weights = np.append(np.ones((~held_out).sum()), np.full(len(y_p), share))
    X, y, X_v, y_v = X[~held_out], y[~held_out], X[held_out], y[held_out]
    ridge = SklearnRidge(share * model.alpha_).fit(np.vstack([X, X_p]), np.append(y, y_p), weights)
    return float(np.mean((ridge.predict(X_v) - y_v) ** 2))


def worst_found(model: Any, X: Any, y: Any, pool: Any, rng: Any) -> float:
    """Return the largest held-out error to which exchanges of poison rows lead."""
    total = 0.0
    for fold in np.unique(model.folds_):
        held_out = model.folds_ == fold
        best = 0.0
        for start in (0.0, 1.0):
            X_p, y_p = pool[rng.integers(len(pool), size=model.n_poison)], None
            y_p = np.full(model.n_poison, start)
            reached = error(X, y, (X_p, y_p), model, held_out)
            for c in range(model.n_poison):
                for row, response in itertools.product(pool, (0.0, 1.0)):
                    before = X_p[c].copy(), y_p[c]
                    X_p[c], y_p[c] = row, response
                    value = error(X, y, (X_p, y_p), model, held_out)
                    if value > reached:
                        reached = value
                    else:
                        X_p[c], y_p[c] = before
            best = max(best, reached)
        total += best * held_out.mean()
    return total


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 25),
    numeric=st.integers(1, 2),
    size=st.sampled_from([0, 2, 3]),
    some_without=st.booleans(),
    p=st.integers(1, 3),
    folds=st.integers(2, 4),
)
def test_no_further_rows_break_the_promise(
    seed: int, n: int, numeric: int, size: int, some_without: bool, p: int, folds: int
) -> None:
    X, y, groups = rows_in_the_box(seed, n, numeric, size, some_without)
    model = CertifiedRidge(n_poison=p, one_hot_groups=groups, box="unit", n_folds=folds).fit(X, y)
    rng = np.random.default_rng(seed)
    assert (
        worst_found(model, X, y, legal_rows(numeric, size), rng)
        <= model.held_out_ceiling_ * ROUNDING
    )


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 25),
    size=st.sampled_from([0, 2]),
    p=st.integers(1, 3),
)
def test_no_further_rows_increase_the_error_on_the_rows_given_beyond_the_promise(
    seed: int, n: int, size: int, p: int
) -> None:
    X, y, groups = rows_in_the_box(seed, n, 1, size, some_without=False)
    model = CertifiedRidge(n_poison=p, one_hot_groups=groups, box="unit").fit(X, y)
    legal = [(x, response) for x in legal_rows(1, size) for response in (0.0, 1.0)]
    for poison in itertools.combinations_with_replacement(legal, p):
        X_p, y_p = np.array([x for x, _ in poison]), [response for _, response in poison]
        ridge = SklearnRidge(model.alpha_).fit(np.vstack([X, X_p]), np.append(y, y_p))
        assert np.mean((ridge.predict(X) - y) ** 2) <= model.ceiling_ * ROUNDING


def test_the_promise_is_nearly_reached() -> None:
    """With one feature, and more than a few rows, little is given away."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 1))
    y = 0.3 + 0.4 * X[:, 0]
    model = CertifiedRidge(n_poison=6, box="unit").fit(X, y)
    reached = worst_found(model, X, y, legal_rows(1, 0), rng)
    assert 0.7 * model.held_out_ceiling_ < reached <= model.held_out_ceiling_


def test_a_strong_attack_does_not_break_the_promise() -> None:
    X, y, groups = rows_in_the_box(5, 60, 3, 4, some_without=True)
    model = CertifiedRidge(n_poison=12, one_hot_groups=groups, box="unit").fit(X, y)
    total = 0.0
    for fold in range(5):
        held_out = model.folds_ == fold
        poison = Coordinate(outer_objective="validation").poison(
            X[~held_out], y[~held_out], model=Ridge(alpha=0.8 * model.alpha_), n_poison=12,
            X_val=X[held_out], y_val=y[held_out], groups=groups, box=(0, 1), y_box=(0, 1),
            random_state=0,
        )  # fmt: skip
        total += error(X, y, (poison.X, poison.y), model, held_out) * held_out.mean()
    assert total <= model.held_out_ceiling_ * ROUNDING
    clean = sum(error(X, y, (X[:0], y[:0]), model, model.folds_ == k) / 5 for k in range(5))
    assert total > 1.5 * clean  # it did something


@pytest.mark.parametrize("p", [0, 1, 8])
def test_the_penalty_makes_the_best_promise(p: int) -> None:
    X, y, groups = rows_in_the_box(3, 40, 2, 3, some_without=False)
    model = CertifiedRidge(n_poison=p, one_hot_groups=groups, box="unit").fit(X, y)
    # A row without a category is legal, although the rows given have none.
    space = FeatureSpace(tuple("abcde"), (OneHotGroup("g", (2, 3, 4), True),))

    def promise(alpha: float) -> float:
        total = 0.0
        for fold in range(5):
            held_out = model.folds_ == fold
            train = Sample(X[~held_out], y[~held_out])
            problem = Poisoning.of(train, Ridge(), p, space)
            problem = replace(problem, n_poison=0.8 * p or 1e-12, l2=0.8 * alpha)
            loss = Loss.mean_squared_error(Sample(X[held_out], y[held_out]))
            total += ceiling(problem, loss).bound * held_out.mean()
        return total

    assert model.held_out_ceiling_ == pytest.approx(promise(model.alpha_), rel=1e-6)
    others = [promise(40 * share) for share in (0.001, 0.01, 0.1, 1, 10, 100)]
    assert model.held_out_ceiling_ <= min(others) * (1 + 1e-6)
    np.testing.assert_allclose(model.coef_, SklearnRidge(model.alpha_).fit(X, y).coef_)


def test_more_poison_takes_a_larger_penalty() -> None:
    X, y, _ = rows_in_the_box(1, 60, 5, 0, some_without=False)
    models = [CertifiedRidge(n_poison=p, box="unit").fit(X, y) for p in (0, 1, 6, 30)]
    assert all(a.alpha_ <= b.alpha_ for a, b in itertools.pairwise(models))
    assert models[0].alpha_ < models[-1].alpha_
    assert all(a.held_out_ceiling_ < b.held_out_ceiling_ for a, b in itertools.pairwise(models))


def test_poison_outside_the_range_of_the_rows_is_legal_in_the_unit_box() -> None:
    rng = np.random.default_rng(2)
    X = 0.45 + 0.1 * rng.random((20, 1))
    y = 0.5 + 0.02 * rng.standard_normal(20)
    unit = CertifiedRidge(n_poison=2, box="unit").fit(X, y)
    own = CertifiedRidge(n_poison=2, box="rows").fit(X, y)
    assert worst_found(unit, X, y, legal_rows(1, 0), rng) > own.held_out_ceiling_
    assert worst_found(unit, X, y, legal_rows(1, 0), rng) <= unit.held_out_ceiling_


def test_without_a_box_the_rows_are_scaled_to_it() -> None:
    X, y, groups = rows_in_the_box(4, 30, 2, 3, some_without=True)
    X[:2, :2] = [[0.0, 0.0], [1.0, 1.0]]
    y[:2] = 0.0, 1.0
    inside = CertifiedRidge(n_poison=3, one_hot_groups=groups, box="unit").fit(X, y)
    other = X * [1e4, 3.0, 1, 1, 1] + [-500.0, 8.0, 0, 0, 0]
    outside = CertifiedRidge(n_poison=3, one_hot_groups=groups).fit(other, 20 * y + 5)
    assert outside.alpha_ == inside.alpha_
    np.testing.assert_allclose(outside.predict(other), 20 * inside.predict(X) + 5)
    np.testing.assert_array_equal(outside.folds_, inside.folds_)
    assert outside.held_out_ceiling_ == pytest.approx(400 * inside.held_out_ceiling_)
    assert outside.ceiling_ == pytest.approx(400 * inside.ceiling_)
    assert outside.certified_mse_ == pytest.approx(400 * inside.certified_mse_)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 9), p=st.integers(0, 3))
def test_whichever_rows_are_poison_the_error_on_the_others_is_as_promised(
    seed: int, n: int, p: int
) -> None:
    rng = np.random.default_rng(seed)
    X, y, _ = rows_in_the_box(seed, n, 2, 0, some_without=False)
    X[:p], y[:p] = rng.integers(0, 2, (p, 2)), rng.integers(0, 2, p)
    model = CertifiedRidge(n_poison=p, n_folds=2).fit(X, y)
    squared = (model.predict(X) - y) ** 2
    errors = [
        np.delete(squared, poison).mean()
        for count in range(p + 1)
        for poison in itertools.combinations(range(n), count)
    ]
    assert max(errors) == pytest.approx(model.certified_mse_)


def test_rows_outside_the_unit_box_are_refused() -> None:
    with pytest.raises(ValueError, match="box is 'unit', but some rows have features or responses"):
        CertifiedRidge(box="unit").fit([[0.0], [2.0]], [0.0, 1.0])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 30), p=st.integers(0, 2))
def test_the_note_does_not_promise_more_than_is_proved(seed: int, n: int, p: int) -> None:
    X, y, _ = rows_in_the_box(seed, n, 2, 0, False)
    model = CertifiedRidge(n_poison=p).fit(X, y)
    assert float(model.note_.rpartition(" ")[2]) >= model.certified_mse_


def test_without_poison_no_bound_is_negative() -> None:
    X = np.random.default_rng(0).random((20, 2))
    model = CertifiedRidge().fit(X, np.full(20, 0.3))
    assert model.ceiling_ >= 0
    assert model.held_out_ceiling_ >= 0


def test_a_column_that_hardly_varies_gets_no_huge_weight() -> None:
    """A gradient attack moves some poison rows a little in a column that is 0 in all others."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.random(60), np.zeros(60)])
    y = 0.2 + 0.6 * X[:, 0]
    X[:5, 1], y[:5] = 1e-8, 1 - y[:5]
    model = CertifiedRidge(n_poison=5).fit(X, y)
    assert np.abs(model.coef_).max() < 2
    assert 0 <= model.predict([[0.5, 1.0]])[0] <= 1
