"""What a cell's number depends on is in its identity, and nothing else is."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from poisonbench.config import load
from poisonbench.plan.identity import digest
from poisonbench.plan.make import make_plan

PARTS = ("train", "validation", "test")


def write_csv(path: Path, *, rows: int = 40, seed: int = 0, scale: float = 1.0) -> None:
    """Write data with a group, of which the last row holds the largest and smallest values.

    So the box is the same whatever the others are multiplied by.
    """
    rng = np.random.default_rng(seed)
    x, group = rng.random((rows, 2)), rng.integers(0, 2, rows)
    y = x @ [1.0, 0.5] + 0.3 * group + 0.1 * rng.standard_normal(rows)
    lines = [
        f"{scale * a:.6f},{b:.6f},{g},{1 - g},{value:.6f}"
        for (a, b), g, value in zip(x, group, y, strict=True)
    ]
    path.write_text("\n".join(["a,b,g:0,g:1,y", *lines]) + "\n")


def write_split(path: Path, **moved: list[int]) -> None:
    rows = {"train": [*range(20)], "validation": [*range(20, 26)], "test": [*range(26, 34)]}
    np.savez(path, **{part: np.array(moved.get(part, rows[part])) for part in PARTS})


def write_poison(path: Path, response: float) -> None:
    X = np.array([[0.5, 0.5, 1.0, 0.0]] * 4)
    np.savez(path, X=X, y=np.full(4, response))


OPTP = {"name": "optp", "iterations": 0, "initialization": "invflip",
        "outer_objective": "validation"}  # fmt: skip
BASE: dict[str, Any] = {
    "dataset": {"name": "csv", "path": "d.csv", "target": "y"},
    "model": {"name": "ridge", "lambda": 0.01},
    "split": {"indices": "s.npz"},
    "attack": OPTP,
    "poisoning_rate": 0.2,
    "defense": {"name": "huber", "epsilon": 1.5},
    "seeds": [0],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that BASE and the tests name."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "d.csv")
    write_split(tmp_path / "s.npz")
    write_poison(tmp_path / "p.npz", 1.0)
    return tmp_path


def identities(**words: Any) -> tuple[str, str]:
    """Return the identities of the one poison set and the one cell of BASE with other words."""
    Path("x.yaml").write_text(yaml.safe_dump({**BASE, **words}))
    (group,) = make_plan(load(Path("x.yaml"))).groups
    (task,) = group.tasks
    assert group.poison_file is None or group.id[:12] in group.poison_file
    return group.id, task.id


OTHER_POISON_SET: dict[str, dict[str, Any]] = {
    "target": {"dataset": {**BASE["dataset"], "target": "b"}},
    "scaling": {"dataset": {**BASE["dataset"], "scaling": "full"}},
    "learner": {"model": {"name": "lasso", "lambda": 0.01}},
    "strength": {"model": {"name": "ridge", "lambda": 0.02}},
    "convention of the strength": {"model": {"name": "ridge", "alpha": 0.01}},
    "selected strength": {"model": {"name": "ridge", "lambda": "cv"}},
    "mixture of penalties": {"model": {"name": "elastic-net", "lambda": 0.01, "rho": 0.3}},
    "other mixture of penalties": {"model": {"name": "elastic-net", "lambda": 0.01, "rho": 0.4}},
    "attack": {"attack": "bgd"},
    "parameter of the attack": {"attack": {**OPTP, "iterations": 1}},
    "variables": {"attack": {**OPTP, "variables": "x"}},
    "initialization": {"attack": {**OPTP, "initialization": "bflip"}},
    "objective": {"attack": {**OPTP, "outer_objective": "training"}},
    "poison rows": {"poisoning_rate": 0.25},
    "seed": {"seeds": [1]},
    "drawn split": {"split": {"train": 20, "validation": 6, "test": 8}},
    "drawn training rows": {"split": {"train": 18, "validation": 6, "test": 8}},
    "drawn validation rows": {"split": {"train": 20, "validation": 7, "test": 8}},
    "drawn test rows": {"split": {"train": 20, "validation": 6, "test": 9}},
}

OTHER_CELL: dict[str, dict[str, Any]] = {
    "defense": {"defense": "nlid"},
    "reference row": {"defense": "none"},
    "other reference row": {"defense": "oracle"},
    "parameter of the defense": {"defense": {"name": "huber", "epsilon": 1.6}},
    "another defense's p": {"defense": "trim"},
    "estimated p": {"defense": {"name": "trim", "n_poison": "estimated"}},
    "assumed count": {"defense": {"name": "trim", "n_poison": {"count": 4}}},  # here p, but
    # not on the clean rows, which the cell's ratio is to
    "assumed no poison": {"defense": {"name": "trim", "n_poison": {"count": 0}}},
    "assumed other count": {"defense": {"name": "trim", "n_poison": {"count": 3}}},
}


def test_whatever_changes_a_poison_set_changes_its_identity_and_its_cells(folder):
    base = identities()
    found = {"nothing": base} | {
        name: identities(**words) for name, words in OTHER_POISON_SET.items()
    }
    for place in range(2):
        kept: dict[str, str] = {}
        for name, ids in found.items():
            assert ids[place] not in kept, f"{name} and {kept[ids[place]]} share an identity"
            kept[ids[place]] = name


def test_whatever_changes_a_cell_changes_its_identity_and_no_poison_set(folder):
    base = identities()
    found = {"nothing": base} | {name: identities(**words) for name, words in OTHER_CELL.items()}
    assert {ids[0] for ids in found.values()} == {base[0]}
    kept: dict[str, str] = {}
    for name, ids in found.items():
        assert ids[1] not in kept, f"{name} and {kept[ids[1]]} share an identity"
        kept[ids[1]] = name


def test_on_what_the_strength_is_selected_is_of_the_cell_alone(folder):
    clean, poisoned = (
        identities(model={"name": "ridge", "select_on": rows}) for rows in ("clean", "poisoned")
    )
    assert clean[0] == poisoned[0]
    assert clean[1] != poisoned[1]


@pytest.mark.parametrize(
    "moved",
    [
        {"train": [*range(19), 34]},
        {"train": [1, 0, *range(2, 20)]},  # sums of floating point numbers run in this order
        {"validation": [*range(20, 25), 34]},
        {"test": [*range(26, 33), 34]},
        {"train": [*range(19), 26], "test": [19, *range(27, 34)]},
    ],
)
def test_the_rows_of_a_given_split(folder, moved):
    base = identities()
    write_split(folder / "s.npz", **moved)
    assert not {*base} & {*identities()}


def test_the_content_of_files_counts_and_their_names_do_not(folder):
    base = identities()
    for name, words in (
        ("d.csv", {"dataset": {**BASE["dataset"], "path": "other.csv"}}),
        ("s.npz", {"split": {"indices": "other.npz"}}),
    ):
        content = (folder / name).read_bytes()
        (folder / name.replace(name[0], "other", 1)).write_bytes(content)
        assert identities(**words) == base
    write_csv(folder / "d.csv", scale=2.0)  # the same in the box, but for rounding
    assert not {*base} & {*identities()}

    attack = {"attack": {"name": "file", "path": "p.npz"}}
    poison = identities(**attack)
    write_poison(folder / "q.npz", 1.0)
    assert identities(attack={"name": "file", "path": "q.npz"}) == poison
    write_poison(folder / "p.npz", 0.9)
    assert not {*poison} & {*identities(**attack)}


def test_the_version_of_the_results(folder, monkeypatch):
    base = identities()
    holders = [
        module
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] == "poisonbench" and hasattr(module, "RESULT_VERSION")
    ]
    version = holders[0].RESULT_VERSION
    for module in holders:
        monkeypatch.setattr(module, "RESULT_VERSION", version + 1)
    assert not {*base} & {*identities()}


def test_what_changes_no_number_changes_no_identity(folder):
    base = identities()
    assert identities(poisoning_rate={"rate": 0.16666666666666666, "rate_of": "total"}) == base
    assert identities(poisoning_rate=0.21) == base  # 4 rows as well
    assert identities(defense={"name": "huber", "epsilon": 1.5, "max_iter": 100}) == base
    assert identities(attack={**OPTP, "variables": "xy"}) == base
    assert identities(seeds={"count": 1, "start": 0}) == base


def test_without_poison_the_attack_is_in_no_identity(folder):
    attacks = ("none", "statp", "bgd", OPTP)
    assert len({identities(attack=attack, poisoning_rate=0) for attack in attacks}) == 1


def test_rows_of_one_split_are_never_shown_as_anothers(folder, bench):
    """Two splits of the same sizes in one run have each its own numbers."""
    write_split(folder / "t.npz", test=[*range(30, 38)])
    config = {**BASE, "defense": ["none", "oracle", "trim"], "poisoning_rate": [0, 0.2]}
    both = bench.results({**config, "split": {"indices": ["s.npz", "t.npz"]}}, out="both")
    alone = {
        name: bench.results({**config, "split": {"indices": f"{name}.npz"}}, out=name)
        for name in ("s", "t")
    }
    assert len(both) == 2 * len(alone["s"])
    for name, rows in alone.items():
        shown = both[both["split"].str.contains(f"{name}.npz", regex=False)]
        assert shown.reset_index(drop=True).equals(rows), name
    assert not np.isclose(alone["s"]["test_mse"], alone["t"]["test_mse"]).any()


def test_the_form_that_is_hashed():
    """Pinned: another form would make every cell of every output folder another."""
    expected = hashlib.sha256(b'[{"a":[1,null],"b":2.5},"x"]').hexdigest()
    assert digest({"b": 2.5, "a": [1, None]}, "x") == expected


def test_test_rows_are_unseen_with_every_seed(folder, bench):
    """Rows that the attack had, and that are test rows of a later seed only, are found."""
    drawn = {**BASE, "split": {"train": 20, "validation": 6, "test": 8}, "seeds": 2}
    out = bench.run({**drawn, "attack": "statp"})
    test = []
    for seed in range(2):
        (path,) = (out / "poison").glob(f"*-seed{seed}-*")
        with np.load(path) as file:
            test.append({*file["test"].tolist()})
    X = np.array([[0.5, 0.5, 1.0, 0.0]] * 4)
    for row, refused in ((test[1] - test[0], True), (test[0] - test[1], True),
                         ({*range(40)} - test[0] - test[1], False)):  # fmt: skip
        seen = np.array([min(row)])
        for part, other in (("train", "validation"), ("validation", "train")):
            np.savez("seen.npz", X=X, y=np.ones(4), **{part: seen, other: seen[:0]})
            config = {**drawn, "attack": {"name": "file", "path": "seen.npz"}}
            result = bench.invoke(config, "--dry-run", code=2 if refused else 0)
            seed = 1 if min(row) in test[1] else 0
            assert (f"test rows of seed {seed}" in result.stderr) == refused
