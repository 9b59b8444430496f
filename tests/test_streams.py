"""Which random stream each part of the pipeline gets, and which streams cells share."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poisonbench.models import Lasso, Ridge

N_TRAIN = 20

PARTIES = '''
"""An attack and a defense that keep what they are given."""

import numpy as np

from poisonbench.attacks.base import Attack
from poisonbench.defenses.base import Defense
from poisonbench.problem import PoisonSet

SEEN = []


class Watcher(Attack):
    """Copies of the first training rows."""

    name = "watcher"
    reference = "nobody"

    def __init__(self, *, label: int = 0) -> None:
        self.label = label

    def generate(self, problem):
        """Return the poison rows."""
        SEEN.append(("attack", problem.entropy))
        SEEN.append(("train", tuple(problem.train.y)))
        p = problem.n_poison
        return PoisonSet(problem.train.X[:p].copy(), problem.train.y[:p].copy())


class Guard(Defense):
    """Predicts 0."""

    name = "guard"
    reference = "nobody"

    def __init__(self, *, label: int = 0, random_state: int | None = None) -> None:
        self.label = label
        self.random_state = random_state

    def fit(self, X, y):
        """Keep what is given."""
        SEEN.append(("defense", self.random_state))
        SEEN.append(("order", tuple(y)))
        self.coef_, self.intercept_, self.n_features_in_ = np.zeros(X.shape[1]), 0.0, X.shape[1]
        return self


class OtherGuard(Guard):
    """Predicts 0, under another name."""

    name = "other-guard"
'''


def write(folder: Path, name: str, last: float = 0.5) -> None:
    """Write data of which `last` is a value of a row that is in no part of the split."""
    rng = np.random.default_rng(1)
    X = rng.random((40, 2))
    y = X @ [0.6, 0.3] + 0.1 * rng.standard_normal(40)
    rows = [f"{a:.6f},{b:.6f},{value:.6f}" for (a, b), value in zip(X, y, strict=True)]
    rows[-1] = f"{last},0.5,0.5"
    (folder / name).write_text("\n".join(["a,b,y", *rows]) + "\n")


@pytest.fixture
def watch(bench, plugin):
    """Runs a config and returns what the parties were given, by what it is."""
    plugin(PARTIES, attacks="Watcher", defenses="Guard OtherGuard")
    write(bench.folder, "d.csv")
    write(bench.folder, "e.csv", last=0.6)
    np.savez(bench.folder / "s.npz", train=np.arange(N_TRAIN), validation=np.arange(20, 28),
             test=np.arange(28, 38))  # fmt: skip
    config = {
        "dataset": {"name": "csv", "path": "d.csv", "target": "y"},
        "split": {"indices": "s.npz"},
        "model": {"name": "ridge", "lambda": 0.01},
        "attack": "watcher",
        "poisoning_rate": 0.2,
        "defense": "guard",
        "seeds": [0],
    }
    numbers = itertools.count()

    def watched(**words: Any) -> dict[str, list[Any]]:
        bench.run({**config, **words}, out=f"out{next(numbers)}")
        seen = sys.modules["toys"].SEEN
        found = {kind: [value for what, value in seen if what == kind]
                 for kind in ("attack", "train", "defense", "order")}  # fmt: skip
        seen.clear()
        # A fit to the clean rows may have been made before, for another test.
        found["order"] = [rows for rows in found["order"] if len(rows) > N_TRAIN]
        return found

    return watched


OTHER_DATA = {"dataset": {"name": "csv", "path": "e.csv", "target": "y"}}


def test_every_party_has_another_stream_with_another_seed(watch):
    found = watch(seeds=5)
    assert len(set(found["attack"])) == 5
    assert len(set(found["defense"])) == 5
    assert len(set(found["train"])) == 1  # the given split, in its order
    assert len(set(found["order"])) == 5
    assert len({tuple(sorted(rows)) for rows in found["order"]}) == 1


def test_every_party_has_another_stream_with_other_data(watch):
    one, other = watch(), watch(**OTHER_DATA)
    assert one["train"] == other["train"]  # the rows of the parts are the same ones
    assert one["attack"] != other["attack"]
    assert not {*one["defense"]} & {*other["defense"]}
    assert not {*one["order"]} & {*other["order"]}
    assert {tuple(sorted(rows)) for rows in one["order"]} == {
        tuple(sorted(rows)) for rows in other["order"]
    }


def test_defenses_of_other_names_have_other_streams_and_the_same_rows(watch):
    found = watch(defense=["guard", "other-guard", {"name": "guard", "label": 1}])
    assert len(set(found["defense"])) == 2  # a parameter does not change the stream
    assert len(set(found["order"])) == 1


def test_what_else_is_in_a_config_changes_no_stream(watch):
    alone = watch()
    more = watch(
        attack=["watcher", {"name": "watcher", "label": 1}, "statp"],
        poisoning_rate=[0.1, 0.2, 0.3],
        defense=["other-guard", "guard"],
        model=[{"name": "ridge", "lambda": 0.01}, "ols"],
        seeds=[3, 0],
    )
    for kind, values in alone.items():
        assert {*values} <= {*more[kind]}, kind
    assert len(set(more["attack"])) == 2  # of the seeds: attacks and rates are paired


def test_a_drawn_split_is_the_seeds_and_the_contents(watch):
    split = {"split": {"train": 20, "validation": 8, "test": 10}}
    seeds = watch(**split, seeds=4)["train"]
    assert len({*seeds}) == len(seeds) == 4
    (other,) = watch(**split, **OTHER_DATA)["train"]
    assert {*np.round(other, 6)} != {*np.round(seeds[0], 6)}
    (fewer_test_rows,) = watch(split={"train": 20, "validation": 8, "test": 5})["train"]
    assert fewer_test_rows == seeds[0]


@pytest.fixture
def selections(monkeypatch):
    """Every selection of a strength: learner, rows, seed of the folds, and what it gave."""
    made: list[tuple[Any, ...]] = []
    for cls in (Ridge, Lasso):

        def select(self, X, y, *, random_state, of=cls.select_lambda):
            found = of(self, X, y, random_state=random_state)
            made.append(
                (type(self).__name__.lower(), X.tobytes(), y.tobytes(), random_state, found)
            )
            return found

        monkeypatch.setattr(cls, "select_lambda", select)
    return made


def test_a_strength_is_selected_once_for_each_learner_split_and_seed(bench, selections):
    """And for no two of them together: LASSO never gets the strength of ridge."""
    config = {
        "dataset": {"name": "synthetic", "n": 50, "d": 5, "seed": 31},
        "split": [{"train": 20, "validation": 8, "test": 10},
                  {"train": 21, "validation": 8, "test": 10}],
        "model": [{"name": "ridge", "lambda": "cv"}, {"name": "lasso", "lambda": "cv"}],
        "attack": ["statp", {"name": "optp", "iterations": 0}],
        "poisoning_rate": 0.2,
        "defense": ["none", "trim"],
        "seeds": 2,
    }  # fmt: skip
    results = bench.results(config)
    assert len(selections) == 2 * 2 * 2
    assert len({made[:4] for made in selections}) == len(selections)
    assert len({made[3] for made in selections}) == 2  # folds go by the seed
    for model in ("ridge", "lasso"):
        of_model = results[results["model"] == model]
        shown = of_model.drop_duplicates(["split", "seed"])["lambda"]
        assert np.isclose(of_model["lambda"].to_numpy()[:, None], shown).any(axis=1).all()
        chosen = sorted(made[-1] for made in selections if made[0] == model)
        assert sorted(shown) == pytest.approx(chosen)
    assert not {made[-1] for made in selections if made[0] == "ridge"} & {
        made[-1] for made in selections if made[0] == "lasso"
    }


def test_folds_go_by_the_seed_and_the_content_where_the_rows_are_given(bench, selections):
    write(bench.folder, "d.csv")
    write(bench.folder, "e.csv", last=0.6)
    np.savez(bench.folder / "s.npz", train=np.arange(N_TRAIN), validation=np.arange(20, 28),
             test=np.arange(28, 38))  # fmt: skip
    for path in ("d.csv", "e.csv"):
        bench.run(
            {
                "dataset": {"name": "csv", "path": path, "target": "y"},
                "split": {"indices": "s.npz"},
                "model": {"name": "lasso", "lambda": "cv"},
                "attack": "none",
                "defense": "none",
                "seeds": 3,
            },
            out=path[0],
        )
    assert len({made[1:3] for made in selections}) == 1
    assert len({made[3] for made in selections}) == 6


def test_a_strength_selected_on_poisoned_rows_is_of_these_rows(bench, selections):
    config = {
        "dataset": {"name": "synthetic", "n": 50, "d": 5, "seed": 32},
        "split": {"train": 20, "validation": 8, "test": 10},
        "model": {"name": "ridge", "lambda": "cv", "select_on": "poisoned"},
        "attack": ["statp", {"name": "optp", "iterations": 0}],
        "poisoning_rate": [0.1, 0.2],
        "defense": ["none", "trim"],
        "seeds": 1,
    }
    results = bench.results(config)
    assert len(selections) == 1 + 2 * 2  # the attacker's, and one for each poisoned set
    assert len({made[1:3] for made in selections}) == 5
    assert sorted({*results["lambda"]}) == pytest.approx(
        sorted({made[-1] for made in selections[1:]})
    )


def test_a_strength_is_of_these_responses(bench, selections):
    """The two starts of optp are the same rows with other responses."""
    config = {
        "dataset": {"name": "synthetic", "n": 50, "d": 5, "seed": 33},
        "split": {"train": 20, "validation": 8, "test": 10},
        "model": {"name": "ridge", "lambda": "cv", "select_on": "poisoned"},
        "attack": {"name": "optp", "iterations": 0, "initialization": ["invflip", "bflip"]},
        "poisoning_rate": 0.2,
        "defense": "none",
        "seeds": 1,
    }
    bench.run(config)
    assert len({made[1] for made in selections}) == 2  # the clean rows, and these
    assert len({made[2] for made in selections}) == len(selections) == 3


RIDGE = {"name": "ridge", "lambda": 0.01}
RANSAC = {"name": "ransac", "max_trials": 1, "refinements": 0, "min_samples": 0.25}


@pytest.mark.parametrize(
    ("words", "varied"),
    [
        ({"dataset": {"name": "csv", "path": ["d.csv", "e.csv"], "target": "y"}}, "dataset"),
        ({"split": {"indices": ["s.npz", "t.npz", "u.npz"]}}, "split"),
        ({"seeds": 3}, "seed"),
        ({"model": [RIDGE, {"name": "lasso", "lambda": 0.01}]}, "model"),
        ({"model": {"name": "ridge", "lambda": [0.01, 0.3]}}, "model_parameters"),
        ({"defense": [RANSAC, "none", "median"]}, "defense"),
        ({"defense": [RANSAC, {**RANSAC, "min_samples": 0.5}]}, "defense_parameters"),
        ({"defense": {"name": "trim", "n_poison": [{"count": 4}, {"count": 5}]}},
         "defense_parameters"),
    ],
)  # fmt: skip
def test_the_error_on_clean_rows_is_the_cells_own(bench, words, varied):
    """Where two cells differ in one thing alone, neither gets the other's."""
    for name, last in (("d.csv", 0.5), ("e.csv", 0.6)):
        write(bench.folder, name, last=last)
    train, test = np.arange(N_TRAIN), np.arange(28, 38)
    for name, rows in (("s", (train, test)), ("t", (train, test - 1)), ("u", (train + 1, test))):
        np.savez(bench.folder / f"{name}.npz", train=rows[0], validation=np.arange(21, 27),
                 test=rows[1])  # fmt: skip
    config = {
        "dataset": {"name": "csv", "path": "d.csv", "target": "y"},
        "split": {"indices": "s.npz"},
        "model": RIDGE,
        "attack": "statp",
        "poisoning_rate": [0, 0.2],
        "defense": RANSAC,
        "seeds": 1,
    }
    table = bench.results({**config, **words}).set_index(varied)
    clean, poisoned = (table[rows] for rows in (table["n_poison"] == 0, table["n_poison"] > 0))
    assert clean.index.is_unique
    assert clean["test_mse"].nunique() == len(clean) > 1
    expected = poisoned["test_mse"] / clean["test_mse"]
    assert poisoned["ratio_to_own_clean"].to_numpy() == pytest.approx(
        expected.to_numpy(), rel=1e-12
    )
