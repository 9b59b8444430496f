"""Numbers that cells share: computed once, and the ones used longest ago are dropped."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from poisonbench import cache
from poisonbench.cache import OwnCleanError, SelectedStrength, cached


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, with room for two."""
    monkeypatch.setattr(cache, "_kept", OrderedDict())
    monkeypatch.setattr(cache, "MOST_ENTRIES", 2)


def key(name: str) -> SelectedStrength:
    return SelectedStrength(name, 0, "rows")


def is_known(name: str) -> bool:
    """Whether the cache has the key; it has it afterwards."""
    computed: list[float] = []
    cached(key(name), lambda: computed.append(1.0) or 1.0)
    return not computed


def test_a_number_is_computed_once() -> None:
    assert cached(key("a"), lambda: 0.5) == 0.5
    assert cached(key("a"), lambda: 0.7) == 0.5
    assert cached(key("b"), lambda: 0.7) == 0.7


def test_that_there_is_none_is_known_too() -> None:
    clean = OwnCleanError("trim", 3, 1, "ridge", 0, "data", "rows")
    assert cached(clean, lambda: None) is None
    assert cached(clean, lambda: 0.5) is None


def test_what_was_used_longest_ago_is_dropped() -> None:
    assert not is_known("a")
    assert not is_known("b")
    assert is_known("a")  # so b was used longest ago
    assert not is_known("c")
    assert is_known("a")
    assert is_known("c")
    assert not is_known("b")


def test_keys_of_different_kinds_are_different() -> None:
    class Other(SelectedStrength):
        pass

    assert cached(key("a"), lambda: 0.5) == 0.5
    assert cached(Other("a", 0, "rows"), lambda: 0.7) == 0.7
