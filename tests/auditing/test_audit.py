"""An audit of a raw file, against a plain computation with NumPy and scikit-learn."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler
from typer.testing import CliRunner

import poisonbench
from poisonbench.auditing.audit import audit_file
from poisonbench.auditing.budget import AuditError, Runner
from poisonbench.auditing.request import Request
from poisonbench.cli.app import app
from poisonbench.data.base import DatasetError
from poisonbench.data.sidecar import place
from poisonbench.defenses.huber import HuberDefense
from poisonbench.output.layout import StoreError
from tests.auditing.conftest import REQUEST, raw_rows


def plain_errors(out: Path, attack: str, rate: float) -> list[tuple[float, float]]:
    """Return, for each split, the error of a ridge regression without and with the bad rows.

    It uses the prepared file, the rows of each split and the strength of the penalty, and nothing
    of the package.
    """
    data = pd.read_csv(out / "data" / "homes.csv")
    results = pd.read_csv(out / "results.csv", keep_default_na=False)
    found = []
    for seed in (0, 1):
        of_seed = results[(results.seed == seed) & (results.defense == "none")]
        clean = of_seed[of_seed.poisoning_rate == 0].iloc[0]
        bad = of_seed[(of_seed.attack == attack) & (of_seed.poisoning_rate == rate)].iloc[0]
        with np.load(out / bad["poison_file"]) as file:
            poison = {name: file[name] for name in ("X", "y", "train", "test", "feature_names")}
        columns = list(poison["feature_names"])
        train, test = data.iloc[poison["train"]], data.iloc[poison["test"]]
        scaler = MinMaxScaler().fit(train[columns])
        low, span = train["price"].min(), np.ptp(train["price"])
        X, X_test = (scaler.transform(part[columns]) for part in (train, test))
        y = (train["price"].to_numpy() - low) / span
        both = []
        for more_X, more_y, alpha in (
            (X[:0], y[:0], float(clean["alpha"])),
            (poison["X"], poison["y"], float(bad["alpha"])),
        ):
            model = Ridge(alpha).fit(np.vstack([X, more_X]), np.append(y, more_y))
            predicted = low + span * model.predict(X_test)
            both.append(float(np.sqrt(np.mean((predicted - test["price"]) ** 2))))
        found.append((both[0], both[1]))
    return found


def amounts(text: str) -> list[float]:
    return [float(word.replace(",", "")) for word in re.findall(r"\d[\d,]*\.?\d*", text)]


def test_the_first_paragraph_is_true(made):
    both = np.array(plain_errors(made.out, "coordinate", 0.04))
    today, under_attack = np.median(both, axis=0)
    weak = np.median(np.array(plain_errors(made.out, "statp", 0.04))[:, 1])
    highest = np.median(np.array(plain_errors(made.out, "coordinate", 0.12))[:, 1])
    text = made.audit.paragraph
    said = amounts(re.search(r"typical error of ([\d,.]+) \(", text)[1])
    assert said == [round(today)]
    damage = re.search(r"adds 4% bad rows, the error is (.*?) times today's; (.*?) on the worst",
                       text)  # fmt: skip
    assert amounts(damage[1])[0] == round(under_attack)
    assert amounts(damage[1])[1] == pytest.approx(under_attack / today, rel=0.005)
    assert amounts(damage[2]) == [round(both[:, 1].max())]
    assert f"reaches {weak:,.0f}" in text
    assert under_attack < 2 * today < highest  # or the next sentence would be another one
    between = 0.04 + 0.08 * (2 * today - under_attack) / (highest - under_attack)
    doubles = re.search(r"doubles at about ([\d.]+)% bad rows \(between 4%", text)
    assert float(doubles[1]) == pytest.approx(100 * between, abs=0.051)
    assert made.audit.answer.replace("\n", " ").startswith(text)


def test_the_defense_and_its_cost_are_those_of_the_results(made):
    best = made.audit.conclusion.recommended
    assert best is not None
    results = pd.read_csv(made.out / "results.csv", keep_default_na=False)
    of_best = results[results.defense == best.name]
    worst = of_best[of_best.poisoning_rate > 0].groupby(["attack", "poisoning_rate"])
    medians = worst["test_rmse_unscaled"].apply(lambda values: values.astype(float).median())
    clean = of_best[of_best.poisoning_rate == 0].drop_duplicates("seed")
    assert f"at most {medians.max():,.0f} at" in made.audit.paragraph
    without = clean["test_rmse_unscaled"].astype(float).median()
    assert f"Without bad rows its error is {without:,.0f}" in made.audit.paragraph
    defenses = pd.read_csv(made.out / "defenses.csv")
    assert set(defenses["defense"].str.partition("(")[0]) == {"huber", "trim"}
    assert defenses["recommended"].sum() == 1


def test_the_config_gives_the_same_bytes(made, tmp_path, monkeypatch):
    copy = tmp_path / "moved"
    shutil.copytree(made.out, copy)
    monkeypatch.chdir(tmp_path)
    poisonbench.run(copy / "config.yaml", output=tmp_path / "again")
    for name in ("results.csv", "table.csv", "convergence.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (made.out / name).read_bytes()
    ours = {path.name: path.read_bytes() for path in (made.out / "cells").rglob("*.json")}
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "again").rglob("cells/*/*.json")}
    assert ours == theirs


def test_the_command_that_adds_an_adaptive_attacker_works(made, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    command = re.search(r"^    cd .* && poisonbench run \. (.*)$", made.audit.answer, re.M)
    monkeypatch.chdir(out)
    words = ["run", ".", *shlex.split(command[1]), "--dry-run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "adaptive" in result.stdout


def test_the_same_audit_computes_nothing_again(made, few):
    before = {path: path.stat().st_mtime_ns for path in (made.out / "cells").rglob("*.json")}
    again = audit_file(made.raw, "price", made.out, REQUEST, jobs=0)
    assert again.answer == made.audit.answer
    assert before == {path: path.stat().st_mtime_ns for path in
                      (made.out / "cells").rglob("*.json")}  # fmt: skip


def test_an_interrupted_audit_goes_on(made, few, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    claim = json.loads((out / "audit.json").read_text())
    (out / "audit.json").write_text(json.dumps({**claim, "grid": None}))
    for name in ("plan.json", "index.json", "results.csv"):
        (out / name).unlink()
    for path in sorted((out / "cells").rglob("*.json"))[::2]:
        path.unlink()
    assert audit_file(made.raw, "price", out, REQUEST, jobs=0).paragraph == made.audit.paragraph
    assert (out / "results.csv").read_bytes() == (made.out / "results.csv").read_bytes()


def test_a_folder_of_another_audit_or_of_something_else_is_refused(made, tmp_path):
    with pytest.raises(StoreError, match=r"holds another audit; this one differs in\n  splits: 2"):
        audit_file(made.raw, "price", made.out, Request(rates=(0.04, 0.12), splits=3, budget=3000))
    other = made.raw.with_name("other.csv")
    other.write_bytes(b"".join(made.raw.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(StoreError, match=r"differs in\n  the rows: the file has changed, or other"):
        audit_file(other, "price", made.out, REQUEST)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="not empty and is not the folder of an audit"):
        audit_file(made.raw, "price", tmp_path, REQUEST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]


def test_a_folder_in_which_nothing_was_computed_can_be_used_again(few, tmp_path, made):
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match="less than one row"):
        audit_file(made.raw, "price", out, Request(rates=(0.001,)), jobs=0)
    with pytest.raises(DatasetError, match="no column 'prise'"):
        audit_file(made.raw, "prise", out, REQUEST, jobs=0)
    found = audit_file(made.raw, "price", out, Request(rates=(0.1,), splits=1), jobs=0)
    assert found.conclusion.rate == 0.1


@pytest.mark.parametrize("n_rows", [2, 19])
def test_too_few_rows_are_an_error_that_names_the_file(few, tmp_path, n_rows):
    raw = tmp_path / "few.csv"
    raw_rows()[:n_rows][["size", "rooms", "price"]].fillna(50).to_csv(raw, index=False)
    with pytest.raises(DatasetError, match=rf"few.csv: {n_rows} rows are too few for an audit"):
        audit_file(raw, "price", tmp_path / "out", REQUEST, jobs=0)


def test_the_worst_rows_are_in_the_columns_and_units_of_the_file(made):
    text = made.audit.answer
    lines = text[text.index("that do most damage") :].split("\n\n")[0].splitlines()
    cells = {line.split()[0]: re.split(r"  +", line.strip())[1:] for line in lines[4:]}
    raw = raw_rows()
    assert set(cells["town"]) <= {"Bern", "Basel", "Chur"}
    for day in cells["day"]:
        assert raw["day"].min() <= day <= raw["day"].max()
    for cell in cells["price"]:
        assert raw["price"].min() <= float(cell.replace(",", "")) <= raw["price"].max()
    assert len(cells["price"]) == 3  # the usual row, and the two different ones of three


@pytest.mark.slow
def test_a_data_frame_gives_the_same_results(made, few):
    rows = raw_rows()
    found = poisonbench.audit(
        rows.drop(columns="price"), rows["price"], rates=[0.04, 0.12], splits=2, minutes=50
    )
    assert found.paragraph == made.audit.paragraph
    columns = [name for name in found.results if name not in ("dataset", "poison_file")]
    pd.testing.assert_frame_equal(found.results[columns], made.audit.results[columns])


def test_a_data_frame_must_fit_its_responses():
    rows = raw_rows()
    with pytest.raises(ValueError, match="the column 'price' has the name of the response"):
        poisonbench.audit(rows, rows["price"])
    with pytest.raises(ValueError, match=r"X has 160 rows and y has shape \(9,\)"):
        poisonbench.audit(rows, rows["price"][:9])


@pytest.mark.slow
def test_a_prepared_file_gives_the_same_results(made, few, tmp_path):
    prepared = tmp_path / "homes.csv"
    shutil.copyfile(made.out / "data" / "homes.csv", prepared)
    shutil.copyfile(place(made.out / "data" / "homes.csv"), place(prepared))
    found = audit_file(prepared, None, tmp_path / "out", REQUEST, jobs=0)
    assert found.paragraph == made.audit.paragraph
    prepared.write_text(prepared.read_text() + "\n")
    with pytest.raises(DatasetError, match="has changed since it was prepared"):
        audit_file(prepared, None, tmp_path / "other", REQUEST, jobs=0)


def test_the_grid_fits_into_the_time(made, few, tmp_path):
    """With hardly any time it runs one split of the smallest grid, and says what is missing."""
    said: list[str] = []
    request = Request(rates=(0.01, 0.04, 0.12), splits=5, budget=0.5)
    found = audit_file(made.raw, "price", tmp_path / "out", request, jobs=0, say=said.append)
    assert found.conclusion.n_splits == 1
    assert found.config["seeds"] == 1
    assert "Only 1 split of 5 fitted into the time." in found.answer
    assert any("cells took" in line for line in said)
    assert any("0.00833 minutes in all" in line for line in said)
    cells = {path.stem for path in (tmp_path / "out" / "cells").rglob("*.json")}
    assert len(cells) == len(set(found.results["seed"])) * len(
        found.results.drop_duplicates(["poison_file", "defense"])
    )


def test_a_defense_that_fails_is_left_out_with_the_reason(made, few, tmp_path, monkeypatch):
    def fails(self, X, y):
        raise RuntimeError("no room")

    monkeypatch.setattr(HuberDefense, "fit", fails)
    found = audit_file(made.raw, "price", tmp_path / "out", REQUEST, jobs=0)
    assert "huber failed: RuntimeError: no room." in found.answer.replace("\n  ", " ")
    assert set(found.results["defense"]) == {"none", "oracle", "median", "trim"}
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["defense"][3:] == [
        {"name": "trim", "n_poison": {"rate": 0.12}}
    ]


def test_a_split_that_cannot_be_used_ends_the_audit_with_the_others(
    few, made, tmp_path, monkeypatch
):
    usual = Runner._without_failures

    def fails(self, grid, plan):
        if grid.seeds == 2:
            raise AuditError("the response is constant")
        return usual(self, grid, plan)

    monkeypatch.setattr(Runner, "_without_failures", fails)
    found = audit_file(made.raw, "price", tmp_path / "out", REQUEST, jobs=0)
    assert found.conclusion.n_splits == 1
    assert "Split 1 could not be used: the response is constant." in found.answer
    assert set(found.results["seed"]) == {0}


def test_rows_that_cannot_be_learned_from_are_an_error(few, made, tmp_path, monkeypatch):
    def fails(*arguments):
        raise ValueError("the response is constant")

    monkeypatch.setattr("poisonbench.pipeline.learner", fails)
    with pytest.raises(AuditError, match="cannot be trained on these data: ValueError: the resp"):
        audit_file(made.raw, "price", tmp_path / "out", REQUEST, jobs=0)


def test_the_page_has_the_answer_first_and_no_request(made):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    text = (made.out / "report.html").read_text(encoding="utf-8")
    answer = made.audit.paragraph.replace("'", "&#39;")
    assert answer in text
    assert text.index(answer) < text.index("Results in detail</h2>")
    assert text.count('<svg role="img"') >= 4
    assert not re.findall(r'(?:src|href)="(?!#|data:,)', text)


def test_cells_that_take_too_long_are_stopped_and_a_smaller_grid_is_used(few, made, tmp_path):
    """Huber regression is slow here; the audit must not wait for it in a second split."""

    usual = HuberDefense.fit

    def slow(self, X, y):
        time.sleep(1.0)
        return usual(self, X, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HuberDefense, "fit", slow)
        start = time.monotonic()
        request = Request(rates=(0.01, 0.04, 0.08, 0.12), splits=5, budget=10)
        found = audit_file(made.raw, "price", tmp_path / "out", request, jobs=0)
        taken = time.monotonic() - start
    assert taken < 20
    assert found.conclusion.n_splits == 1
    assert 0.04 in found.results["poisoning_rate"].to_numpy()
    assert set(found.results["seed"]) == {0}
