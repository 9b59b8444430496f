"""``poisonbench run`` from the point of view of a user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from typer.testing import CliRunner

from poisonbench.cli.app import app

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": [{"name": "optp", "iterations": 1}, "statp"],
    "poisoning_rate": [0.1, 0.2],
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}],
    "seeds": 2,
}
KEY = ["seed", "attack", "outer_objective", "poisoning_rate", "defense", "defense_parameters"]


def by_key(out: Path) -> dict[tuple[str, ...], list[str]]:
    """Return the rows of results.csv, to the last digit."""
    results = pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)
    rows = {tuple(row[name] for name in KEY): list(row) for _, row in results.iterrows()}
    assert len(rows) == len(results)
    return rows


def test_it_prints_the_table_and_where_the_files_are(bench):
    result = bench.invoke(CONFIG)
    assert result.stdout.startswith("\ndiabetes, split 40/20/30, ridge(alpha=0.1): test MSE")
    written = result.stdout.splitlines()[-1]
    assert written.startswith("Written: ")
    paths = written.removeprefix("Written: ").split(", ")
    names = ["results.csv", "table.csv", "timings.csv", "convergence.csv", "poison"]
    assert [Path(path).name for path in paths] == names
    for path in paths:
        assert (bench.folder / path).exists()
        assert Path(path).parent == Path("results", "x")  # of x.yaml
    assert "cell" in result.stderr  # progress


def test_quiet_prints_nothing(bench):
    result = bench.invoke(CONFIG, "--quiet")
    assert result.stdout == result.stderr == ""
    assert (bench.folder / "results" / "x" / "results.csv").is_file()


def test_verbose_says_how_attacks_get_on_and_what_it_says_is_kept(bench):
    quiet = bench.invoke(CONFIG, "--output", "quiet", "seeds=1", "poisoning_rate=0.1").stderr
    assert "W =" not in quiet
    arguments = ("seeds=1", "poisoning_rate=0.1", "attack=[optp, coordinate, statp]")
    said = bench.invoke(CONFIG, "-v", "--output", "out", *arguments).stderr
    rounds = re.findall(r"diabetes, seed 0, .*?(optp|coordinate).*: round (\d+): W = (\S+)", said)
    assert {attack for attack, *_ in rounds} == {"optp", "coordinate"}
    assert said.count("W =") == len(rounds)  # each of them once
    assert "seed 0, optp xy bflip validation, p = " in said  # no two variants sound alike
    kept = pd.read_csv(bench.folder / "out" / "convergence.csv")
    results = pd.read_csv(bench.folder / "out" / "results.csv")
    for _, row in results.groupby("attack").first().drop("statp").iterrows():
        trace = kept[kept["poison_file"] == row["poison_file"]].set_index("round")["objective"]
        assert trace[0] == pytest.approx(row["objective_initial"], rel=1e-8)
        assert trace.iloc[-1] == pytest.approx(row["objective_final"], rel=1e-8)
        with np.load(bench.folder / "out" / row["poison_file"]) as arrays:
            assert arrays["trace"].tolist() == trace.tolist()
    numbers = [float(value) for _, _, value in rounds]
    np.testing.assert_allclose(kept[kept["round"] > 0]["objective"], numbers, rtol=1e-5)
    assert "statp" not in "".join(kept["poison_file"])


@pytest.mark.usefixtures("fresh_processes")
@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_verbose_is_heard_from_other_processes(bench, capfd, jobs):
    config = {**CONFIG, "attack": {"name": "optp", "iterations": 1}, "defense": "none"}
    bench.invoke(config, "-v", "-q", "--jobs", jobs)
    said = capfd.readouterr().err
    assert len(re.findall(r"^diabetes, seed [01], .*: round 1: W = 0\.\d+$", said, re.M)) == 4


def test_overrides(bench):
    results = bench.results(
        {**CONFIG, "model": "ridge"},
        *("model.alpha=0.25", "seeds=1", "attack=statp", "poisoning_rate=0.15", "defense=none"),
    )
    assert len(results) == 1
    assert results.loc[0, "alpha"] == 0.25
    assert results.loc[0, "n_poison"] == 6
    message = bench.invoke(CONFIG, "model.alpha=-1", code=2).stderr
    assert "command line: model.alpha=-1: model.alpha" in message


def test_dry_run_says_what_would_run_and_runs_nothing(bench):
    result = bench.invoke(CONFIG, "--dry-run")
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "1 dataset, 1 split, 1 model, 2 attack variants, 2 rates, 2 defenses, 2 seeds, "
        "8 poison sets, 16 cells"
    )
    assert len(lines) == 2 + 4 + 2
    assert lines[-3] == "0 cells are already in results/x"
    assert lines[-2].startswith("time: about ")
    assert lines[-1].startswith("memory: at most about ")
    assert [path.name for path in bench.folder.iterdir()] == ["x.yaml"]
    bench.run(CONFIG)
    assert "16 cells are already in out" in bench.invoke(CONFIG, "--dry-run", "-o", "out").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"poisoning_rate": 1}, "poisoning_rate"),
        ({"atack": "statp"}, "did you mean 'attack'?"),
        ({"attack": "statp", "initialization": "bflip"}, "initialization: not used"),
        ({"split": {"train": 400, "validation": 40, "test": 40}}, "has 442"),
        ({"split": {"train": 40, "validation": 0, "test": 40}}, "validation"),
        ({"attack": {"name": "file", "path": "absent.npz"}}, "absent.npz"),
        ({"split": {"indices": "absent.npz"}}, "absent.npz"),
        ({"dataset": {"name": "csv", "path": "absent.csv", "target": "y"}}, "absent.csv"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_is_wrong_is_found_before_any_computation(bench, words, message, dry):
    result = bench.invoke({**CONFIG, **words}, *dry, code=2)
    assert message in result.stderr
    assert re.search(r"^x\.yaml:\d+: ", result.stderr, re.M)
    assert result.stdout == ""
    assert [path.name for path in bench.folder.iterdir()] == ["x.yaml"]


@pytest.mark.parametrize("arguments", [["--jobs", "-1"], ["--jobs", "x"], ["--nonsense"]])
def test_bad_options(bench, arguments):
    bench.invoke(CONFIG, *arguments, code=2)
    assert not (bench.folder / "results").exists()


def test_more_axes_in_another_order_change_no_row(bench):
    small = by_key(bench.run(CONFIG, out="small"))
    large = {
        **CONFIG,
        "attack": ["statp", "none", {"name": "optp", "iterations": 1}],
        "outer_objective": ["training", "validation"],
        "poisoning_rate": [0.2, 0.1, 0],
        "defense": ["oracle", {"name": "trim", "restarts": 2}, {"name": "roni", "trials": 2},
                    {"name": "trim", "restarts": 1}, "none"],
        "seeds": [2, 1, 0],
    }  # fmt: skip
    rows = by_key(bench.run(large, out="large"))
    assert len(rows) == (3 * 3 + 1) * 5 * 3
    assert {key: rows[key] for key in small} == small
    files = {path.name: path.read_bytes() for path in (bench.folder / "large/poison").iterdir()}
    for path in (bench.folder / "small" / "poison").iterdir():
        assert files[path.name] == path.read_bytes()


def test_rate_0_is_the_clean_model_for_every_attack(bench):
    out = bench.run(
        {
            **CONFIG,
            "attack": ["none", "statp", "bgd", "optp"],
            "poisoning_rate": 0,
            "defense": ["none", "oracle", {"name": "trim", "restarts": 2}],
        }
    )
    results = pd.read_csv(out / "results.csv")
    assert len(results) == 4 * 3 * 2
    assert len(list(out.glob("cells/*/*"))) == 3 * 2
    assert not (out / "poison").exists()
    assert set(results["n_poison"]) == {0}
    for _, same in results.groupby(["defense", "seed"]):
        assert same["test_mse"].nunique() == 1
    reference = results[results["defense"].isin(["none", "oracle"])]
    assert (reference["test_mse"] == reference["test_mse_clean"]).all()
    assert (results[results["defense"] == "trim"]["n_removed"] == 0).all()


@pytest.fixture
def made(bench):
    """One poison set of CONFIG, and the rows of the results that met it."""
    config = {**CONFIG, "attack": "statp", "poisoning_rate": 0.2, "seeds": [1]}
    out = bench.run(config, out="made")
    return config, next((out / "poison").iterdir()), pd.read_csv(out / "results.csv")


NUMBERS = ["test_mse", "test_mse_clipped", "test_mse_clean", "ratio_to_none", "val_mse", "n_poison"]


@pytest.mark.parametrize("rate", [0.2, None])
def test_a_poison_set_and_its_split_can_be_used_again(bench, made, rate):
    config, path, before = made
    again = {
        **{word: value for word, value in config.items() if word != "poisoning_rate"},
        "attack": {"name": "file", "path": str(path.relative_to(bench.folder))},
        "split": {"indices": str(path)},
    }
    if rate:
        again["poisoning_rate"] = rate
    results = bench.results(again)
    pd.testing.assert_frame_equal(results[NUMBERS], before[NUMBERS], check_exact=True)
    assert set(results["attack"]) == {"file"}
    assert set(results["poisoning_rate"]) == {0.2}
    assert set(results["split"]) == {path.name}


def test_a_rate_that_the_file_does_not_have(bench, made):
    config, path, _ = made
    again = {**config, "attack": {"name": "file", "path": str(path)}, "poisoning_rate": 0.1}
    message = bench.invoke(again, code=2).stderr
    assert re.search(r"x\.yaml:\d+: poisoning_rate: .*8 rows", message)
    assert not (bench.folder / "results").exists()


def test_a_poison_set_as_csv_in_own_units(bench, made):
    config, path, before = made
    with np.load(path) as file:
        stored = dict(file)
    raw = load_diabetes(as_frame=True, scaled=False).frame.iloc[stored["train"]]
    columns = {}
    for name, values in zip(stored["feature_names"], stored["X"].T, strict=True):
        span = (raw[name].min(), np.ptp(raw[name])) if name in raw else (0.0, 1.0)
        columns[str(name)] = values * span[1] + span[0]
    columns[str(stored["target"])] = stored["y"] * np.ptp(raw["target"]) + raw["target"].min()
    frame = pd.DataFrame(columns)
    frame[sorted(frame.columns)].to_csv(bench.folder / "mine.csv", index=False)  # in any order
    again = {**config, "attack": {"name": "file", "path": "mine.csv"}}
    results = bench.results({**again, "split": {"indices": str(path)}})
    pd.testing.assert_frame_equal(results[NUMBERS], before[NUMBERS], rtol=1e-9)


def test_illegal_rows_in_a_file_are_refused_before_any_computation(bench, made):
    config, path, _ = made
    with np.load(path) as file:
        np.savez(bench.folder / "bad.npz", X=file["X"] + 2, y=file["y"])
    both = {**config, "attack": [{"name": "file", "path": "bad.npz"}, "statp"]}
    result = bench.invoke(both, "--output", "out", code=2)
    assert "outside the box [0, 1]" in result.stderr
    assert not (bench.folder / "out").exists()


def test_paths_are_relative_to_the_config_file(bench, made, monkeypatch):
    config, path, before = made
    (bench.folder / "poison.npz").write_bytes(path.read_bytes())
    again = {**config, "attack": {"name": "file", "path": "poison.npz"}}
    bench.invoke({**again, "split": {"indices": "poison.npz"}}, "--dry-run")
    (bench.folder / "elsewhere").mkdir()
    monkeypatch.chdir(bench.folder / "elsewhere")
    result = CliRunner().invoke(app, ["run", "../x.yaml", "--jobs", "0", "--output", "here"])
    assert result.exit_code == 0, result.stderr
    results = pd.read_csv("here/results.csv")
    pd.testing.assert_frame_equal(results[NUMBERS], before[NUMBERS], check_exact=True)


@pytest.mark.slow
def test_the_quickstart(monkeypatch, tmp_path):
    quickstart = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
    if not quickstart.is_file():
        pytest.skip("not in a checkout of the repository")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", str(quickstart), "--jobs", "0"])
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "results" / "quickstart"
    n_rows = len(pd.read_csv(out / "results.csv"))
    assert n_rows == len(pd.read_csv(out / "timings.csv")) == len(list(out.glob("cells/*/*")))
    counts = pd.read_csv(out / "table.csv").filter(regex="_count$")
    assert (counts == 3).all(axis=None)
