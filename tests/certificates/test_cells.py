"""The ceilings of cells: correct, shared, and without effect on the other results."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.certificates.cell_ceilings import CeilingTask

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
COORDINATE = {"name": "coordinate", "preset": "fast"}
CONFIG = {
    "dataset": "diabetes",
    "model": [{"name": "ridge", "alpha": 0.1}, {"name": "lasso", "lambda": 0.002}],
    "attack": [COORDINATE, {**COORDINATE, "outer_objective": "training"}, "statp"],
    "poisoning_rate": [0, 0.1],
    "split": {"train": 40, "validation": 30, "test": 40},
    "defense": ["none", "median"],
    "seeds": 1,
}
COLUMNS = ["objective_ceiling", "ceiling_share", "test_mse_ceiling", "ceiling_note"]


@pytest.fixture(scope="module")
def rows(shared_bench):
    """The rows of the results of CONFIG, whose output folder is not to be touched."""
    return shared_bench.results(CONFIG)


def test_every_row_has_its_ceilings(shared_bench, rows):
    clean, poisoned = rows[rows["n_poison"] == 0], rows[rows["n_poison"] > 0]
    assert clean[COLUMNS].isna().all(axis=None)
    assert poisoned["ceiling_note"].isna().all()
    none = poisoned[poisoned["defense"] == "none"]
    assert (none["test_mse"] <= none["test_mse_ceiling"]).all()
    attacked = poisoned[poisoned["attack"] == "coordinate"]
    assert (attacked["objective_final"] <= attacked["objective_ceiling"]).all()
    assert attacked["ceiling_share"].between(0.5, 1).all()
    assert poisoned.loc[poisoned["attack"] == "statp", COLUMNS[:2]].isna().all(axis=None)
    # One for each learner, amount of poison and loss, whatever the attack and the defense.
    names = sorted(
        path.name.split("-p")[0] for path in (shared_bench.folder / "out/ceilings").iterdir()
    )
    assert names == sorted(["test", "training", "validation"] * 2)


def test_they_are_stored_and_shared(bench, shared_bench, rows, monkeypatch):
    shutil.copytree(shared_bench.folder / "out", bench.folder / "out")
    [path, *others] = sorted((bench.folder / "out/ceilings").iterdir())
    before = path.read_bytes()
    for cell in (bench.folder / "out/cells").glob("*/*.json"):
        cell.unlink()
    path.write_bytes(before[:100])  # damaged: computed again, to the same bytes

    asked = []
    compute = CeilingTask.compute
    monkeypatch.setattr(CeilingTask, "compute", lambda self: asked.append(self) or compute(self))
    pd.testing.assert_frame_equal(bench.results(CONFIG), rows)
    assert len(asked) == 1
    assert path.read_bytes() == before
    assert len(others) == 5


def test_a_ceiling_that_fails_fails_nothing_else(bench, rows, monkeypatch):
    def broken(self):
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(CeilingTask, "compute", broken)
    failed = bench.results(CONFIG)
    pd.testing.assert_frame_equal(failed.drop(columns=COLUMNS), rows.drop(columns=COLUMNS))
    notes = failed.loc[failed["n_poison"] > 0, "ceiling_note"]
    assert notes.str.contains("RuntimeError: out of ideas").all()


def test_off_means_off(bench, rows):
    off = bench.results({**CONFIG, "ceiling": "off"})
    assert off[COLUMNS].isna().all(axis=None)
    assert not (bench.folder / "out/ceilings").exists()
    pd.testing.assert_frame_equal(off.drop(columns=COLUMNS), rows.drop(columns=COLUMNS))


@pytest.mark.parametrize("value", ["maybe", True, ["on", "off"], None])
def test_ceiling_is_on_or_off(bench, value):
    result = bench.invoke({**CONFIG, "ceiling": value}, code=2)
    assert "ceiling" in result.stderr
    assert "expected on or off" in result.stderr


def test_of_a_strength_selected_on_poisoned_rows_nothing_is_proved(bench):
    model = {"name": "ridge", "lambda": "cv", "select_on": "poisoned"}
    rows = bench.results({**CONFIG, "model": model, "attack": COORDINATE, "poisoning_rate": 0.1})
    assert rows["test_mse_ceiling"].isna().all()
    assert rows["objective_ceiling"].notna().all()  # the attacker's learner has a fixed one


@pytest.mark.parametrize(
    "knowledge", [{"surrogate": "data"}, {"surrogate": "model", "model": "ols"}]
)
def test_of_the_objective_of_a_surrogate_nothing_is_proved(bench, knowledge):
    """The attack reports the objective for the learner that it knows."""
    blind = {**COORDINATE, "knowledge": knowledge}
    rows = bench.results({**CONFIG, "attack": blind, "poisoning_rate": 0.1})
    assert rows["objective_final"].notna().all()
    assert rows[["objective_ceiling", "ceiling_share"]].isna().all(axis=None)
    assert rows["test_mse_ceiling"].notna().all()
    assert set(rows["ceiling_note"]) == {
        "validation: no ceiling: the objective is that of the attacker's surrogate"
    }


def test_too_many_columns_are_said_to_be_too_many(bench, monkeypatch):
    monkeypatch.setattr("poisonbench.certificates.cell_ceilings.MOST_COLUMNS", 5)
    rows = bench.results({**CONFIG, "attack": "statp", "poisoning_rate": 0.1})
    assert rows["test_mse_ceiling"].isna().all()
    assert rows["ceiling_note"].str.contains("more than 5 columns").all()


@pytest.fixture
def scripts(monkeypatch):
    found = {}
    for name in ("ceiling", "check_ceiling"):
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec
        assert spec.loader
        found[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    return found


@pytest.mark.parametrize("objective", ["training", "validation"])
@pytest.mark.parametrize("model", ["{name: ridge, alpha: 0.1}", "{name: lasso, lambda: 0.01}"])
def test_an_independent_script_confirms_a_certificate(bench, scripts, capsys, objective, model):
    certificate = bench.folder / "certificate.npz"
    scripts["ceiling"].main(
        ["--datasets", "diabetes", "--models", model, "--rates", "0.1", "--seeds", "1",
         "--split", "{train: 60, validation: 30, test: 40}", "--output", str(bench.folder),
         "--objective", objective, "--certificate", str(certificate)]
    )  # fmt: skip
    scripts["check_ceiling"].main(str(certificate))
    stored, proved = (float(part.split()[1]) for part in capsys.readouterr().out.split(",")[:2])
    assert proved == pytest.approx(stored, rel=1e-6)
    with np.load(certificate) as file:
        forged = {**file, "bound": file["bound"] * 0.99}
    np.savez(certificate, **forged)
    with pytest.raises(SystemExit, match="does not prove"):
        scripts["check_ceiling"].main(str(certificate))


def test_the_script_imports_numpy_alone():
    text = (BENCHMARKS / "check_ceiling.py").read_text()
    imports = {line for line in text.splitlines() if line.startswith(("import", "from"))}
    assert imports == {"import sys", "import numpy as np"}
    assert len(text.splitlines()) < 60


def test_an_attack_above_its_ceiling_fails_loudly(bench, monkeypatch):
    compute = CeilingTask.compute

    def too_low(self):
        found = compute(self)
        return replace(found, bound=found.bound * 0.5)

    monkeypatch.setattr(CeilingTask, "compute", too_low)
    config = {**CONFIG, "attack": COORDINATE, "defense": "none"}
    result = bench.invoke(config, "--output", "out", code=1)
    assert "exceeds its proved ceiling" in result.stderr
    assert (bench.folder / "out/results.csv").is_file()  # nothing is lost
