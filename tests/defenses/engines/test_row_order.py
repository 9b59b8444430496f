"""Keys that order rows by their content."""

from __future__ import annotations

import numpy as np

from poisonbench.defenses.engines.row_order import content_keys


def keys(X: np.ndarray, y: np.ndarray) -> list[int]:
    return content_keys(X, y, np.random.RandomState(3)).tolist()


def test_keys_belong_to_rows_and_do_not_depend_on_units() -> None:
    """Responses that repeat make the keys depend on the features, too."""
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 3)), np.repeat([0.0, 1.0], 20)
    found = keys(X, y)
    assert len(set(found)) == 40
    order = rng.permutation(40)
    assert keys(X[order], y[order]) == [found[i] for i in order]
    # Powers of two keep every digit; a column's unit must not matter beside another's.
    assert keys(X * [1.0, 2.0**20, 2.0**-20], 4 * y) == found
    assert keys(X, 1 - y) != found


def test_equal_rows_have_different_keys() -> None:
    assert len(set(keys(np.ones((9, 2)), np.ones(9)))) == 9
