"""Preparation of raw files: messy ones come out clean, and the scaling can be undone."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.csv import read_dataset
from poisonbench.data.files import checksum
from poisonbench.data.scaling import Scaling
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.datasets.csv import Csv
from poisonbench.preparation import Choices, Prepared, columns, prepare, reading
from poisonbench.preparation.cells import DATE_ORDERS, date_parser
from poisonbench.preparation.dialect import Dialect
from poisonbench.preparation.header import Header
from poisonbench.preparation.text_encoding import TextEncoding

HEADER = "Größe;Stadt;Preis;Datum;Garten;leer;fest"
ROWS = [
    '1.234,5;"Köln; Süd";10,25;31.12.2019;ja;;x',
    "2,5;Paris;20,5;01.01.2020;nein;;x",
    '-3;"Köln; Süd";30;02.01.2020;nein;;x',
    '1e2;"""Rom""";40,75;15.01.2020;ja;;x',
]
GERMAN = "\n".join([HEADER, *ROWS]) + "\n"


def run(folder: Path, text: str | bytes, target: str = "y", **options: object) -> Prepared:
    raw = folder / "raw.csv"
    raw.write_bytes(text.encode() if isinstance(text, str) else text)
    how = {name: options.pop(name) for name in ("encoding", "delimiter", "decimal", "header")
           if name in options}  # fmt: skip
    choices = Choices(target, **{"rare": 0.0, **options})  # type: ignore[arg-type]
    return prepare(raw, folder / "out.csv", choices, **how)  # type: ignore[arg-type]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches and vocabularies a tenth of what they are, so that small files fill them."""
    monkeypatch.setattr(reading, "BATCH_ROWS", 2_000)
    monkeypatch.setattr(columns, "VOCABULARY", 1_000)


def loaded(prepared: Prepared, scaling: str = "full") -> Dataset:
    return read_dataset(prepared.path, prepared.target, scaling)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        GERMAN.encode(),
        GERMAN.encode("utf-8-sig"),
        GERMAN.encode("latin-1"),
        GERMAN.encode("utf-16"),
        GERMAN.encode("utf-16-le"),
        GERMAN.replace("\n", "\r").encode(),
        (";" * 6 + "\n\n" + GERMAN).encode(),
        GERMAN.replace("\n", "\r\n").encode(),
        GERMAN.replace("\n", "\n\n").encode(),
        ("\ufeff" + GERMAN.replace("\n", "\r\n")).encode(),
        GERMAN.rstrip("\n").encode("cp1252"),
        GERMAN.replace(";", "\t").replace("Köln\t", "Köln;").encode(),
        GERMAN.replace(";", "|").replace("Köln|", "Köln;").encode(),
        GERMAN.replace(" Süd", "  Süd ").replace(";Paris", "; Paris ").encode(),
    ],
    ids=["utf-8", "bom", "latin-1", "utf-16", "utf-16-le", "old-mac", "blank-top", "crlf",
         "blank-lines", "bom-crlf", "no-end", "tabs", "pipes", "blanks"],
)  # fmt: skip
def test_dialects_are_found_out(tmp_path: Path, content: bytes) -> None:
    prepared = run(tmp_path, content, "Preis")
    data = loaded(prepared)
    assert data.space.names == ("Größe", "Datum", "Stadt:Paris", 'Stadt:"Rom"', "Garten:nein")
    np.testing.assert_allclose(data.y, [10.25, 20.5, 30, 40.75], rtol=1e-12)
    np.testing.assert_allclose(data.X[:, 0], [1234.5, 2.5, -3, 100], rtol=1e-12)
    np.testing.assert_allclose(data.X[:, 1] - data.X[0, 1], [0, 1, 2, 15])
    assert data.X[:, 2:].tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0]]
    assert prepared.fates["leer"] == "empty, dropped: no values"
    assert prepared.fates["fest"] == "category, dropped: constant"
    assert "decimal comma" in prepared.dialect


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["1.5", "2.5"], "point"),
        (["1,5", "2,25"], "comma"),
        (["1.234,5", "2"], "comma"),
        (["1,234.5", "2"], "point"),
        (["1,234", "5,678"], "point"),
        (["1", "2"], "point"),
        (["1.234", "1,5"], "comma"),
    ],
)
def test_the_decimal_mark_in_a_file_with_commas(
    tmp_path: Path, cells: list[str], decimal: str
) -> None:
    lines = [f'"{cell}",{j}' for j, cell in enumerate(cells)]
    prepared = run(tmp_path, "a,y\n" + "\n".join(lines * 2) + "\n", numeric=("a",))
    assert prepared.dialect.endswith(f"decimal {decimal}")
    mark = {"point": ",", "comma": "."}[decimal]
    expected = [float(cell.replace(mark, "").replace(",", ".")) for cell in cells] * 2
    np.testing.assert_allclose(loaded(prepared).X[:, 0], expected)


def test_thousands_after_a_semicolon_are_decimals_only_with_evidence(tmp_path: Path) -> None:
    text = "a;y\n1,234;1\n5,678;2\n"
    assert loaded(run(tmp_path, text)).X[:, 0].tolist() == pytest.approx([1.234, 5.678])
    again = run(tmp_path, text, decimal=".")
    assert loaded(again).X[:, 0].tolist() == pytest.approx([1234, 5678])


def test_columns_become_what_they_hold(tmp_path: Path) -> None:
    names = ["id", "userID", "n", "whole", "flag", "truth", "when", "us", "cat", "code", "y"]
    rows = [
        [str(100 + i), str(7 * i), f"{i / 7}", str(i % 5), str(i % 2), ["TRUE", "false"][i % 2],
         f"2020-01-{i % 28 + 1:02d}T12:00:00", f"{i % 12 + 1}/{i % 28 + 1}/2021",
         "abc"[i % 3], str(10 * (i % 3)), str((i * i) % 37)]
        for i in range(40)
    ]  # fmt: skip
    text = "\n".join(",".join(row) for row in [names, *rows])
    prepared = run(tmp_path, text, categorical=("code",))
    assert prepared.fates == {
        "y": "number, the response",
        "id": "number, dropped: identifier with a different value in every row",
        "userID": "number, dropped: identifier with a different value in every row",
        "n": "number, kept",
        "whole": "number, kept",
        "flag": "boolean, 2 categories, '0' without a column",
        "truth": "boolean, 2 categories, 'false' without a column",
        "when": "date (year first), kept, in days since 1970",
        "us": "date (month first), kept, in days since 1970",
        "cat": "category, 3 categories, 'a' without a column",
        "code": "category, 3 categories, '0' without a column",
    }
    data = loaded(prepared)
    assert data.space.names[4:] == ("flag:1", "truth:true", "cat:b", "cat:c", "code:10", "code:20")
    assert [group.name for group in data.space.groups] == ["flag", "truth", "cat", "code"]
    kept = run(tmp_path, text, numeric=("id",), categorical=("userID",), drop=("code,cat",))
    assert kept.fates["id"] == "number, kept"
    assert kept.fates["userID"].startswith("category, 40 categories")
    assert kept.fates["cat"] == "category, dropped: as asked"


def test_day_and_month_that_could_be_either_are_said_so(tmp_path: Path) -> None:
    prepared = run(tmp_path, "d,y\n01/02/2020,1\n03/02/2020,2\n")
    assert prepared.fates["d"] == "date (day first assumed), kept, in days since 1970"
    assert "use --dates month-first for the other order" in prepared.warnings[0]
    assert np.ptp(loaded(prepared).X[:, 0]) == pytest.approx(2)
    stated = run(tmp_path, "d,y\n01/02/2020,1\n03/02/2020,2\n", dates="month-first")
    assert stated.fates["d"] == "date (month first), kept, in days since 1970"
    assert np.ptp(loaded(stated).X[:, 0]) == pytest.approx(60)
    assert stated.warnings == ()
    # The same day either way leaves nothing to say.
    assert run(tmp_path, "d,y\n01/01/2020,1\n03/03/2020,2\n").warnings == ()


@pytest.mark.usefixtures("small_batches")
def test_the_order_of_dates_is_that_of_the_whole_column(tmp_path: Path) -> None:
    days = [f"{i // 28 % 12 + 1}/{i % 12 + 1}/{1800 + i // 336}" for i in range(5_000)]
    days += ["1/31/2020"]
    text = "d,y\n" + "".join(f"{day},{i % 7}\n" for i, day in enumerate(days))
    prepared = run(tmp_path, text)
    assert prepared.fates["d"] == "date (month first), kept, in days since 1970"
    assert loaded(prepared).X[-1, 0] == 18_292


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2020-01-02T03:00:00+03:00", 18263.0),
        ("2020-01-02 12:00:00 UTC", 18263.5),
        ("2020/1/2", 18263.0),
        ("Jan 2, 2020", 18263.0),
        ("2 January 2020 06:00 PM", 18263.75),
        ("02-Jan-2020", 18263.0),
        ("2020-02-30", None),
        ("2 Foo 2020", None),
        ("2020-01-02 25:00", None),
        ("2020-01-02 13:00 PM", None),
    ],
)
def test_dates(text: str, days: float | None) -> None:
    parsed = [cell for order in DATE_ORDERS if (cell := date_parser(order)(text))]
    assert [cell.value for cell in parsed] == ([] if days is None else [days])


@pytest.mark.usefixtures("small_batches")
def test_codes_keep_their_leading_zeros_wherever_they_stand(tmp_path: Path) -> None:
    rows = [f"{['501', '10001'][i % 2]},{i % 7},{i % 5}" for i in range(2_500)]
    rows += ["00501,3,1", "00501,4,2"]
    text = "zip,x,y\n" + "\n".join(rows)
    prepared = run(tmp_path, text)
    assert loaded(prepared).space.names == ("x", "zip:10001", "zip:00501")
    assert prepared.fates["x"] == "number, kept"
    (warning,) = prepared.warnings
    assert warning.startswith("'zip': it has leading zeros, such as in '00501' (data row 2501)")
    forced = run(tmp_path, text, numeric=("zip",))
    assert (forced.fates["zip"], forced.warnings) == ("number, kept", ())
    assert loaded(forced).X[-1, 0] == pytest.approx(501)


def test_the_cells_of_a_wide_batch_are_as_they_were_written(tmp_path: Path) -> None:
    # So many cells that pandas, left alone, would decide on types twice within the batch.
    width, n_rows = 500, 2_200
    names = tuple(f"c{j}" for j in range(width))
    lines = [",".join(names), *[",".join(["007"] * width)] * n_rows]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([*lines, "x" + lines[1][3:]]))
    (batch,) = reading.batches(path, Dialect(TextEncoding("utf-8"), ",", ".", Header(names)), {""})
    assert set(batch["c0"]) == {"007", "x"}


def test_numbers_in_special_notation_are_numbers(tmp_path: Path) -> None:
    rows = [
        f'"${1000 * i + 7:,}",{3 * i % 50} %,1 {i * i % 900:03},{"" if i % 2 else "$"}{i % 9},{i}'
        for i in range(30)
    ]
    prepared = run(tmp_path, "price,share,spaced,mixed,y\n" + "\n".join(rows))
    assert prepared.fates["price"] == "number (with '$'), kept"
    data = loaded(prepared)
    assert data.X[:, 0].tolist() == pytest.approx([1000 * i + 7 for i in range(30)])
    assert data.X[:, 1].tolist() == pytest.approx([3 * i % 50 for i in range(30)])
    assert data.X[:, 2].tolist() == pytest.approx([1000 + i * i % 900 for i in range(30)])
    assert any("'mixed': it mixes signs, such as '$0' (data row 1)" in w for w in prepared.warnings)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("n", [30, 2_500])  # in few texts, and in more than are kept
def test_a_number_column_with_bad_cells(tmp_path: Path, n: int) -> None:
    rows = [
        f"{'oops' if i == 7 else i / 8},{'x' if i % 4 else i * i / 8},"
        f"{ {3: 'inf', 5: '1e200'}.get(i, i % 97) },{'bad' if i == 9 else i * 7 % 89}"
        for i in range(n)
    ]
    text = "a,b,c,y\n" + "\n".join(rows)
    prepared = run(tmp_path, text, drop=("b",))
    assert prepared.n_rows == n - 1
    assert prepared.warnings[:3] == (
        f"'a': 1 of its {n} cells are not numbers, such as 'oops' (data row 8), and are treated as "
        "missing; use --categorical a to keep them as categories",
        "'c': 2 of its numbers are too large to compute with, such as inf (data row 4), and are "
        "treated as missing",
        f"'y': 1 of its {n} cells are not numbers, such as 'bad' (data row 10), and are treated as "
        "missing; their rows are dropped",
    )
    assert prepared.filled["a"].startswith("1 rows, mean ")
    data = loaded(prepared)
    kept = [i for i in range(n) if i not in (7, 9)]
    rows_kept = np.array([i for i in range(n) if i != 9])
    np.testing.assert_allclose(data.X[rows_kept != 7, 0], np.array(kept) / 8, rtol=1e-12)
    half = [",".join([row.split(",")[1], row.split(",")[3]]) for row in rows if "bad" not in row]
    mostly_words = run(tmp_path, "b,y\n" + "\n".join(half), numeric=("b",))
    assert mostly_words.fates["b"] == "number, kept"
    assert "cells are not numbers, such as 'x' (data row 2)" in mostly_words.warnings[0]


def test_between_numbers_and_words_the_user_is_told(tmp_path: Path) -> None:
    rows = [f"{'low' if i % 3 == 0 else i % 5},{i % 11}" for i in range(60)]
    prepared = run(tmp_path, "a,y\n" + "\n".join(rows))
    assert prepared.fates["a"].startswith("category, 6 categories")
    assert prepared.warnings == (
        "'a': 40 of its 60 cells are numbers, but others are not, such as 'low' (data row 1); "
        "use --numeric a to read it as numbers, with the others missing",
    )


def test_truth_in_any_spelling(tmp_path: Path) -> None:
    spelt = ["yes,on,T,1,Y", "No,off,F,0,FALSE", "Y,off,T,1,no", "0,on,F,1,true"]
    text = "a,b,c,d,e,y\n" + "".join(f"{row},{i}\n" for i, row in enumerate(spelt))
    prepared = run(tmp_path, text)
    assert all(fate.startswith("boolean") for name, fate in prepared.fates.items() if name != "y")
    assert prepared.fates["a"] == "boolean (spelt in 4 ways), 2 categories, 'No' without a column"
    assert loaded(prepared).X[:, 0].tolist() == [1, 0, 1, 0]
    assert loaded(prepared).X[:, 4].tolist() == [1, 0, 0, 1]


def test_one_hot_groups_that_are_there_are_kept(tmp_path: Path) -> None:
    rows = [
        f"{int(i % 3 == 0)},{int(i % 3 == 1)},0,{i % 4},{i % 2},{i * i % 11}" for i in range(40)
    ]
    prepared = run(tmp_path, "G:a,G:b,G:c,r: n,T:x,y\n" + "\n".join(rows))
    data = loaded(prepared)
    assert data.space.names == ("r. n", "G:a", "G:b", "T:x")
    assert [(g.name, g.all_zero, g.one_of_k) for g in data.space.groups] == [
        ("G", True, True), ("T", True, True)]  # fmt: skip
    assert data.X[:3, 1:3].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert prepared.fates["G:c"].endswith("one-hot group 'G', dropped: constant")
    assert "named 'r. n', because a colon marks one-hot groups" in prepared.fates["r: n"]
    sidecar = Sidecar.read(prepared.path)
    assert sidecar is not None
    assert sidecar.groups["G"]["categories"] == ["a", "b"]
    # A missing cell, or a column named like the group, and they are columns like any other.
    broken = run(tmp_path, "G:a,G:b,T,T:x,y\n1,0,u,1,3\n,1,v,0,4\n1,1,u,1,5\n0,0,u,0,1\n")
    assert loaded(broken).space.names == (
        "G.a:1", "G.a:NA", "G.b:1", "T:v", "T.x:1")  # fmt: skip


def test_files_without_a_header(tmp_path: Path) -> None:
    prepared = run(tmp_path, "M,1.5,3\nF,2.5,4\nM,3,7\nF\n", "column 3", header=False)
    assert prepared.dialect.endswith("no header line")
    assert loaded(prepared).X.tolist() == [[1.5, 0], [2.5, 1], [3, 0]]
    years = run(tmp_path, "2019,2020\n1,2\n3,5\n4,4\n", "2020", header=True)
    assert (years.n_rows, years.warnings) == (3, ())


def test_changed_names_and_short_lines_are_announced(tmp_path: Path) -> None:
    text = 'a,a, ,"b\nc",2019,y\n' + "".join(f"{i % 3},{i % 4},{i % 5},{i % 7},{i % 2},{i}\n"
                                             for i in range(20))  # fmt: skip
    prepared = run(tmp_path, text + "1,2\n\n1\n")
    assert loaded(prepared).space.names == ("a", "a (2)", "column 3", "b c", "2019:1")
    assert prepared.warnings == (
        "2 lines have fewer cells than there are columns; the first is line 23; the absent cells "
        "are missing values",
        "the first line contains '2019', read as column names; use --no-header if it is data",
        "columns without a name are named by their number: 'column 3'",
        "column names were changed, to be distinct and on one line: 'a' is now 'a (2)', 'b\\nc' is "
        "now 'b c'",
    )
    assert prepared.rows_dropped == 2


def test_rare_at_its_edges(tmp_path: Path) -> None:
    text = "g,x,y\n" + "".join(f"{'abcd'[i % 4]},{i % 7},{i}\n" for i in range(80))
    assert loaded(run(tmp_path, text, rare=0.0)).space.names == ("x", "g:b", "g:c", "g:d")
    assert loaded(run(tmp_path, text, rare=0.25)).space.names == ("x", "g:b", "g:c", "g:d")
    for rare in (0.26, 1.0):
        prepared = run(tmp_path, text, rare=rare)
        assert loaded(prepared).space.names == ("x",)
        assert prepared.warnings[0].startswith("'g' is left out: all of its 4 categories are rare")


def test_missing_values_by_the_stated_rule(tmp_path: Path) -> None:
    text = "a,c,d,all,y\n1,x,2020-01-01,,1\nNA,y,,NaN,2\n 4 ,?,2020-01-03,null,3\n,x,2020-01-02,,\n"
    prepared = run(tmp_path, text)
    data = loaded(prepared)
    assert (prepared.n_rows, prepared.rows_dropped) == (3, 1)
    assert data.X[:, 0].tolist() == [1, 2.5, 4]
    assert data.space.names == ("a", "d", "c:y", "c:NA")
    assert data.X[:, 2:].tolist() == [[0, 0], [1, 0], [0, 1]]
    assert prepared.filled == {"a": "1 rows, mean 2.5", "c": "1 rows, category NA",
                               "d": "1 rows, mean 18263"}  # fmt: skip
    assert prepared.fates["all"] == "empty, dropped: no values"
    assert "1 row dropped because of a missing value" in prepared.report()
    assert "missing: an empty cell, or '-', '.', '?', 'n/a', 'na'," in prepared.report()
    text = "a,c,y\n1,x,1\n,y,2\n4,,3\n5,y,4\n6,x,5\n"
    dropped = run(tmp_path, text, missing="drop")
    assert (dropped.n_rows, dropped.rows_dropped, dropped.filled) == (3, 2, {})


def test_rare_categories_are_merged(tmp_path: Path) -> None:
    cells = ["a"] * 50 + ["b"] * 46 + ["c", "d"] * 2
    text = "g,x,y\n" + "".join(f"{c},{i % 7},{i}\n" for i, c in enumerate(cells))
    merged = run(tmp_path, text, rare=0.05)
    assert loaded(merged).space.names == ("x", "g:b", "g:other")
    assert merged.fates["g"] == (
        "category, 4 categories, 2 rare ones merged into 'other', 3 left, 'a' without a column"
    )
    assert loaded(run(tmp_path, text, rare=0.0)).space.names == ("x", "g:b", "g:c", "g:d")
    # A single rare category has nothing to be merged with.
    alone = run(tmp_path, text.replace("d,", "c,"), rare=0.05)
    assert loaded(alone).space.names == ("x", "g:b", "g:c")
    every = run(tmp_path, text.replace("\na,", "\nz1,", 1), rare=0.6)
    assert every.fates["g"].startswith(
        "category, dropped: all of its 5 categories are rare, with less than 0.6 of"
    )


def test_a_category_called_other_stays_apart_and_one_called_na_is_missing(tmp_path: Path) -> None:
    cells = ["other"] * 30 + ["a"] * 40 + ["b", "c", "NA", ""] * 2
    text = "g,x,y\n" + "".join(f"{c},{i % 7},{i}\n" for i, c in enumerate(cells))
    data = loaded(run(tmp_path, text, rare=0.04))
    assert data.space.names == ("x", "g:other", "g:NA", "g:other (rare)")
    assert data.X[:, 1:].sum(axis=0).tolist() == [30, 4, 4]


def test_a_rare_missing_value_is_said_to_be_merged(tmp_path: Path) -> None:
    cells = ["a"] * 40 + ["b"] * 40 + ["c", ""]
    text = "g,x,y\n" + "".join(f"{c},{i % 7},{i}\n" for i, c in enumerate(cells))
    assert run(tmp_path, text, rare=0.05).filled["g"] == "1 rows, category other"


def test_high_cardinality_text_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [f"text {i},k{i % 3},{i % 7},{i % 11}" for i in range(30_000)]
    prepared = run(tmp_path, "t,g,x,y\n" + "\n".join(rows))
    assert prepared.fates["t"] == ("free text (such as 'text 0'), dropped: more than "
                                   "10000 different values")  # fmt: skip
    with pytest.raises(DatasetError, match="categorical: 't' has more than 10000 different"):
        run(tmp_path, "t,g,x,y\n" + "\n".join(rows), categorical=("t",))


@pytest.mark.usefixtures("small_batches")
def test_many_batches_agree_on_a_column(tmp_path: Path) -> None:
    n = 4_500  # more than two batches, whose first ones look like something else
    late = [
        ["1" if i < 4_000 else "maybe" for i in range(n)],
        [str(i) if i < 4_000 else "none of these" for i in range(n)],
        ["" if i < 4_100 else "2020-01-01" if i % 2 else "2020-01-05" for i in range(n)],
        [f"2020-01-01 {i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}" for i in range(n)],
        ["true" if i < 3_000 else "FALSE" if i % 3 else "nope" for i in range(n)],
        [f"{i / 8}" if i % 7 and i < 4_000 else "x" if i < 4_000 else "TRUE" for i in range(n)],
        [str(i * i % 101) for i in range(n)],
    ]
    names = ["flagged", "mixed", "late", "stamp", "truth", "odd", "y"]
    text = "\n".join([",".join(names), *map(",".join, zip(*late, strict=True))])
    prepared = run(tmp_path, text)
    assert prepared.fates["flagged"] == "category, 2 categories, '1' without a column"
    assert prepared.fates["mixed"].startswith("free text (such as 'none of these'), dropped")
    assert prepared.fates["late"] == "date (year first), kept, in days since 1970"
    assert prepared.fates["stamp"] == "date (year first), kept, in days since 1970"
    assert prepared.fates["truth"].startswith("category, 3 categories")
    assert prepared.fates["odd"].startswith("free text (such as 'x'), dropped")
    stamps = loaded(prepared).X[:, list(loaded(prepared).space.names).index("stamp")]
    np.testing.assert_allclose(np.diff(stamps) * 86_400, 1, atol=1e-5)


def test_columns_that_give_the_response_away_are_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.exp(rng.integers(1, 9, 200))
    rows = [
        f"{'' if k % 9 == 0 else v * 2 + 1},{np.log(v)},{'abcdefghi'[round(np.log(v))]},"
        f"{(-1) ** round(np.log(v)) * v},text {v} {k % 50},{rng.integers(30)},{rng.normal()},{v}"
        for k, v in enumerate(y)
    ]
    names = "scaled,logarithm,grade,folded,words,small,noise,y"
    prepared = run(tmp_path, names + "\n" + "\n".join(rows))
    text = " ".join(prepared.warnings)
    assert "'scaled' determines the response linearly" in text
    assert "'logarithm' determines the response by its order" in text
    assert "'grade' determines the response by its categories" in text
    assert "'folded' determines the response by its values" in text
    assert "'words' determines the response by its categories" in text
    assert len(prepared.warnings) == 5  # the missing cells of the first are no excuse
    assert prepared.report().count("warning: ") == 5


def test_names_are_made_fit_for_groups(tmp_path: Path) -> None:
    text = '"ratio: a","two\nlines","c, d",y\n1,2,u:v,1\n2,4,w,2\n3,3,w,5\n'
    prepared = run(tmp_path, text, numeric=("ratio: a",))
    data = loaded(prepared)
    assert data.space.names == ("ratio. a", "two lines", "c, d:u:v")
    assert [group.name for group in data.space.groups] == ["c, d"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,y\n1,2\n2,3\n", {"target": "z"}, "target: no column 'z'; it has 'a', 'y'"),
        ("price,y\n1,2\n", {"target": "prise"}, "did you mean 'price'?"),
        ("a,y\n1,2\n2,3\n", {"drop": ("b",)}, "drop: no column 'b'"),
        ("a,y\n1,2\n2,3\n", {"drop": ("y",)}, "drop: 'y' is the response"),
        ("a,y\n1,2\n2,3\n", {"drop": ("a",), "numeric": ("a",)}, "drop: 'a' is also named by "),
        ("a,y\n1,u\n2,v\n", {}, "target: 'y' holds categories such as 'u', expected numbers"),
        ("a,y\n1,2\n2,2\n", {}, "target: 'y' is 2 in every row, expected at least two "),
        ("a,y\nu,2\nv,3\n", {"numeric": ("a",)}, "numeric: 'a' holds categories such as 'u'"),
        ("a,y\nu,2\nu,3\n", {}, "no feature is left: 'a' constant"),
        ("a,y\n", {}, "no rows of data below the header"),
        ("a,y\n1,\n2,\n", {}, "target: 'y' holds no values"),
        ("", {}, "the file is empty"),
        ("\n \n", {}, "the file is empty"),
        ("y\n1\n2\n", {}, "one column, 'y'"),
        ("y,a,y\n1,2,3\n", {}, "target: more than one column is named 'y'"),
        ("a,y\n1,2\n", {}, "target: 'y' has 1 rows left"),
        ("a,y\n1,2020-01-01\n2,2020-01-02\n", {}, "holds dates (year first), expected numbers"),
        ("a,y\n1,yes\n2,no\n", {}, "holds booleans such as 'no', expected numbers"),
        ("a,y\n1,3\n2,4\n3,x\n", {}, "2 of its 3 cells are numbers, but others are not, such as "
         "'x' (data row 3); use --numeric y to read it as numbers"),
        ("1,2.5\n3,4\n", {}, "the first line contains '2.5', which looks like data, not like "
         "column names; use --no-header"),
        ("1,2\n3,4\n", {}, "the first line contains '1', '2', which looks like data"),
        ("M,2\n3,4\n", {}, "no column 'y'; it has 'M', '2'; the first line contains '2', read as "),
        ("a,y\n1,2\n2,3\n", {"rare": 1.5}, "rare is 1.5, expected a share of the rows"),
        (b"PK\x03\x04\x00", {}, "an Excel workbook"),
        (b"a,y\n" + b"1,2\n" * 9 + b"\0,3\n", {}, "byte 41 is 0, so the file is damaged"),
        ('a,y\n1,"2\n' + "2,3\n" * 40_000, {}, "line 2 has a quotation mark that is never"),
        ("a,y\n1,2\n2,3,4\n", {}, "not a table: line 3 has 3 cells, expected 2 as in the header"),
        ("a,y\n1,2,3\n2,3,4\n", {}, "not a table: line 2 has 3 cells, expected 2"),
        ('a,y\n1,"2\n2,3\n', {}, "not a table: line 2 has a quotation mark that is never closed"),
        (b"a,y\n1,\xff\xfe\x81\n", {"encoding": "utf-8"}, "cannot be read"),
        ("a,y\n1,2\n2,3\n", {"encoding": "klingon"}, "cannot be read as klingon"),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_a_message(
    tmp_path: Path, text: str | bytes, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DatasetError) as error:
        run(tmp_path, text, **options)  # type: ignore[arg-type]
    assert str(error.value).startswith(f"{tmp_path / 'raw.csv'}: ")
    assert message in str(error.value)
    assert os.listdir(tmp_path) == ["raw.csv"]


def test_files_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("a,y\n1,2\n2,3\n5,1\n")
    with pytest.raises(DatasetError, match=r"raw.csv: there is already a file"):
        prepare(raw, raw, Choices("y"))
    (tmp_path / "mine.csv").write_text("precious")
    with pytest.raises(DatasetError, match=r"mine.csv: there is already a file"):
        prepare(raw, tmp_path / "mine.csv", Choices("y"))
    assert (tmp_path / "mine.csv").read_text() == "precious"
    for _ in range(2):  # a prepared file may be prepared anew
        prepare(raw, tmp_path / "out.csv", Choices("y"))
    with pytest.raises(DatasetError, match=r"file/out.csv: cannot be written"):
        prepare(raw, tmp_path / "raw.csv" / ".." / "mine.csv" / "file" / "out.csv", Choices("y"))
    with pytest.raises(DatasetError, match=r"absent.csv: No such file"):
        prepare(tmp_path / "absent.csv", tmp_path / "out.csv", Choices("y"))


def test_the_sidecar_says_what_was_done(tmp_path: Path) -> None:
    prepared = run(tmp_path, "id,a,g,y\n1,2,u,3\n2,4,v,5\n3,7,v,4\n4,8,w,1\n")
    content = json.loads((tmp_path / "out.csv.json").read_text())
    assert content["scaling"] == {}
    assert content["groups"]["g"] == {
        "categories": ["v", "u", "w"],
        "without a column": "v",
        "merged": [],
    }
    assert content["preparation"]["columns"] == prepared.fates
    sidecar = Sidecar.read(prepared.path)
    assert sidecar is not None
    assert sidecar.source == "raw.csv"


def test_a_run_has_the_datas_own_units_and_bounds_of_the_training_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(50, 10, (60, 3)).round(3)
    text = "a,b,c,y\n" + "\n".join(",".join(map(str, [*row, row.sum()])) for row in X)
    prepared = run(tmp_path, text)
    raw = Csv(path=tmp_path / "raw.csv", target="y").load()
    for scaling in ("train", "full"):
        data = loaded(prepared, scaling)
        np.testing.assert_array_equal(data.X, raw.X)
        np.testing.assert_array_equal(data.y, raw.y)
    rows = np.arange(20)
    ours = Scaling.fit(loaded(prepared, "train"), rows)
    np.testing.assert_allclose(ours.offset, X[:20].min(axis=0))


def test_files_that_were_prepared_in_box_units_still_load(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("y,a,g:u\n0,0,1\n1,.25,0\n0.5,1,0\n")
    sidecar = Sidecar(checksum(path), "raw.csv", "y", scaling={"y": (2.0, 8.0), "a": (-1.0, 4.0)})
    place(path).write_text(sidecar.text())
    own = read_dataset(path, "y", "full")
    assert own.y.tolist() == [2, 10, 6]
    assert own.X.tolist() == [[-1, 1], [0, 0], [3, 0]]
    boxed = read_dataset(path, "y", "none")
    assert boxed.y.tolist() == [0, 1, 0.5]


def test_a_sidecar_that_does_not_fit_is_a_message(tmp_path: Path) -> None:
    prepared = run(tmp_path, "a,b,y\n1,2,3\n2,4,5\n7,7,4\n")
    beside = tmp_path / "out.csv.json"
    good = beside.read_text()
    beside.write_text(good.replace('"scaling": {', '"scaling": {"other": [0, 1]'))
    with pytest.raises(DatasetError, match=r"out.csv.json: describes 'other'"):
        loaded(prepared)
    for damaged in ("", "[]", "{}", good[:50], good.replace("data 1", "data 2"),
                    good.replace('"sha256"', '"sha"')):  # fmt: skip
        beside.write_text(damaged)
        with pytest.raises(DatasetError, match=r"out.csv.json: not "):
            loaded(prepared)
    beside.unlink()
    assert loaded(prepared).y.tolist() == [3, 5, 4]


def test_small_numbers_of_a_wide_range_come_back(tmp_path: Path) -> None:
    cells = [0.0, 1.25e-9, 3e-30, 7.5, 1e9]
    prepared = run(tmp_path, "a,y\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells)))
    assert loaded(prepared).X[:, 0].tolist() == cells


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4)),
            TEXTS,
            st.sampled_from(["yes", "no", ""]),
            st.floats(-1e3, 1e3, allow_nan=False),
        ),
        min_size=3,
        max_size=30,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_whatever_the_cells_a_legal_data_set_comes_out(
    tmp_path: Path, rows: list[tuple[float, str, str, float]], delimiter: str
) -> None:
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("a", "g", "b", "y"), *rows])
    if len({row[3] for row in rows}) == 1 or len({row[0] for row in rows}) == 1:
        return
    prepared = run(tmp_path, text.getvalue(), numeric=("a",), delimiter=delimiter, decimal=".")
    data = loaded(prepared, "full")
    boxed = Scaling.fit(data, np.arange(len(rows))).transform(data.X)
    assert not data.space.violations(boxed)
    assert (boxed.min(axis=0) == 0).all()
    assert (boxed.max(axis=0) == 1).all()
    assert data.y.tolist() == [row[3] for row in rows]
    assert data.X[:, 0].tolist() == [row[0] for row in rows]
    assert all(group.one_of_k for group in data.space.groups)


def test_the_command_prepares_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("raw.csv").write_bytes(GERMAN.encode("latin-1"))
    arguments = ["datasets", "prepare", "raw.csv", "--target", "Preis", "--drop", "Datum,leer"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "read as cp1252, semicolon between cells, decimal comma" in result.stdout
    dataset = result.stdout.splitlines()[-1].strip()
    Path("x.yaml").write_text(
        f"{dataset}\nattack: none\nsplit: {{train: 2, validation: 1, test: 1}}\n"
    )
    assert "OK: 1 dataset" in CliRunner().invoke(app, ["validate", "x.yaml"]).stdout
    folder = CliRunner().invoke(app, ["datasets", "prepare", ".", "--target", "Preis"])
    assert (folder.exit_code, folder.stderr) == (2, ".: is a folder; expected a CSV file\n")
    wrong = CliRunner().invoke(app, ["datasets", "prepare", "raw.csv", "--target", "Preise"])
    assert wrong.exit_code == 2
    assert "did you mean 'Preis'?" in wrong.stderr


def test_awkward_names_survive_until_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [f"{a},{'uv'[int(a > 5)]},\"{100 * a + b:,.2f}\"" for a, b in
            zip(rng.integers(0, 9, 60), rng.normal(0, 30, 60), strict=True)]  # fmt: skip
    text = '"it\'s: 1,000","a ""b"", c","price: [EUR], \nnet"\n' + "\n".join(rows)
    Path("raw.csv").write_text(text)
    target = "price: [EUR], net"
    result = CliRunner().invoke(app, ["datasets", "prepare", "raw.csv", "--target", target])
    assert result.exit_code == 0, result.output
    Path("x.yaml").write_text(
        f"{result.stdout.splitlines()[-1].strip()}\nattack: statp\npoisoning_rate: 0.1\nseeds: 1\n"
    )
    ran = CliRunner().invoke(app, ["run", "x.yaml", "--jobs", "0", "--quiet"])
    assert ran.exit_code == 0, ran.output
    data = read_dataset(tmp_path / "raw-prepared.csv", "price. [EUR], net", "train")
    assert data.space.names == ("it's. 1,000", 'a "b", c:v')
    expected = [float(row.split('"')[1].replace(",", "")) for row in rows]
    np.testing.assert_allclose(data.y, expected, rtol=1e-13, atol=1e-12)


@pytest.mark.slow
def test_a_large_file_is_prepared_in_12_times_the_time_of_reading_and_1_gib(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    cells = [
        *[np.char.mod("%.6g", rng.normal(size=n)) for _ in range(40)],
        *[np.char.add("cat", rng.integers(0, 12, n).astype(str)) for _ in range(10)],
        *[np.char.mod("free text %d", rng.integers(0, 10**9, n)) for _ in range(6)],
        *[np.char.mod("2020-01-%02d", rng.integers(1, 29, n)) for _ in range(4)],
    ]
    raw = tmp_path / "raw.csv"
    with raw.open("w") as file:
        file.write(",".join(f"c{j}" for j in range(60)) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))
    # By a small process between: a child's peak includes the size that its parent had at its start.
    measured = (
        "import resource, subprocess, sys; status = subprocess.call(sys.argv[1:]); "
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(usage.ru_utime, usage.ru_maxrss); sys.exit(status)"
    )

    def cost(*arguments: str) -> tuple[float, float]:
        command = [sys.executable, "-c", measured, sys.executable, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        seconds, kibibytes = map(float, ended.stdout.split()[-2:])
        return seconds, kibibytes

    # Both at about the same time on the same machine, whatever its speed: 5 times where measured.
    reading, _ = cost("-c", f"import pandas; pandas.read_csv({str(raw)!r}, dtype=str)")
    seconds, kibibytes = cost("-m", "poisonbench", "datasets", "prepare", str(raw), "--target=c0")
    assert seconds < 12 * reading
    assert kibibytes < 1024 * 1024
