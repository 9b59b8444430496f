"""No search finds poison above its ceiling, and the ceiling is close to the worst case."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from poisonbench import registry
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.certificates.ceiling import NoCeilingError, ceiling, curve
from poisonbench.certificates.check import proved
from poisonbench.certificates.legal_set import LegalSet
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.certificates.predictions import prediction_shifts
from poisonbench.features import BOX_TOLERANCE, FeatureSpace, OneHotGroup
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge
from poisonbench.problem import Sample

ROUNDING = 1e-9
"""Relative error of a fit's loss; a ceiling allows for its own rounding, not for a fit's."""


def space_of(numeric: int, groups: list[tuple[int, bool, bool]]) -> FeatureSpace:
    """Numeric columns, then groups (size, all-zero legal, one of k)."""
    names, made = [f"x{j}" for j in range(numeric)], []
    for g, (size, all_zero, one_of_k) in enumerate(groups):
        columns = tuple(range(len(names), len(names) + size))
        made.append(OneHotGroup(f"g{g}", columns, all_zero, one_of_k))
        names += [f"g{g}:{value}" for value in range(size)]
    return FeatureSpace(tuple(names), tuple(made))


def corners(space: FeatureSpace) -> Any:
    """All legal rows with numeric features at 0 or 1."""
    axes: list[list[dict[int, float]]] = [[{int(j): 0.0}, {int(j): 1.0}] for j in space.numeric]
    axes += [[{int(j): 0.0}, {int(j): 1.0}] for j in space.binary]
    for group in space.choices:
        axes.append([{j: 1.0} for j in group.columns] + ([{}] if group.all_zero else []))
    rows = np.zeros((int(np.prod([len(axis) for axis in axes])), space.n_features))
    for row, choice in zip(rows, itertools.product(*axes), strict=True):
        for part in choice:
            for j, value in part.items():
                row[j] = value
    return rows


def legal_rows(space: FeatureSpace, rng: np.random.Generator, n: int) -> Any:
    return space.project(rng.random((n, space.n_features)) * rng.choice([1.0, 3.0], (n, 1)))


def sample(space: FeatureSpace, rng: np.random.Generator, n: int) -> Sample:
    X = legal_rows(space, rng, n)
    truth = rng.uniform(-1, 1, space.n_features)
    y = 0.5 + (X - 0.5) @ truth / (2 * np.abs(truth).sum() + 1) + 0.05 * rng.standard_normal(n)
    return Sample(X, np.clip(y, 0, 1))


def ridge_fit(problem: Poisoning, X: Any, y: Any, weights: Any) -> Any:
    """The learner of a ridge problem on its clean rows and weighted poison rows."""
    Z = np.column_stack([X, np.ones(len(X))])
    hessian = problem.hessian + Z.T @ (weights[:, None] * Z)
    return np.linalg.solve(hessian, problem.moment + Z.T @ (weights * y))


def climbed(problem: Poisoning, loss: Loss, rng: np.random.Generator, starts: int = 3) -> float:
    """The largest loss that greedy exchanges of rows reach; rows with weights of sum p."""
    best, pool = -np.inf, corners(problem.space)
    if len(pool) > 64:
        pool = pool[rng.choice(len(pool), 64, replace=False)]
    pool = np.vstack([pool, legal_rows(problem.space, rng, 4)])
    for _ in range(starts):
        k = int(rng.integers(1, 5))
        weights = rng.dirichlet(np.ones(k)) * problem.n_poison
        X, y = pool[rng.integers(len(pool), size=k)].copy(), rng.integers(0, 2, k).astype(float)
        value = loss.value(ridge_fit(problem, X, y, weights))
        for _ in range(2):
            for c in range(k):
                for x, response in itertools.product(pool, (0.0, 1.0)):
                    before = X[c].copy(), y[c]
                    X[c], y[c] = x, response
                    reached = loss.value(ridge_fit(problem, X, y, weights))
                    if reached > value:
                        value = reached
                    else:
                        X[c], y[c] = before
        best = max(best, value)
    return best


spaces = st.builds(
    space_of,
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(spaces, st.integers(0, 10_000))
def test_reach_is_the_largest_residual_of_any_legal_point(space, seed):
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(space.n_features + 1) * rng.choice([0.01, 1.0, 100.0])
    legal, rows = LegalSet(space), corners(space)
    f = rows @ theta[:-1] + theta[-1]
    assert legal.highest(theta) == pytest.approx(f.max(), rel=1e-12, abs=1e-12)
    assert legal.lowest(theta) == pytest.approx(f.min(), rel=1e-12, abs=1e-12)
    row = legal.highest_row(theta)
    assert not space.violations(row[None])
    assert row @ theta[:-1] + theta[-1] == pytest.approx(f.max(), rel=1e-12, abs=1e-12)
    R = max(f.max(), 1 - f.min())
    assert R <= legal.reach(theta) <= R + 1e-8 * (1 + np.abs(theta).sum())


def test_reach_covers_rows_that_lie_outside_the_box_by_rounding():
    legal = LegalSet(space_of(2, []))
    theta = np.array([1e6, -2e6, 0.25])
    x = np.array([1 + BOX_TOLERANCE, -BOX_TOLERANCE])
    assert legal.reach(theta) >= theta[:-1] @ x + theta[-1] + BOX_TOLERANCE


@settings(max_examples=25, deadline=None)
@given(
    space=spaces,
    seed=st.integers(0, 10_000),
    n=st.integers(2, 30),
    p=st.sampled_from([0.25, 1.0, 3.0, 20.0]),
    alpha=st.sampled_from([1e-6, 1e-3, 0.1, 10.0, 1e3]),
    objective=st.sampled_from(["training", "validation", "prediction-shift", "quadratic"]),
)
def test_no_ridge_exceeds_the_ceiling(space, seed, n, p, alpha, objective):
    rng = np.random.default_rng(seed)
    train, validation = sample(space, rng, n), sample(space, rng, int(rng.integers(1, 20)))
    problem = replace(Poisoning.of(train, Ridge(alpha=alpha), 1, space), n_poison=p)
    root = rng.standard_normal((space.n_features + 1, 2))
    loss = {
        "training": lambda: Loss.training(problem),
        "validation": lambda: Loss.mean_squared_error(validation),
        "prediction-shift": lambda: Loss.prediction_shift(problem, rng.random(len(root))),
        "quadratic": lambda: Loss(root @ root.T, rng.standard_normal(len(root)), 1.0),
    }[objective]()
    found = ceiling(problem, loss)
    reached = climbed(problem, loss, rng)
    assert reached <= found.bound + ROUNDING * abs(found.bound)
    # What rounding costs is little; the models of the smallest penalties are huge.
    assert found.slack <= (1e-6 if alpha >= 1e-3 else 1e-2) * (1 + abs(found.bound))


@settings(max_examples=15, deadline=None)
@given(
    space=spaces,
    seed=st.integers(0, 10_000),
    n=st.integers(3, 30),
    p=st.integers(1, 6),
    model=st.sampled_from([Lasso(0.05), Lasso(1e-3), ElasticNet(0.01), ElasticNet(alpha=0.1), OLS(),
                           Ridge(0.01), Ridge(alpha=1e-4)]),
    objective=st.sampled_from(["training", "prediction-shift"]),
)  # fmt: skip
def test_no_learner_exceeds_the_ceiling(space, seed, n, p, model, objective):
    rng = np.random.default_rng(seed)
    train = sample(space, rng, n)
    problem = Poisoning.of(train, model, p, space)
    clean = type(model)(**model.get_params()).fit(train.X, train.y)
    shift = Loss.prediction_shift(problem, np.append(clean.coef_, clean.intercept_))
    loss = Loss.training(problem) if objective == "training" else shift
    bound = ceiling(problem, loss).bound
    pool = np.vstack([corners(space)[:100], legal_rows(space, rng, 10)])
    if isinstance(model, OLS):  # where its minimum-norm solution is discontinuous
        pool = np.vstack([pool, pool * 1e-7, pool * 1e-5])
        pool = pool[[not space.violations(row[None]) for row in pool]]
    for _ in range(25):
        X = pool[rng.integers(len(pool), size=p)]
        if rng.random() < 0.3:
            X = np.repeat(X[:1], p, axis=0)
        y = rng.integers(0, 2, p).astype(float)
        X, y = np.vstack([train.X, X]), np.append(train.y, y)
        fitted = type(model)(**model.get_params()).fit(X, y)
        reached = loss.value(np.append(fitted.coef_, fitted.intercept_))
        assert reached <= bound * (1 + 1e-7) + 1e-10


@pytest.mark.parametrize(("seed", "n", "d", "p"), [(19, 3, 4, 2), (29, 2, 5, 3), (32, 2, 5, 4)])
def test_poison_that_nearly_lies_in_the_span_of_few_rows_does_not_exceed_it(seed, n, d, p):
    """Least squares of huge weights; the loss from predictions, as theirs cancel in moments."""
    rng, space = np.random.default_rng(seed), space_of(d, [])
    train = sample(space, rng, n)
    problem = Poisoning.of(train, OLS(), p, space)
    bound = ceiling(problem, Loss.training(problem)).bound
    for _ in range(200):
        X = rng.dirichlet(np.full(n, 0.5), size=p) @ train.X
        far = 10.0 ** rng.uniform(-8, -3) * 10.0 ** rng.uniform(-3, 0, size=d)
        X = np.clip(X + far * rng.standard_normal((p, d)), 0, 1)
        y = rng.integers(0, 2, p).astype(float)
        fitted = OLS().fit(np.vstack([train.X, X]), np.append(train.y, y))
        reached = np.mean((fitted.predict(train.X) - train.y) ** 2)
        assert reached <= bound * (1 + 1e-7)


@settings(max_examples=10, deadline=None)
@given(space=spaces, seed=st.integers(0, 10_000), penalty=st.sampled_from(["l1", "l2", "both"]))
def test_a_bad_proposal_proves_a_loose_bound_not_a_wrong_one(space, seed, penalty):
    rng = np.random.default_rng(seed)
    train, p = sample(space, rng, 12), 3
    model = {"l1": Lasso(0.01), "l2": Ridge(0.01), "both": ElasticNet(0.01)}[penalty]
    problem = Poisoning.of(train, model, p, space)
    loss = Loss.training(problem)
    good = ceiling(problem, loss)
    d = space.n_features
    pool, worst = corners(space), -np.inf
    for _ in range(10):
        X = np.vstack([train.X, pool[rng.integers(len(pool), size=p)]])
        y = np.append(train.y, rng.integers(0, 2, p))
        fitted = type(model)(**model.get_params()).fit(X, y)
        worst = max(worst, loss.value(np.append(fitted.coef_, fitted.intercept_)))
    for size in (1e-3, 0.1, 10.0):
        m = good.multiplier * rng.choice([0.5, 0.999, 1.0, 1.001, 3.0])
        reference = good.reference + size * rng.standard_normal(d + 1)
        peak = good.peak + size * rng.standard_normal(d + 1)
        assert proved(problem, loss, m, reference, peak).bound >= worst * (1 - 1e-9)
    assert proved(problem, loss, -1.0, good.reference, good.peak).bound == np.inf
    assert proved(problem, loss, 1.0, good.reference * np.nan, good.peak).bound == np.inf


def test_the_check_evaluates_the_formula(make_problem):
    attacked = make_problem(Ridge(alpha=0.3))
    problem = Poisoning.of(attacked.train, attacked.model, 5, attacked.space)
    loss = Loss.mean_squared_error(attacked.validation)
    found = ceiling(problem, loss)
    m, reference, R = found.multiplier, found.reference, found.reach
    A, b, C, c = problem.hessian, problem.moment, loss.hessian, loss.vector
    v = m * (A @ reference + b) - 2 * c
    bound = (
        v @ np.linalg.solve(m * A - C, v) / 4
        - m * b @ reference
        + loss.constant
        + m * 5 / 4 * R * R
    )
    assert found.bound == pytest.approx(bound, rel=1e-7)
    assert found.bound >= bound * (1 - 1e-12)


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize(("n", "p"), [(8, 1), (8, 2), (20, 3)])
def test_close_to_the_worst_of_all_poison_sets(alpha, n, p):
    """Enumerated: all multisets of corners; for ridge the best responses are 0 or 1."""
    space = space_of(1, [(2, True, True)])
    rng = np.random.default_rng(n + p)
    train, validation = sample(space, rng, n), sample(space, rng, 10)
    problem = Poisoning.of(train, Ridge(alpha=alpha), p, space)
    points = [(x, y) for x in corners(space) for y in (0.0, 1.0)]
    # How close depends: on few validation rows and with little penalty it can be far.
    close = {
        1.3: Loss.training(problem),
        1.2 if n > 8 else 200: Loss.mean_squared_error(validation),
    }
    for ratio, loss in close.items():
        worst = max(
            loss.value(
                ridge_fit(
                    problem,
                    np.array([x for x, _ in chosen]),
                    np.array([y for _, y in chosen]),
                    np.ones(p),
                )
            )
            for chosen in itertools.combinations_with_replacement(points, p)
        )
        bound = ceiling(problem, loss).bound
        assert worst <= bound <= ratio * worst


def test_no_descent_from_sixty_starts_exceeds_the_ceiling():
    """Rows and responses moved together by L-BFGS-B, inside the box."""
    space, p, d = space_of(2, []), 2, 2
    rng = np.random.default_rng(7)
    train, validation = sample(space, rng, 15), sample(space, rng, 15)
    problem = Poisoning.of(train, Ridge(alpha=0.05), p, space)
    for loss in (Loss.training(problem), Loss.mean_squared_error(validation)):
        bound, best = ceiling(problem, loss).bound, -np.inf

        def negative(flat: Any, loss: Loss = loss) -> float:
            rows = flat.reshape(p, d + 1)
            return -loss.value(ridge_fit(problem, rows[:, :-1], rows[:, -1], np.ones(p)))

        for _ in range(60):
            start = rng.random(p * (d + 1))
            found = minimize(negative, start, method="L-BFGS-B", bounds=[(0, 1)] * len(start))
            best = max(best, -found.fun)
        assert best <= bound * (1 + ROUNDING)
        assert best >= 0.75 * bound


@settings(max_examples=4, deadline=None)
@given(spaces, st.integers(0, 10_000), st.sampled_from([1e-3, 0.1, 10.0]))
def test_more_poison_raises_the_ceiling(space, seed, alpha):
    rng = np.random.default_rng(seed)
    train, validation = sample(space, rng, 20), sample(space, rng, 10)
    problem = Poisoning.of(train, Ridge(alpha=alpha), 1, space)
    budgets = [0.01, 1.0, 2.0, 2.1, 100.0]
    for loss in (Loss.training(problem), Loss.mean_squared_error(validation)):
        bounds = [found.bound for found in curve(problem, loss, budgets)]
        assert (np.diff(bounds) >= 0).all()
        alone = [ceiling(replace(problem, n_poison=p), loss).bound for p in budgets]
        np.testing.assert_allclose(alone, bounds, rtol=2e-5)


@settings(max_examples=6, deadline=None)
@given(spaces, st.integers(0, 10_000))
def test_symmetries(space, seed):
    """Mirrored features and responses, permuted columns, copied rows, another unit of the loss."""
    rng = np.random.default_rng(seed)
    train, validation = sample(space, rng, 15), sample(space, rng, 10)

    def bound(train: Sample, validation: Sample, space: FeatureSpace = space, k: int = 1) -> float:
        problem = Poisoning.of(train, Ridge(alpha=0.2 * k), 3 * k, space)
        return ceiling(problem, Loss.mean_squared_error(validation)).bound

    expected = bound(train, validation)
    mirrored = [Sample(rows.X.copy(), 1 - rows.y) for rows in (train, validation)]
    for rows in mirrored:
        rows.X[:, space.numeric[0]] = 1 - rows.X[:, space.numeric[0]]
    assert bound(*mirrored) == pytest.approx(expected, rel=2e-5)
    copies = Sample(np.tile(train.X, (4, 1)), np.tile(train.y, 4))
    assert bound(copies, validation, k=4) == pytest.approx(expected, rel=2e-5)
    order = rng.permutation(space.n_features)
    place = np.argsort(order)
    groups = tuple(
        replace(group, columns=tuple(int(place[j]) for j in group.columns))
        for group in space.groups
    )
    permuted = FeatureSpace(tuple(space.names[j] for j in order), groups)
    rows = [Sample(rows.X[:, order], rows.y) for rows in (train, validation)]
    assert bound(*rows, space=permuted) == pytest.approx(expected, rel=2e-5)
    problem = Poisoning.of(train, Ridge(alpha=0.2), 3, space)
    loss = Loss.mean_squared_error(validation)
    scaled = Loss(1e6 * loss.matrix, 1e6 * loss.vector, 1e6 * loss.constant)
    assert ceiling(problem, scaled).bound == pytest.approx(1e6 * expected, rel=2e-5)


@pytest.mark.parametrize("model", [Ridge(0.01), Lasso(0.01), ElasticNet(0.01), OLS()])
@pytest.mark.parametrize("objective", ["training", "prediction-shift", "validation"])
def test_both_solvers_agree(make_problem, model, objective):
    pytest.importorskip("clarabel", reason="needs the extra certify")
    attacked = make_problem(model, groups=(3, 4))
    problem = Poisoning.of(attacked.train, attacked.model, 6, attacked.space)
    theta = np.append(attacked.model.coef_, attacked.model.intercept_)
    loss = {
        "training": Loss.training(problem),
        "prediction-shift": Loss.prediction_shift(problem, theta),
        "validation": Loss.mean_squared_error(attacked.validation),
    }[objective]
    if objective == "validation" and isinstance(model, OLS):
        for solver in ("interior-point", "clarabel"):
            with pytest.raises(NoCeilingError, match="singular"):
                ceiling(problem, loss, solver)
        return
    own, cone = ceiling(problem, loss), ceiling(problem, loss, "clarabel")
    assert (own.solver, cone.solver) == ("interior-point", "clarabel")
    assert own.bound <= cone.bound * (1.1 if problem.l1 else 1.00001)
    assert cone.bound <= own.bound * 1.00001


@pytest.mark.parametrize("model", [Ridge(0.01), Lasso(0.01), ElasticNet(0.01)])
def test_losses_are_the_attacks_objectives(make_problem, model):
    attacked = make_problem(model)
    problem = Poisoning.of(attacked.train, attacked.model, attacked.n_poison, attacked.space)
    clean = np.append(attacked.model.coef_, attacked.model.intercept_)
    losses = {
        "training": Loss.training(problem),
        "validation": Loss.mean_squared_error(attacked.validation),
        "prediction-shift": Loss.prediction_shift(problem, clean),
    }
    for theta in np.random.default_rng(1).standard_normal((3, len(clean))):
        for name, loss in losses.items():
            W = registry.components("outer_objective")[name]().function(attacked)
            assert loss.value(theta) == pytest.approx(W.value(theta), rel=1e-10)


@pytest.mark.parametrize("objective", ["training", "validation", "prediction-shift"])
@pytest.mark.parametrize("all_zero", [False, True])
def test_the_strongest_attack_comes_close_and_does_not_exceed(make_problem, objective, all_zero):
    attacked = make_problem(
        Ridge(alpha=0.1), n=60, groups=(3, 4), numeric=3, all_zero=all_zero, n_poison=8
    )
    attack = Coordinate(outer_objective=objective, restarts=2)
    reached = attack.generate(attacked).objective_final
    problem = Poisoning.of(attacked.train, attacked.model, 8, attacked.space)
    clean = np.append(attacked.model.coef_, attacked.model.intercept_)
    loss = {
        "training": Loss.training(problem),
        "validation": Loss.mean_squared_error(attacked.validation),
        "prediction-shift": Loss.prediction_shift(problem, clean),
    }[objective]
    assert 0.8 * ceiling(problem, loss).bound <= reached <= ceiling(problem, loss).bound


@settings(max_examples=10, deadline=None)
@given(spaces, st.integers(0, 10_000), st.sampled_from([1e-4, 0.1, 10.0]))
def test_single_predictions(space, seed, alpha):
    rng = np.random.default_rng(seed)
    train, p = sample(space, rng, 10), 3
    problem = Poisoning.of(train, Ridge(alpha=alpha), p, space)
    X = legal_rows(space, rng, 2)
    found = prediction_shifts(problem, X)
    Z = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_allclose(
        found.predicted, Z @ np.linalg.solve(problem.hessian, problem.moment), atol=1e-7
    )
    pool = corners(space)
    for _ in range(20):
        chosen = pool[rng.integers(len(pool), size=p)]
        theta = ridge_fit(problem, chosen, rng.integers(0, 2, p), np.ones(p))
        assert (np.abs(Z @ theta - found.predicted) <= found.bound * (1 + 1e-7) + 1e-9).all()
    for z, predicted, bound in zip(Z, found.predicted, found.bound, strict=True):
        above = ceiling(problem, Loss.prediction(z, 1.0)).bound
        below = -ceiling(problem, Loss.prediction(z, -1.0)).bound
        assert predicted - bound - 1e-6 <= below <= predicted <= above <= predicted + bound + 1e-6
        assert (z @ theta) <= above + 1e-9
        assert (z @ theta) >= below - 1e-9


def test_without_poison_there_is_nothing_to_bound(make_problem):
    attacked = make_problem()
    problem = Poisoning.of(attacked.train, attacked.model, 0, attacked.space)
    with pytest.raises(ValueError, match="expected a positive budget"):
        ceiling(problem, Loss.training(problem))


def test_too_small_a_penalty_is_said_to_be_too_small(make_problem):
    attacked = make_problem(Ridge(alpha=1e-300), duplicates=1)
    problem = Poisoning.of(attacked.train, attacked.model, 3, attacked.space)
    with pytest.raises(NoCeilingError, match=r"expected .*penalty"):
        ceiling(problem, Loss.mean_squared_error(attacked.validation))
    lasso = Poisoning.of(attacked.train, Lasso(0.01).fit(attacked.train.X, attacked.train.y), 3,
                         attacked.space)  # fmt: skip
    with pytest.raises(NoCeilingError, match="l1"):
        prediction_shifts(lasso, attacked.train.X)
