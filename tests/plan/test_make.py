"""From a config to cells: the numbers of poison rows, and what is computed once."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from poisonbench.config import ConfigError, Rate, load
from poisonbench.datasets.diabetes import Diabetes
from poisonbench.plan import rates, summary
from poisonbench.plan.groups import Plan
from poisonbench.plan.make import make_plan

SMALL = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "split": {"train": 100, "validation": 20, "test": 40},
    "seeds": 2,
}


@pytest.fixture
def make(tmp_path):
    def made(*overrides: str, **words: Any) -> Plan:
        path = tmp_path / "x.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **words}))
        return make_plan(load(path, overrides))

    return made


def cells(work: Plan) -> list[str]:
    return [task.id for group in work.groups for task in group.tasks]


@pytest.mark.parametrize(
    ("rate", "of", "n", "expected"),
    [
        (0.145, "clean", 100, 15),  # 14.5 exactly; in floating point 14.499999999999998
        (0.2, "total", 300, 75),
        (0.2, "clean", 300, 60),
        (0.04, "clean", 300, 12),
        (0.0, "clean", 300, 0),
        (0.0, "total", 300, 0),
        (0.005, "clean", 100, 1),
        (0.0049, "clean", 100, 0),
        (0.99, "total", 10, 990),
        (1e-3, "clean", 500, 1),
        (1 / 3, "total", 3, 1),  # 0.3333333333333333: 1.4999999999999998 rows
    ],
)
def test_number_of_poison_rows(rate, of, n, expected):
    assert rates.n_poison(Rate(rate, of), n) == expected


@given(st.decimals(0, 1, places=6).filter(lambda rate: rate < 1), st.integers(1, 10_000))
def test_number_of_poison_rows_is_exact_on_decimals(rate, n):
    half = Decimal("0.5")
    expected = int((rate * n + half).to_integral_value(ROUND_FLOOR))
    assert rates.n_poison(Rate(float(rate), "clean"), n) == expected
    share = Fraction(rate) / (1 - Fraction(rate))
    p = rates.n_poison(Rate(float(rate), "total"), n)
    assert abs(p - share * n) <= Fraction(1, 2)
    assert p == (2 * share * n + 1) // 2


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_rate_that_a_table_shows_gives_its_rows_again(p, n):
    assert rates.n_poison(Rate(p / (n + p), "total"), n) == p
    assert p >= n or rates.n_poison(Rate(p / n, "clean"), n) == p


def test_axes_that_do_not_apply_do_not_multiply(make):
    work = make(
        attack=["optp", "statp", "bgd", "none"],
        initialization=["invflip", "bflip"],
        outer_objective=["training", "validation"],
        poisoning_rate=[0.1, 0.2],
        defense=["none", "oracle", "trim"],
    )
    variants = {"optp": 4, "statp": 1, "bgd": 1}
    for attack, times in variants.items():
        found = [row for row in work.rows if row.labels.attack == attack]
        assert len(found) == times * 2 * 3 * 2  # rates, defenses, seeds
    none = [row for row in work.rows if row.labels.attack == "none"]
    assert len(none) == 3 * 2
    assert {row.labels.poisoning_rate for row in none} == {0.0}
    axes = {
        (row.labels.attack, row.labels.variables, row.labels.initialization,
         row.labels.outer_objective)
        for row in work.rows
    }  # fmt: skip
    assert axes == {
        ("statp", None, None, None),
        ("none", None, None, None),
        ("bgd", "x", "invflip", "training"),
        *(
            ("optp", "xy", initialization, objective)
            for initialization in ("invflip", "bflip")
            for objective in ("training", "validation")
        ),
    }
    assert len(set(cells(work))) == len(cells(work)) == (6 * 2 + 1) * 3 * 2


def test_the_best_of_all_variants_has_no_axes(make):
    work = make(attack={"name": "optp", "best_of": True}, poisoning_rate=0.1)
    assert len(work.rows) == 2
    labels = work.rows[0].labels
    assert (labels.variables, labels.initialization, labels.outer_objective) == (None, None, None)


def test_rate_0_is_computed_once_for_all_attacks(make):
    work = make(attack=["optp", "statp", "bgd", "none"], poisoning_rate=0, defense=["none", "trim"])
    assert len(work.rows) == 4 * 2 * 2
    assert len(cells(work)) == 2 * 2
    assert all(group.poison_file is None for group in work.groups)


def test_two_rates_with_the_same_number_of_rows_are_computed_once(make):
    work = make(attack="statp", poisoning_rate=[0.1, 0.101], defense=["none", "trim"], seeds=1)
    assert [row.labels.poisoning_rate for row in work.rows] == [0.1, 0.1, 0.101, 0.101]
    assert len(work.groups) == 1
    assert len(cells(work)) == 2


def test_both_kinds_of_rate_meet_in_one_poison_set(make):
    """At equal p, a defense that assumes a rate is told different numbers, others are not."""
    work = make(
        attack="statp",
        poisoning_rate=[{"rate": 0.25, "rate_of": "clean"}, {"rate": 0.2, "rate_of": "total"}],
        defense=["none", {"name": "trim", "n_poison": {"rate": 0.2}}],
        seeds=1,
    )
    assert len(work.rows) == 4
    assert [group.n_poison for group in work.groups] == [25]
    assumed = sorted(task.n_poison_assumed or 0 for task in work.groups[0].tasks)
    assert assumed == [0, 21, 25]  # 125 rows: 0.2/1.2 of them, 0.2 of them


def test_the_identity_of_a_cell_holds_only_what_changes_its_numbers(make):
    words = {"attack": ["statp", "bgd"], "poisoning_rate": [0.1, 0.2], "defense": ["none", "trim"]}
    small = make(**words)
    large = make(
        **{
            **words,
            "attack": ["optp", "bgd", "statp"],
            "poisoning_rate": [0.3, 0.2, 0.1],
            "defense": ["huber", "trim", "none"],
            "seeds": 3,
        }
    )
    known = {row.labels: row.cell for row in large.rows}
    assert all(known[row.labels] == row.cell for row in small.rows)
    same = make(
        **{
            **words,
            "attack": ["statp", {"name": "bgd", "iterations": 15}],
            "defense": ["none", {"name": "trim", "n_poison": "oracle"}],
        }
    )
    assert cells(same) == cells(small)
    other = make(**{**words, "model": {"name": "ridge", "alpha": 0.2}})
    assert not set(cells(other)) & set(cells(small))


def test_the_identity_of_a_cell_holds_the_content_of_files(make, tmp_path):
    def poison(value: float) -> str:
        X = np.zeros((5, 11))
        X[:, 1] = 1
        np.savez(tmp_path / "p.npz", X=X, y=np.full(5, value))
        return cells(make(attack={"name": "file", "path": "p.npz"}))[0]

    first = poison(1.0)
    assert poison(0.0) != first
    assert poison(1.0) == first


def test_counts(make):
    work = make(
        attack=["statp", "none"], poisoning_rate=[0, 0.1, 0.2], defense=["none", "oracle", "trim"]
    )
    assert summary.counts(work) == (
        "1 dataset, 1 split, 1 model, 2 attack variants, 3 rates, 3 defenses, 2 seeds, "
        "4 poison sets, 18 cells"
    )
    lines = summary.describe(work).splitlines()[1:]
    assert len(lines) == 4
    assert lines[1].strip() == ("diabetes 100/20/40 ridge(alpha=0.1) statp at 0.1 of clean "
                                "(10 poison rows): 6 rows")  # fmt: skip


def test_a_split_that_the_data_cannot_fill(make):
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: split: .*has 442"):
        make(attack="none", split={"train": 300, "validation": 100, "test": 100})


def test_a_rate_that_does_not_fit_the_file(make, tmp_path):
    X = np.zeros((5, 11))
    X[:, 1] = 1
    np.savez(tmp_path / "p.npz", X=X, y=np.ones(5))
    attack = {"name": "file", "path": "p.npz"}
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: poisoning_rate: .* 5 rows.*10 rows"):
        make(attack=attack, poisoning_rate=0.1)
    with pytest.raises(ConfigError, match=r"0\.1 of clean means 10 rows"):
        make(attack=attack, poisoning_rate=[0.05, 0.1])
    for words in ({"poisoning_rate": 0.05}, {}):
        work = make(attack=attack, **words)
        assert {row.labels.poisoning_rate for row in work.rows} == {0.05}
        assert {group.n_poison for group in work.groups} == {5}
    both = make(attack=[attack, "statp"], poisoning_rate=[0.1, 0.05], seeds=1)
    size = {task.id: group.n_poison for group in both.groups for task in group.tasks}
    assert [(row.labels.attack, size[row.cell]) for row in both.rows] == [
        ("file", 5), ("statp", 10), ("statp", 5)
    ]  # fmt: skip


def test_a_file_with_illegal_rows_is_refused_before_any_computation(make, tmp_path):
    np.savez(tmp_path / "p.npz", X=np.full((5, 11), 0.5), y=np.ones(5))
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: attack.*p\.npz: row 0, one-hot column"):
        make(attack={"name": "file", "path": "p.npz"})


def test_a_split_file_without_validation_rows(make, tmp_path):
    np.savez(tmp_path / "s.npz", train=np.arange(50), validation=np.arange(0),
             test=np.arange(60, 90))  # fmt: skip
    split = {"indices": "s.npz"}
    assert make(attack="statp", poisoning_rate=0.1, split=split).groups
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: split.*no validation rows, which optp"):
        make(attack="optp", poisoning_rate=0.1, split=split)


def test_a_defense_that_would_take_every_row_for_poison(make):
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: defense.*500 rows.*110 training rows"):
        make(attack="statp", poisoning_rate=0.1,
             defense={"name": "trim", "n_poison": {"count": 500}})  # fmt: skip


def test_defenses_told_the_same_number_share_a_cell_but_not_a_label(make):
    def told(count: int, rate: float) -> Any:
        return make(attack="statp", poisoning_rate=rate, seeds=1,
                    defense=["trim", {"name": "trim", "n_poison": {"count": count}}])  # fmt: skip

    # With poison they are told the same here, but not on the clean rows, which are in the cell too.
    assert len(cells(told(10, 0.1))) == 2
    work = told(0, 0)
    assert len(cells(work)) == 1
    assert [row.labels.n_poison_source for row in work.rows] == ["oracle", "count"]


def test_what_the_strength_is_selected_on_makes_no_other_poison_set(make):
    work = make(attack="statp", poisoning_rate=0.1, seeds=1, defense=["none", "trim"],
                model={"name": "ridge", "select_on": ["clean", "poisoned"]})  # fmt: skip
    assert len(work.groups) == 1
    assert len(cells(work)) == 4


def test_files_of_the_same_name_are_not_mixed(make, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("p", "q"):
        (tmp_path / folder).mkdir()
        rows = rng.random((200, 3))
        text = "a,b,y\n" + "\n".join(",".join(map(str, row)) for row in rows)
        (tmp_path / folder / "d.csv").write_text(text)
    data = {"name": "csv", "path": ["p/d.csv", "q/d.csv"], "target": "y"}
    with pytest.raises(ConfigError, match="same labels"):
        make(attack="statp", poisoning_rate=0.1, dataset=data)
    targets = make(attack="statp", poisoning_rate=0.1,
                   dataset={**data, "path": "p/d.csv", "target": ["a", "y"]})  # fmt: skip
    assert {row.labels.target for row in targets.rows} == {"a", "y"}


def test_long_parameters_stay_apart(make):
    groups = [[2] * 40 + [k] for k in (3, 4)]
    data = [{"name": "synthetic", "n": 400, "groups": sizes} for sizes in groups]
    work = make(attack="none", dataset=data, poisoning_rate=0.1)
    assert len({row.labels.dataset_parameters for row in work.rows}) == 2
    assert len(work.datasets) == 2


@pytest.mark.parametrize("scaling", ["none", "train"])
def test_a_csv_of_illegal_rows_is_refused_before_any_computation(make, tmp_path, scaling):
    rng = np.random.default_rng(0)
    columns = [rng.random(200), rng.integers(0, 2, 200), rng.random(200)]
    rows = [f"{a},{b},{1 - b},{y}" for a, b, y in zip(*columns, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["a,g:0,g:1,y", *rows]))
    data = {"name": "csv", "path": "d.csv", "target": "y", "scaling": scaling}
    attack = {"name": "file", "path": "p.csv"}
    for row, wrong in (("0.5,1,1,0.5", "2 ones"), ("1.5,1,0,0.5", "1.5, outside the box")):
        (tmp_path / "p.csv").write_text(f"a,g:0,g:1,y\n{row}\n")
        if scaling == "train" and row.startswith("1.5"):
            assert make(attack=attack, dataset=data).groups  # the seeds' bounds decide
            continue
        with pytest.raises(ConfigError, match=rf"x\.yaml:\d+: attack.*p\.csv: .*{wrong}"):
            make(attack=attack, dataset=data)


def test_an_empty_poison_file(make, tmp_path):
    np.savez(tmp_path / "p.npz", X=np.empty((0, 11)), y=np.empty(0))
    with pytest.raises(ConfigError, match="no rows"):
        make(attack={"name": "file", "path": "p.npz"})


def test_more_poison_than_any_machine_holds(make):
    with pytest.raises(
        ConfigError, match=r"poisoning_rate: 0\.999999999 of total means \d+ poison"
    ):
        make(attack="statp", poisoning_rate=0.999999999, rate_of="total")


def test_a_defense_that_needs_more_rows_than_there_are(make):
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: defense.*RONIDefense: train_share"):
        make(attack="statp", poisoning_rate=0.1,
             defense={"name": "roni", "train_share": 0.9, "validation_share": 0.9})  # fmt: skip


def test_a_search_for_the_rate_that_compares_none(make):
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: defense.*step is 0\.4, expected at most"):
        make(attack="statp", poisoning_rate=0.1, defense={"name": "itrim", "step": 0.4})


def test_poison_that_was_made_with_test_rows_is_refused(make, tmp_path):
    X = np.zeros((5, 11))
    X[:, 1] = 1
    rows = {"train": np.arange(100), "validation": np.arange(100, 120), "test": np.arange(200, 240)}
    np.savez(tmp_path / "p.npz", X=X, y=np.ones(5), **rows)
    attack = {"name": "file", "path": "p.npz"}
    with pytest.raises(
        ConfigError, match=r"attack.*test rows of seed 0 here; expected split: {indices"
    ):
        make(attack=attack)
    assert make(attack=attack, split={"indices": "p.npz"}).groups


def test_data_that_are_absent_are_told_together_with_the_command_that_fetches_them(
    make, tmp_path, monkeypatch
):
    monkeypatch.setenv("POISONBENCH_DATA", str(tmp_path / "nothing"))
    with pytest.raises(
        ConfigError, match=r"x\.yaml:\d+: dataset(?s:.*)datasets fetch house health"
    ):
        make(attack="statp", poisoning_rate=0.1, dataset=["diabetes", "house", "health"])


def test_data_that_do_not_fit_into_memory(make, monkeypatch):
    def load(self):
        raise MemoryError

    monkeypatch.setattr(Diabetes, "load", load)
    with pytest.raises(ConfigError, match=r"x\.yaml:2: dataset: the data do not fit into memory"):
        make(attack="statp", poisoning_rate=0.1)


GIVEN = {"attack": "statp", "poisoning_rate": 0.1, "defense": "none"}


def warnings_of(work: Plan) -> list[str]:
    return [note for note in work.notes if note.startswith("warning: poisoning rate")]


def test_rates_that_round_to_no_poison_row_are_named(make):
    """With 100 clean rows, 0.5% is one row and less than that is none."""
    assert warnings_of(make(**{**GIVEN, "poisoning_rate": [0, 0.005, 0.1]})) == []
    rates_given = [0.1, 0.004, 0, 0.001, 0.0005, 0.003, 0.002, 0.005]
    found = warnings_of(make(**{**GIVEN, "poisoning_rate": rates_given}))
    named = [note.split(" of ")[0].removeprefix("warning: poisoning rate ") for note in found]
    assert named == ["0.0005", "0.001", "0.002", "0.003", "0.004"]
    assert found[0].endswith(
        "of diabetes rounds to 0 poison rows, so its cells show errors without poison for every "
        "attack"
    )


def test_what_is_wrong_with_data_sets_is_said_of_all_of_them(make, tmp_path):
    paths = [tmp_path / name for name in ("one.csv", "two.csv")]
    for path in paths:
        path.write_text("x,y\n1,2\n2,3\n")
    files = [{"name": "csv", "path": str(path), "target": "z"} for path in paths]
    with pytest.raises(ConfigError) as raised:
        make(**GIVEN, dataset=files)
    message = str(raised.value)
    assert all(f"{path}: no column 'z'" in message for path in paths), message


@pytest.mark.parametrize("count", [108, 110, 111])
def test_a_defense_cannot_take_all_rows_for_poison(make, count):
    words = {**GIVEN, "defense": {"name": "trim", "n_poison": {"count": count}}}
    if count == 108:  # TRIM keeps two rows
        assert cells(make(**words))
        return
    message = (
        f"would treat {count} rows as poison, but there are only 110 training rows, 10 of them"
    )
    with pytest.raises(ConfigError, match=message):
        make(**words)


@pytest.mark.parametrize("written", [False, True], ids=["numbers of rows", "rows in a file"])
@pytest.mark.parametrize("n_clean", [201, 202])
def test_a_surrogate_sample_needs_as_many_spare_rows_as_there_are_clean_ones(
    make, tmp_path, n_clean, written
):
    """Of 442 rows, the split leaves 442 - 40 - n_clean."""
    split: dict[str, Any] = {"train": n_clean, "validation": 20, "test": 20}
    if written:
        rows = np.arange(442)
        np.savez(tmp_path / "split.npz", train=rows[:n_clean], validation=rows[n_clean:][:20],
                 test=rows[-20:])  # fmt: skip
        split = {"indices": str(tmp_path / "split.npz")}
    attack = {"name": "statp", "knowledge": {"surrogate": "data"}}
    if n_clean == 201:
        assert cells(make(**{**GIVEN, "split": split, "attack": attack}))
        return
    message = "needs a surrogate sample of 202 rows, .* the split leaves 200 of 442 rows"
    with pytest.raises(ConfigError, match=message):
        make(**{**GIVEN, "split": split, "attack": attack})


@pytest.mark.parametrize("what", ["attack", "split"])
def test_the_content_of_a_file_that_a_config_names_belongs_to_the_plan(make, tmp_path, what):
    rng = np.random.default_rng(0)
    path, rows = tmp_path / "given.npz", rng.permutation(442)
    words: dict[str, Any] = {
        "attack": {"attack": {"name": "file", "path": str(path)}, "defense": "none"},
        "split": {**GIVEN, "split": {"indices": str(path)}},
    }[what]

    def content(change: int) -> Any:
        if what == "split":
            np.savez(path, train=rows[change : 100 + change], validation=rows[200:220],
                     test=rows[300:340])  # fmt: skip
        else:
            names = Diabetes().load().space.names
            X = np.zeros((10, len(names)))
            X[:, names.index("sex:1")] = 1
            X[:, names.index("age")] = change / 2
            np.savez(path, X=X, y=np.ones(10), feature_names=names)
        return make(**words).identity()

    assert content(0) == content(0) != content(1)
