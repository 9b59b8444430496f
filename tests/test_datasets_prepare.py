"""Preparation of raw files: messy ones come out clean, and the scaling can be undone."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from poisonbench.cli import app
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.csv import Csv, read_dataset
from poisonbench.data.scaling import Scaling
from poisonbench.data.sidecar import Sidecar
from poisonbench.preparation import Choices, Prepared, prepare

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
    how = {name: options.pop(name) for name in ("encoding", "delimiter", "decimal")
           if name in options}  # fmt: skip
    choices = Choices(target, **{"rare": 0.0, **options})  # type: ignore[arg-type]
    return prepare(raw, folder / "out.csv", choices, **how)  # type: ignore[arg-type]


def loaded(prepared: Prepared, scaling: str = "full") -> Dataset:
    return read_dataset(prepared.path, prepared.target, scaling)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        GERMAN.encode(),
        GERMAN.encode("utf-8-sig"),
        GERMAN.encode("latin-1"),
        GERMAN.encode("utf-16"),
        GERMAN.replace("\n", "\r\n").encode(),
        GERMAN.replace("\n", "\n\n").encode(),
        ("\ufeff" + GERMAN.replace("\n", "\r\n")).encode(),
        GERMAN.rstrip("\n").encode("cp1252"),
        GERMAN.replace(";", "\t").replace("Köln\t", "Köln;").encode(),
        GERMAN.replace(";", "|").replace("Köln|", "Köln;").encode(),
        GERMAN.replace(" Süd", "  Süd ").replace(";Paris", "; Paris ").encode(),
    ],
    ids=["utf-8", "bom", "latin-1", "utf-16", "crlf", "blank-lines", "bom-crlf", "no-end", "tabs",
         "pipes", "blanks"],
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
        "id": "number, dropped: identifier, another value in every row",
        "userID": "number, dropped: identifier, another value in every row",
        "n": "number, scaled",
        "whole": "number, scaled",
        "flag": "boolean, 2 categories, '0' without a column",
        "truth": "boolean, 2 categories, 'false' without a column",
        "when": "date (ISO 8601), scaled",
        "us": "date (%m/%d/%Y), scaled",
        "cat": "category, 3 categories, 'a' without a column",
        "code": "category, 3 categories, '0' without a column",
    }
    data = loaded(prepared)
    assert data.space.names[4:] == ("flag:1", "truth:true", "cat:b", "cat:c", "code:10", "code:20")
    assert [group.name for group in data.space.groups] == ["flag", "truth", "cat", "code"]
    kept = run(tmp_path, text, numeric=("id",), categorical=("userID",), drop=("code,cat",))
    assert kept.fates["id"] == "number, scaled"
    assert kept.fates["userID"].startswith("category, 40 categories")
    assert kept.fates["cat"] == "category, dropped: as asked"


def test_day_and_month_that_could_be_either_are_said_so(tmp_path: Path) -> None:
    prepared = run(tmp_path, "d,y\n01/02/2020,1\n03/02/2020,2\n")
    assert prepared.fates["d"] == "date (%d/%m/%Y, day first assumed), scaled"
    assert np.ptp(loaded(prepared).X[:, 0]) == pytest.approx(2)


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
    assert "1 rows dropped for a missing value" in prepared.report()
    text = "a,c,y\n1,x,1\n,y,2\n4,,3\n5,y,4\n6,x,5\n"
    dropped = run(tmp_path, text, missing="drop")
    assert (dropped.n_rows, dropped.rows_dropped, dropped.filled) == (3, 2, {})


def test_rare_categories_are_merged(tmp_path: Path) -> None:
    cells = ["a"] * 50 + ["b"] * 46 + ["c", "d"] * 2
    text = "g,x,y\n" + "".join(f"{c},{i % 7},{i}\n" for i, c in enumerate(cells))
    merged = run(tmp_path, text, rare=0.05)
    assert loaded(merged).space.names == ("x", "g:b", "g:other")
    assert merged.fates["g"] == "category, 3 categories, 'a' without a column, 2 rare ones merged"
    assert loaded(run(tmp_path, text, rare=0.0)).space.names == ("x", "g:b", "g:c", "g:d")
    # A single rare category has nothing to be merged with.
    alone = run(tmp_path, text.replace("d,", "c,"), rare=0.05)
    assert loaded(alone).space.names == ("x", "g:b", "g:c")
    every = run(tmp_path, text.replace("\na,", "\nz1,", 1), rare=0.6)
    assert every.fates["g"] == "category, dropped: no category has 0.6 of the rows"


def test_categories_called_other_or_na_take_in_what_is_merged(tmp_path: Path) -> None:
    cells = ["other"] * 30 + ["a"] * 40 + ["b", "c", "NA", ""] * 2
    text = "g,x,y\n" + "".join(f"{c},{i % 7},{i}\n" for i, c in enumerate(cells))
    data = loaded(run(tmp_path, text, rare=0.04))
    assert data.space.names == ("x", "g:other", "g:NA")
    assert data.X[:, 1].sum() == 34
    assert data.X[:, 2].sum() == 4


def test_high_cardinality_text_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [f"text {i},k{i % 3},{i % 7},{i % 11}" for i in range(30_000)]
    prepared = run(tmp_path, "t,g,x,y\n" + "\n".join(rows))
    assert prepared.fates["t"] == ("free text (such as 'text 0'), dropped: more than "
                                   "10000 different values")  # fmt: skip
    with pytest.raises(DatasetError, match="categorical: 't' has more than 10000 different"):
        run(tmp_path, "t,g,x,y\n" + "\n".join(rows), categorical=("t",))


def test_many_batches_agree_on_a_column(tmp_path: Path) -> None:
    n = 45_000  # more than two batches, whose first ones look like something else
    late = [
        ["1" if i < 40_000 else "maybe" for i in range(n)],
        [str(i) if i < 40_000 else "none of these" for i in range(n)],
        ["" if i < 41_000 else "2020-01-01" if i % 2 else "2020-01-05" for i in range(n)],
        [f"2020-01-01 {i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}" for i in range(n)],
        ["true" if i < 30_000 else "FALSE" if i % 3 else "no" for i in range(n)],
        [str(i * i % 101) for i in range(n)],
    ]
    names = ["flagged", "mixed", "late", "stamp", "truth", "y"]
    text = "\n".join([",".join(names), *map(",".join, zip(*late, strict=True))])
    prepared = run(tmp_path, text)
    assert prepared.fates["flagged"] == "category, 2 categories, '1' without a column"
    assert prepared.fates["mixed"].startswith("free text (such as 'none of these'), dropped")
    assert prepared.fates["late"] == "date (ISO 8601), scaled"
    assert prepared.fates["stamp"] == "date (ISO 8601), scaled"
    assert prepared.fates["truth"].startswith("category, 3 categories")
    stamps = loaded(prepared).X[:, list(loaded(prepared).space.names).index("stamp")]
    np.testing.assert_allclose(np.diff(stamps) * 86_400, 1, atol=1e-5)


def test_columns_that_give_the_response_away_are_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.exp(rng.integers(1, 9, 200))
    rows = [
        f"{v * 2 + 1},{np.log(v)},{'abcdefghi'[round(np.log(v))]},{rng.normal()},{v}" for v in y
    ]
    prepared = run(tmp_path, "scaled,logarithm,grade,noise,y\n" + "\n".join(rows))
    text = " ".join(prepared.warnings)
    assert "'scaled' determines the response linearly" in text
    assert "'logarithm' determines the response by its order" in text
    assert "'grade' determine the response" in text
    assert "noise" not in text
    assert len(prepared.warnings) == 3
    assert prepared.report().count("warning: ") == 3


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
        ("a,y\n1,2\n2,3\n", {"drop": ("a",), "numeric": ("a",)}, "drop: 'a' is named by numeric"),
        ("a,y\n1,u\n2,v\n", {}, "target: 'y' holds category such as 'u', expected numbers"),
        ("a,y\n1,2\n2,2\n", {}, "needs two different values"),
        ("a,y\nu,2\nv,3\n", {"numeric": ("a",)}, "numeric: 'a' holds category such as 'u'"),
        ("a,y\nu,2\nu,3\n", {}, "no feature is left: 'a' constant"),
        ("a,y\n", {}, "no rows of data below the header"),
        ("a,y\n1,\n2,\n", {}, "target: 'y' holds empty"),
        ("", {}, "the file is empty"),
        ("\n \n", {}, "the file is empty"),
        ("y\n1\n2\n", {}, "one column, 'y'"),
        ("a,a,y\n1,2,3\n", {}, "more than one column is named 'a'"),
        ("a,y\n1,2\n2,3,4\n", {}, "not a table: Expected 2 fields in line 3, saw 3"),
        ("a,y\n1,2,3\n2,3,4\n", {}, "lines have more cells than the header has names"),
        ('a,y\n1,"2\n2,3\n', {}, "not a table: EOF inside string"),
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
    with pytest.raises(DatasetError, match=r"raw.csv: there is a file already"):
        prepare(raw, raw, Choices("y"))
    (tmp_path / "mine.csv").write_text("precious")
    with pytest.raises(DatasetError, match=r"mine.csv: there is a file already"):
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
    assert content["scaling"] == {"y": [1, 4], "a": [2, 6]}
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
        np.testing.assert_allclose(data.X, raw.X, rtol=1e-13)
        np.testing.assert_allclose(data.y, raw.y, rtol=1e-13)
    rows = np.arange(20)
    ours = Scaling.fit(loaded(prepared, "train"), rows)
    np.testing.assert_allclose(ours.offset, X[:20].min(axis=0))
    boxed = loaded(prepared, "none")
    np.testing.assert_allclose(boxed.X, (X - X.min(axis=0)) / np.ptp(X, axis=0), atol=1e-15)


def test_a_sidecar_that_does_not_fit_is_a_message(tmp_path: Path) -> None:
    prepared = run(tmp_path, "a,b,y\n1,2,3\n2,4,5\n7,7,4\n")
    beside = tmp_path / "out.csv.json"
    good = beside.read_text()
    beside.write_text(good.replace('"a"', '"other"'))
    with pytest.raises(DatasetError, match=r"out.csv.json: describes 'other'"):
        loaded(prepared)
    for damaged in ("", "[]", "{}", good[:50], good.replace("data 1", "data 2"),
                    good.replace('"sha256"', '"sha"')):  # fmt: skip
        beside.write_text(damaged)
        with pytest.raises(DatasetError, match=r"out.csv.json: not "):
            loaded(prepared)
    beside.unlink()
    assert loaded(prepared).y.tolist() == pytest.approx([0, 1, 0.5])


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
    boxed = loaded(prepared, "none")
    assert not boxed.space.violations(boxed.X)
    assert (boxed.X.min(axis=0) == 0).all()
    assert (boxed.X.max(axis=0) == 1).all()
    data = loaded(prepared, "full")
    np.testing.assert_allclose(data.y, [row[3] for row in rows], rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(data.X[:, 0], [row[0] for row in rows], rtol=1e-12, atol=1e-8)
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
    wrong = CliRunner().invoke(app, ["datasets", "prepare", "raw.csv", "--target", "Preise"])
    assert wrong.exit_code == 2
    assert "did you mean 'Preis'?" in wrong.stderr


@pytest.mark.slow
def test_a_large_file_is_prepared_in_20_s_and_1_gib(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 200_000
    columns = [
        *[np.char.mod("%.6g", rng.normal(size=n)) for _ in range(40)],
        *[np.char.add("cat", rng.integers(0, 12, n).astype(str)) for _ in range(10)],
        *[np.char.mod("free text %d", rng.integers(0, 10**9, n)) for _ in range(6)],
        *[np.char.mod("2020-01-%02d", rng.integers(1, 29, n)) for _ in range(4)],
    ]
    raw = tmp_path / "raw.csv"
    with raw.open("w") as file:
        file.write(",".join(f"c{j}" for j in range(60)) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))
    command = [sys.executable, "-m", "poisonbench", "datasets", "prepare", str(raw)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*command, "--target", "c0"], check=True, capture_output=True)
    elapsed = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # 8 s of processor time where measured; this bounds a machine that does other things too.
    assert after.ru_utime - before.ru_utime < 20, elapsed
    assert after.ru_maxrss < 1024 * 1024
