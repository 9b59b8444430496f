"""Named random streams: the same ones for ever, each on its own."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from poisonbench import seeds

KEYS = [(0, "split"), (1, "split"), (0, "attack"), (0, "attack", "a"), (0, "attack", "a", 1),
        (0, "attack", "a1"), (0, "attack", ["a", 1]), (10, "split"), (-1, "split")]  # fmt: skip


def test_pinned() -> None:
    """Numbers that published results depend on: a change of these is a change of all results."""
    assert seeds.entropy(0, "split") == 15544673361621861377
    assert seeds.entropy(3, "attack", "house", 0.2) == 9577856928396183429
    assert seeds.random_state(0, "split") == 15544673361621861377 % 2**32
    assert seeds.generator(0, "split").permutation(8).tolist() == [7, 1, 4, 0, 2, 6, 3, 5]


def test_the_same_words_give_the_same_stream() -> None:
    for keys in KEYS:
        assert seeds.entropy(*keys) == seeds.entropy(*keys)
        one, other = seeds.generator(*keys), seeds.generator(*keys)
        assert one is not other
        assert np.array_equal(one.random(5), other.random(5))


def test_other_words_give_another_stream() -> None:
    assert len({seeds.entropy(*keys) for keys in KEYS}) == len(KEYS)
    assert len({seeds.random_state(*keys) for keys in KEYS}) == len(KEYS)
    draws = {keys[1:] + keys[:1]: seeds.generator(*keys) for keys in KEYS[:6]}
    numbers = [stream.standard_normal(4000) for stream in draws.values()]
    for one, other in combinations(numbers, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.08  # five standard deviations


def test_ranges() -> None:
    for keys in KEYS:
        assert 0 <= seeds.entropy(*keys) < 2**64
        assert 0 <= seeds.random_state(*keys) < 2**32


def test_the_global_stream_is_not_touched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    seeds.generator(0, "split").random(100)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_what_is_not_a_value_of_json_is_refused() -> None:
    with pytest.raises(TypeError):
        seeds.entropy(0, "split", object())
