"""The moves from a row are the legal rows that differ from it in one feature or group."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from poisonbench.attacks.engines.moves import Moves, Row
from poisonbench.features import FeatureSpace, OneHotGroup

SPACE = FeatureSpace(
    tuple(f"c{j}" for j in range(9)),
    (
        OneHotGroup("optional", (0, 3, 4), all_zero=True),  # its columns do not stand together
        OneHotGroup("chosen", (5, 6), all_zero=False),
        OneHotGroup("flags", (7, 8), all_zero=True, one_of_k=False),
    ),
)
BLOCKS = ((0, 3, 4), (1,), (2,), (5, 6), (7,), (8,))


def reached(moves, x):
    rows = []
    for move in range(len(moves.column)):
        row = Row(moves, x)
        holds = row.holds(move)
        if move:
            row.make(move)
        assert holds == (row.z[:-1] == x).all()
        assert row.z[-1] == 1.0
        rows.append(tuple(row.z[:-1].tolist()))
    return rows


@pytest.mark.parametrize("x", [[0, 0.3, 1, 0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 1, 0, 1, 1, 1]])
@pytest.mark.parametrize("fixed", [(), (2, 4, 7)])
def test_a_move_is_a_legal_change_of_one_block(x, fixed):
    x = np.array(x, dtype=float)
    frozen = np.isin(np.arange(9), fixed)
    expected = {tuple(x.tolist())}
    for block in BLOCKS:
        for values in product((0.0, 0.5, 1.0), repeat=len(block)):
            other = x.copy()
            other[list(block)] = values
            levels = (0.0, 0.5, 1.0) if block in ((1,), (2,)) else (0.0, 1.0)
            new = [j for j in block if other[j] and j in fixed and other[j] != x[j]]
            frozen_alone = len(block) == 1 and block[0] in fixed
            if set(values) <= set(levels) and not new and not frozen_alone:
                expected.add(tuple(other.tolist()))
    expected = {row for row in expected if not SPACE.violations(np.array([row]))}
    found = reached(Moves.within(SPACE, (0.0, 0.5, 1.0), frozen), x)
    assert set(found) == expected


def test_a_row_remembers_what_was_made_of_it():
    moves = Moves.within(SPACE, (0.0, 1.0))
    row = Row(moves, np.array([0, 0.3, 1, 0, 0, 1, 0, 1, 0], dtype=float))
    for move in (*range(1, len(moves.column)), *range(1, len(moves.column))):
        row.make(move)
        again = Row(moves, row.z[:-1])
        assert SPACE.violations(row.z[None, :-1]) == []
        n = row.n_moves
        held = again.value[n:] != 0
        np.testing.assert_array_equal(row.value[n:], again.value[n:])
        np.testing.assert_array_equal(row.column[n:][held], again.column[n:][held])


def test_without_levels_numeric_features_stay():
    moves = Moves.within(SPACE, ())
    assert not np.isin(moves.column, (1, 2)).any()
