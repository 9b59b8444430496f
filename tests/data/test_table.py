"""CSV files of numbers: the good ones exactly, the bad ones with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.data.base import DatasetError
from poisonbench.data.table import LONGEST_CELL, read_rows, read_table

ROWS = [[1.5, -2.0, 3e-3], [4.0, 5.25, -6.0]]


def written(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1.5,-2,3e-3\n4,5.25,-6\n",
        "a,b,c\n1.5,-2,3e-3\n4,5.25,-6",
        "a;b;c\n1.5;-2;3e-3\n4;5.25;-6\n",
        "a\tb\tc\n1.5\t-2\t3e-3\n4\t5.25\t-6\n",
        "a|b|c\n1.5|-2|3e-3\n4|5.25|-6\n",
        "a,b,c\r\n1.5,-2,3e-3\r\n4,5.25,-6\r\n",
        "a,b,c\r1.5,-2,3e-3\r4,5.25,-6\r",
        "\ufeffa,b,c\n1.5,-2,3e-3\n4,5.25,-6\n",
        "\n\na , b,c\n\n1.5, -2,3E-3\n   \n4.0,+5.25,-6.\n\n",
        '"a","b","c"\n"1.5","-2","3e-3"\n4,5.25,-6\n',
    ],
    ids=[
        "lf",
        "no-eof-newline",
        "semicolon",
        "tab",
        "pipe",
        "crlf",
        "cr",
        "bom",
        "blanks",
        "quoted",
    ],
)
def test_dialects_read_alike(tmp_path: Path, text: str) -> None:
    table = read_table(written(tmp_path, text))
    assert table.names == ("a", "b", "c")
    assert table.values.tolist() == ROWS


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_quoted_names_may_hold_delimiters_and_colons(tmp_path: Path, delimiter: str) -> None:
    names = ("Site: a, b", "Site: c; d", "y")
    header = delimiter.join(f'"{name}"' for name in names)
    path = written(tmp_path, f"{header}\n{delimiter.join('101')}\n{delimiter.join('012')}\n")
    assert read_table(path).names == names


def test_the_delimiter_fits_the_rows_rather_than_the_names(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "rooms, halls, cellars;price\n1;2\n"))
    assert table.names == ("rooms, halls, cellars", "price")


def test_a_given_delimiter_is_used(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a b\n1 2\n"), " ")
    assert (table.names, table.values.tolist()) == (("a", "b"), [[1, 2]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,2\n3,\n", "line 3, column 'b': missing value; fill"),
        ("1,2\n\n3,NA\n", "line 4, column 'b': missing value ('NA'); fill"),
        ("1,2\nnan,4\n", "line 3, column 'a': missing value ('nan')"),
        ("1,2\n3,red\n", "line 3, column 'b': 'red' is not a number; encode a category"),
        ("1,x\ny,2\nz,3\n", "line 2, column 'b': 'x' is not a number (and in 'a'); encode"),
        ("1,2\n3,-inf\n", "line 3, column 'b': '-inf' is not finite"),
        ("1,2\n3,1e999\n", "line 3, column 'b': '1e999' is not finite"),
        ("1,1_000\n", "line 2, column 'b': '1_000' is not a number"),
        ("1,2\n3,4,5\n", "line 3 has 3 cells, expected 2"),
        ("1,2\n3\n", "line 3 has 1 cells, expected 2"),
        ("1,2,\n3,4,\n", "line 2 has 3 cells, expected 2"),
        ('1,"2,5"\n', "line 2, column 'b': '2,5' has a comma; expected a decimal point"),
        ("1,oops\n2\n", "line 2, column 'b': 'oops' is not a number; encode"),
    ],
)
def test_bad_cells_are_named_with_their_line(tmp_path: Path, body: str, message: str) -> None:
    path = written(tmp_path, f"a,b\n{body}")
    with pytest.raises(DatasetError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_decimal_commas_are_recognised_under_a_semicolon(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 2, column 'a': '1,5' has a comma"):
        read_table(written(tmp_path, "a;b\n1,5;2,5\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("a,b,a\n1,2,3\n", "line 1, more than one column is named 'a'"),
        (",a,b\n0,1,2\n", "line 1, column 1 of 3 has no name"),
        ("a,b,\n0,1,2\n", "line 1, column 3 of 3 has no name"),
        ("a\n1\n", "one column, 'a', where the delimiter is ','"),
        ("a,b\n1,2\n".encode("utf-16"), "byte 0xff is not UTF-8"),
        (b"a,b\n1,2\n\xe9,1\n", "byte 0xe9 is not UTF-8"),
        ('"' + "x" * 200_000, "one column, 'xxx"),
        ('"' + "x" * (LONGEST_CELL + 1), "not a CSV file: field larger"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DatasetError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Is a directory, expected a CSV file"):
        read_table(tmp_path)
    with pytest.raises(DatasetError, match=r"absent.csv: No such file or directory"):
        read_table(tmp_path / "absent.csv")


@pytest.mark.parametrize("delimiter", ["", ",,", "1", "e", "-", ".", '"', "\n"])
def test_delimiters_that_numbers_use_are_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(DatasetError, match="expected one character"):
        read_table(written(tmp_path, "a,b\n1,2\n"), delimiter)


def test_a_line_of_a_row_counts_blank_and_continued_lines(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '"a\nb",c\n\n1,2\n\n3,4\n'))
    assert [table.line(row) for row in (0, 1)] == [4, 6]


def test_an_absent_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "price,rooms\n1,2\n"))
    with pytest.raises(DatasetError, match=r"no column 'pirce'; did you mean 'price'\?"):
        table.column("pirce")
    with pytest.raises(DatasetError, match=r"no column 'zzz'; it has 'price', 'rooms'"):
        table.column("zzz")


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(finite, finite, finite), max_size=5))
@settings(max_examples=50, deadline=None)
def test_every_float_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]
) -> None:
    lines = ["a,b,c", *(",".join(map(repr, row)) for row in rows)]
    path = written(tmp_path_factory.mktemp("floats"), "\n".join(lines))
    assert [tuple(row) for row in read_table(path).values.tolist()] == rows


alphabet = st.sampled_from([*"ab,;|\t\"'\r\n .-+", "1", "20", "nan", "1e9", "é", "\x00", "١"])


@given(parts=st.lists(alphabet, max_size=30), prefix=st.sampled_from(["", "a,b\n1,2\n", "a;b\n"]))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_table_or_a_dataset_error(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], prefix: str
) -> None:
    path = written(tmp_path_factory.mktemp("any"), prefix + "".join(parts))
    try:
        table = read_table(path)
    except DatasetError as error:
        message = str(error)
    else:
        message = f"{path}: fine"
        assert table.values.shape[1] == len(table.names) >= 2
        assert np.isfinite(table.values).all()
        if len(table.values):
            table.line(len(table.values) - 1)
    assert message.startswith(f"{path}: ")
    assert "None" not in message


def test_rows_for_a_data_set_may_have_their_columns_in_any_order(tmp_path: Path) -> None:
    X, y = read_rows(written(tmp_path, "y,b,a\n1,2,3\n4,5,6\n"), ("a", "b"), "y")
    assert X.tolist() == [[3, 2], [6, 5]]
    assert y.tolist() == [1, 4]


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    X, y = read_rows(written(tmp_path, "a,b,y\n"), ("a", "b"), "y")
    assert (X.shape, y.shape) == ((0, 2), (0,))


def test_rows_with_other_columns_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,y,z\n1,2,3\n")
    with pytest.raises(DatasetError, match=r"lacks 'b' and has 'z' beyond them"):
        read_rows(path, ("a", "b"), "y")
