"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the data sets that are too large, or not ours, to ship."""
    default = REPOSITORY.parent / "shared" / "data"
    folder = Path(os.environ.get("POISONBENCH_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; POISONBENCH_TEST_DATA names another")
    return folder


def existing(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return path


@pytest.fixture(scope="session")
def house_csv(shared_data: Path) -> Path:
    return existing(shared_data / "house-processed.csv")


@pytest.fixture(scope="session")
def health_csv(shared_data: Path) -> Path:
    return existing(shared_data / "pharm-preproc.csv")
