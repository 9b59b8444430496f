"""The page on suspicious rows has the tables of its CSV file, and the benchmark plants rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGE = REPOSITORY / "results" / "reference" / "suspicious-rows.md"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = REPOSITORY / "tests" / "benchmarks" / "suspicious.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_suspicious_rows", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_tables_of_its_csv_file(benchmark: ModuleType) -> None:
    if not PAGE.is_file():
        pytest.skip(f"no file {PAGE}: not a checkout")
    assert benchmark.tables(pd.read_csv(PAGE.with_suffix(".csv"))) in PAGE.read_text("utf-8")


def test_the_rows_of_a_kind_are_planted(benchmark: ModuleType) -> None:
    clean, none = benchmark.poisoned("clean", 1, n_rows=300, n_bad=12)
    assert not none.any()
    for kind in ("corners", "group", "errors"):
        data, bad = benchmark.poisoned(kind, 1, n_rows=300, n_bad=12)
        changed = (data.y != clean.y) | (data.X != clean.X).any(axis=1)
        assert np.array_equal(changed, bad), kind
        assert bad.sum() == 12


def test_precision_and_recall(benchmark: ModuleType) -> None:
    bad = np.array([True, True, True, True, False, False])
    assert benchmark.shares_of(bad, np.array([0, 4, 1])) == (2 / 3, 0.5)


def test_the_recommended_defense_lists_what_damages(benchmark: ModuleType) -> None:
    data, bad = benchmark.poisoned("corners", 1, n_rows=600, n_bad=24)
    found = benchmark.defend(data, share=0.04)
    assert benchmark.shares_of(bad, found.suspicious) == (1, 1)


def test_a_cautious_fit_finds_more_than_the_defense_itself_leaves_out(
    benchmark: ModuleType,
) -> None:
    data, bad = benchmark.poisoned("group", 100)
    found = benchmark.defend(data, defense="torrent", share=0.04)
    _, recall = benchmark.shares_of(bad, found.suspicious)
    _, own = benchmark.own_rows(data, found, bad)
    _, best = benchmark.clean_fit(data, found, bad)
    assert own + 0.05 < recall <= best + 0.05
