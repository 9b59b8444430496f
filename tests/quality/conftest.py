"""Tables for the tests of the checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.quality import Finding, findings

Found = Callable[..., dict[str, Finding]]


@pytest.fixture
def table() -> pd.DataFrame:
    """A table as firms have them, without any fault."""
    return staff()


def staff(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return rows with an identifier, numbers, a category, a date and the response salary."""
    rng = np.random.default_rng(seed)
    age, size = rng.integers(18, 80, n), rng.normal(100, 30, n).round(1)
    days = pd.to_timedelta(rng.integers(0, 900, n), unit="D")
    salary = 20_000 * rng.lognormal(0, 0.4, n) + 100 * age + 50 * size
    return pd.DataFrame({
        "id": np.arange(1, n + 1),
        "age": age,
        "size": size,
        "rent": rng.lognormal(7, 0.5, n).round(2),
        "city": rng.choice(list("ABCDE"), n),
        "since": (pd.Timestamp("2020-01-01") + days).astype(str),
        "salary": salary.round(2),
    })  # fmt: skip


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Return a function that writes a table to a file, and returns the findings by their kind."""

    def run(
        table: pd.DataFrame, target: str | None = "salary", **how: object
    ) -> dict[str, Finding]:
        path = tmp_path / "table.csv"
        table.to_csv(path, index=False)
        seen = findings(path, target, **how)  # type: ignore[arg-type]
        assert len({finding.kind for finding in seen}) == len(seen), seen
        return {finding.kind: finding for finding in seen}

    return run
