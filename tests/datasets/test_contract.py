"""The rule for every loader of data; those of the catalogue have tests of their own.

The rule is written in CONTRIBUTING.md; a test that fails shows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poisonbench import registry
from poisonbench.datasets.catalogued import Catalogued

LOADERS = {
    name: cls
    for name, cls in registry.components("dataset").items()
    if not issubclass(cls, Catalogued)
    and not any(parameter.required for parameter in registry.parameters(cls))
}


@pytest.mark.rule("Same rows")
@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
def test_loads_the_same_usable_rows_every_time(loader: Any) -> None:
    np.random.seed(1)  # noqa: NPY002
    data = loader().load()
    np.random.seed(2)  # noqa: NPY002
    assert loader().load().fingerprint == data.fingerprint
    assert data.validated() is data
    assert data.name.startswith(loader.name)
    assert data.X.shape == (len(data.y), data.space.n_features)
    assert data.X.dtype == data.y.dtype == np.float64
