"""Legal rows: what makes one, and the nearest one to a point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.features import FeatureSpace, OneHotGroup


@st.composite
def spaces(draw: st.DrawFn) -> FeatureSpace:
    """Draw columns of several kinds in any order, so that groups need not be adjacent."""
    numeric = draw(st.integers(0, 4))
    sizes = draw(st.lists(st.integers(1, 4), max_size=4))
    total = numeric + sum(sizes)
    order = draw(st.permutations(range(total)))
    groups, used = [], numeric
    for g, k in enumerate(sizes):
        columns = tuple(order[used : used + k])
        groups.append(OneHotGroup(f"g{g}", columns, draw(st.booleans()), draw(st.booleans())))
        used += k
    return FeatureSpace(tuple(f"c{j}" for j in range(total)), tuple(groups))


def legal_rows(space: FeatureSpace, m: int, seed: int) -> Any:
    """Return legal rows by construction."""
    rng = np.random.default_rng(seed)
    X = rng.random((m, space.n_features))
    X[rng.random(X.shape) < 0.2] = 1.0
    for group in space.groups:
        for row in X:
            block = rng.integers(0, 2, len(group.columns)).astype(float)
            if group.one_of_k:
                block[:] = 0
                chosen = rng.integers(0, len(block) + int(group.all_zero))
                block[chosen : chosen + 1] = 1
            row[list(group.columns)] = block
    return X


def is_legal(space: FeatureSpace, row: Any) -> bool:
    """Say, group by group and from the definition, whether a row is legal."""
    if not all(0 <= value <= 1 for value in row):
        return False
    for group in space.groups:
        values = [row[j] for j in group.columns]
        if not all(value in (0, 1) for value in values):
            return False
        if group.one_of_k and not (0 if group.all_zero else 1) <= sum(values) <= 1:
            return False
    return True


@settings(max_examples=150, deadline=None)
@given(space=spaces(), seed=st.integers(0, 10_000), spread=st.sampled_from([0.1, 0.5, 3.0, 1e6]))
def test_projected_points_are_legal_and_stay(space: FeatureSpace, seed: int, spread: float) -> None:
    X = 0.5 + spread * np.random.default_rng(seed).standard_normal((6, space.n_features))
    before = X.copy()
    projected = space.project(X)
    assert np.array_equal(X, before)
    assert projected.shape == X.shape
    assert projected.flags.c_contiguous
    assert space.violations(projected) == []
    assert all(is_legal(space, row) for row in projected)
    assert np.array_equal(space.project(projected), projected)
    numeric = space.numeric
    assert np.array_equal(projected[:, numeric], np.clip(X[:, numeric], 0, 1))


@settings(max_examples=100, deadline=None)
@given(space=spaces(), seed=st.integers(0, 10_000))
def test_legal_rows_are_kept(space: FeatureSpace, seed: int) -> None:
    X = legal_rows(space, 6, seed)
    assert np.array_equal(space.project(X), X)
    assert space.violations(X) == []


@settings(max_examples=200, deadline=None)
@given(space=spaces(), seed=st.integers(0, 10_000))
def test_violations_are_found_if_and_only_if_there_are_any(space: FeatureSpace, seed: int) -> None:
    X = legal_rows(space, 4, seed)
    rng = np.random.default_rng(seed)
    if X.size:
        row, column = rng.integers(0, 4), rng.integers(0, space.n_features)
        X[row, column] = rng.choice([0.0, 1.0, 0.5, -0.1, 1.1])
    legal = all(is_legal(space, row) for row in X)
    assert (space.violations(X) == []) == legal


SPACE = FeatureSpace(
    ("age", "a:1", "a:2", "b:1", "b:2", "c:1", "c:2"),
    (OneHotGroup("a", (1, 2), all_zero=False), OneHotGroup("b", (3, 4), all_zero=True),
     OneHotGroup("c", (5, 6), all_zero=True, one_of_k=False)),
)  # fmt: skip
LEGAL = [0.5, 1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({0: 1.5}, "row 1, column 'age' is 1.5, outside the box [0, 1]"),
        ({0: -1e-6}, "row 1, column 'age' is -1e-06, outside the box [0, 1]"),
        ({0: np.nan}, "row 1, column 'age' is nan, not finite"),
        ({3: np.inf}, "row 1, column 'b:1' is inf, not finite"),
        ({2: 0.25}, "row 1, one-hot column 'a:2' is 0.25, not 0 or 1"),
        ({6: 0.5}, "row 1, one-hot column 'c:2' is 0.5, not 0 or 1"),
        ({2: 1}, "row 1 has 2 ones in the one-hot group 'a', expected exactly one"),
        ({1: 0}, "row 1 has 0 ones in the one-hot group 'a', expected exactly one"),
        ({3: 1, 4: 1}, "row 1 has 2 ones in the one-hot group 'b', expected at most one"),
    ],
)
def test_a_violation_says_what_and_where(changes: dict[int, float], expected: str) -> None:
    X = np.array([LEGAL, LEGAL, LEGAL], dtype=float)
    for column, value in changes.items():
        X[1, column] = value
    assert SPACE.violations(X) == [expected]


def test_each_kind_of_violation_is_said_once() -> None:
    X = np.array([LEGAL, LEGAL], dtype=float)
    X[:, 0], X[:, 1], X[1, 3:5] = 2.0, 0.0, 1.0
    found = SPACE.violations(X)
    assert [sentence.split(",")[0] for sentence in found[:1]] == ["row 0"]
    assert ["'age'" in found[0], "'a'" in found[1], "'b'" in found[2]] == [True] * 3
    assert len(found) == 3


@pytest.mark.parametrize("shape", [(7,), (2, 6), (2, 8), (1, 2, 7)])
def test_a_wrong_shape_is_said(shape: tuple[int, ...]) -> None:
    [sentence] = SPACE.violations(np.zeros(shape))
    assert sentence == f"the rows have shape {shape}, expected (rows, 7)"


def test_rounding_errors_are_no_violation() -> None:
    X = np.array([LEGAL], dtype=float)
    X[0, 0] = 1 + 1e-12
    assert SPACE.violations(X) == []


@pytest.mark.parametrize(
    ("block", "all_zero", "expected"),
    [
        ([0.2, 0.3, 0.1], True, [0, 1, 0]),  # beyond 1/(1 + 3)
        ([0.2, 0.25, 0.1], True, [0, 0, 0]),  # not beyond
        ([0.2, 0.25, 0.1], False, [0, 1, 0]),
        ([-3.0, -2.0, -1.0], False, [0, 0, 1]),
        ([-3.0, -2.0, -1.0], True, [0, 0, 0]),
        ([5.0, 7.0, 1.0], True, [0, 1, 0]),  # the largest before clipping
        ([1.0, 1.0, 1.0], True, [1, 0, 0]),
    ],
)
def test_the_largest_entry_of_a_group_is_kept(
    block: list[float], all_zero: bool, expected: list[float]
) -> None:
    space = FeatureSpace(("g:1", "g:2", "g:3"), (OneHotGroup("g", (0, 1, 2), all_zero),))
    assert space.project(np.array([block])).tolist() == [expected]


def test_columns_by_kind() -> None:
    assert SPACE.numeric.tolist() == [0]
    assert SPACE.binary.tolist() == [5, 6]
    assert [group.name for group in SPACE.choices] == ["a", "b"]
    assert SPACE.n_features == 7


def test_no_rows_and_no_columns() -> None:
    assert SPACE.project(np.empty((0, 7))).shape == (0, 7)
    assert SPACE.violations(np.empty((0, 7))) == []
    assert FeatureSpace(()).project(np.empty((2, 0))).shape == (2, 0)
