"""Values that mean missing, units in cells, clipping, and dropping of duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.preparation import Choices, Prepared, columns, prepare, reading


def run(folder: Path, text: str, **options: object) -> tuple[Prepared, pd.DataFrame]:
    raw = folder / "raw.csv"
    raw.write_text(text, encoding="utf-8")
    choices = Choices("y", **{"rare": 0.0, **options})  # type: ignore[arg-type]
    prepared = prepare(raw, folder / "out.csv", choices)
    return prepared, pd.read_csv(prepared.path)


def rows(cells: list[str], name: str = "x") -> str:
    return f"{name};y\n" + "".join(f"{cell};{k % 7}\n" for k, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["-999", "1", "2", "4"], "-999"),
        (["-999.0", "1.5", "2", "4"], "-999"),
        (["-999,0", "1,5", "2,25", "4,5"], "-999"),
        (["-999", "1", "2", "4"], "x=-999.00"),
        (["$-999", "$1", "$2", "$4"], "-999"),
        (["1,234", "1", "2.5", "4"], "1234"),
        (["(999)", "1", "2", "4"], "-999"),
        (["2020-01-01", "2021-01-01", "2021-01-05", "2021-03-01"], "2020-01-01"),
        (["01.01.2020", "13.01.2021", "14.01.2021", "15.03.2021"], "2020-01-01"),
        (["unknown", "1", "2", "4"], "unknown"),
        (["Unknown", "1", "2", "4"], "x=unknown"),
    ],
)
def test_a_value_that_means_missing(tmp_path: Path, cells: list[str], value: str) -> None:
    expected, frame = run(tmp_path, rows(["", *cells[1:]] * 5))
    _, others = run(tmp_path, rows(cells * 5), missing_values=(value,))
    pd.testing.assert_frame_equal(others, frame)
    assert expected.filled["x"].startswith("5 rows, mean")


def test_a_category_that_means_missing(tmp_path: Path) -> None:
    _, frame = run(tmp_path, rows(["none given", "oak", "ash", "oak"] * 5),
                   missing_values=("None given",))  # fmt: skip
    assert frame.columns.tolist() == ["y", "x:ash", "x:NA"]


def test_a_value_in_one_column_only(tmp_path: Path) -> None:
    text = "a,b,y\n" + "".join(f"{k % 5},{k % 5},{k % 7}\n" for k in range(70))
    prepared, frame = run(tmp_path, text, missing_values=("a=0",))
    assert prepared.filled == {"a": "14 rows, mean 2.5"}
    assert frame["b"].tolist() == [k % 5 for k in range(70)]


def test_rows_whose_response_is_missing_are_dropped(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{k / 8},{-99 if k in (3, 4) else k % 7}\n" for k in range(70))
    prepared, frame = run(tmp_path, text, missing_values=("-99",))
    assert (prepared.rows_dropped, len(frame)) == (2, 68)


def test_a_column_may_change_its_kind_without_the_value(tmp_path: Path) -> None:
    prepared, _ = run(tmp_path, rows(["0", "1", "-9", "1"] * 5), missing_values=("-9",))
    assert prepared.fates["x"].startswith("boolean")


def test_a_value_that_does_not_occur(tmp_path: Path) -> None:
    prepared, _ = run(tmp_path, rows(["1.5", "2", "-9", "1"] * 5),
                      missing_values=("-99", "x=-9", "y=-9"))  # fmt: skip
    assert prepared.warnings == ("no cell has the missing value '-99'",
                                 "no cell has the missing value 'y=-9'")  # fmt: skip


def test_a_value_in_any_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 2_000)
    monkeypatch.setattr(columns, "VOCABULARY", 1_000)
    values = np.random.default_rng(0).normal(size=6000).round(5)
    cells = [f"{value:.5f}" for value in values]
    for k in (5, 2500, 5999):
        cells[k] = "-999"
    cells[4100] = "$3"  # so that one batch is text
    prepared, _ = run(tmp_path, rows(cells), missing_values=("-999",))
    assert prepared.filled["x"].startswith("3 rows")


@pytest.mark.parametrize("unit", ["m2", "m²", "M2"])
def test_units_are_stripped(tmp_path: Path, unit: str) -> None:
    prepared, frame = run(tmp_path, rows(["157 m2", "80m²", "99.5 M2", "12"] * 5),
                          units=(f"x={unit}",))  # fmt: skip
    assert frame["x"].tolist() == [157, 80, 99.5, 12] * 5
    assert prepared.fates["x"] == "number, kept"
    assert prepared.warnings == ()


def test_a_unit_before_the_number_and_another_unit(tmp_path: Path) -> None:
    prepared, frame = run(tmp_path, rows([f"kr {k}" for k in range(19)] + ["7 EUR a"]),
                          units=("x=kr",))  # fmt: skip
    assert frame["x"].tolist() == [*range(19), 9]
    assert "'7 EUR a' (data row 20), and are treated as missing" in prepared.warnings[0]


def test_clipping(tmp_path: Path) -> None:
    a = [*range(100), 5000]
    b = [*range(100), 700]  # not ten times the range of the others
    text = "a,b,y\n" + "".join(f"{u},{v},{u * u % 97}\n" for u, v in zip(a, b, strict=True))
    prepared, frame = run(tmp_path, text, clip=True)
    assert prepared.clipped == {"a": "1 cell, to the range 0 to 99 of the others"}
    assert frame["a"].tolist() == [*range(100), 99]
    assert frame["b"].tolist() == b
    assert run(tmp_path, text)[1]["a"].tolist() == a


def test_the_response_is_not_clipped(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{k % 9},{k if k < 100 else 90_000}\n" for k in range(101))
    prepared, frame = run(tmp_path, text, clip=True)
    assert prepared.clipped == {}
    assert frame["y"].max() == 90_000


def test_duplicates_are_dropped(tmp_path: Path) -> None:
    lines = [f"{k},{k % 13},{'' if k % 5 == 0 else k % 11},{'ab'[k % 2]},{k * k % 101 / 8}"
             for k in range(100)]  # fmt: skip
    again = [line.replace(f"{k},", f"{100 + i},", 1)
             for i, (k, line) in enumerate((k, lines[k]) for k in (3, 50, 3))]  # fmt: skip
    text = "id,a,b,c,y\n" + "\n".join([*lines, *again])
    prepared, frame = run(tmp_path, text, drop_duplicates=True)
    assert prepared.duplicates_dropped == 3
    assert frame["y"].tolist() == [k * k % 101 / 8 for k in range(100)]
    assert run(tmp_path, text)[0].duplicates_dropped == 0


def test_copies_of_rows_are_no_leak(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{a},{b},{y}" for a, b, y in rng.normal(size=(200, 3))]
    text = "a,b,y\n" + "\n".join([*lines, *lines[:40]])
    assert run(tmp_path, text)[0].warnings == ()
    leak = "a,b,y\n" + "".join(f"{k % 40},{k},{(k % 40) ** 2 % 11}\n" for k in range(200))
    assert any("'a' determines the response by its values" in warning
               for warning in run(tmp_path, leak)[0].warnings)  # fmt: skip
