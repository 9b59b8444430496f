"""Scaling to the box and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from poisonbench.data import Dataset, DatasetError
from poisonbench.data.base import ScalingMode
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, OneHotGroup

SPACE = FeatureSpace(("a", "g:1", "g:2", "b"), (OneHotGroup("g", (1, 2), all_zero=True),))
X = np.array([[1.0, 1, 0, 5], [3.0, 0, 1, 5], [2.0, 0, 0, 7], [9.0, 0, 1, 3]])
Y = np.array([10.0, 30, 20, 50])
TRAIN = np.array([2, 0, 1])


def dataset(scaling: ScalingMode, y: np.ndarray = Y) -> Dataset:
    return Dataset("toy", X, y, SPACE, "y", scaling)


def test_bounds_come_from_the_training_rows() -> None:
    scaling = Scaling.fit(dataset("train"), TRAIN)
    assert scaling.transform(X)[:, 0].tolist() == [0, 1, 0.5, 4]
    assert scaling.transform_response(Y).tolist() == [0, 1, 0.5, 2]
    assert scaling.transform(X)[:, 1:3].tolist() == X[:, 1:3].tolist()


def test_bounds_come_from_all_rows() -> None:
    scaling = Scaling.fit(dataset("full"), TRAIN)
    assert scaling.transform(X)[:, 0].tolist() == [0, 0.25, 0.125, 1]
    assert scaling.transform_response(Y).tolist() == [0, 0.5, 0.25, 1]


def test_none_is_the_identity() -> None:
    scaling = Scaling.fit(dataset("none"), TRAIN)
    assert scaling.transform(X).tolist() == X.tolist()
    assert scaling.transform_response(Y).tolist() == Y.tolist()
    assert scaling.inverse(X).tolist() == X.tolist()


def test_a_column_constant_in_the_training_rows_is_zero_everywhere() -> None:
    scaling = Scaling.fit(dataset("train"), np.array([0, 1]))
    scaled = scaling.transform(X)
    assert scaled[:, 3].tolist() == [0, 0, 0, 0]
    assert scaling.inverse(scaled)[:, 3].tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize("mode", ["train", "full", "none"])
def test_a_response_constant_in_the_training_rows_is_refused(mode: ScalingMode) -> None:
    with pytest.raises(DatasetError, match=r"toy: the response 'y' is 2 in all 2 training rows"):
        Scaling.fit(dataset(mode, np.array([2.0, 2, 3, 4])), np.array([0, 1]))


@given(
    values=arrays(np.float64, (6, 3), elements=st.floats(-1e6, 1e6, width=32)),
    train=st.sets(st.integers(0, 5), min_size=2),
)
@settings(max_examples=60, deadline=None)
def test_training_rows_land_in_the_box_and_come_back(values: np.ndarray, train: set[int]) -> None:
    rows = np.array(sorted(train))
    y = np.arange(6.0)
    scaling = Scaling.fit(
        Dataset("any", values, y, FeatureSpace(("a", "b", "c")), "y", "train"), rows
    )
    scaled = scaling.transform(values)
    assert np.isfinite(scaled).all()
    assert scaled[rows].min() >= 0
    assert scaled[rows].max() <= 1
    np.testing.assert_allclose(scaling.inverse(scaled)[rows], values[rows], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(scaling.inverse_response(scaling.transform_response(y)), y)
