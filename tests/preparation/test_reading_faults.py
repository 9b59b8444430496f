"""Files as people have them: each is read right, or a warning says what was seen and where."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.csv import read_dataset
from poisonbench.preparation import Choices, Prepared, prepare, reading
from poisonbench.preparation.cells import number_parser

ROWS = range(30)


def run(folder: Path, text: str | bytes, target: str = "y", **options: object) -> Prepared:
    raw = folder / "raw.csv"
    raw.write_bytes(text.encode() if isinstance(text, str) else text)
    how = {name: options.pop(name) for name in ("encoding", "delimiter", "decimal")
           if name in options}  # fmt: skip
    choices = Choices(target, **{"rare": 0.0, **options})  # type: ignore[arg-type]
    return prepare(raw, folder / "out.csv", choices, **how)  # type: ignore[arg-type]


def data_of(prepared: Prepared) -> Dataset:
    return read_dataset(prepared.path, prepared.target, "full")


def column(prepared: Prepared, name: str) -> list[float]:
    data = data_of(prepared)
    values: list[float] = data.X[:, data.space.names.index(name)].tolist()
    return values


def table(delimiter: str, names: list[str], *columns: list[str]) -> str:
    rows = [names, *zip(*columns, strict=True)]
    return "".join(delimiter.join(row) + "\n" for row in rows)


RESPONSE = [str(i * i % 7) for i in ROWS]


@pytest.mark.parametrize("mark", [",", "."])
@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("evidence", [3, 1500, 3000])
def test_two_marks_in_a_number_separate_thousands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, delimiter: str, evidence: int
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 2_000)
    values = [101 + 37 * i % 90_000 for i in range(evidence)] + [2_755_154]
    cells = [f"{value:,}".replace(",", mark) for value in values]
    if mark == delimiter:
        cells = [f'"{cell}"' for cell in cells]
    response = [str(i * i % 7) for i in range(len(cells))]
    prepared = run(tmp_path, table(delimiter, ["pop", "y"], cells, response))
    assert column(prepared, "pop") == values


@pytest.mark.parametrize(
    ("cells", "decimal", "first", "certain"),
    [
        (["1956,034", "7,5"], None, 1956.034, True),  # too many digits for thousands
        (["0,123", "1,234"], None, 0.123, True),  # no thousand begins with 0
        (["1.234,5", "2"], None, 1234.5, True),
        (["1,234", "1956"], None, 1.234, False),  # 1956 has no mark, so thousands have none
        (["63,541", "122"], None, 63541, False),  # 122 has none, so not all have three decimals
        (["63.541", "122"], None, 63541, False),
        (["63,541", "24,298"], None, 63.541, False),
        (["63.541", "24.298"], None, 63.541, False),
        (["63,541", "24,298"], ".", 63541, True),
        (["63.541", "24.298"], ".", 63.541, True),
        (["63.541", "24.298"], ",", 63541, True),
        (["12,10,567", "1,05,000"], None, 1210567, True),
        (["1\u202f201,5", "2\u00a0201,25"], None, 1201.5, True),
        (["1'201.5", "2’201.25"], None, 1201.5, True),
    ],
)
def test_a_mark_before_three_digits(
    tmp_path: Path, cells: list[str], decimal: str | None, first: float, certain: bool
) -> None:
    text = table(";", ["a", "y"], (cells * 15)[:30], RESPONSE)
    prepared = run(tmp_path, text, decimal=decimal)
    assert column(prepared, "a")[0] == first
    doubts = [warning for warning in prepared.warnings if "--decimal" in warning]
    assert len(doubts) == (not certain)
    assert all(f"data row 1 is {first:.15g}" in doubt for doubt in doubts)


def test_the_mark_that_other_columns_have_is_taken(tmp_path: Path) -> None:
    thousands = [f"{i + 1}.{200 + i}" for i in ROWS]
    text = table(";", ["a", "b", "y"], thousands, [f"{i},5" for i in ROWS], RESPONSE)
    prepared = run(tmp_path, text)
    assert column(prepared, "a") == [1000 * (i + 1) + 200 + i for i in ROWS]
    assert prepared.warnings == ()


def test_a_column_in_a_second_notation_is_read_and_named(tmp_path: Path) -> None:
    text = table(
        ",",
        ["a", "b", "c", "d", "e", "y"],
        [f'"2.{211 + i},13"' for i in ROWS],
        [f"{i}.25" for i in ROWS],
        [f"{i}.000D+02" for i in ROWS],
        [f"({i}.5)" for i in ROWS],
        [f"{i}.5-" for i in ROWS],
        RESPONSE,
    )
    prepared = run(tmp_path, text, decimal=".")
    assert column(prepared, "a") == [2211.13 + i for i in ROWS]
    assert column(prepared, "b") == [i + 0.25 for i in ROWS]
    assert column(prepared, "c") == [100 * i for i in ROWS]
    assert column(prepared, "d") == column(prepared, "e") == [-i - 0.5 for i in ROWS]
    assert prepared.fates["d"] == (
        "number (negative in parentheses, or with the minus sign at the end), kept"
    )
    assert prepared.warnings == (
        "'a': its numbers have a decimal comma, such as '2.211,13' (data row 1), but the rest "
        "of the file is read with a decimal point",
    )


@pytest.mark.parametrize("cell", ["{} kg", "{}/1/20", "12:{:02}", "# {}°", "{}h"])
def test_numbers_that_nobody_can_read_are_not_dropped_in_silence(tmp_path: Path, cell: str) -> None:
    texts = [cell.format(i + 1) for i in ROWS]
    prepared = run(tmp_path, table(",", ["a", "x", "y"], texts, RESPONSE, RESPONSE[::-1]))
    assert prepared.fates["a"].endswith("dropped: identifier with a different value in every row")
    assert f"'a' is left out as text, but cells such as '{texts[0]}' look" in prepared.warnings[0]


@pytest.mark.parametrize("label", ["b{}", "key {} of them", "f3e9-{:04}-aa17-bb"])
def test_names_are_dropped_without_a_word(tmp_path: Path, label: str) -> None:
    texts = [label.format(i + 1) for i in ROWS]
    text = table(",", ["a", "x", "y"], texts, [str(i % 4) for i in ROWS], RESPONSE)
    prepared = run(tmp_path, text)
    assert "a" not in data_of(prepared).space.names
    assert prepared.warnings == ()


@pytest.mark.parametrize("before", [" ", "   ", "\t", "\u00a0"])
def test_what_stands_before_a_quotation_mark(tmp_path: Path, before: str) -> None:
    quoted = [f'{before}"{i}.25"' for i in ROWS]
    text = table(",", ["a", f'{before}"the b"', "y"], quoted, quoted[::-1], RESPONSE)
    assert column(run(tmp_path, text), "a") == [i + 0.25 for i in ROWS]
    words = [f'{before}"x, {i % 3}"' for i in ROWS]
    text = table(",", ["a", "y"], words, RESPONSE)
    if before.strip(" "):
        with pytest.raises(DatasetError, match=r"line 2 has 3 cells.*before its quotation mark"):
            run(tmp_path, text)
    else:
        assert data_of(run(tmp_path, text)).space.names == ("a:x, 1", "a:x, 2")


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    texts = ["b" if i else "ä" * 300_000 for i in ROWS]
    numbers = [f"{i}.5" if i else f"{0:0200000}.5" for i in ROWS]
    prepared = run(tmp_path, table(",", ["t", "x", "y"], texts, numbers, RESPONSE))
    data = data_of(prepared)
    assert data.space.names == ("x", "t:" + "ä" * 99 + "…")
    assert data.X[:, 0].tolist() == [i + 0.5 for i in ROWS]
    assert data.X[:, 1].tolist() == [1.0, *[0.0] * 29]


@pytest.mark.parametrize(
    "written", [str, "{:,}".format, "{}.0".format], ids=["plain", "commas", "point"]
)
@pytest.mark.parametrize("start", [2**53 - 3, 1577134800018226901, 10**19, 10**25])
def test_whole_numbers_beyond_floats(tmp_path: Path, start: int, written: object) -> None:
    numbers = [f'"{written(start + i)}"' for i in ROWS]  # type: ignore[operator]
    middle = [*numbers[:7], "", *numbers[8:]]
    text = table(
        ",", ["order_id", "k", "y", "x"], numbers, middle, numbers, [str(i % 4) for i in ROWS]
    )
    few = start > 10**18  # nearly all of them are the same float
    if len({float(start + i) for i in ROWS}) == 1:
        with pytest.raises(DatasetError, match=r"in every row.*lose digits"):
            run(tmp_path, text)
        return
    prepared = run(tmp_path, text)
    assert prepared.fates["order_id"].endswith(
        "dropped: identifier with a different value in every row"
    )
    lossy = [i for i in ROWS if int(float(start + i)) != start + i]
    for name in ("y", "k"):
        (warning,) = [text for text in prepared.warnings if text.startswith(f"'{name}': ")
                      and "lose digits" in text]  # fmt: skip
        n_lost = len(lossy) - (name == "k" and 7 in lossy)
        assert f"{n_lost} of its numbers are whole numbers beyond 2**53" in warning
        row = next(i for i in lossy if name == "y" or i != 7)
        shown = f"such as {written(start + row)} (data row {row + 1})"  # type: ignore[operator]
        assert shown in warning
    assert not few or len(set(data_of(prepared).y)) < 30


def test_a_wide_column_of_long_numbers_is_still_an_identifier(tmp_path: Path) -> None:
    n = 12_000  # more than a vocabulary holds
    ids = [str(1577134800018226901 + 3 * i) for i in range(n)]
    text = table(",", ["tweet_id", "x", "y"], ids, [str(i % 5) for i in range(n)],
                 [str(i * i % 7) for i in range(n)])  # fmt: skip
    prepared = run(tmp_path, text)
    assert prepared.fates["tweet_id"] == (
        "number, dropped: identifier with a different value in every row"
    )


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    composed, apart = "gr\u00f6\u00dfe", "gro\u0308\u00dfe"
    cells = [["K\u00f6ln", "Ko\u0308ln", "K\u200b\u00f6ln", "Rom"][i % 4] for i in ROWS]
    names = [apart, "x\u200b", "ort\u00a0b"]
    text = table(",", names, RESPONSE, [str(i % 4) for i in ROWS], cells)
    prepared = run(tmp_path, text, target=composed)
    assert data_of(prepared).space.names == ("x", "ort b:Rom")
    assert prepared.target == composed
    (warning,) = [text for text in prepared.warnings if "are invisible" in text]
    assert "'gro\\u0308\\xdfe' is now 'größe', 'x\\u200b' is now 'x'" in warning
    twice = table(",", [composed, apart, "y"], RESPONSE, RESPONSE[::-1], RESPONSE)
    assert data_of(run(tmp_path, twice)).space.names == (composed, f"{composed} (2)")
    with pytest.raises(DatasetError, match="more than one column is named 'größe'"):
        run(tmp_path, twice, target=apart)


def test_a_config_may_name_a_column_that_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(table(",", ["gro\u0308\u00dfe", "x"], RESPONSE, RESPONSE[::-1]))
    assert read_dataset(path, "gr\u00f6\u00dfe", "train").space.names == ("x",)
    path.write_text(table(",", ["y", "a\u200b", "a"], RESPONSE, RESPONSE, RESPONSE[::-1]))
    with pytest.raises(DatasetError, match="more than one column is named 'a', expected names"):
        read_dataset(path, "y", "train")


def test_a_bad_byte_does_not_garble_the_others(tmp_path: Path) -> None:
    text = table(",", ["größe", "ort", "y"], RESPONSE, [f"Zürich{i % 3}" for i in ROWS],
                 [str(2 * i) for i in ROWS])  # fmt: skip
    raw = text.encode()
    pasted = raw.replace("Zürich2,40".encode(), "Zürich2,40".encode("cp1252"))
    prepared = run(tmp_path, pasted, target="größe")
    assert data_of(prepared).space.names == ("y", "ort:Zürich1", "ort:Zürich2")
    assert prepared.warnings[0] == (
        "the file is UTF-8 except for one byte (0xfc in line 22), which is read as Windows-1252; "
        "use --encoding cp1252 to read the whole file as Windows-1252"
    )
    cut = raw.replace("Zürich2,40".encode(), b"Z\xe2\x82rich2,40")
    prepared = run(tmp_path, cut)
    assert "ort:Z\ufffdrich2" in data_of(prepared).space.names
    assert "UTF-8 except for 2 bytes (the first is 0xe2 in line 22)" in prepared.warnings[0]


def test_a_file_of_windows_is_said_to_be_one(tmp_path: Path) -> None:
    text = table(",", ["a", "ort", "y"], RESPONSE, [f"Zürich{i % 3}" for i in ROWS],
                 [str(i) for i in ROWS])  # fmt: skip
    prepared = run(tmp_path, text.encode("cp1252"))
    assert "ort:Zürich1" in data_of(prepared).space.names
    assert prepared.warnings[0] == (
        "the file is not UTF-8, because of byte 0xfc in line 2; it is read as Windows-1252; use "
        "--encoding for another encoding"
    )
    assert "cp1252" not in "".join(run(tmp_path, text.encode("cp1252"), encoding="cp1252").warnings)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([".", ","]))
def test_numbers_are_read_as_python_reads_them(value: float, mark: str) -> None:
    cell = number_parser(mark)(repr(value).replace(".", mark))
    assert cell is not None
    assert math.copysign(1, cell.value) == math.copysign(1, value)
    assert cell.value == value


@given(st.integers(-(10**30), 10**30), st.sampled_from([".", ","]))
def test_what_a_whole_number_loses_is_known_exactly(value: int, mark: str) -> None:
    cell = number_parser(mark)(f"{value:,}".replace(",", {".": ",", ",": "."}[mark]))
    assert cell is not None
    assert int(cell.value) + int(cell.rest) == value or abs(cell.rest) > 2**53
    assert (cell.rest != 0) == (int(float(value)) != value)


def test_a_value_is_written_as_it_was_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=30) * 10.0 ** rng.integers(-12, 12, 30)
    text = table(",", ["a", "n", "y"], [repr(float(v)) for v in values], RESPONSE, RESPONSE[::-1])
    prepared = run(tmp_path, text)
    assert column(prepared, "a") == values.tolist()
    assert prepared.path.read_text().splitlines()[1].split(",")[2] == RESPONSE[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "", "g:1"])
def test_time_grows_with_the_columns_not_with_their_square(tmp_path: Path, name: str) -> None:
    def seconds(n: int) -> float:
        text = "y" + f",{name}" * n + "\n" + "".join(f"{i}" + f",{i},2" * (n // 2) + "\n"
                                                     for i in range(3))  # fmt: skip
        start = time.process_time()
        run(tmp_path, text)
        return time.process_time() - start

    seconds(200)  # what is loaded once
    assert seconds(8_000) < 12 * seconds(1_000) + 1


def test_a_file_with_repeated_names_is_read_below_its_header(tmp_path: Path) -> None:
    text = ',,\n\n"a\nb","a\nb",y\n1,2,3\n\n2,5,4\n3,1,7\n'
    data = data_of(run(tmp_path, text))
    assert data.space.names == ("a b", "a b (2)")
    assert data.X.tolist() == [[1, 2], [2, 5], [3, 1]]
    for long in (text + "1,2,3,4\n", text.replace("1,2,3", "1,2,3,4")):
        with pytest.raises(DatasetError, match=r"has 4 cells, expected 3"):
            run(tmp_path, long)
