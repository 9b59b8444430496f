"""Real and random data without faults have no findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from poisonbench.quality import findings

STACKLOSS = """80 27 89 42|80 27 88 37|75 25 90 37|62 24 87 28|62 22 87 18|62 23 87 18|62 24 93 19
62 24 93 20|58 23 87 15|58 18 80 14|58 18 89 14|58 17 88 13|58 18 82 11|58 19 93 12|50 18 89 8
50 18 86 7|50 19 72 8|50 19 79 8|50 20 80 9|56 20 82 15|70 20 91 15"""
"""Brownlee 1965: air flow, water temperature, acid concentration, stack loss."""


@pytest.mark.parametrize(
    ("name", "target"),
    [("diabetes", "target"), ("iris", "petal width (cm)"), ("iris", "target"), ("wine", "alcohol"),
     ("wine", "target"), ("breast_cancer", "mean radius"), ("breast_cancer", "target"),
     ("digits", "target")],
)  # fmt: skip
def test_data_of_scikit_learn(found, name: str, target: str) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    assert found(frame, target) == {}


def test_diabetes_in_its_own_units(found) -> None:
    frame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    assert found(frame, "target") == {}
    assert found(frame, None) == {}


def test_linnerud(found) -> None:
    parts = datasets.load_linnerud(as_frame=True)
    assert found(pd.concat([parts.data, parts.target], axis=1), "Weight") == {}


def test_stackloss(found) -> None:
    rows = [list(map(int, row.split())) for row in STACKLOSS.replace("\n", "|").split("|")]
    table = pd.DataFrame(rows, columns=["air", "water", "acid", "loss"])
    assert len(table) == 21
    assert found(table, "loss") == {}


@pytest.mark.parametrize(
    ("name", "target"),
    [("house-processed", "SalePrice"), ("pharm-preproc", "TherapeuticDoseofWarfarin")],
)
def test_data_of_the_paper(shared_data: Path, name: str, target: str) -> None:
    path = shared_data / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no file {path}")
    assert findings(path, target) == ()


@pytest.mark.parametrize("n", [10, 30, 100, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_random_tables(found, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({
        "normal": rng.normal(size=n),
        "rounded": rng.normal(20, 8, n).round(1),
        "count": rng.poisson(4, n),
        "income": rng.lognormal(10, 0.7, n).round(-2),
        "share": rng.random(n).round(2),
        "missing": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "yes": rng.choice(["yes", "no"], n),
        "kind": rng.choice(["oak", "ash", "elm", "fir"], n, p=[0.6, 0.3, 0.08, 0.02]),
        "day": (pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 2000, n), "D")
                ).astype(str),
    })  # fmt: skip
    table["y"] = (table["normal"] + table["rounded"] / 8 + rng.normal(size=n)).round(3)
    assert found(table, "y") == {}


@pytest.mark.parametrize("seed", range(4))
def test_clean_rows(found, seed: int) -> None:
    from sklearn.datasets import make_friedman1

    X, y = make_friedman1(n_samples=2000, n_features=12, noise=0.5, random_state=seed)
    assert found(pd.DataFrame(X).add_prefix("x").assign(y=y), "y") == {}
    assert found(pd.DataFrame(X.round(2)).add_prefix("x").assign(y=y.round(1)), "y") == {}


def test_the_table_of_the_other_tests(found, table) -> None:
    assert found(table) == {}
