"""Defenses that are fitted several times to the same rows: what is fitted, reported and printed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.config import load
from poisonbench.output.reading import read
from poisonbench.plan.make import make_plan

CONFIG: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 90, "d": 4, "informative": 2, "noise": 0.3},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "poisoning_rate": [0, 0.3],
    # One draw of a few rows: every fit is another one.
    "defense": ["none", "oracle", {"name": "ransac", "max_trials": 1, "refinements": 0}, "huber"],
    "seeds": 2,
    "ceiling": "off",
}
SPREAD = ["test_mse_least", "test_mse_largest", "spread"]

TOYS = '''
"""Defenses that predict a constant: a random one, or always the same."""

import numpy as np

from poisonbench.defenses.base import Defense

FITTED = []


class Fixed(Defense):
    """Predicts 0."""

    name = "fixed"
    reference = "nobody"

    def fit(self, X, y):
        """Fit nothing."""
        FITTED.append((self.name, None, len(y)))
        self.value_, self.coef_, self.intercept_ = 0.0, np.zeros(X.shape[1]), 0.0
        self.n_features_in_ = X.shape[1]
        return self


class Drawn(Defense):
    """Predicts a number that is drawn."""

    name = "drawn"
    reference = "nobody"

    def __init__(self, *, random_state: int | None = None) -> None:
        self.random_state = random_state

    def fit(self, X, y):
        """Draw."""
        FITTED.append((self.name, self.random_state, len(y)))
        self.intercept_ = 1 + 10 * float(np.random.RandomState(self.random_state).rand())
        self.coef_, self.n_features_in_ = np.zeros(X.shape[1]), X.shape[1]
        self.note_ = f"{self.intercept_!r}"
        return self
'''


@pytest.fixture
def toys(bench, plugin):
    """Run the toy defenses; return the rows of the results, and the fits to the poisoned rows."""
    plugin(TOYS, defenses="Fixed Drawn")

    def run(repetitions: int, out: str) -> tuple[pd.DataFrame, list[tuple[str, int | None]]]:
        words = {"defense": ["fixed", "drawn"], "seeds": 1, "repetitions": repetitions}
        results = bench.results({**CONFIG, **words}, out=out).set_index(["defense", "n_poison"])
        seen = sys.modules["toys"].FITTED
        most = max(n_rows for _, _, n_rows in seen)
        fitted = [(name, state) for name, state, n_rows in seen if n_rows == most]
        seen.clear()
        return results, fitted

    return run


def test_each_fit_draws_other_numbers_and_the_first_fit_stays_the_same(toys):
    _, once = toys(1, "one")
    _, often = toys(4, "four")
    assert [name for name, _ in once] == ["fixed", "drawn"]
    assert [name for name, _ in often] == ["fixed"] + 4 * ["drawn"]  # fixed draws nothing
    states = [state for name, state in often if name == "drawn"]
    assert len(set(states)) == 4
    assert states[0] == once[1][1]


@pytest.mark.parametrize("repetitions", [2, 3, 4, 5])
def test_a_row_describes_the_fit_in_the_middle(toys, repetitions):
    results, fitted = toys(repetitions, "out")
    poisoned = results.loc[("drawn", results.index[-1][1])]
    values = sorted(1 + 10 * np.random.RandomState(state).rand()
                    for name, state in fitted if name == "drawn")  # fmt: skip
    # The mean response lies in [0, 1], so a constant farther from it has a larger error.
    assert float(poisoned["defense_note"]) == values[(repetitions - 1) // 2]
    assert poisoned["test_mse_least"] <= poisoned["test_mse"] <= poisoned["test_mse_largest"]
    assert poisoned["repetitions"] == repetitions
    assert poisoned["spread"] == poisoned["test_mse_largest"] / poisoned["test_mse_least"] > 1
    for name, constant in (("least", values[0]), ("largest", values[-1])):
        assert abs(constant - np.sqrt(poisoned[f"test_mse_{name}"])) < 1
    # At rate 0 and at this rate, it is divided by the median of as many fits to the clean rows.
    clean = results.loc[("drawn", 0)]
    assert clean["ratio_to_own_clean"] == 1
    assert poisoned["ratio_to_own_clean"] == poisoned["test_mse"] / clean["test_mse"]
    fixed = results.loc["fixed"]
    assert (fixed["repetitions"] == 1).all()
    assert fixed[SPREAD].isna().all(axis=None)


def test_only_cells_of_defenses_that_draw_depend_on_the_number():
    ids = {}
    for repetitions in (None, 1, 2, 3):
        words = {} if repetitions is None else {"repetitions": repetitions}
        plan = make_plan(load({**CONFIG, **words}))
        ids[repetitions] = {(group.id, task.defense.name): task.id
                            for group in plan.groups for task in group.tasks}  # fmt: skip
    assert ids[None] == ids[1]
    for key, id_ in ids[1].items():
        same = key[1] in ("none", "oracle")
        assert (id_ == ids[2][key]) == (ids[2][key] == ids[3][key]) == same


@pytest.fixture(scope="module")
def results(shared_bench) -> pd.DataFrame:
    return shared_bench.results({**CONFIG, "repetitions": 3})


def test_one_fit_has_no_spread(bench, results):
    once = bench.results(CONFIG)
    assert (once["repetitions"] == 1).all()
    assert once[SPREAD].isna().all(axis=None)
    assert "spread" not in bench.invoke(CONFIG, "--output", "again").stdout
    several = results["defense"].isin(["ransac", "huber"])
    assert results.loc[several, SPREAD].notna().all(axis=None)
    assert results.loc[~several, SPREAD].isna().all(axis=None)
    # The one fit is one of the three.
    assert (once["test_mse"] >= results["test_mse_least"].fillna(once["test_mse"])).all()
    assert (once["test_mse"] <= results["test_mse_largest"].fillna(once["test_mse"])).all()


def test_what_is_interrupted_ends_in_the_same_bytes(shared_bench, results):
    """With other numbers of processes, and if the cells of a defense or the poison are lost."""
    whole = shared_bench.folder / "out"
    config = {**CONFIG, "repetitions": 3}
    for name, lost in (("half", 1), ("most", 3)):
        part = shared_bench.folder / name
        shutil.copytree(whole, part)
        cells = sorted(part.glob("cells/*/*.json"))
        for path in [*cells[:: lost + 1], *part.glob("poison/*")]:
            path.unlink()
        shared_bench.run(config, "--jobs", str(lost - 1), out=name)
        for path in (path for path in whole.rglob("*") if path.suffix in (".json", ".csv")):
            relative = path.relative_to(whole)
            if relative.parts[0] not in ("meta", "timings.csv"):
                assert (part / relative).read_bytes() == path.read_bytes(), relative


def test_predictions_are_those_of_the_row(bench):
    config = {**CONFIG, "repetitions": 3}
    results = bench.results(config, "--predictions")
    found = {}
    for path in Path("out/predictions").rglob("*.json"):
        content = yaml.safe_load(path.read_text())
        y, predicted = np.array(content["y"]), np.array(content["predicted"])
        found[path.stem] = np.mean((y - predicted) ** 2)
    for _, row in results.iterrows():
        span = row["test_rmse_unscaled"] ** 2 / row["test_mse"]
        assert np.isclose(list(found.values()), span * row["test_mse"]).any()


def test_every_table_shows_the_spread(shared_bench, results):
    folder = str(shared_bench.folder / "out")
    poisoned = results[results["defense"] == "ransac"]
    spreads = poisoned["spread"]
    expected = f"{spreads.median():#.3g} ({spreads.max():#.2g})"
    printed = [
        shared_bench.invoke({**CONFIG, "repetitions": 3}, "--output", folder).stdout,
        *(
            CliRunner().invoke(app, ["table", folder, "--format", kind]).stdout
            for kind in ("text", "markdown", "latex")
        ),
    ]
    for text in printed:
        assert expected in text
        assert "the largest test MSE of 3 fits" in " ".join(text.split())
    lines = printed[0].splitlines()
    assert next(line for line in lines if line.startswith("attack")).endswith("  spread")
    assert next(line for line in lines if "  none " in line).split()[-1].endswith(")")
    assert expected.split()[0] not in next(line for line in lines if "oracle" in line)
    csv = CliRunner().invoke(app, ["table", folder, "--format", "csv"]).stdout.splitlines()
    assert sum(",spread," in line for line in csv) == 2  # ransac and huber
    table = pd.read_csv(shared_bench.folder / "out/table.csv", keep_default_na=False)
    rows = table[table["metric"] == "spread"]
    assert rows["defense"].tolist() == ["ransac", "huber"]
    at = poisoned[poisoned["poisoning_rate"] == 0.3]["spread"]
    assert float(rows["0.3_mean"].iloc[0]) == pytest.approx(at.mean())
    by_rate = CliRunner().invoke(app, ["table", folder, "--metric", "spread"]).stdout
    assert f"{at.mean():#.3g}" in by_rate
    seconds = CliRunner().invoke(app, ["table", folder, "--metric", "defense-seconds"]).stdout
    assert "spread" not in seconds


def test_the_report_says_how_far_fits_are_apart(shared_bench, results, bench):
    report = pytest.importorskip("poisonbench.output.report", reason="the extra plot is missing")
    tables = read(shared_bench.folder / "out")
    said = " ".join(s for part in report.findings(tables.results) for s in part["sentences"])
    poisoned = results[results["poisoning_rate"] == 0.3]
    most = poisoned["spread"].max()
    assert f"by a factor of {most:#.3g} on one split" in said
    assert "over 3 fits to the same rows" in said
    assert not any("fitted only once" in line for line in report.not_covered(tables.results))
    once = read(bench.run(CONFIG)).results
    assert any(
        line.startswith("huber, ransac draw random numbers, and were fitted only once")
        for line in report.not_covered(once)
    )
    assert "random numbers" not in str([*report.findings(once)])
