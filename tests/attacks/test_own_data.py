"""Attacks on arrays and data frames in their own units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.svm import SVR

from poisonbench.attacks import Attack, Coordinate, File, NoAttack, OptP, StatP, Subpopulation
from poisonbench.attacks.own_data import read
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.models import OLS, ElasticNet, Lasso, Ridge
from poisonbench.models.scikit_learn import learner_of
from poisonbench.problem import AttackProblem, PoisonSet


class Seen(Attack):
    """Keeps the problem that it is given, and returns the two corners of the box."""

    name = "seen"
    reference = "this test"

    def generate(self, problem: AttackProblem) -> PoisonSet:
        self.problem = problem
        X = np.zeros((problem.n_poison, problem.space.n_features))
        X[1::2, problem.space.numeric] = 1.0
        for group in problem.space.groups:
            X[:, group.columns[0]] = 1.0
        return PoisonSet(X, np.arange(problem.n_poison) % 2.0)


def people(n: int = 60) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    man = rng.integers(0, 2, n)
    X = pd.DataFrame({"age": rng.integers(20, 80, n), "sex:m": man, "sex:f": 1 - man})
    y = pd.Series(100.0 * X["age"] + 900 * man + rng.normal(0, 300, n), name="pay")
    return X, y


def test_the_rows_are_scaled_to_the_box_and_back() -> None:
    X, y = people()
    attack = Seen()
    poison = attack.poison(X[:40], y[:40], n_poison=2, X_val=X[40:], y_val=y[40:], random_state=5)
    problem = attack.problem
    train = (X["age"][:40] - X["age"][:40].min()) / np.ptp(X["age"][:40])
    np.testing.assert_allclose(problem.train.X[:, 0], train)
    assert np.array_equal(problem.train.X[:, 1:], X[:40].to_numpy()[:, 1:])
    assert (problem.train.y.min(), problem.train.y.max()) == (0.0, 1.0)
    np.testing.assert_allclose(problem.scaling.inverse_response(problem.validation.y), y[40:])
    assert problem.space == FeatureSpace(
        ("age", "sex:m", "sex:f"), (OneHotGroup("sex", (1, 2), False),)
    )
    assert (problem.target, problem.n_poison, problem.entropy) == ("pay", 2, 5)
    assert isinstance(poison.X, pd.DataFrame)
    assert list(poison.X) == list(X)
    assert poison.y.name == "pay"
    expected = [[X["age"][:40].min(), 1, 0], [X["age"][:40].max(), 1, 0]]
    assert poison.X.to_numpy().tolist() == expected
    assert poison.y.tolist() == [y[:40].min(), y[:40].max()]


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
def test_rounding_takes_no_row_out_of_the_box(low: float, span: float, seed: int) -> None:
    X = low + span * np.random.default_rng(seed).random((10, 2))
    assume(np.ptp(X[:, 0]) > 0)
    data = read(X, X[:, 0])
    unit = np.random.default_rng(seed).integers(0, 2, (6, 2)).astype(float)
    poison = data.in_own_units(PoisonSet(unit, unit[:, 0]))
    assert np.array_equal(poison.X, np.clip(poison.X, X.min(axis=0), X.max(axis=0)))
    assert np.array_equal(poison.y, np.clip(poison.y, X[:, 0].min(), X[:, 0].max()))
    corners = np.where(unit == 0, X.min(axis=0), X.max(axis=0))
    np.testing.assert_allclose(poison.X, corners, atol=1e-9 * span)


def test_what_is_given_stays_as_it_is_and_arrays_give_arrays() -> None:
    X, y = people()
    arrays = X.to_numpy(), y.to_numpy()
    before = [array.copy() for array in arrays]
    model = linear_model.Ridge(0.1)
    poison = StatP().poison(*arrays, model=model, n_poison=3, random_state=0)
    assert all(map(np.array_equal, arrays, before))
    assert not hasattr(model, "coef_")
    assert type(poison.X) is type(poison.y) is np.ndarray
    again = StatP().poison(*arrays, model=model, n_poison=3, random_state=0)
    assert np.array_equal(poison.X, again.X)
    # Without names nothing tells the group.
    attack = Seen()
    attack.poison(*arrays, n_poison=1)
    assert attack.problem.space.groups == ()
    attack.poison(*arrays, n_poison=1, groups=[(1, 2)])
    assert attack.problem.space.groups == (OneHotGroup("group 0", (1, 2), False),)
    attack.poison(X, y, n_poison=1, groups=[["sex:f", "sex:m"]])
    assert attack.problem.space.groups[0].columns == (2, 1)
    attack.poison(X, y, n_poison=1, groups=[])
    assert attack.problem.space.groups == ()


def test_a_box_of_ones_own() -> None:
    X, y = people()
    attack = Seen()
    poison = attack.poison(X, y, n_poison=2, box=(0, [120, 1, 1]), y_box=(-1e4, 1e5))
    assert poison.X["age"].tolist() == [0, 120]
    assert poison.y.tolist() == [-1e4, 1e5]
    np.testing.assert_allclose(attack.problem.train.X[:, 0], X["age"] / 120)
    assert np.array_equal(attack.problem.train.X[:, 1], X["sex:m"])  # groups are not scaled


def test_none_draws_a_seed() -> None:
    X, y = people()
    attack = Seen()
    seeds = set()
    for _ in range(4):
        attack.poison(X, y, n_poison=1)
        seeds.add(attack.problem.entropy)
    assert len(seeds) > 1


def test_an_attack_that_brings_its_own_rows(tmp_path: Any) -> None:
    X, y = people()
    rows = X[:2].assign(pay=y[:2].round())
    rows.to_csv(tmp_path / "mine.csv", index=False)
    poison = File(path=tmp_path / "mine.csv").poison(X, y)
    np.testing.assert_allclose(poison.X, X[:2])
    assert NoAttack().poison(X, y).X.shape == (0, 3)
    with pytest.raises(ValueError, match="n_poison is 3, but file brings 2 rows of its own"):
        File(path=tmp_path / "mine.csv").poison(X, y, n_poison=3)


def test_the_poison_hurts_the_learner_behind_the_scaler() -> None:
    X, y = people(200)
    parts = {"X_val": X[50:100], "y_val": y[50:100]}
    for model in (linear_model.LinearRegression(), linear_model.Lasso(1e-3), Ridge(alpha=0.1)):
        poison = Coordinate(preset="fast").poison(
            X[:50], y[:50], model=model, n_poison=10, random_state=0, **parts
        )
        low, span = X[:50].min(), np.ptp(X[:50], axis=0)

        def error(X_fit: Any, y_fit: Any, model: Any = model, low: Any = low, span: Any = span):  # type: ignore[no-untyped-def]
            scaled_y = (y_fit - y[:50].min()) / np.ptp(y[:50])
            fitted = model.fit((X_fit - low) / span, scaled_y)
            truth = (y[100:] - y[:50].min()) / np.ptp(y[:50])
            return np.mean((fitted.predict((X[100:] - low) / span) - truth) ** 2)

        clean = error(X[:50], y[:50])
        assert error(pd.concat([X[:50], poison.X]), pd.concat([y[:50], poison.y])) > 3 * clean


@pytest.mark.parametrize(
    ("given", "learner"),
    [
        (linear_model.LinearRegression(), OLS()),
        (linear_model.Ridge(0.3), Ridge(alpha=0.3)),
        (linear_model.Lasso(0.02), Lasso(alpha=0.02)),
        (linear_model.ElasticNet(0.02, l1_ratio=0.7), ElasticNet(alpha=0.02, rho=0.7)),
        (Lasso(0.1), Lasso(0.1)),
    ],
    ids=str,
)
def test_learners_of_scikit_learn(given: Any, learner: Any) -> None:
    assert repr(learner_of(given)) == repr(learner)
    rng = np.random.default_rng(1)
    X, y = rng.random((30, 3)), rng.random(30)
    np.testing.assert_allclose(learner_of(given).fit(X, y).coef_, given.fit(X, y).coef_, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [SVR(), linear_model.Ridge, "ridge", linear_model.MultiTaskLasso(), linear_model.RidgeCV()],
    ids=str,
)
def test_other_learners_are_refused(model: Any) -> None:
    X, y = people()
    with pytest.raises(TypeError, match=r"^model is .*, expected a learner of poisonbench\.models"):
        StatP().poison(X, y, model=model, n_poison=1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (linear_model.Ridge(fit_intercept=False), "expected fit_intercept=True"),
        (linear_model.Lasso(positive=True), "expected positive=False"),
        (linear_model.Ridge(0), "alpha is 0, expected a positive number"),
        (linear_model.ElasticNet(l1_ratio=0), "rho is 0, expected"),
    ],
    ids=str,
)
def test_learners_that_minimise_something_else_are_refused(model: Any, message: str) -> None:
    X, y = people()
    with pytest.raises(ValueError, match=message):
        StatP().poison(X, y, model=model, n_poison=1)


X, Y = people()


@pytest.mark.parametrize(
    ("attack", "changed", "message"),
    [
        (
            StatP(),
            {"box": (0, 60)},
            r"X: row \d+, column 'age' is \d+, outside the given box \[0, 60\]",
        ),
        (
            StatP(),
            {"y_box": (0, 60)},
            r"y: row 0, column 'pay' is .*, outside the given box \[0, 60\]",
        ),
        (StatP(), {"box": (0, 99), "X_val": X + 99, "y_val": Y}, r"X_val: row 0, column 'age'"),
        (StatP(), {"box": (60, 0)}, "expected finite bounds with smallest < largest"),
        (StatP(), {"box": 3}, "box is 3, expected"),
        (StatP(), {"box": ([0, 0], 99)}, "two arrays of 3"),
        (StatP(), {"X": X.assign(age=np.nan)}, "X: row 0, column 'age' is nan, expected a finite"),
        (StatP(), {"X": X.assign(age="old")}, r"X: not all values are numbers .*get_dummies"),
        (StatP(), {"y": Y[:4]}, r"X has shape \(60, 3\) and y has shape \(4,\), expected"),
        (StatP(), {"y": Y * 0}, "nothing can be learned"),
        (StatP(), {"X_val": X}, "only one of X_val and y_val is given"),
        (StatP(), {"X_val": X[["age"]], "y_val": Y}, "X_val has the columns age, expected"),
        (StatP(), {"groups": [["sex:m", "sex:g"]]}, r"groups\[0\]: no column .*mean 'sex:m'"),
        (
            StatP(),
            {"groups": [[0]]},
            r"groups\[0\]: column 'age' contains \d+, expected only 0 and 1",
        ),
        (StatP(), {"groups": [[1, 1]]}, r"column 'sex:m' is named twice"),
        (StatP(), {"groups": [[3]]}, r"there is no column 3; expected 0 to 2"),
        (StatP(), {"n_poison": None}, "n_poison is None, expected a number of rows"),
        (StatP(), {"n_poison": 0.1}, "n_poison is 0.1, expected a number of rows"),
        (StatP(), {"n_poison": -1}, "n_poison is -1"),
        (StatP(), {"random_state": -1}, "random_state is -1, expected an integer"),
        (OptP(), {}, "OptP with outer_objective validation needs .* training"),
        (OptP(best_of=True), {}, "OptP needs the attacker's validation rows"),
        (Subpopulation(), {}, "Subpopulation needs the attacker's validation rows"),
        (OptP(outer_objective="trainig"), {}, "'trainig', expected .*did you mean 'training'"),
        (OptP(variables="y"), {}, "OptP: variables is 'y', expected 'x' or 'xy'"),  # type: ignore[arg-type]
        (Coordinate(restarts=0), {}, "Coordinate: restarts is 0, expected an integer >= 1"),
    ],
)
def test_what_is_wrong_is_said(attack: Any, changed: dict[str, Any], message: str) -> None:
    given = {"X": X, "y": Y, "n_poison": 2, **changed}
    with pytest.raises(ValueError, match=message):
        attack.poison(given.pop("X"), given.pop("y"), **given)


def test_rows_that_are_not_legal_are_refused() -> None:
    class Wrong(Seen):
        def generate(self, problem: AttackProblem) -> PoisonSet:
            made = super().generate(problem)
            return PoisonSet(made.X * 2, made.y)

    with pytest.raises(
        ValueError, match=r"seen made rows that are not legal: row 0, column 'sex:m'"
    ):
        Wrong().poison(X, Y, n_poison=2)
