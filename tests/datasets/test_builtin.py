"""The data sets that need no file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from poisonbench import registry
from poisonbench.data import DatasetError
from poisonbench.datasets.diabetes import Diabetes
from poisonbench.datasets.synthetic import Synthetic


def test_diabetes_is_scikit_learns_in_its_own_units() -> None:
    data = Diabetes().load()
    raw = load_diabetes(scaled=False)
    assert data.X.shape == (442, 11)
    assert data.space.names[:4] == ("age", "sex:1", "sex:2", "bmi")
    (sex,) = data.space.groups
    assert (sex.name, sex.columns, sex.all_zero, sex.one_of_k) == ("sex", (1, 2), False, True)
    np.testing.assert_array_equal(data.X[:, 1] + 2 * data.X[:, 2], raw.data[:, 1])
    np.testing.assert_array_equal(data.X[:, [0, *range(3, 11)]], np.delete(raw.data, 1, axis=1))
    np.testing.assert_array_equal(data.y, raw.target)


def test_the_registry_finds_and_describes_the_loaders() -> None:
    for name, loader in (("diabetes", Diabetes), ("synthetic", Synthetic)):
        assert registry.components("dataset")[name] is loader
        assert all(p.description and not p.required for p in registry.parameters(loader))


@given(
    n=st.integers(10, 60),
    d=st.integers(0, 6),
    groups=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    correlation=st.floats(-0.95, 0.95),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=40, deadline=None)
def test_synthetic_rows_are_legal_and_without_noise_in_the_box(
    n: int, d: int, groups: list[int], correlation: float, seed: int
) -> None:
    parameters: dict[str, Any] = {
        "n": n, "d": d, "informative": d // 2, "groups": tuple(groups),
        "correlation": correlation, "seed": seed,
    }  # fmt: skip
    data = Synthetic(**parameters, noise=0.0).load()
    assert data.X.shape == (n, d + sum(groups))
    assert not data.space.violations(data.X)
    assert [len(group.columns) for group in data.space.groups] == groups
    assert not any(group.all_zero for group in data.space.groups)
    assert data.y.min() >= -1e-12
    assert data.y.max() <= 1 + 1e-12
    assert Synthetic(**parameters, noise=0.0).load().fingerprint == data.fingerprint
    noisy = Synthetic(**parameters, noise=0.1).load()
    np.testing.assert_array_equal(noisy.X, data.X)


def test_synthetic_truth_is_linear_and_sparse_and_does_not_depend_on_n() -> None:
    small, large = (Synthetic(n=n, d=6, informative=2, noise=0.0).load() for n in (50, 80))
    np.testing.assert_array_equal(large.X[:50], small.X)
    fits = [LinearRegression().fit(data.X, data.y) for data in (small, large)]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, atol=1e-12)
    assert (np.abs(fits[0].coef_[:2]) > 0.1).all()
    assert np.abs(fits[0].coef_).sum() == pytest.approx(1)
    assert np.abs(fits[0].coef_[2:]).max() < 1e-12


def test_synthetic_groups_are_independent() -> None:
    X = Synthetic(d=0, informative=0, groups=(3, 3)).load().X
    together = X[:, :3].T @ X[:, 3:] / len(X)
    np.testing.assert_allclose(together, 1 / 9, atol=0.04)


def test_synthetic_noise_and_correlation_are_as_declared() -> None:
    clean = Synthetic(n=20_000, d=3, informative=3, noise=0.0, correlation=0.8).load()
    noisy = Synthetic(n=20_000, d=3, informative=3, noise=0.2, correlation=0.8).load()
    assert np.std(noisy.y - clean.y) == pytest.approx(0.2, rel=0.03)
    # The correlation of Phi(z) is (6/pi) asin(c/2) for Gaussians of correlation c.
    measured = np.corrcoef(clean.X.T)
    assert measured[0, 1] == pytest.approx(6 / np.pi * np.arcsin(0.4), abs=0.02)
    assert measured[0, 2] == pytest.approx(6 / np.pi * np.arcsin(0.32), abs=0.02)
    assert clean.X.mean(axis=0) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"d": 3}, "informative is 5, expected at most d = 3"),
        ({"d": 0, "informative": 0}, "d is 0 and there are no groups"),
        ({"n": 4, "groups": (2, 7)}, "n is 4, expected at least as many rows as the 7 categories"),
        ({"informative": 0, "noise": 0.0}, "the response 'y' is 0 in every row"),
        ({"noise": float("inf")}, "expected a finite number"),
    ],
)
def test_synthetic_parameters_that_contradict(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=f"synthetic: .*{message}"):
        Synthetic(**parameters).load()
