"""What an attacker uses in place of the training set and the learner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poisonbench import registry
from poisonbench.attacks.base import Attack
from poisonbench.models import Lasso, Ridge
from poisonbench.problem import AttackProblem, PoisonSet

CONFIG: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 150, "groups": [3]},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": "statp",
    "split": {"train": 50, "validation": 20, "test": 30},
    "poisoning_rate": 0.2,
    "seeds": 2,
}
SEEN: list[AttackProblem] = []


class Watch(Attack):
    """Keep what the attacker is given, and return copies of its rows."""

    name = "watch"
    reference = "a test"

    def generate(self, problem: AttackProblem) -> PoisonSet:
        SEEN.append(problem)
        rows = np.arange(problem.n_poison)
        return PoisonSet(problem.train.X[rows], problem.train.y[rows])


@pytest.fixture
def problems(bench, monkeypatch):
    """Run an attacker with this knowledge, and return its problem for each seed."""
    known = {**registry.components("attack"), "watch": Watch}
    components = registry.components
    monkeypatch.setattr(
        registry, "components", lambda kind: known if kind == "attack" else components(kind)
    )

    def run(knowledge: dict[str, str] | None = None, **words: Any) -> list[AttackProblem]:
        SEEN.clear()
        given = {"name": "watch", **({"knowledge": knowledge} if knowledge else {})}
        bench.run(
            {**CONFIG, "attack": given, **words}, out=f"out-{len(list(bench.folder.iterdir()))}"
        )
        return list(SEEN)

    return run


def rows(problem: AttackProblem) -> set[bytes]:
    return {row.tobytes() for row in problem.train.X}


def test_a_data_surrogate_is_a_disjoint_sample_of_the_same_size(problems):
    for white, black in zip(problems(), problems({"surrogate": "data"}), strict=True):
        assert len(black.train) == len(white.train) == 50
        assert rows(white).isdisjoint(rows(black))
        assert black.train.X.min() >= 0
        assert black.train.X.max() <= 1
        # The same learner, fitted on other rows.
        assert isinstance(black.model, Ridge)
        assert black.model.alpha == white.model.alpha
        assert not np.allclose(black.model.coef_, white.model.coef_)
        assert np.array_equal(black.validation.X, white.validation.X)


def test_a_model_surrogate_is_another_learner_on_the_true_rows(problems):
    for white, black in zip(
        problems(), problems({"surrogate": "model", "model": "lasso"}), strict=True
    ):
        assert np.array_equal(black.train.X, white.train.X)
        assert isinstance(black.model, Lasso)
        assert black.model.lam is not None


def test_both(problems):
    for white, black in zip(
        problems(), problems({"surrogate": "both", "model": "lasso"}), strict=True
    ):
        assert rows(white).isdisjoint(rows(black))
        assert isinstance(black.model, Lasso)


def test_the_sample_is_not_of_the_test_rows(problems):
    # 150 rows, 100 in the split: the other 50 are all that the attacker may have.
    (problem,) = problems({"surrogate": "data"}, seeds=1)
    others = problems(seeds=[0], split={"train": 50, "validation": 20, "test": 80})
    assert len(rows(problem)) == 50
    assert rows(problem).isdisjoint(rows(others[0]))
    test = {row.tobytes() for row in others[0].validation.X}
    assert rows(problem).isdisjoint(test)


def test_knowledge_has_rows_of_its_own_in_the_tables(bench):
    attacks = ["statp", {"name": "statp", "knowledge": {"surrogate": "data"}}]
    results = bench.results({**CONFIG, "attack": attacks})
    assert results["attack_parameters"].fillna("").unique().tolist() == [
        "", "knowledge=surrogate:data"
    ]  # fmt: skip
    assert results["poison_file"].nunique() == 4


def test_an_attack_that_knows_all_is_as_if_it_had_no_such_parameter(bench):
    plain = bench.results({**CONFIG, "seeds": 1}, out="plain")
    null = {"name": "statp", "knowledge": None}
    assert bench.results({**CONFIG, "seeds": 1, "attack": null}, out="null").equals(plain)


@pytest.mark.parametrize(
    ("attack", "words", "message"),
    [
        ({"surrogate": "data"}, {"split": "thirds"}, "the split leaves 0 of 150"),
        ({"surrogate": "model"}, {}, "{surrogate: data} or {surrogate: model or both, model: "),
        ({"surrogate": "data", "model": "ols"}, {}, "is not valid"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(bench, attack, words, message):
    config = {**CONFIG, "attack": {"name": "statp", "knowledge": attack}, **words}
    assert message in bench.invoke(config, code=2).stderr
