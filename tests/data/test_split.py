"""Splits: sizes, draws, and files of row indices."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from poisonbench.data import DatasetError
from poisonbench.data.split import SplitCounts, SplitSizes, draw, read_indices


@pytest.mark.parametrize(
    ("sizes", "n_rows", "counts"),
    [
        ({}, 442, (147, 147, 147)),
        ({"train": 1 / 3, "validation": 1 / 3, "test": 1 / 3}, 9, (3, 3, 3)),
        ({"train": 300, "validation": 250, "test": 500}, 1460, (300, 250, 500)),
        ({"train": 300, "validation": 250, "test": 500}, 1050, (300, 250, 500)),
        ({"train": 0.6, "validation": 0.2, "test": 0.2}, 442, (265, 88, 88)),
        ({"train": 0.29, "validation": 0.29, "test": 0.42}, 100, (29, 29, 42)),
        ({"train": 0.33, "validation": 0.56, "test": 0.11}, 100, (33, 56, 11)),
        ({"train": 300, "validation": 0, "test": 0.25}, 400, (300, 0, 100)),
        ({"train": 0.5, "validation": 0.0, "test": 0.5}, 10, (5, 0, 5)),
        ({"train": 300}, 400, (300, 50, 50)),
        ({"train": 0.6}, 100, (60, 20, 20)),
        ({"train": 0.6, "validation": 0}, 100, (60, 0, 40)),
    ],
)
def test_counts(sizes: dict[str, Any], n_rows: int, counts: tuple[int, int, int]) -> None:
    assert SplitSizes(**sizes).counts(n_rows) == counts


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train": 1}, "split size train is 1, expected a number of rows"),
        ({"test": 0}, "split size test is 0, "),
        ({"validation": -1}, "split size validation is -1, "),
        ({"train": 1.0}, "split size train is 1.0, "),
        ({"train": 300.0}, "split size train is 300.0, "),
        ({"test": 0.0}, "split size test is 0.0, "),
        ({"test": float("nan")}, "split size test is nan, "),
        ({"train": True}, "split size train is True, "),
        ({"train": "300"}, "split size train is '300', "),
        ({"train": 0.6, "test": 0.5}, "sum to 1.1, expected at most 1"),
    ],
)
def test_sizes_out_of_range(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitSizes(**sizes)


@pytest.mark.parametrize("n_rows", [442, 1049])
def test_a_split_that_does_not_fit_says_both_numbers(n_rows: int) -> None:
    with pytest.raises(DatasetError, match=r"needs 1050 rows \(300 train \+ 250 validation \+ 500 "
                                           rf"test\), the data set has {n_rows}"):  # fmt: skip
        SplitSizes(300, 250, 500).counts(n_rows)


@pytest.mark.parametrize(
    ("sizes", "n_rows"),
    [((), 5), ((0.1, 0.4, 0.5), 10), ((300, None, 142), 442), ((0.6, None, 0.4), 100)],
)
def test_a_part_that_gets_no_rows_is_refused(sizes: tuple[Any, ...], n_rows: int) -> None:
    with pytest.raises(DatasetError, match=rf"the split of {n_rows} rows would be .*expected"):
        SplitSizes(*sizes).counts(n_rows)


size = st.one_of(st.none(), st.integers(2, 60), st.floats(0.05, 0.95))


@given(sizes=st.tuples(size, size, size), n_rows=st.integers(1, 200), seed=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_drawn_parts_are_disjoint_and_of_the_right_size(
    sizes: tuple[Any, ...], n_rows: int, seed: int
) -> None:
    try:
        counts = SplitSizes(*sizes).counts(n_rows)
    except ValueError:
        assume(False)
    split = draw(n_rows, counts, np.random.default_rng(seed))
    parts = (split.train, split.validation, split.test)
    assert tuple(map(len, parts)) == counts
    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    assert np.isin(rows, np.arange(n_rows)).all()
    again = draw(n_rows, counts, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.train, split.train)


def test_the_training_rows_come_first_so_other_sizes_keep_them() -> None:
    splits = [draw(50, SplitCounts(20, m, 10), np.random.default_rng(1)) for m in (0, 20)]
    np.testing.assert_array_equal(splits[0].train, splits[1].train)


GOOD: dict[str, Any] = {"train": [4, 1], "validation": [0], "test": [3, 2]}


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "split.npz"
    np.savez(path, **arrays)
    return path


def test_indices_come_back_as_written(tmp_path: Path) -> None:
    split = read_indices(saved(tmp_path, **GOOD, X=np.zeros(3)), 5)
    assert split.train.tolist() == [4, 1]
    assert split.validation.tolist() == [0]
    assert split.test.tolist() == [3, 2]
    assert split.train.dtype == np.intp


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_any_integers_do_and_validation_may_be_empty(tmp_path: Path, dtype: type) -> None:
    arrays = {**GOOD, "train": np.array([4, 1], dtype=dtype), "validation": []}
    split = read_indices(saved(tmp_path, **arrays), 5)
    assert split.train.tolist() == [4, 1]
    assert split.validation.shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": [4.0, 1.0]}, "array 'train' is of type float64, expected integers"),
        ({"train": [True, False]}, "array 'train' is of type bool, expected integers"),
        ({"train": [[4, 1]]}, r"array 'train' has shape \(1, 2\), expected one axis"),
        ({"train": 3}, r"array 'train' has shape \(\)"),
        ({"train": []}, "array 'train' is empty"),
        ({"test": []}, "array 'test' is empty"),
        ({"test": [5]}, r"array 'test' has row 5, expected 0 to 4 \(the data set has 5 rows\)"),
        ({"test": [-1]}, "array 'test' has row -1"),
        (
            {"test": np.array([2**64 - 1], dtype=np.uint64)},
            "array 'test' has row 18446744073709551615",
        ),
        ({"test": [3, 3]}, "array 'test' has row 3 more than once"),
        ({"test": [0]}, "row 0 is in 'validation' and 'test', expected disjoint parts"),
        ({"test": np.array([{}], dtype=object)}, "not a readable .npz file"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"split\.npz: {message}"):
        read_indices(saved(tmp_path, **{**GOOD, **change}), 5)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_an_absent_array_is_refused(tmp_path: Path, part: str) -> None:
    arrays = {name: rows for name, rows in GOOD.items() if name != part}
    with pytest.raises(DatasetError, match=f"no array '{part}', expected train, validation, test"):
        read_indices(saved(tmp_path, **arrays), 5)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    pickled, single, empty = tmp_path / "pickle", tmp_path / "one.npy", tmp_path / "empty"
    pickled.write_bytes(pickle.dumps(GOOD))
    np.save(single, np.arange(3))
    empty.touch()
    for path in (pickled, single, empty, tmp_path, tmp_path / "absent.npz"):
        with pytest.raises(DatasetError, match=r"not a readable \.npz file"):
            read_indices(path, 5)


@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_a_split_or_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = saved(tmp_path_factory.mktemp("damaged"), **GOOD)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        split = read_indices(path, 5)
    except DatasetError:
        return
    assert len(split.train)
