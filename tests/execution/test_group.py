"""One group of cells, in any process."""

from __future__ import annotations

from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from poisonbench.defenses import TRIMRegressor

CONFIG = {
    "dataset": {"name": "synthetic", "n": 60},
    "split": {"train": 30, "validation": 10, "test": 10},
    "attack": "statp",
    "poisoning_rate": 0.1,
    "defense": {"name": "trim", "restarts": 1},
    "seeds": 1,
}


def most_threads() -> int:
    return max(pool["num_threads"] for pool in threadpool_info())


def test_a_cell_computes_with_one_thread_whatever_it_finds(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more, sums run in another order and the last bits are others."""
    inside, fit = [], TRIMRegressor.fit
    monkeypatch.setattr(
        TRIMRegressor, "fit", lambda self, X, y: (inside.append(most_threads()), fit(self, X, y))[1]
    )
    with threadpool_limits(4):
        before = most_threads()
        if before == 1:
            pytest.skip("the linear algebra here has one thread")
        bench.run(CONFIG)
        assert most_threads() == before
    assert inside
    assert set(inside) == {1}
