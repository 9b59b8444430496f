"""The published values in ``results/reference/published``."""

from __future__ import annotations

import pandas as pd

from poisonbench import packaged_files
from poisonbench.config import fields
from poisonbench.output.layout import StoreError

DEFAULT = "jagielski2018"
"""The reference to compare with by default."""

COLUMNS = (
    "figure",
    "dataset",
    "model",
    "attack",
    "defense",
    "poisoning_rate",
    "metric",
    "statistic",
    "value",
    "reading",
)
"""The columns of a file with published values."""


def names() -> list[str]:
    """Return the names of the references, the paper's first."""
    found = sorted(path.stem for path in packaged_files.folder("published").glob("*.csv"))
    return sorted(found, key=lambda name: name != DEFAULT)


def values(name: str) -> pd.DataFrame:
    """Return the published values of a reference, with the columns :data:`COLUMNS`.

    Raises
    ------
    StoreError
        There is no such reference.
    """
    if name not in names():
        raise StoreError(
            f"--reference {name}: there is no such reference{fields.hint(name, names())} "
            f"expected {fields.one_of(names())}, or an output folder"
        )
    return pd.read_csv(packaged_files.folder("published") / f"{name}.csv", keep_default_na=False)
