"""A raw file, and an audit of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.auditing import audit as audits
from poisonbench.auditing import request as requests
from poisonbench.auditing.audit import Audit, audit_file
from poisonbench.auditing.budget import Runner
from poisonbench.auditing.request import Request


def raw_rows(n: int = 160) -> pd.DataFrame:
    """Return rows with a category, a date, missing values and a price."""
    random = np.random.default_rng(7)
    size = random.uniform(30, 200, n).round(1)
    rooms = random.integers(1, 7, n)
    town = random.choice(["Bern", "Basel", "Chur"], n, p=[0.5, 0.3, 0.2])
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D")
    price = 900 * size + 5000 * rooms + 20_000 * (town == "Basel") + random.normal(0, 9000, n)
    rows = pd.DataFrame(
        {"size": size, "rooms": rooms, "town": town, "day": day.strftime("%Y-%m-%d"),
         "price": price.round(0)}
    )  # fmt: skip
    rows.loc[::40, "size"] = np.nan
    return rows


@contextmanager
def few_components() -> Iterator[pytest.MonkeyPatch]:
    """Make audits small: two attacks, two defenses, and nothing in advance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "ATTACKS", ("coordinate", "statp"))
        patch.setattr(requests, "DEFENSES", ("huber", "trim"))
        patch.setattr(Runner, "warm_up", lambda self, grid: None)
        yield patch


@pytest.fixture
def few() -> Iterator[None]:
    """Small audits without a page."""
    with few_components() as patch:
        patch.setattr(audits, "can_draw", lambda: False)
        yield


@dataclass(frozen=True)
class Made:
    """An audit, its raw file and its folder."""

    raw: Path
    out: Path
    audit: Audit
    said: list[str]


REQUEST = Request(rates=(0.04, 0.12), splits=2, budget=3000)
"""So much time that nothing is left out where the first cells compile the inner loops."""


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("audit")
    raw, out = folder / "homes.csv", folder / "out"
    raw_rows().to_csv(raw, index=False)
    said: list[str] = []
    with few_components():
        found = audit_file(raw, "price", out, REQUEST, jobs=0, say=said.append)
    return Made(raw, out, found, said)
