"""The commands ``datasets describe FILE`` and ``datasets prepare`` print findings and remedies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from poisonbench.cli.app import app

Invoke = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["datasets", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return invoke


@pytest.fixture
def messy(tmp_path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A table with a fault of each kind that an option of prepare cures, in messy.csv."""
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    table.loc[::25, "salary_eur"] += 5000
    table.loc[[3, 5], "age"] = -999
    table.loc[9, "rent"] = 1.7e6
    table = pd.concat([table, table.iloc[20:30]], ignore_index=True)
    table["id"] = range(len(table))
    table["size"] = table["size"].map("{} m2".format)
    table.to_csv(tmp_path / "messy.csv", index=False)
    return table


def text(result: Result) -> str:
    return " ".join(result.stdout.split())


def test_prepare_warns_and_names_the_remedy(run: Invoke, messy: pd.DataFrame) -> None:
    result = run("prepare", "messy.csv", "--target", "salary")
    assert result.exit_code == 0
    said = text(result)
    for kind in ("sentinel", "duplicates", "near-leak", "extreme values", "units"):
        assert f"warning: {kind}: " in said
    assert "(lines 5, 7); if it does, --missing-value age=-999" in said
    # Nothing is said twice.
    assert "determines the response" not in said
    assert "is left out as text" not in said
    recorded = json.loads(Path("messy-prepared.csv.json").read_text())["preparation"]
    assert sum(warning.startswith("sentinel: ") for warning in recorded["warnings"]) == 1


def test_the_remedies_work(run: Invoke, messy: pd.DataFrame) -> None:
    result = run("prepare", "messy.csv", "--target", "salary", "--missing-value", "age=-999",
                 "--unit", "size=m2", "--clip", "--drop", "salary_eur",
                 "--drop-duplicates")  # fmt: skip
    assert result.exit_code == 0
    assert "warning" not in result.stdout
    assert "1 cell, to the range " in result.stdout
    assert "10 rows dropped that repeat an earlier row" in result.stdout
    recorded = json.loads(Path("messy-prepared.csv.json").read_text())["preparation"]
    assert recorded["missing values"] == ["age=-999"]
    assert recorded["units"] == ["size=m2"]
    assert list(recorded["clipped"]) == ["rent"]
    assert recorded["duplicates dropped"] == 10
    made = pd.read_csv("messy-prepared.csv")
    kept = messy[:1000]
    others = kept.drop(9)["rent"]
    assert made["rent"][9] == others.max()
    assert made["rent"].drop(9).tolist() == others.tolist()
    assert made["age"][3] == made["age"][5] == pytest.approx(kept["age"].drop([3, 5]).mean())
    assert [f"{size} m2" for size in made["size"]] == kept["size"].tolist()
    described = run("describe", "messy-prepared.csv")
    assert "response 'salary'" in described.stdout.splitlines()[0]
    assert "no findings" in described.stdout


def test_describe_a_file(run: Invoke, messy: pd.DataFrame) -> None:
    result = run("describe", "messy.csv", "--target", "salary")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "messy.csv: 1010 rows, 8 columns, response 'salary'"
    rows = {line.split()[0]: line for line in lines[3:11]}
    assert "number, identifier" in rows["id"]
    assert re.search(r"-999 to 79 +18 to 79 ", rows["age"])
    assert re.search(r" 1700000 +\d+\.?\d* to \d", rows["rent"])
    most = messy["city"].value_counts()
    assert f"{most.index[0]} ({most.iloc[0]}), {most.index[1]} ({most.iloc[1]})" in rows["city"]
    assert re.search(r"date +0 +\d+ +2020-01-0\d to 2022-06-1\d", rows["since"])
    assert "5 findings" in lines
    assert "  sentinel: 'age' is -999 in 2 cells" in result.stdout


def test_describe_without_a_target(run: Invoke, messy: pd.DataFrame) -> None:
    said = text(run("describe", "messy.csv"))
    assert "4 findings" in said
    assert "near-leak:" not in said
    assert "not looked for without a response; name it with --target" in said


def test_describe_counts_missing_cells_and_shows_groups(run: Invoke) -> None:
    rows = [f"{'' if i % 5 else i},{i % 2},{int(i % 3 == 0)},{int(i % 3 == 1)},,{i % 7}"
            for i in range(30)]  # fmt: skip
    Path("x.csv").write_text("a,b,g:u,g:v,e,y\n" + "\n".join(rows))
    table = run("describe", "x.csv").stdout.splitlines()[3:8]
    assert re.match(r"a +number +24 +6 +0 to 25", table[0])
    assert re.match(r"b +boolean +0 +2 +0 \(15\), 1 \(15\)", table[1])
    assert re.match(r"g +one-hot group of 2 columns +0 +2 +u \(10\), v \(10\)", table[2])
    assert re.match(r"e +nothing +30 +0", table[3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "no.csv"], "no data set is named 'no.csv', and there is no such file"),
        (["describe", "."], ".: is a folder; expected a CSV file"),
        (["describe", "messy.csv", "--target", "salery"], "did you mean 'salary'?"),
        (["describe", "diabetes", "--target", "bmi"], "--target is for a CSV file"),
        (["prepare", "messy.csv", "--target", "salary", "--unit", "size"], "such as area=m2"),
        (["prepare", "messy.csv", "--target", "salary", "--unit", "siz=m2"], "mean 'size'?"),
        (["prepare", "messy.csv", "--target", "salary", "--missing-value", "agge=3"],
         "missing value: no column 'agge'; did you mean 'age'?"),
    ],
)  # fmt: skip
def test_bad_input(run: Invoke, messy: pd.DataFrame, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("messy-prepared.csv").exists()
