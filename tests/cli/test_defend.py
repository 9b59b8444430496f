"""The commands defend and predict: from a raw file to rows, a cleaned file, a model and a page."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.defending import output

BAD = [12, 40, 77, 110, 149]
"""The wrong rows, counted from 1."""

NO_PLOT = "the extra plot is not installed"


def invoke(*words: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a small raw file, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    size, town = rng.uniform(30, 90, 160), rng.choice(["Köln", "Bonn; Süd"], 160)
    rent = 8 * size + 100 * (town == "Köln") + rng.normal(0, 20, 160)
    rent[np.array(BAD) - 1] += 900
    lines = [f'{a:.1f};"{b}";{c:.2f}'.replace(".", ",") for a, b, c in zip(size, town, rent,
                                                                         strict=True)]  # fmt: skip
    path = tmp_path / "rents.csv"
    path.write_bytes("\r\n".join(["size;town;rent", *lines, ""]).encode("cp1252"))
    return path


def test_from_a_raw_file_to_predictions(raw: Path) -> None:
    said = invoke("defend", raw.name, "--target", "rent", "--share", "auto").stdout
    assert "Suspicious rows: 5 (3.1%, estimated)" in said
    assert "recommended from the data" in said
    assert re.search(r"torrent +\d", said)
    out = Path("results/rents-defended")
    with (out / "suspicious.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["row"]) for row in rows) == BAD
    assert all(int(row["line"]) == int(row["row"]) + 1 for row in rows)
    before = raw.read_bytes().splitlines(keepends=True)
    after = (out / "cleaned.csv").read_bytes().splitlines(keepends=True)
    assert after == [line for number, line in enumerate(before) if number not in BAD]
    model = out / "model.json"
    content = json.loads(model.read_text(encoding="utf-8"))
    assert content["target"] == "rent"
    assert content["columns"][0]["coefficient"] == pytest.approx(8, rel=0.05)
    result = invoke("predict", model, raw.name)
    predictions = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(predictions) == 160
    assert float(predictions[BAD[0] - 1]["residual"]) == pytest.approx(900, abs=70)
    assert "rent: 160 responses; root mean squared error" in result.stderr
    first = b"".join(raw.read_bytes().splitlines(keepends=True)[:2])
    Path("one.csv").write_bytes(first)
    assert "rent: 1 response; its error is" in invoke("predict", model, "one.csv").stderr
    invoke("predict", model, raw.name, "--output", "new/p.csv")
    assert Path("new/p.csv").read_text(encoding="utf-8") == result.stdout


def test_the_same_command_writes_the_same_bytes(raw: Path) -> None:
    words = ("defend", raw.name, "--target", "rent", "--defense", "trim", "--output")
    invoke(*words, "one")
    invoke(*words, "two")
    for path in Path("one").iterdir():
        assert path.read_bytes() == (Path("two") / path.name).read_bytes(), path.name


def test_the_page_needs_no_other_file_and_escapes_names(raw: Path) -> None:
    pytest.importorskip("poisonbench.defending.page", reason=NO_PLOT)
    raw.write_text(raw.read_text("cp1252").replace("town", "<b>town&"), "cp1252")
    invoke("defend", raw.name, "--target", "rent", "--defense", "lts")
    page = Path("results/rents-defended/report.html").read_text(encoding="utf-8")
    assert "<b>town" not in page
    assert "&lt;b&gt;town&amp;" in page
    assert page.count("<svg ") == 2
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "What cannot be known" in page
    assert "as many would be in a clean file" in page


def test_without_the_extra_everything_but_the_page_is_written(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "find_spec", lambda name: None)
    said = invoke("defend", raw.name, "--target", "rent", "--defense", "lts").stdout
    assert "report.html needs the extra poisonbench[plot]" in said
    written = {path.name for path in Path("results/rents-defended").iterdir()}
    assert written == {"suspicious.csv", "cleaned.csv", "model.json"}


def test_a_clean_file_has_no_suspicious_rows_and_says_what_that_does_not_mean(raw: Path) -> None:
    lines = raw.read_bytes().splitlines(keepends=True)
    raw.write_bytes(b"".join(line for k, line in enumerate(lines) if k not in BAD))
    said = invoke("defend", raw.name, "--target", "rent", "--share", "auto").stdout
    assert "This does not mean that there is no poison" in " ".join(said.split())
    out = Path("results/rents-defended")
    assert (out / "cleaned.csv").read_bytes() == raw.read_bytes()
    assert len((out / "suspicious.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("defend", "rents.csv"), "no --target; expected --target with the name of the column"),
        (("defend", "rents.csv", "--target", "rend"), "no column 'rend'; did you mean 'rent'?"),
        (("defend", "rents.csv", "--target", "town"), "'town' holds categories"),
        (("defend", "none.csv", "--target", "y"), "none.csv: no such file"),
        (("defend", ".", "--target", "y"), ".: is a folder; expected a CSV file"),
        (("defend", "diabetes"), "diabetes has no file"),
        (("defend", "rents.csv", "--target", "rent", "--defense", "tirm"), "did you mean 'trim'?"),
        (("defend", "rents.csv", "--target", "rent", "--model", "rigde"), "did you mean 'ridge'?"),
        (("defend", "rents.csv", "--target", "rent", "--share", "5%"), "--share is '5%', expected"),
        (("defend", "rents.csv", "--target", "rent", "--share", "0.7"), "share is 0.7, expected"),
        (("defend", "rents.csv", "--target", "rent", "-o", "rents.csv"), "is a file; expected a"),
        (("defend", "rents.csv", "--target", "rent", "--drop", "size,town"), "no feature is left"),
        (("predict", "rents.csv", "rents.csv"), "not a model of poisonbench"),
        (("predict", "none.json", "rents.csv"), "none.json: No such file"),
        (("predict", "none.json", "none.csv"), "none.csv: no such file"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    raw: Path, words: tuple[str, ...], message: str
) -> None:
    result = invoke(*words, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not Path("results").exists()


def test_a_data_set_of_the_catalogue_can_be_named(raw: Path, tmp_path: Path) -> None:
    result = invoke("defend", "house", "--data-dir", tmp_path, code=2)
    assert "poisonbench datasets fetch house" in result.stderr


def test_it_says_why_as_many_rows_are_listed_and_prints_whole_reasons(raw: Path) -> None:
    text = raw.read_bytes().decode("cp1252").replace("Köln", "Köln am Rhein, links und rechts")
    raw.write_bytes(text.encode("cp1252"))
    said = invoke("defend", raw.name, "--target", "rent", "--share", "0.024").stdout
    assert "Suspicious rows: 4 (2.5%, --share 0.024)." in said
    words = " ".join(said.split())
    assert "4 rows are listed because of --share 0.024, and as many would be in a clean" in words
    assert "…" not in said
    long = [line for line in said.splitlines() if len(line) > 96]
    assert all(line.startswith(("Written", "The page report.html needs")) for line in long), long
    pytest.importorskip("poisonbench.defending.page", reason=NO_PLOT)
    # The fourth decimal place of a share that was never asked for is not shown.
    page = Path("results/rents-defended/report.html").read_text(encoding="utf-8")
    assert "as many as --share 0.024 asks for" in page


def test_in_a_small_file_it_says_that_little_can_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x, noise = np.random.default_rng(1).normal(size=(2, 30))
    y = 5 + 2 * x + 0.3 * noise
    y[[4, 17]] += 8  # far off, but two of thirty rows may be in a heavy tail
    lines = "".join(f"{a:.3f},{b:.3f}\n" for a, b in zip(x, y, strict=True))
    Path("few.csv").write_text(f"x,y\n,7\n2,\n{lines}", encoding="utf-8")
    said = " ".join(invoke("defend", "few.csv", "--target", "y").stdout.split())
    assert "31 rows (1 more dropped: no response), 1 column as feature (0 left out)" in said
    assert "Among 31 rows, chance cannot be told from bad rows unless these are very far" in said
    table = Path("results/few-defended/suspicious.csv").read_text(encoding="utf-8")
    assert {int(row["row"]) for row in csv.DictReader(io.StringIO(table))} == {7, 20}


def test_a_folder_with_something_else_is_left_alone(raw: Path) -> None:
    other = Path("mine")
    other.mkdir()
    (other / "cleaned.csv").write_text("mine")
    said = invoke("defend", raw.name, "--target", "rent", "-o", other, code=2).stderr
    assert "mine is not empty and is not the folder of an earlier defend" in said
    assert [path.read_text() for path in other.iterdir()] == ["mine"]


def test_a_fault_of_the_program_is_not_said_to_be_one_of_the_file(raw, monkeypatch) -> None:
    def write(*_: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(output, "write", write)
    result = CliRunner().invoke(app, ["defend", raw.name, "--target", "rent"])
    assert isinstance(result.exception, ValueError)
    assert result.exit_code != 2
