"""A raw file of flats, in which the responses of ten rows are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BAD = np.arange(30, 130, 10)
"""The wrong rows, counted from 0."""


def flats(n: int = 400, seed: int = 5) -> pd.DataFrame:
    """Return clean rows, as text in the notation of a spreadsheet."""
    rng = np.random.default_rng(seed)
    rooms, area = rng.integers(1, 7, n), rng.uniform(20, 150, n).round(1)
    city = rng.choice(["Rome", "Milan", "Turin"], n, p=[0.5, 0.3, 0.2])
    days = rng.integers(0, 1000, n)
    price = 10_000 * rooms + 2_000 * area + 50_000 * (city == "Milan") + 30 * days
    price = price + rng.normal(0, 5_000, n)
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "rooms": rooms,
            "area": area,
            "city": city,
            "garden": rng.choice(["yes", "no"], n),
            "sold": (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, "D")).strftime("%d.%m.%Y"),
            "price": price.round(2),
        }
    )


def poisoned(n: int = 400) -> pd.DataFrame:
    """Return the rows with wrong responses: 150,000 too much in rows of one city."""
    frame = flats(n)
    frame.loc[BAD, "city"] = "Turin"
    frame.loc[BAD, "price"] += 150_000
    return frame


def in_euros(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with prices such as € 120,000.50."""
    return frame.assign(price=[f"€ {price:,.2f}" for price in frame["price"]])


@pytest.fixture
def bad() -> np.ndarray:
    """Return the numbers of the wrong rows in the file, counted from 1."""
    return BAD + 1


@pytest.fixture
def frame() -> pd.DataFrame:
    """Return the rows of the file, with prices as numbers."""
    return poisoned()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return the path of the file; its first line has the names."""
    path = tmp_path / "flats.csv"
    in_euros(poisoned()).to_csv(path, index=False)
    return path
