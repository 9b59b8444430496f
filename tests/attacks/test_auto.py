"""The worst of the suite is kept, by the attacker's validation rows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from poisonbench.attacks.auto import SUITE, Auto
from poisonbench.models import Ridge
from poisonbench.problem import Sample


def error(problem, poison):
    X = np.vstack([problem.train.X, poison.X])
    model = clone(problem.model).fit(X, np.append(problem.train.y, poison.y))
    return np.mean((model.predict(problem.validation.X) - problem.validation.y) ** 2)


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(Ridge(alpha=0.1), n_poison=4)


@pytest.fixture(scope="module")
def kept(problem):
    """What it keeps where there is no defense."""
    return Auto().generate(problem)


def test_no_attack_of_the_suite_is_worse_on_the_validation_rows(problem, kept):
    poison = kept
    errors = {name: error(problem, attack.generate(problem)) for name, attack in SUITE.items()}
    assert errors[poison.variant["attack"]] == max(errors.values())
    assert poison.objective_final == pytest.approx(error(problem, poison), rel=1e-9)
    assert len(set(errors.values())) > 1


def test_it_is_chosen_by_the_validation_rows(problem, kept):
    """If the model that the kept poison makes predicts them well, another set is kept."""
    X = np.vstack([problem.train.X, kept.X])
    model = clone(problem.model).fit(X, np.append(problem.train.y, kept.y))
    y = np.clip(model.predict(problem.validation.X), 0, 1)
    turned = replace(problem, validation=Sample(problem.validation.X, y))
    assert error(turned, Auto().generate(turned)) > error(turned, kept)


def test_against_a_defense_adaptive_takes_part_and_the_defense_judges(problem, kept):
    poison = Auto(defense="mm").generate(problem)
    assert poison.variant["attack"] in {*SUITE, "adaptive"}
    assert poison.objective_final == pytest.approx(error(problem, poison), rel=1e-9)
    assert poison.variant["attack"] != kept.variant["attack"]


def test_results_say_which_attack_was_kept(bench):
    rows = bench.results(
        {
            "dataset": "diabetes",
            "attack": "auto",
            "poisoning_rate": [0, 0.1],
            "split": {"train": 40, "validation": 40, "test": 40},
            "seeds": 1,
        }
    )
    poisoned = rows[rows["n_poison"] > 0].iloc[0]
    assert poisoned["chosen_variant"] in SUITE
    assert poisoned["objective_final"] == pytest.approx(poisoned["val_mse"], rel=1e-9)
    assert 0 < poisoned["ceiling_share"] <= 1


def test_a_defense_that_is_not_there_is_refused(bench):
    bench_config = {"dataset": "diabetes", "attack": {"name": "auto", "defense": "trimm"}}
    result = bench.invoke({**bench_config, "poisoning_rate": 0.1}, code=2)
    assert "trim" in result.stderr
