"""The table of costs: which components it has, and how a line is converted to a time."""

from __future__ import annotations

from typing import Any

import pytest

from poisonbench import registry
from poisonbench.plan import costs
from poisonbench.plan.costs import REFERENCE, Shape

MODELS = list(registry.components("model"))
KNOWN = {(line.kind, line.name) for line in costs.table()}


def fits(
    kind: str, name: str, shape: Shape = REFERENCE, model: str = "ridge", **given: Any
) -> float:
    return costs.ridge_fits(kind, name, given, model, shape)


@pytest.mark.parametrize("model", MODELS)
def test_every_component_has_a_time_and_a_memory_with_every_learner(model):
    for kind in ("attack", "defense"):
        for name in registry.components(kind):
            for shape in (Shape(2, 1, 0), REFERENCE, Shape(10**6, 1000, 10**5)):
                assert 0 < fits(kind, name, shape, model) < 1e8
                assert costs.cost(kind, name, {}, model, shape).memory(shape) >= 0
    for kind, name in (("model", model), ("selection", model), ("ceiling", "test")):
        assert 0 < fits(kind, name, model=model) < 1e5


def test_the_table_is_about_components_that_there_are():
    for kind, name in KNOWN:
        assert kind not in registry.KINDS or name in registry.components(kind)
    for name in ("optp", "bgd", "statp", "coordinate", "adaptive"):
        assert ("attack", name) in KNOWN
    for name in ("trim", "huber", "ransac", "mm"):
        assert ("defense", name) in KNOWN


def test_a_stranger_is_in_the_middle_of_its_kind():
    lines = [line for line in costs.table() if (line.kind, line.model) == ("defense", "ridge")]
    found = costs.cost("defense", "of somebody else", {}, "ridge", REFERENCE)
    assert 0.3 < sum(line.fits < found.fits for line in lines) / len(lines) < 0.7
    assert fits("defense", "trim", model="of somebody else") == fits("defense", "trim")


def test_the_line_with_most_parameters_in_common():
    assert fits("defense", "trim", start="random", restarts=1) < fits("defense", "trim") / 2
    assert fits("attack", "optp", best_of=True) > 4 * fits("attack", "optp", best_of=False)
    assert fits("attack", "coordinate", preset="strong") > 3 * fits(
        "attack", "coordinate", preset="standard"
    )


def test_repetitions_are_in_proportion():
    usual = fits("attack", "optp", iterations=15)
    assert fits("attack", "optp", iterations=30) == pytest.approx(2 * usual)
    assert fits("attack", "optp", iterations=0) == 0
    assert fits("defense", "ransac", max_trials=50) == pytest.approx(fits("defense", "ransac") / 2)


def test_an_attack_on_a_defense_takes_as_long_as_the_defense():
    given = {"candidates": 40, "refinements": 20}
    on = {name: fits("attack", "adaptive", defense=name, **given) for name in ("mm", "sparse-lts")}
    ratio = fits("defense", "sparse-lts") / fits("defense", "mm")
    assert on["sparse-lts"] / on["mm"] == pytest.approx(ratio)


def test_the_formula():
    line = costs.Cost("defense", "x", {}, "ridge", 7.0, (1.0, 0.5, -1.0), 1.0, 2.0, 3.0)
    assert line.ridge_fits(REFERENCE) == pytest.approx(7.0)
    assert line.ridge_fits(Shape(600, 200, 30)) == pytest.approx(7.0 * 2 * 2 * 2)
    assert line.ridge_fits(REFERENCE._replace(p=0)) == line.ridge_fits(REFERENCE._replace(p=1))
    assert line.memory(Shape(10, 5, 2)) == 8 * (12 + 2 * 12 * 5 + 3 * 25)


def test_a_ridge_fit_on_many_rows_is_measured_on_fewer(monkeypatch):
    monkeypatch.setattr(costs, "MOST_VALUES", 4000)
    costs.ridge_seconds.cache_clear()
    few = costs.ridge_seconds(100, 40)
    many = costs.ridge_seconds(10**9, 40)
    costs.ridge_seconds.cache_clear()
    assert 0 < few < 1
    assert many == pytest.approx(few * 1e7, rel=3)
