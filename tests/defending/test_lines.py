"""Which line holds which row, and copies of a file without some rows, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from poisonbench.defending.lines import line_ranges, write_without
from poisonbench.preparation import Choices, encode_columns, read_raw
from poisonbench.preparation.dialect import sniff

TABLES = {
    "plain": (b"a,y\n1,2\n3,4\n5,6\n", [(2, 2), (3, 3), (4, 4)], b"a,y\n1,2\n5,6\n"),
    "no last line end": (b"a,y\n1,2\n5,6\n3,4", [(2, 2), (3, 3), (4, 4)], b"a,y\n1,2\n3,4"),
    "windows": (b"a;y\r\n1;2\r\n3,5;4\r\n5;6\r\n", [(2, 2), (3, 3), (4, 4)],
                b"a;y\r\n1;2\r\n5;6\r\n"),
    "old mac": (b"a,y\r1,2\r3,4\r5,6\r", [(2, 2), (3, 3), (4, 4)], b"a,y\r1,2\r5,6\r"),
    "blank lines": (b"\n\na,y\n\n1,2\n  \n3,4\n\n5,6\n\n", [(5, 5), (7, 7), (9, 9)],
                    b"\n\na,y\n\n1,2\n  \n\n5,6\n\n"),
    "quoted line ends": (b'a,y\n"1\n",2\n"3\n\n",4\n5,6\n', [(2, 3), (4, 6), (7, 7)],
                         b'a,y\n"1\n",2\n5,6\n'),
    "missing cells": (b"a,y\n1,2\n,\n5,6\n7,8\n", [(2, 2), (3, 3), (4, 4), (5, 5)],
                      b"a,y\n1,2\n5,6\n7,8\n"),
    "latin-1": ("ä,y\n1,2\n3,4\n5,6\n".encode("latin-1"), [(2, 2), (3, 3), (4, 4)],
                "ä,y\n1,2\n5,6\n".encode("latin-1")),
    "utf-16": ("a,y\n1,2\n3,4\n5,6\n".encode("utf-16"), [(2, 2), (3, 3), (4, 4)],
               "a,y\n1,2\n5,6\n".encode("utf-16")),
    "byte order mark": (b"\xef\xbb\xbfa,y\n1,2\n3,4\n5,6\n", [(2, 2), (3, 3), (4, 4)],
                        b"\xef\xbb\xbfa,y\n1,2\n5,6\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_the_second_row_is_left_out_and_every_other_byte_is_kept(name: str, tmp_path: Path) -> None:
    content, expected, without = TABLES[name]
    path, copy = tmp_path / "raw.csv", tmp_path / "copy.csv"
    path.write_bytes(content)
    dialect = sniff(path)
    ranges = line_ranges(path, dialect)
    assert [tuple(pair) for pair in ranges.tolist()] == expected
    write_without(path, dialect, ranges, [1], copy)
    assert copy.read_bytes() == without
    write_without(path, dialect, ranges, [], copy)
    assert copy.read_bytes() == content


@pytest.mark.parametrize("name", TABLES)
def test_as_many_rows_are_counted_as_are_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(TABLES[name][0])
    file = read_raw(path, Choices("y"))
    assert len(line_ranges(path, file.dialect)) == len(encode_columns(file).kept)


def test_without_a_header_the_first_line_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(b"\n1,2\n3,4\n")
    dialect = sniff(path, header=False)
    assert line_ranges(path, dialect).tolist() == [[2, 2], [3, 3]]
