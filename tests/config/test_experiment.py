import contextlib
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonbench.config import Choice, ConfigError, Rate, load
from poisonbench.config.schema import schema
from poisonbench.config.strict_yaml import dump

BASE = {"dataset": "diabetes", "attack": "statp", "poisoning_rate": 0.2}
OPTP = {**BASE, "attack": "optp"}
SCHEMA = jsonschema.Draft202012Validator(schema())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run in an empty folder with one data file, configs in a folder beside it."""
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    Path("data.csv").write_text("a,y\n1,2\n3,4\n")
    return tmp_path


def read(data, *overrides, name="configs/x.yaml"):
    Path(name).write_text(data if isinstance(data, str) else dump(data), encoding="utf-8")
    return load(Path(name), overrides)


def refusal(data, *overrides):
    with pytest.raises(ConfigError) as caught:
        read(data, *overrides)
    return str(caught.value)


def test_defaults():
    config = read(OPTP)
    assert [one.label for one in config.models] == ["ridge"]
    assert config.models[0].parameters == {"lambda": "cv", "select_on": "clean"}
    attack = config.attacks[0].parameters
    assert (attack["variables"], attack["initialization"]) == ("xy", "bflip")
    assert attack["outer_objective"] == "validation"
    assert config.rates == (Rate(0.2, "clean"),)
    assert config.seeds == (0, 1, 2, 3, 4)
    assert [one.name for one in config.defenses] == ["none"]
    assert config.splits[0].train == config.splits[0].test == 1 / 3


def test_axes_multiply_only_the_attacks_that_take_them():
    config = read({**BASE, "attack": ["optp", "bgd", "statp"],
                   "initialization": ["bflip", "invflip"],
                   "outer_objective": ["training", "validation", "prediction-shift"]})  # fmt: skip
    assert [one.name for one in config.attacks] == ["optp"] * 6 + ["bgd", "statp"]
    assert "initialization" not in config.attacks[-1].parameters
    assert {one.label for one in config.attacks} == {"optp", "bgd", "statp"}


def test_an_attacks_own_axes_come_first():
    config = read({**BASE, "initialization": ["bflip", "invflip"],
                   "attack": ["optp", {"name": "optp", "variables": "x", "initialization": "bflip"},
                              {"name": "optp", "best_of": True}]})  # fmt: skip
    found = [(one.parameters.get("variables"), one.parameters.get("initialization"))
             for one in config.attacks]  # fmt: skip
    assert found == [("xy", "bflip"), ("xy", "invflip"), ("x", "bflip"), (None, None)]
    assert config.attacks[-1].parameters_text() == "best_of=true"


def test_lists_make_grids():
    config = read({
        **BASE,
        "dataset": ["diabetes", {"name": "synthetic", "n": [50, 60], "groups": [3, 4]}],
        "model": ["ols", {"name": "elastic-net", "rho": [0.1, 1], "alpha": 0.5}],
        "defense": ["none", "oracle", {"name": "trim", "start": ["random", "all"],
                                       "n_poison": ["oracle", "estimated", {"rate": 0.1}]}],
        "poisoning_rate": [0, 1e-1],
        "rate_of": ["clean", "total"],
        "split": ["thirds", {"train": 100, "validation": [10, 0], "test": 0.25}],
    })  # fmt: skip
    assert [one.parameters.get("n") for one in config.datasets] == [None, 50, 60]
    assert config.datasets[1].parameters["groups"] == (3, 4)
    assert [one.label for one in config.models] == [
        "ols", "elastic-net(alpha=0.5,rho=0.1)", "elastic-net(alpha=0.5,rho=1.0)"]  # fmt: skip
    assert len(config.defenses) == 2 + 2 * 3
    assert config.defenses[4].label == "trim(n_poison=rate:0.1,start=random)"
    assert config.rates == tuple(Rate(r, of) for r in (0.0, 0.1) for of in ("clean", "total"))
    assert [one.validation for one in config.splits] == [1 / 3, 10, 0]


def test_a_list_parameter_is_a_grid_where_it_is_a_list_of_lists():
    config = read({**BASE, "dataset": {"name": "synthetic", "groups": [[3, 4], []]}})
    assert [one.parameters["groups"] for one in config.datasets] == [(3, 4), ()]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [(1, (0,)), (3, (0, 1, 2)), ([7, 3], (7, 3)), ({"start": 5, "count": 2}, (5, 6))],
)
def test_seeds(seeds, expected):
    assert read({**BASE, "seeds": seeds}).seeds == expected


def test_build_gives_the_component():
    config = read({**BASE, "model": [{"name": "elastic-net", "lambda": 0.1, "rho": 0.3}, "ridge"]})
    net, ridge = config.models
    assert (net.build().lam, net.build().alpha, net.build().rho) == (0.1, None, 0.3)
    assert ridge.build().lam is None  # still to be selected
    assert ridge.build(lam=0.5).lam == 0.5


def test_paths_belong_to_the_config_file_or_to_the_current_folder():
    csv = {"name": "csv", "path": "../data.csv", "target": "y"}
    written = read({**BASE, "dataset": csv})
    given = read({**BASE, "dataset": csv}, "dataset.path=data.csv")
    assert written.datasets[0].build().path.samefile("data.csv")
    assert given.datasets[0].build().path.samefile("data.csv")
    assert given.resolved() == written.resolved()
    assert written.resolved()["dataset"]["path"] == "../data.csv"
    json.dumps(written.datasets[0].parameters)  # goes into names of random streams
    assert "no file data.csv" in refusal({**BASE, "dataset": {**csv, "path": "data.csv"}})
    assert "is a folder" in refusal({**BASE, "dataset": csv}, "dataset.path=configs")
    assert "no file x.npz" in refusal({**BASE, "split": {"indices": "x.npz"}})
    assert read({**BASE, "split": {"indices": "../data.csv"}}).splits[0].indices.is_file()


def test_attacks_that_bring_their_rows_need_no_rate():
    file = {"name": "file", "path": "../data.csv"}
    assert read({"dataset": "diabetes", "attack": ["none", file]}).rates == (Rate(None, "clean"),)
    assert "statp needs it" in refusal({"dataset": "diabetes", "attack": [file, "statp"]})


GOOD = [
    BASE,
    OPTP,
    {"dataset": "diabetes", "attack": "none"},
    {**OPTP, "model": ["ols", {"name": "ridge", "lambda": [1e-3, "cv"]}, {"name": "lasso"}]},
    {**OPTP, "model": {"name": "ridge", "lambda": "cv", "select_on": ["clean", "poisoned"]}},
    {**OPTP, "initialization": {"name": "invflip"}, "outer_objective": ["training"]},
    {**OPTP, "attack": [{"name": "optp", "best_of": True}, {"name": "optp", "iterations": 0}]},
    {**BASE, "poisoning_rate": [{"rate": [0, 0.1]}, {"rate": 0.5, "rate_of": "total"}, 0.7]},
    {**BASE, "poisoning_rate": {"rate": 0.1, "rate_of": ["clean", "total"]}},
    {**BASE, "dataset": {"name": "synthetic", "groups": [], "noise": [0, 0.5]}},
    {**BASE, "dataset": {"name": "csv", "path": "../data.csv", "target": "1e-3"}},
    {**BASE, "dataset": {"name": "csv", "path": "../data.csv", "target": "é\x85yes"}},
    {**BASE, "attack": {"name": "file", "path": "../data.csv"}, "seeds": [3, 1]},
    {**BASE, "defense": [{"name": "trim", "n_poison": {"count": 3}}, "huber", "oracle"]},
    {**BASE, "seeds": {"count": 3}, "split": {"train": 0.5, "validation": 0, "test": 10}},
]


@pytest.mark.parametrize("data", GOOD, ids=str)
def test_what_is_resolved_resolves_to_the_same(data):
    config = read(data)
    resolved = config.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    again = read(resolved)
    assert again == config
    assert again.resolved() == resolved
    SCHEMA.validate(data)
    SCHEMA.validate(resolved)


BAD = [
    ({"foo": 1}, "foo: unknown key; expected dataset, model"),
    ({"poisoning_rat": 1}, "poisoning_rat: unknown key; did you mean 'poisoning_rate'?"),
    ({"alpha": 1}, "alpha: not a key of its own but a parameter of the model"),
    ({"variables": "x"}, "expected attack: {name: ..., variables: ...}"),
    ({"model": "rigde"}, "'rigde' is not the name of one of the models; did you mean 'ridge'?"),
    ({"defense": ["none", "trimm"]}, "defense.1: 'trimm' is not"),
    ({"attack": None}, "attack: null is not the name of one of the attacks"),
    ({"attack": []}, "attack: an empty list"),
    ({"attack": {"name": ["optp"]}}, "attack.name: ['optp'] is not the name"),
    ({"attack": {"variables": "x"}}, "attack.name: missing; expected"),
    ({"attack": {"name": "optp", "iterations": True}}, "true is not valid; expected an integer"),
    ({"attack": {"name": "optp", "iterations": 1.5}}, "attack.iterations: 1.5 is not valid"),
    ({"attack": {"name": "optp", "iteration": 1}}, "did you mean 'iterations'?"),
    ({"attack": {"name": "optp", "variables": "z"}}, "'z' is not valid; expected x or xy"),
    ({"dataset": "csv"}, "dataset.path: missing; expected the path of a file"),
    ({"dataset": {"name": "diabetes", "scaling": "trin"}}, "did you mean 'train'?"),
    ({"dataset": {"name": "synthetic", "groups": [2.5]}}, "dataset.groups: [2.5] is not valid"),
    ({"dataset": {"name": "synthetic", "noise": "0.1"}}, "'0.1' is a string; expected a number"),
    ({"model": {"name": "ridge", "lambda": 0}}, "0 is out of range; expected a number > 0 or cv"),
    ({"model": {"name": "ridge", "alpha": 1, "lambda": 1}}, "given together with lambda"),
    ({"model": {"name": "ridge", "alpha": 1, "select_on": "clean"}}, "only with lambda: cv"),
    ({"model": {"name": "ridge", "alpha": 1e999}}, "inf is not a finite number"),
    ({"model": {"name": "ols", "alpha": 1}}, "not a parameter of 'ols'; expected no parameters"),
    ({"initialization": "x"}, "initialization: 'x' is not the name of one of the initializations"),
    ({"poisoning_rate": 1.5}, "1.5 is out of range; expected a number with 0 <= rate < 1"),
    ({"poisoning_rate": 1}, "1 is out of range"),
    ({"poisoning_rate": -0.1}, "-0.1 is out of range"),
    ({"poisoning_rate": "0.1"}, "'0.1' is a string"),
    ({"poisoning_rate": True}, "true is not valid"),
    ({"poisoning_rate": [0.1, 2]}, "poisoning_rate.1: 2 is out of range"),
    ({"poisoning_rate": {"rate_of": "total"}}, "poisoning_rate.rate: missing"),
    ({"rate_of": "all"}, "'all' is not valid; expected clean or total"),
    ({"defense": {"name": "huber", "n_poison": "oracle"}}, "huber does not use the number"),
    ({"defense": {"name": "none", "n_poison": "oracle"}}, "none does not use the number"),
    ({"defense": {"name": "trim", "n_poison": {"rate": 1}}}, "{rate: 1} is out of range"),
    ({"defense": {"name": "trim", "n_poison": {"rate": "0"}}}, "{rate: '0'} is not valid"),
    ({"defense": {"name": "trim", "n_poison": {"count": 1, "x": 1}}}, "is not valid"),
    ({"seeds": 0}, "seeds: 0 is out of range"),
    ({"seeds": 10**9}, "is out of range"),
    ({"seeds": "5"}, "seeds: '5' is a string"),
    ({"seeds": [1, -1]}, "seeds.1: -1 is out of range; expected an integer >= 0"),
    ({"seeds": []}, "seeds: an empty list"),
    ({"seeds": {"start": 1}}, "seeds.count: missing"),
    ({"repetitions": 0}, "repetitions: 0 is out of range; expected an integer"),
    ({"repetitions": 2.5}, "repetitions: 2.5 is not valid; expected an integer"),
    ({"repetitions": [1, 2]}, "repetitions: [1, 2] is a list; expected an integer"),
    ({"split": "halves"}, "split: 'halves' is not valid; expected thirds"),
    ({"split": {"train": 10, "test": 10}}, "split.validation: missing"),
    ({"split": {"train": 1, "validation": 1, "test": 1}}, "1 is out of range; expected an"),
    ({"split": {"train": 1.0, "validation": 1, "test": 1}}, "split.train: 1.0 is out of range"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD, ids=str)
def test_bad_values_are_refused_by_load_and_by_the_schema(change, message):
    data = {**BASE, **change}
    text = refusal(data)
    assert message in text
    assert text.startswith("configs/x.yaml:")
    if all(word not in message for word in ("finite", "lambda: cv", "inf ")):
        with pytest.raises(jsonschema.ValidationError):
            SCHEMA.validate(data)


UNFIT = [
    ({**BASE, "initialization": "bflip"}, "initialization: not used: no attack here uses it"),
    ({**BASE, "attack": "bgd", "outer_objective": "training"}, "bgd always has training"),
    ({**OPTP, "attack": {"name": "optp", "initialization": "bflip"}, "initialization": "bflip"},
     "every attack that uses it sets its own"),
    ({**BASE, "attack": {"name": "bgd", "initialization": "bflip"}},
     "bgd always has initialization invflip"),
    ({**BASE, "attack": {"name": "statp", "variables": "x"}}, "statp has no variables"),
    ({**OPTP, "attack": {"name": "optp", "best_of": True, "variables": "x"}}, "does not apply"),
    ({**OPTP, "split": {"train": 9, "validation": 0, "test": 9}},
     "split.validation: 0 rows, but optp with outer_objective validation needs"),
    ({**OPTP, "attack": {"name": "optp", "best_of": True},
      "split": {"train": 9, "validation": 0, "test": 9}}, "0 rows, but optp needs validation rows"),
    ({**BASE, "split": {"train": 0.5, "validation": 0.3, "test": 0.3}}, "add up to 1.1"),
    ({**BASE, "defense": ["trim", {"name": "trim"}]}, "defense.1: trim is listed twice"),
    ({**BASE, "poisoning_rate": [0.1, {"rate": 0.1}]}, "0.1 of clean is listed twice"),
    ({**BASE, "seeds": [1, 2, 1]}, "seeds.2: 1 is listed twice"),
    ({**BASE, "seeds": {"start": [0, 1], "count": 3}}, "the ranges overlap"),
    ({**BASE, "rate_of": "clean", "poisoning_rate": {"rate": 0.1, "rate_of": "total"}},
     "rate_of: not used, because every poisoning_rate has"),
    ({"dataset": "diabetes", "attack": "none", "rate_of": "total"}, "rate_of: not used"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), UNFIT, ids=str)
def test_impossible_combinations_are_refused(data, message):
    assert message in refusal(data)


def test_objectives_without_validation_rows_go_without():
    read({**OPTP, "outer_objective": "training", "split": {"train": 9, "validation": 0, "test": 9}})


def test_errors_say_where_and_come_together():
    text = refusal("dataset: diabetes\nattack:\n  - optp\n  - name: optp\n    tol: x\nseeds: 0\n"
                   "poisoning_rate: 1.5\n", "model.alpha=-1")  # fmt: skip
    assert [line.rpartition(" is ")[0] for line in text.splitlines()] == [
        "command line: model.alpha=-1: model.alpha: -1",
        "configs/x.yaml:5: attack.1.tol: 'x'",
        "configs/x.yaml:7: poisoning_rate: 1.5",
        "configs/x.yaml:6: seeds: 0",
    ]


def test_later_stages_can_complain_with_a_line():
    config = read("dataset: diabetes\nattack: statp\npoisoning_rate: 0.2\n")
    where = config.attacks[0].where
    assert str(config.error(where, "no")) == "configs/x.yaml:2: attack: no"


@pytest.mark.parametrize(
    ("override", "check"),
    [
        ("model.alpha=0.1", lambda c: c.models[0].parameters == {"alpha": 0.1}),
        ("model.name=lasso", lambda c: c.models[0].name == "lasso"),
        ("seeds.start=4", lambda c: c.seeds == (4, 5, 6, 7, 8)),
        ("poisoning_rate.rate_of=total", lambda c: c.rates == (Rate(0.2, "total"),)),
        ("defense=[none, trim]", lambda c: len(c.defenses) == 2),
        ("attack.iterations=[0, 3]", lambda c: len(c.attacks) == 2),
    ],
)
def test_overrides_extend_short_forms(override, check):
    assert check(read(OPTP, override))


def test_a_nested_override_of_a_defense():
    config = read({**BASE, "defense": ["none", "trim"]}, "defense.1.n_poison.rate=0.1")
    assert config.defenses[1].parameters["n_poison"] == {"rate": 0.1}


scalars = (
    st.none() | st.booleans() | st.integers(-2, 400) | st.floats() | st.sampled_from(
        ["", "x", "optp", "statp", "bgd", "trim", "ridge", "cv", "total", "thirds", "../data.csv"])
)  # fmt: skip
names = st.sampled_from(
    ["name", "alpha", "lambda", "rate", "rate_of", "n_poison", "start", "count", "train", "test"]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
words = st.sampled_from([*BASE, "model", "initialization", "outer_objective", "rate_of", "defense",
                         "seeds", "split", "other"])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(words, anything, max_size=2))
def test_anything_is_accepted_or_refused_and_the_schema_accepts_no_less(change):
    data = {**BASE, **change}
    config: object = None
    with contextlib.suppress(ConfigError):
        config = read(data)
    if config is not None:
        SCHEMA.validate(data)


def test_choices_with_the_same_parameters_are_the_same_wherever_they_stand():
    assert Choice("attack", "a", {"k": 1}, where=("x",)) == Choice("attack", "a", {"k": 1})
