"""The commands that read results: table, compare, plot, report."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

import poisonbench
from poisonbench.cli.app import app
from poisonbench.cli.results import _expected
from poisonbench.output import published
from poisonbench.output.layout import StoreError
from poisonbench.output.reading import read

CONFIG = {
    "dataset": {"name": "synthetic", "n": 90, "d": 1, "informative": 1, "groups": []},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "poisoning_rate": [0, 0.2],
    "defense": ["none", "trim"],
    "seeds": 2,
}


def invoke(*arguments: str, code: int = 0):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def ran(shared_bench):
    return shared_bench.run(CONFIG)


@pytest.fixture
def out(bench, ran):
    """A copy of an output folder."""
    return shutil.copytree(ran, bench.folder / "out")


def test_table_prints_and_writes(out, tmp_path):
    assert "test MSE" in invoke("table", str(out)).stdout
    for form, mark in (("latex", r"\toprule"), ("markdown", "| --- |"), ("csv", "table,attack")):
        invoke("table", str(out), "--format", form, "--output", str(tmp_path / form))
        assert mark in (tmp_path / form).read_text()
    only = invoke("table", str(out), "--where", "defense=trim", "--where", "poisoning_rate=0.2")
    assert "none" not in only.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "latx"), "did you mean 'latex'"),
        (("--where", "defence=trim"), "did you mean 'defense'"),
        (("--where", "defense=trimm"), "expected one of none, trim"),
        (("--rows", "attacks"), "did you mean 'attack'"),
    ],
)
def test_table_says_what_is_wrong(out, arguments, message):
    assert message in invoke("table", str(out), *arguments, code=2).stderr


def test_a_folder_without_results_is_refused(tmp_path):
    for command in ("table", "compare"):
        assert "no results.csv" in invoke(command, str(tmp_path), code=2).stderr
        assert "no folder" in invoke(command, str(tmp_path / "none"), code=2).stderr


def test_compare_with_another_folder(bench, out):
    other = bench.run(CONFIG, "model.alpha=0.1", "seeds=2", out="other")
    said = invoke("compare", str(out), "--reference", str(other), "--output", "pairs.csv").stdout
    assert "paired by seed" in said
    pairs = pd.read_csv("pairs.csv")
    assert len(pairs) == 4
    assert (pairs["mean"] == 0).all()


def test_compare_with_another_folder_by_a_metric_of_several_rows(bench):
    blind = {"name": "optp", "iterations": 1, "knowledge": {"surrogate": "data"}}
    attacks = [{"name": "optp", "iterations": 1}, blind]
    config = {**CONFIG, "attack": attacks, "poisoning_rate": 0.2, "defense": "none",
              "split": {"train": 20, "validation": 20, "test": 20}}  # fmt: skip
    one, other = (str(bench.run(config, out=name)) for name in ("one", "other"))
    invoke("compare", one, "--reference", other, "--metric", "white-box-share", "-o", "pairs.csv")
    (pair,) = pd.read_csv("pairs.csv").to_dict("records")
    assert pair["mean"] == 0
    assert "knowledge" in pair["attack_label"]


def test_results_that_are_not_numbers_are_refused(out):
    path = out / "results.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.loc[1, "test_mse"] = "many"
    rows.to_csv(path, index=False)
    expected = "results.csv: column test_mse has 'many'; expected a number"
    assert expected in invoke("table", str(out), code=2).stderr
    with pytest.raises(StoreError, match=r"column test_mse: .*'many'"):
        poisonbench.load_results(out)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\0", "dataset,test_mse\nx,many\n"])
def test_status_needs_no_result_files(out, content):
    (out / "results.csv").write_text(content)
    said = invoke("status", str(out)).stdout
    assert "8 cells: 8 done" in said
    assert "Attacks were not checked for signs of weakness: " in said


def test_compare_with_published_values_gives_verdicts_and_shapes(bench, out):
    path = out / "results.csv"
    path.write_text(path.read_text().replace("synthetic", "house"))
    said = invoke("compare", str(out), "--output", "cells.csv").stdout
    assert "verdict" in said
    cells = pd.read_csv("cells.csv")
    assert set(cells["attack"]) == {"statp", "strongest"}
    assert (cells["ratio"] == cells["median"] / cells["published"]).all()
    assert "statp rises with the rate" in set(pd.read_csv("cells-checks.csv")["check"])


def test_compare_says_where_nothing_is_in_common(out):
    assert "no cell for which jagielski2018 has" in invoke("compare", str(out), code=2).stderr
    unknown = invoke("compare", str(out), "--reference", "guedes", code=2).stderr
    assert "did you mean 'guedes-ayala2025'" in unknown


def test_plot_and_report_of_rows_with_one_feature(out):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    pytest.importorskip("jinja2", reason="the extra plot is not installed")
    said = invoke("plot", str(out), "--format", "svg").stdout.split()
    names = sorted(path.name.split("-out-")[0] for path in (out / "figures").iterdir())
    assert names == sorted(["attacks.svg", "defenses-statp.svg", "detection.svg", "lines",
                            "residuals", "trim-rounds"])  # fmt: skip
    assert len(said) == len(names)
    invoke("report", str(out), "--reference", "none")
    assert "How the poison moves the fitted line" in (out / "report.html").read_text()


def test_pictures_are_left_out_where_the_data_are_not_there(out):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    plan = out / "plan.json"
    plan.write_text(plan.read_text().replace('"synthetic"', '"abalone"'))
    said = invoke("plot", str(out), "--format", "png", "--data-dir", str(out))
    assert "No figures of the training sets" in said.stderr
    assert (out / "figures" / "attacks.png").exists()
    shutil.rmtree(out / "figures")
    plotted = invoke("plot", str(out), "--no-training-sets", "--format", "png")
    assert "No figures" not in plotted.stderr


def test_plot_refuses_an_unknown_format(out):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    pytest.importorskip("jinja2", reason="the extra plot is not installed")
    assert "expected png, svg or pdf" in invoke("plot", str(out), "--format", "gif", code=2).stderr


def test_results_at_other_rates_than_the_published_ones_are_told_so(ran):
    results = read(ran).results.assign(dataset="house", n_poison=75, n_clean=300)
    said = _expected(results, published.values(published.DEFAULT))
    assert said.startswith("it has the poisoning rates p/n 0.25 and the attacks statp; expected ")
    assert "some of the rates 0, 0.04, 0.08, 0.12, 0.16, 0.2 with bgd, optp, statp" in said
    said = _expected(results.assign(dataset="mine"), published.values(published.DEFAULT))
    assert "house with ridge" in said
