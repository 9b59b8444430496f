"""The CSV loader: groups, scaling modes, and the two real data sets."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from poisonbench import registry
from poisonbench.data import Dataset, DatasetError
from poisonbench.data.groups import one_hot_groups
from poisonbench.data.scaling import Scaling
from poisonbench.datasets.csv import Csv


def load(folder: Path, text: str, **parameters: str) -> Dataset:
    path = folder / "mine.csv"
    path.write_text(text)
    return Csv(path=path, **{"target": "y", **parameters}).load()


def test_house(house_csv: Path) -> None:
    start = time.process_time()
    data = Csv(path=house_csv, target="SalePrice", scaling="none").load()
    assert time.process_time() - start < 2  # 0.12 s where measured; this bounds a slow machine
    assert data.X.shape == (1460, 274)
    assert len(data.space.groups) == len(data.space.choices) == 44
    assert data.name == "house-processed"
    assert data.X.flags.c_contiguous
    assert not data.space.violations(data.X)


def test_health(health_csv: Path) -> None:
    data = Csv(path=health_csv, target="TherapeuticDoseofWarfarin").load()
    assert data.X.shape == (4683, 204)
    assert len(data.space.groups) == 39
    several = [group.name for group in data.space.groups if not group.one_of_k]
    assert several == ["IndicationforWarfarinTreatment"]
    assert not any(group.all_zero for group in data.space.choices)


def test_a_column_constant_in_a_part_only_is_kept_and_zero(house_csv: Path) -> None:
    data = Csv(path=house_csv, target="SalePrice").load()
    numeric = data.space.numeric
    varies = np.ptp(data.X[:100, numeric], axis=0) > 0
    assert not varies.all()
    X = Scaling.fit(data, np.arange(100)).transform(data.X)
    assert not X[:, numeric[~varies]].any()
    assert np.isfinite(X).all()


def test_what_is_a_group_is_read_off_names_and_values(tmp_path: Path) -> None:
    data = load(
        tmp_path,
        '"c:a, b","c:x:y",n:1,n:2,m:1,m:2,z:1,z:2,:odd,y\n'
        "1,0,1,0.5,1,1,1,0,0,1\n"
        "0,1,0,0,0,1,0,0,1,2\n"
        "0,1,0,0,1,0,0,1,1,3\n",
    )
    found = {group.name: (group.columns, group.all_zero, group.one_of_k)
             for group in data.space.groups}  # fmt: skip
    assert found == {
        "c": ((0, 1), False, True),
        "m": ((4, 5), False, False),
        "z": ((6, 7), True, True),
    }
    assert data.space.numeric.tolist() == [2, 3, 8]


def test_groups_keep_the_order_of_appearance_when_interleaved() -> None:
    X = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=float)
    groups = one_hot_groups(["b:1", "a:1", "b:2", "a:2"], X)
    assert [(group.name, group.columns) for group in groups] == [("b", (0, 2)), ("a", (1, 3))]


def test_the_target_may_be_any_column(tmp_path: Path) -> None:
    data = load(tmp_path, "a,y,b\n1,2,3\n4,5,7\n")
    assert data.space.names == ("a", "b")
    assert data.X.tolist() == [[1, 3], [4, 7]]
    assert data.y.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,7,1\n1,7,2\n", "every feature ('a', 'b') has the same value in all rows"),
        ("g:1,g:2,y\n1,0,1\n1,0,2\n", "every feature ('g:1', 'g:2') has the same value"),
        ("a,y\n1,3\n2,3\n", "the response 'y' is 3 in every row"),
        ("a,y\n", "0 rows of data, expected at least 2"),
        ("a,y\n1,2\n", "1 rows of data, expected at least 2"),
        ("a,y\n1,2\n1e200,3\n", "line 3, column 'a' is 1e+200, expected a finite number"),
        ("a,Y\n1,2\n", "no column 'y'; "),
    ],
)
def test_data_that_nothing_can_be_learned_from(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'mine.csv'}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(("scaling", "place"), [("none", 0.25), ("train", 0.0), ("full", 0.0)])
def test_constant_columns_keep_their_place_and_are_named(
    tmp_path: Path, scaling: str, place: float
) -> None:
    header = ",".join([f"c{j}" for j in range(9)] + ["x", "y"])
    same = ",".join(["0.25"] * 9)
    data = load(tmp_path, f"{header}\n{same},0,1\n{same},1,0\n", scaling=scaling)
    (note,) = data.notes
    assert "mine: constant features: 'c0', 'c1', 'c2', 'c3', 'c4' and 4 more" in note
    boxed = Scaling.fit(data, np.arange(2)).transform(data.X)
    assert boxed.tolist() == [[place] * 9 + [0], [place] * 9 + [1]]
    assert load(tmp_path, "a,b,y\n1,2,3\n2,3,4\n").notes == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [("1.5,0.5", "line 5, column 'a' is 1.5"), ("0.5,-0.01", "line 5, column 'y' is -0.01")],
)
def test_unscaled_data_must_lie_in_the_box(tmp_path: Path, row: str, message: str) -> None:
    text = f"a,y\n0,0\n\n1,1\n{row}\n"
    with pytest.raises(DatasetError, match=rf"{message}, outside the box \[0, 1\]"):
        load(tmp_path, text, scaling="none")
    assert load(tmp_path, text, scaling="train").X.shape == (3, 1)


def test_the_fingerprint_depends_on_all_that_matters_and_nothing_else(tmp_path: Path) -> None:
    base = "a,g:1,g:2,y\n1,1,0,1\n2,0,1,2\n3,0,1,4\n"
    variants = [
        load(tmp_path, base),
        load(tmp_path, base.replace("4\n", "5\n")),
        load(tmp_path, base.replace("3,0,1", "3,0,0")),
        load(tmp_path, base.replace("a,", "b,")),
        load(tmp_path, base.replace("g:1", "h:1")),
        load(tmp_path, base, scaling="full"),
        load(tmp_path, base, target="a"),
    ]
    assert len({data.fingerprint for data in variants}) == len(variants)
    other = tmp_path / "other.csv"
    other.write_text(base.replace(",", ";"))
    assert Csv(path=other, target="y").load().fingerprint == variants[0].fingerprint


def test_the_registry_describes_the_loader() -> None:
    assert registry.components("dataset")["csv"] is Csv
    described = {p.name: (p.required, bool(p.description)) for p in registry.parameters(Csv)}
    assert described == {"path": (True, True), "target": (True, True),
                         "scaling": (False, True), "delimiter": (False, True)}  # fmt: skip
