"""Poison rows that come from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poisonbench.attacks.file import File
from poisonbench.attacks.statp import StatP
from poisonbench.data.base import DatasetError
from poisonbench.data.scaling import Scaling
from poisonbench.pipeline import PoisonError, check
from poisonbench.problem import AttackProblem, PoisonSet

Make = Callable[..., AttackProblem]


@pytest.fixture
def problem(make_problem: Make) -> AttackProblem:
    """A problem whose numeric columns and response have units of their own."""
    made: AttackProblem = make_problem(n_poison=5, groups=(3,))
    offset, span = np.zeros(6), np.ones(6)
    offset[:3], span[:3] = [-2.0, 10.0, 0.5], [4.0, 1000.0, 0.125]
    return replace(made, scaling=Scaling(offset, span, 50.0, 200.0))


@pytest.fixture
def poison(problem: AttackProblem) -> PoisonSet:
    made = StatP().generate(problem)
    rng = np.random.default_rng(0)
    X = made.X.copy()
    X[:, :3] = rng.random((5, 3))
    return PoisonSet(X, rng.random(5))


def saved(folder: Path, **arrays: Any) -> File:
    np.savez(folder / "poison.npz", **arrays)
    return File(path=folder / "poison.npz")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_npz_columns_come_in_any_order_with_their_names(
    tmp_path: Path, problem: AttackProblem, poison: PoisonSet, order: list[int]
) -> None:
    names = np.array(problem.space.names)[order]
    attack = saved(tmp_path, X=poison.X[:, order], y=poison.y, feature_names=names, more=1)
    assert attack.own_rows(problem.space, problem.target) == 5
    made = attack.generate(problem)
    assert np.array_equal(made.X, poison.X)
    assert np.array_equal(made.y, poison.y)


def test_npz_without_names_is_in_the_data_sets_order_and_in_the_box(
    tmp_path: Path, problem: AttackProblem, poison: PoisonSet
) -> None:
    made = saved(tmp_path, X=poison.X, y=poison.y).generate(problem)
    assert np.array_equal(made.X, poison.X)
    whole = saved(tmp_path, X=poison.X.round().astype(int), y=np.ones(5, int)).generate(problem)
    assert whole.X.dtype == whole.y.dtype == np.float64


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(7)))
def test_csv_is_in_the_datas_own_units_and_any_order(
    tmp_path: Path, problem: AttackProblem, poison: PoisonSet, order: list[int]
) -> None:
    scaling = problem.scaling
    table = pd.DataFrame(scaling.inverse(poison.X), columns=list(problem.space.names))
    table["y"] = scaling.inverse_response(poison.y)
    assert table["x1"].max() > 100
    table.iloc[:, order].to_csv(tmp_path / "poison.csv", index=False)
    attack = File(path=tmp_path / "poison.csv")
    assert attack.own_rows(problem.space, problem.target) == 5
    made = attack.generate(problem)
    np.testing.assert_allclose(made.X, poison.X, rtol=0, atol=1e-12)
    np.testing.assert_allclose(made.y, poison.y, rtol=0, atol=1e-12)
    check(made, 5, problem.space)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": None}, r"poison.npz: no array 'X', expected X, y"),
        ({"y": None}, r"poison.npz: no array 'y', expected X, y"),
        ({"X": np.zeros(6)}, r"array 'X' has shape \(6,\) and type float64, expected a 2-d"),
        (
            {"y": np.zeros((5, 1))},
            r"array 'y' has shape \(5, 1\) .* expected a 1-dimensional array",
        ),
        ({"y": np.array(list("abcde"))}, r"array 'y' has shape \(5,\) and type <U1"),
        (
            {"X": np.zeros((5, 4))},
            r"X has shape \(5, 4\) and y has shape \(5,\), expected \(p, 6\)",
        ),
        ({"y": np.zeros(4)}, r"X has shape \(5, 6\) and y has shape \(4,\)"),
        ({"feature_names": list("abcdef")}, r"not the data set's columns \(for example, 'a'\)"),
        ({"feature_names": ["x0"] * 6}, r"feature_names are not the data set's columns"),
        ({"feature_names": ["x0", "x1"]}, r"feature_names are not the data set's columns"),
        ({"X": np.array([[None] * 6] * 5)}, r"poison.npz: not a readable .npz file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_any_computation(
    tmp_path: Path, problem: AttackProblem, poison: PoisonSet, change: dict[str, Any], message: str
) -> None:
    arrays = {"X": poison.X, "y": poison.y, **change}
    attack = saved(tmp_path, **{name: a for name, a in arrays.items() if a is not None})
    with pytest.raises(DatasetError, match=message):
        attack.own_rows(problem.space, problem.target)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x0,x1,x2,g0:0,g0:1,g0:2\n0,10,0.5,1,0,0\n", r"lacks 'y'"),
        ("x0,x1,x2,g0:0,g0:1,g0:2,z\n0,10,0.5,1,0,0,9\n", r"lacks 'y' and has 'z' beyond them"),
        ("x0,x1,x2,g0:0,g0:1,g0:2,y\n0,10,oops,1,0,0,9\n", r"line 2, column 'x2': 'oops' is not"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused(
    tmp_path: Path, problem: AttackProblem, content: str, message: str
) -> None:
    (tmp_path / "poison.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        File(path=tmp_path / "poison.csv").own_rows(problem.space, problem.target)


@pytest.mark.parametrize("name", ["absent.npz", "absent.csv"])
def test_an_absent_file_is_named(tmp_path: Path, problem: AttackProblem, name: str) -> None:
    with pytest.raises(DatasetError, match=name):
        File(path=tmp_path / name).own_rows(problem.space, problem.target)


def test_what_is_no_npz_file_is_said(tmp_path: Path, problem: AttackProblem) -> None:
    (tmp_path / "poison.npz").write_text("x0,y\n1,2\n")
    with pytest.raises(DatasetError, match=r"not a readable \.npz file"):
        File(path=tmp_path / "poison.npz").own_rows(problem.space, problem.target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": (2, 0, 1.5)}, r"row 2, column 'x0' is 1.5, outside the box \[0, 1\]"),
        ({"X": (1, 1, np.nan)}, r"row 1, column 'x1' is nan, not finite"),
        ({"X": (0, 3, 0.5)}, r"row 0, one-hot column 'g0:0' is 0.5, not 0 or 1"),
        ({"y": (4, -0.5)}, r"row 4, column 'the response' is -0.5, outside the box"),
        ({"y": (4, np.inf)}, r"row 4, column 'the response' is inf, not finite"),
    ],
)
def test_rows_that_are_not_legal_are_refused_and_not_repaired(
    tmp_path: Path, problem: AttackProblem, poison: PoisonSet, change: dict[str, Any], message: str
) -> None:
    X, y = poison.X.copy(), poison.y.copy()
    if "X" in change:
        row, column, X[row, column] = change["X"]
    else:
        row, y[row] = change["y"]
    made = saved(tmp_path, X=X, y=y).generate(problem)
    np.testing.assert_array_equal(made.X, X)
    with pytest.raises(PoisonError, match=f"the poison set is not legal: .*{message}"):
        check(made, 5, problem.space)


def test_another_number_of_rows_is_refused(problem: AttackProblem, poison: PoisonSet) -> None:
    with pytest.raises(PoisonError, match="it has 5 rows, expected 6"):
        check(poison, 6, problem.space)
    with pytest.raises(PoisonError, match=r"the responses have shape \(4,\), expected \(5,\)"):
        check(PoisonSet(poison.X, poison.y[:4]), 5, problem.space)
