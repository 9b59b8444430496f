"""The benchmarks run; that of the attacks measures what `poisonbench run` gives."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml

from poisonbench.attacks.engines import climb

SCRIPT = Path(__file__).resolve().parent / "benchmarks" / "attacks.py"
SMALL = [
    *("--split", "{train: 40, validation: 20, test: 20}", "--rates", "0.05", "0.1"),
    *("--attacks", "{name: coordinate, sweeps: 1}", "statp", "--seeds", "2"),
    *("--synthetic", "40x12x4"),
]


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_attacks", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are those of x86-64")
def test_kernels_of_processors(tmp_path):
    config = {"dataset": "diabetes", "attack": [{"name": "optp", "iterations": 2}, "statp"],
              "poisoning_rate": 0.1, "defense": ["none", "trim"], "seeds": 1}  # fmt: skip
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(config))
    run = [sys.executable, SCRIPT.with_name("kernels.py"), tmp_path / "x.yaml", "ceiling=off",
           "--kernels", "Haswell", "Prescott"]  # fmt: skip
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    found = [float(line.split()[-1]) for line in printed.splitlines()[3:]]
    assert len(found) == 4  # two attacks, without a defense and with one
    assert all(0 <= value < 1 for value in found)
    assert max(found[2:]) < 1e-9  # statp does not search


def test_runs_and_summary(bench, attacks, capsys, monkeypatch):
    monkeypatch.setattr(attacks, "FITS", 2)
    monkeypatch.setitem(sys.modules, "numba", sys.modules.get("numba"))  # restored afterwards
    attacks.main([*SMALL, "--engine", climb.engine().name, "--output", "out"])
    printed = capsys.readouterr().out
    runs = pd.read_csv("out/runs.csv")
    summary = pd.read_csv("out/summary.csv")
    assert len(runs) == 2 * 2 * 2 + 2 * 2  # rates, attacks and seeds; attacks and seeds
    assert set(runs["engine"]) == {climb.engine().name}
    assert set(runs["n"]) == {40}
    assert sorted(set(zip(runs["d"], runs["p"], strict=True))) == [(11, 2), (11, 4), (12, 4)]
    np.testing.assert_allclose(runs["ridge_fits"], runs["attack_ms"] / runs["ridge_ms"])
    # Multiplicities of a few rows: the attack cannot do without an inverse of size d + 1.
    climbs = runs["attack"].str.startswith("coordinate")
    assert (runs["peak_mb"][climbs] > 8 * (runs["d"][climbs] + 1) ** 2 / 1e6).all()
    first = runs[(runs[attacks.CASE] == summary.loc[0, attacks.CASE]).all(axis=1)]["test_mse"]
    assert summary.loc[0, "test_mse"] == pytest.approx(first.median())
    assert summary.loc[0, "test_mse_geometric"] == pytest.approx(np.sqrt(first.prod()))
    assert "milliseconds against p (dataset diabetes, n 40, d 11" in printed
    assert "milliseconds against d" not in printed  # the two data sets are not comparable
    # The config beside the runs gives the same numbers by `poisonbench run`.
    config = yaml.safe_load(Path("out/diabetes.yaml").read_text())
    results = bench.results(config, out="again")
    diabetes = runs[runs["dataset"] == "diabetes"]
    assert sorted(results["test_mse"]) == pytest.approx(sorted(diabetes["test_mse"]))


def test_both_engines_are_measured_in_processes_of_their_own(attacks, tmp_path, monkeypatch):
    started = []

    def run(command, **_):
        started.append(command[2:])
        folder = Path(command[-1])
        folder.mkdir(parents=True)
        engine = command[command.index(folder.name)]
        case = dict.fromkeys(attacks.CASE, 1) | {"engine": engine, "seed": 0, "test_mse": 0.5}
        measures = ["ridge_ms", "attack_ms", "ridge_fits", "objective", "test_mse_clean",
                    "test_mse_clipped", "test_median_se", "peak_mb", "data_mb"]  # fmt: skip
        pd.DataFrame([case | dict.fromkeys(measures, 2.0)]).to_csv(folder / "runs.csv", index=False)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    attacks.main(["--engine", "both", "--output", str(tmp_path)])
    assert [command[-3] for command in started] == ["numpy", "numba"]
    assert pd.read_csv(tmp_path / "summary.csv")["engine"].tolist() == ["numpy", "numba"]
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess("", 2))
    with pytest.raises(SystemExit, match="2"):
        attacks.main(["--engine", "both", "--output", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attacks", "optpp"], "optp"),
        (["--synthetic", "40x12"], "'40x12' is not of the form NxDxP"),
        (["--data-dir", "nowhere", "--datasets", "house"], "no file"),
    ],
)
def test_bad_input(attacks, capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        attacks.main([*SMALL, *arguments, "--output", str(tmp_path)])
    assert message in capsys.readouterr().err


def test_an_engine_that_is_not_there(attacks, capsys, tmp_path, monkeypatch):
    numpys = climb.engine()._replace(name="numpy")
    monkeypatch.setattr(climb, "engine", lambda: numpys)
    with pytest.raises(SystemExit, match="2"):
        attacks.main([*SMALL, "--engine", "numba", "--output", str(tmp_path)])
    assert "compute with numpy here, not with numba" in capsys.readouterr().err


@pytest.mark.slow
def test_scale(tmp_path):
    output = tmp_path / "scale.csv"
    command = [sys.executable, SCRIPT.with_name("scale.py"), "--n", "2000", "--d", "5"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    subprocess.run([*command, "--p", "50", "--output", output], env=environment, check=True)
    line = pd.read_csv(output).iloc[0]
    assert line["gram"] > 0
    assert line["total"] == pytest.approx(line["gram"] + line["search"] + line["write"], rel=1e-6)
    assert line["reratio"] == pytest.approx(line["total"] / line["refit"], rel=1e-6)
    command += ["--p", "400", "--defenses", "trim", "mm", "--output", output]
    subprocess.run(command, env=environment, check=True)
    lines = pd.read_csv(output)
    assert list(lines["defense"]) == ["trim", "mm"]
    assert (lines["kept"] < 0.5).all()
    assert np.allclose(lines["ratio"], lines["total"] / lines["fit"])


def test_defenses(tmp_path):
    """Fits are repeated at the highest rate and without poison, and are not measured again."""
    config = "{name: synthetic, n: 800, d: 3, informative: 2, noise: 0.3}"
    command = [
        *(sys.executable, SCRIPT.with_name("defenses.py"), "--dataset", config, "--train", "30"),
        *("--attack", "none", "statp", "--rate", "0.1", "0.3", "--defense", "none"),
        *("{name: ransac, max_trials: 1, refinements: 0}", "--repetitions", "3"),
        *("--cache", tmp_path, "--output", tmp_path / "fits.csv", "--tables", tmp_path / "t.md"),
    ]

    def run(seeds: str) -> tuple[pd.DataFrame, str]:
        environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
        subprocess.run([*command, "--seeds", seeds], env=environment, check=True)
        return pd.read_csv(tmp_path / "fits.csv"), (tmp_path / "t.md").read_text()

    few, page = run("0-2")  # too few for a worst case
    assert " (" not in page.partition("p/n = 0.3")[2]
    many, page = run("0-19")
    assert many.iloc[: len(few)].equals(few)
    assert len(many) == 20 * 3 * 2
    ransac = many[many["defense"].str.startswith("ransac")]
    assert (ransac["repetitions"] == ransac["rate"].map({0: 3, 0.1: 1, 0.3: 3})).all()
    assert (many[many["repetitions"] == 1]["spread"] == 1).all()
    assert (ransac["largest_ratio"] >= ransac["ratio"]).all()
    at, repeated = ransac[ransac["rate"] == 0.3], ransac[ransac["rate"] != 0.1]
    numbers = pd.read_csv(tmp_path / "t.csv").query("rate == 0.3 and attack == 'statp'")
    low, high = numbers[numbers["defense"].str.startswith("ransac")][
        ["ratio_low", "ratio_high"]
    ].iloc[0]
    # The sign test at 5% for 20 values: between the 6th from either side.
    assert (low, high) == pytest.approx(tuple(at["ratio"].sort_values().iloc[[5, -6]]), rel=1e-3)
    line = next(line for line in page.partition("p/n = 0.3")[2].splitlines() if "ransac" in line)
    for cell, values, worst in (
        (3, at["ratio"], at["largest_ratio"]),
        (4, repeated.groupby("rate")["spread"].median(), repeated["spread"]),
    ):
        expected = [f"{x:.2f}" if x < 10 else f"{x:.0f}" for x in (values.median(), worst.max())]
        assert line.split("|")[cell].strip() == "{} ({})".format(*expected)


def test_estimated_numbers_of_poison_rows(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("estimated", SCRIPT.with_name("estimated.py"))
    assert spec
    assert spec.loader
    estimated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(estimated)
    monkeypatch.setattr(estimated, "ATTACKS", ("statp",))
    monkeypatch.setattr(estimated, "RATES", (0.2,))
    page = tmp_path / "p.md"
    page.write_text("above\n<!-- tables -->\nreplaced\n<!-- end of the tables -->\nbelow\n")
    for seeds in ("1", "2"):
        command = ["estimated.py", "--dataset", "synthetic", "--seeds", seeds, "--page", str(page)]
        monkeypatch.setattr(sys, "argv", command)
        estimated.main()
    records = pd.read_csv(tmp_path / "p.csv")
    assert records["seed"].tolist() == [600, 600, 601, 601]  # 600 was measured once
    assert records["n_poison"].tolist() == [0, 60, 0, 60]
    poisoned = records[records["n_poison"] > 0]
    assert (poisoned["ratio_told"] < poisoned["ratio_none"]).all()
    said = page.read_text()
    assert said.startswith("above\n")
    assert said.endswith("\nbelow\n")
    assert "replaced" not in said
    assert f"| statp | {poisoned['itrim'].median():.0f} |" in said
    ratio = np.sqrt(poisoned["ratio_estimated"].prod())
    assert f"| {ratio:.2f} |" in next(line for line in said.splitlines() if "`n_poison: " in line)


@pytest.mark.slow
def test_the_engine() -> None:
    script = SCRIPT.with_name("engine.py")
    arguments = ["--cells", "8", "--status", "20", "--repeat", "1"]
    lines = subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.split(", --jobs ")[1].split()[0] for line in lines if "--jobs" in line] == [
        "0", "1", "2"
    ]  # fmt: skip
    assert lines[-1].startswith("status of 20 cells ")


@pytest.fixture
def classic(tmp_path) -> ModuleType:
    """The benchmark, and in ``sets`` a data set with a column in large units."""
    spec = importlib.util.spec_from_file_location("classic", SCRIPT.with_name("classic.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)
    X = rng.random((20, 2)) * [1.0, 1e6]
    y = X @ [1.0, 1e-6] + 0.1 * rng.standard_normal(20)
    y[:4] += 3
    (tmp_path / "sets").mkdir()
    pd.DataFrame(np.column_stack([X, y])).to_csv(tmp_path / "sets" / "small.csv", index=False)
    return module


def test_classic_data_sets(classic, tmp_path, capsys):
    out = tmp_path / "lines.csv"
    few = [str(tmp_path / "sets"), "--seeds", "2", "--long", "1", "--output", str(out)]
    classic.main([*few, "--defense", "lts", "trim", "torrent-full", "torrent-gradient"])
    assert "averages" in capsys.readouterr().out
    lines = pd.read_csv(out)
    assert len(lines) == 2 * 4 * 2  # cores, defenses, units
    assert set(lines["h"]) == {10, 15}
    searched = lines[lines["defense"].isin(["lts", "trim"])]
    assert (searched["hits"] == 1).all()
    assert (lines["worst"] >= 1 - 1e-9).all()


def test_classic_data_sets_beside_another_program(classic, tmp_path, capsys):
    peer, out = tmp_path / "peer.csv", tmp_path / "lines.csv"
    found = {"dataset": "small", "h": 14, "starts": ["exact", "500", "500"]}
    frames = [
        pd.DataFrame({**found, "core": core, "objective": objective})
        for core, objective in [(0.75, [1e-3, 1e-3, 1e9]), (0.5, [1e9, 1e9, 1e9])]
    ]
    pd.concat(frames).to_csv(peer, index=False)
    few = [str(tmp_path / "sets"), "--seeds", "2", "--long", "1", "--peer", str(peer)]
    classic.main([*few, "--output", str(out)])
    lines = pd.read_csv(out)
    assert set(lines["h"]) == {14}
    hits = lines.groupby(["core", "defense"])["hits"].mean()
    # Its better minimum counts for all, and its long search does not count as a run.
    assert hits[0.75].to_dict() == {"lts": 0.0, "trim": 0.0, "ltsReg": 0.5}
    assert hits[0.5].to_dict() == {"lts": 1.0, "trim": 1.0, "ltsReg": 0.0}
    peer.write_text("dataset,core,h,starts,objective\n")
    with pytest.raises(SystemExit, match="2"):
        classic.main(few)
    assert "has no line for small and core 0.75" in capsys.readouterr().err


@pytest.mark.slow
def test_adaptive_at_several_rates(tmp_path: Path) -> None:
    script = SCRIPT.with_name("defenses.py")
    arguments = [
        *("--dataset", "{name: synthetic, n: 900, d: 5}", "--train", "40", "--seeds", "3-4"),
        *("--attack", "none", "statp", "adaptive", "--defense", "none", "trim"),
        *("--rate", "0.1", "0.2"),
        *("--adaptive-seeds", "1", "--adaptive-rates", "0.1", "0.2"),
        *("--cache", tmp_path / "cache", "--output", tmp_path / "fits.csv"),
    ]
    subprocess.run(
        [sys.executable, script, *arguments, "--tables", tmp_path / "page.md"],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        check=True,
    )
    fits = pd.read_csv(tmp_path / "fits.csv", keep_default_na=False)
    counts = fits.groupby(["attack", "rate", "defense"]).size()
    assert counts.to_dict() == {
        **{("clean", 0.0, defense): 2 for defense in ("none", "trim")},
        **{("statp", rate, defense): 2 for rate in (0.1, 0.2) for defense in ("none", "trim")},
        **{("adaptive", rate, "trim"): 1 for rate in (0.1, 0.2)},  # one seed, its own defense
    }
    assert (fits["ratio"][(fits["attack"] == "clean") & (fits["defense"] == "none")] == 1).all()
    assert "### Attacks at p/n = 0.2" in (tmp_path / "page.md").read_text()
