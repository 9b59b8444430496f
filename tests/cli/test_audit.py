"""``poisonbench audit`` from the point of view of a user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from poisonbench.auditing import audit as audits
from poisonbench.cli.app import app
from tests.auditing.conftest import few_components, raw_rows


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in an empty folder that has the raw file ``homes.csv``."""
    monkeypatch.chdir(tmp_path)
    raw_rows().to_csv("homes.csv", index=False)
    return lambda *arguments: CliRunner().invoke(app, ["audit", *arguments])


def test_it_answers_and_says_where_the_files_are(call):
    with few_components() as patch:
        patch.setattr(audits, "can_draw", lambda: False)
        result = call("homes.csv", "--target", "price", "--rate", "0.1", "--splits", "1",
                      "--jobs", "0", "--drop", "day", "--missing", "drop")  # fmt: skip
    assert result.exit_code == 0
    assert "With the rows as they are, ridge regression predicts price" in result.stdout
    assert "4 rows with a missing value were dropped." in result.stdout
    assert "needs the extra" in result.stdout
    assert "A split will take about" in result.stderr
    out = Path("results", "audit-homes")
    written = next(line for line in result.stdout.splitlines() if line.startswith("Written: "))
    for path in written.removeprefix("Written: ").split(", "):
        assert Path(path).is_file()
        assert Path(path).parent == out
    assert not (out / "report.html").exists()
    names = (out / "data" / "homes.csv").read_text().splitlines()[0]
    assert "day" not in names


def test_what_is_wrong_with_the_file_comes_first(call):
    rows = raw_rows()
    rows.loc[::9, "rooms"] = -999
    rows.loc[5, "price"] = np.nan
    rows.to_csv("homes.csv", index=False)
    options = [
        "homes.csv",
        "--target",
        "price",
        "--rate",
        "0.1",
        "--splits",
        "1",
        "--jobs",
        "0",
        "--budget",
        "1",
    ]
    with few_components() as patch:
        patch.setattr(audits, "can_draw", lambda: False)
        found = call(*options)
        assert found.stderr.startswith("warning: sentinel: 'rooms'")
        assert ": 1 minute in all (--budget)" in found.stderr
        assert "1 row with no response was dropped." in found.stdout
        assert "sentinel: 'rooms'" in found.stdout[found.stdout.index("About the file") :]
        mended = call(*options, "--missing-value", "-999", "--output", "mended")
    assert mended.exit_code == 0
    assert "sentinel" not in mended.stdout + mended.stderr
    assert "Missing values of rooms were filled: 18 rows" in mended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["home.csv", "--target", "price"], "home.csv: no such file, and no data set of the cata"),
        (["diabetse"], "did you mean the data set 'diabetes'?"),
        (["."], "is a folder; expected a CSV file"),
        (["homes.csv"], "which column is the response?  expected --target COLUMN"),
        (["homes.csv", "--target", "pirce"], "no column 'pirce'; did you mean 'price'?"),
        (["homes.csv", "--target", "town"], "expected numbers"),
        (["homes.csv", "--target", "price", "--rate", "4"], "--rate: 4 is not a share"),
        (["homes.csv", "--target", "price", "--rate", "much"], "--rate much: not numbers"),
        (["homes.csv", "--target", "price", "--model", "lass"], "did you mean 'lasso'?"),
        (["homes.csv", "--target", "price", "--budget", "0"], "--budget: 0 minutes"),
        (["homes.csv", "--target", "price", "--drop", "sise"], "did you mean 'size'?"),
        (["homes.csv", "--target", "price", "--output", "homes.csv"], "is a file; expected a fo"),
        (["homes.csv", "--target", "price", "--output", "."], "is not empty and is not the fold"),
        (["diabetes", "--drop", "age"], "--drop is for raw files"),
        (["diabetes", "--missing-value", "9"], "--missing-value is for raw files"),
        (["diabetes", "--target", "age"], "the response of this data set is 'progression'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(call, arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert not list(Path().rglob("cells"))
    assert not list(Path().glob("results/*"))


def test_a_file_with_too_few_rows(call):
    raw_rows(12).to_csv("few.csv", index=False)
    result = call("few.csv", "--target", "price")
    assert result.exit_code == 2
    assert "few.csv: 12 rows are too few for an audit; expected at least 20" in result.stderr
