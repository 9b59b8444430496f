"""Findings name the right lines, whatever the file looks like, and print on one line."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.data.base import DatasetError
from poisonbench.preparation import Choices, prepare, read_raw
from poisonbench.quality import Finding, findings, findings_in
from poisonbench.quality.finding import SHOWN_ROWS

KINDS = {"sentinel", "duplicates", "near-duplicates", "near-leak", "extreme values", "units",
         "notations", "strong categories"}  # fmt: skip


def test_a_finding_is_printed_on_one_line() -> None:
    finding = Finding("sentinel", ("a",), 7, (2, 3, 9), "'a' is -999 in 7 cells", "drop it")
    assert str(finding) == "sentinel: 'a' is -999 in 7 cells (lines 2, 3, 9, ...); drop it"
    one = Finding("sentinel", ("a",), 1, (4,), "'a' is -999 in 1 cell", "drop it")
    assert str(one) == "sentinel: 'a' is -999 in 1 cell (line 4); drop it"
    none = Finding("near-leak", ("a", "y"), 0, (), "it is so", "drop it")
    assert str(none) == "near-leak: it is so; drop it"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\n\n", " , \n"])
def test_lines_are_those_of_an_editor(tmp_path: Path, before: str, end: str) -> None:
    rows = [f'{i},"text{i % 3}",{(7 * i) % 31}' for i in range(40)]
    rows[5] = '5,"two\nlines",4'
    rows[7] = "7,text1,-999"
    rows[20] = '20,"text2",-999\n\n  '
    rows[30] = '30,"text\n0",-999'
    text = f"{before}a,b,c\n" + "\n".join(rows) + "\n"
    path = tmp_path / "x.csv"
    path.write_bytes(text.replace("\n", end).encode())
    (finding,) = findings(path, None)
    lines = text.split("\n")
    expected = [k for k, line in enumerate(lines, start=1)
                if line.endswith("-999") and not line.startswith("0")]  # fmt: skip
    expected.append(next(k for k, line in enumerate(lines, start=1) if line.startswith("30,")))
    assert finding.rows == tuple(expected)
    assert finding.n_rows == 3


def test_lines_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(f"{i / 8},{-999 if i == 4 else i % 7}" for i in range(40)))
    (finding,) = findings(path, None, header=False)
    assert (finding.columns, finding.rows) == (("column 2",), (5,))


def test_without_a_target_the_other_checks_are_made(tmp_path: Path, table: pd.DataFrame) -> None:
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    table.loc[3, "size"] = -999
    path = tmp_path / "x.csv"
    table.to_csv(path, index=False)
    assert [finding.kind for finding in findings(path, None)] == ["sentinel"]
    assert {finding.kind for finding in findings(path, "salary")} == {"sentinel", "near-leak"}


def test_columns_that_are_left_out_are_not_checked(tmp_path: Path, table: pd.DataFrame) -> None:
    table["salary_eur"] = (0.92 * table["salary"]).round(2)
    table.loc[3, "size"] = -999
    path = tmp_path / "x.csv"
    table.to_csv(path, index=False)
    assert findings(path, "salary", drop=("size", "salary_eur")) == ()
    assert findings(path, "salary", drop=("salary_eur",), missing_values=("-999",)) == ()


def test_a_prepared_file_can_be_checked(tmp_path: Path, table: pd.DataFrame) -> None:
    table.loc[3, "size"] = -999
    raw, out = tmp_path / "x.csv", tmp_path / "out.csv"
    table.to_csv(raw, index=False)
    prepare(raw, out, Choices("salary"))
    (finding,) = findings(out, "salary")
    assert (finding.kind, finding.columns, finding.rows) == ("sentinel", ("size",), (5,))


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [("a,y\n1,2\n", "z", "no column 'z'"), ("", "y", "the file is empty"),
     ("a\n1\n", "a", "only one column")],
)  # fmt: skip
def test_errors(tmp_path: Path, text: str, target: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        findings(path, target)


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,y\n")
    assert findings(path, "y") == ()


CELLS = st.sampled_from(
    ["", "NA", "0", "1", "-999", "1e150", "5e-324", "inf", "$5", "7 m2", "1,5", "2020-01-02",
     "31.12.2020", "a", "A", "ä", "x" * 30, "007", "1152921504606846977"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 40))
def test_any_table_is_checked_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, n_rows: int
) -> None:
    columns = [data.draw(st.lists(CELLS, min_size=n_rows, max_size=n_rows)) for _ in range(3)]
    rows = ['"' + '","'.join(row) + '"' for row in zip(*columns, strict=True)]
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("a,b,y\n" + "\n".join([*rows, *rows[:5]]), encoding="utf-8")
    for finding in findings(path, data.draw(st.sampled_from([None, "y", "a"])), header=True):
        assert finding.kind in KINDS
        assert len(finding.rows) == min(finding.n_rows, SHOWN_ROWS)
        assert all(2 <= line <= len(rows) + 6 for line in finding.rows)
        assert "\0" not in str(finding)


@pytest.mark.slow
def test_50000_rows_of_60_columns_are_checked_in_the_time_of_reading_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 50_000
    numbers = {f"x{j}": rng.normal(size=n).round(6) for j in range(45)}
    categories = {f"c{j}": rng.choice(list("ABCDEFGH"), n) for j in range(14)}
    table = pd.DataFrame(numbers | categories)
    table["y"] = table["x0"] + rng.normal(size=n)
    path = tmp_path / "x.csv"
    table.to_csv(path, index=False)
    start = time.process_time()
    raw = read_raw(path, Choices("y"))
    read = time.process_time()
    assert findings_in(raw) == ()
    assert time.process_time() - read < 5 * (read - start)
