"""Theil-Sen: against scikit-learn, and in fewer dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import (
    TheilSenRegressor,
)
from sklearn.pipeline import make_pipeline

from poisonbench.defenses import (
    TheilSenDefense,
)

Rows = Callable[..., tuple[Any, Any, Any]]


def test_theil_sen_on_all_components_is_scikit_learns(noisy: Rows) -> None:
    X, y, _ = noisy(30, 2)
    ours = TheilSenDefense(n_components=2, max_subsets=5_000, random_state=0).fit(X, y)
    theirs = make_pipeline(PCA(2), TheilSenRegressor(max_subpopulation=5_000, random_state=0))
    np.testing.assert_allclose(ours.predict(X), theirs.fit(X, y).predict(X), atol=1e-6)
    assert ours.note_ == "no penalty; 2 of 2 principal components"


def test_theil_sen_reduces_the_dimension(noisy: Rows) -> None:
    X, y, _ = noisy(40, 100)
    model = TheilSenDefense(max_subsets=50, random_state=0).fit(X, y)
    assert model.n_components_ == min(model.errors_, key=model.errors_.__getitem__)
    assert max(model.errors_) == 16
    assert TheilSenDefense(n_components=90, max_subsets=5).fit(X, y).n_components_ == 38
