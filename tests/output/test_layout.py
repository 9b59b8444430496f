"""Files of an output folder say by themselves whether they are whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.data.npz import is_sealed, read_arrays, seal
from poisonbench.output.index import read_index
from poisonbench.output.layout import StoreError, is_whole, place, read_json, sealed
from poisonbench.output.store import read_cell, read_timings
from poisonbench.records import Measured, Timings

CONTENT = {"id": "ab", "test_mse": 0.25, "name": "größe", "nothing": None, "parts": [1, {"a": 2}]}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)


@given(
    st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=2), min_size=1),
    st.booleans(),
)
def test_what_is_sealed_reads_back(content: dict[str, object], compact: bool) -> None:
    text = sealed(content, compact=compact)
    assert is_whole(text)
    assert {**content, "sha256": json.loads(text)["sha256"]} == json.loads(text)


@pytest.mark.parametrize("compact", [False, True])
def test_every_flipped_bit_and_every_cut_is_seen(compact: bool) -> None:
    text = sealed(CONTENT, compact=compact)
    for at in range(len(text)):
        for bit in (0, 5):
            damaged = bytearray(text)
            damaged[at] ^= 1 << bit
            assert not is_whole(bytes(damaged)), (at, bit)
        assert not is_whole(text[:at])


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"null\n",
        sealed(CONTENT).replace(b"0.25", b"NaN"),
        sealed(CONTENT).replace(b"0.25", b'"0.25"'),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
    ],
    ids=["empty", "null", "nan", "string", "deep list", "deep object"],
)
def test_damaged_files_hold_nothing(tmp_path: Path, damaged: bytes) -> None:
    for kind in ("cells", "meta"):
        path = place(tmp_path, kind, "ab")
        path.parent.mkdir(parents=True)
        path.write_bytes(damaged)
        assert read_json(path) is None
    assert read_cell(tmp_path, "ab") is None
    assert read_timings(tmp_path, "ab") is None
    (tmp_path / "index.json").write_bytes(damaged)
    with pytest.raises(StoreError, match=r"index.json: damaged; run the command"):
        read_index(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.25", True, None])
def test_a_cell_has_finite_numbers_where_numbers_belong(value: object) -> None:
    good = {entry.name: None if "None" in str(entry.type) else 1
            for entry in Measured.__dataclass_fields__.values()}  # fmt: skip
    Measured(**good)
    with pytest.raises((TypeError, ValueError), match="test_mse is "):
        Measured(**{**good, "test_mse": value})
    if value is not None:
        with pytest.raises((TypeError, ValueError), match="defense_seconds is "):
            Timings(0.5, value, 3)  # type: ignore[arg-type]


def test_every_flipped_bit_of_a_poison_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    with path.open("w+b") as file:
        np.savez(file, X=np.eye(2), y=np.zeros(2))
        seal(file)
    whole = path.read_bytes()
    assert is_sealed(path)
    np.testing.assert_array_equal(read_arrays(path, ["X"])["X"], np.eye(2))
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert not is_sealed(path), at
    path.write_bytes(whole[:-1])
    assert not is_sealed(path)
