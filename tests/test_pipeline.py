"""One cell: what its numbers are, by plain scikit-learn, and who may see what."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from poisonbench import metrics, pipeline
from poisonbench.config import load
from poisonbench.execution import engine
from poisonbench.execution.options import RunOptions
from poisonbench.features import FeatureSpace, OneHotGroup
from poisonbench.output import store, tables
from poisonbench.plan.groups import Plan
from poisonbench.plan.make import make_plan
from poisonbench.problem import AttackProblem, PoisonSet

SPLIT = {"train": 120, "validation": 40, "test": 60}
CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": [
        {"name": "ridge", "alpha": 0.1},
        {"name": "ridge", "lambda": 0.01},
        {"name": "lasso", "lambda": 0.002},
        {"name": "elastic-net", "alpha": 0.001, "rho": 0.3},
        "ols",
    ],
    "attack": [{"name": "optp", "iterations": 1}, "statp", "none"],
    "poisoning_rate": 0.1,
    "split": SPLIT,
    "defense": ["none", "oracle", {"name": "trim", "restarts": 2}],
    "seeds": 1,
}


def planned(folder: Path, **words: Any) -> Plan:
    (folder / "x.yaml").write_text(yaml.safe_dump({**CONFIG, **words}))
    return make_plan(load(folder / "x.yaml"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of CONFIG."""
    folder = tmp_path_factory.mktemp("pipeline")
    work = planned(folder)
    store.open_folder(folder / "out", work)
    assert not engine.run(work, folder / "out", RunOptions(jobs=0, quiet=True)).failures
    tables.write_csvs(tables.collect(work.rows, folder / "out"), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def results(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""])


def diabetes() -> tuple[Any, Any]:
    """The data in their own units, with sex as two columns."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    y = frame.pop("target").to_numpy(float)
    columns = []
    for name in frame.columns:
        values = frame[name].to_numpy(float)
        levels = np.unique(values) if name == "sex" else [None]
        columns += [values if level is None else (values == level) * 1.0 for level in levels]
    return np.column_stack(columns), y


def scikit_learn(row: pd.Series, n_rows: int) -> Any:
    """Return the estimator of a row's model for a fit on `n_rows` rows."""
    given = dict(part.split("=") for part in str(row["model_parameters"]).split(",") if "=" in part)
    strength = {name: float(value) for name, value in given.items()}
    exact = {"tol": 1e-13, "max_iter": 100_000}
    match row["model"]:
        case "ridge":
            return Ridge(strength.get("alpha") or n_rows * strength["lambda"] / 2)
        case "lasso":
            return Lasso(strength["lambda"] / 2, **exact)
        case "elastic-net":
            return ElasticNet(strength["alpha"], l1_ratio=strength["rho"], **exact)
    return LinearRegression()


@pytest.mark.parametrize("defense", ["none", "oracle"])
@pytest.mark.parametrize("attack", ["optp", "statp"])
def test_errors_are_those_of_scikit_learn_on_the_stored_rows(out, results, attack, defense):
    chosen = results[(results["attack"] == attack) & (results["defense"] == defense)]
    assert len(chosen) == len(CONFIG["model"])
    X, y = diabetes()
    for _, row in chosen.iterrows():
        with np.load(out / row["poison_file"]) as file:
            stored = dict(file)
        train, validation, test = (stored[part] for part in SPLIT)
        span = np.ptp(y[train])
        scaled_X = (X - X[train].min(axis=0)) / np.ptp(X[train], axis=0)
        scaled_y = (y - y[train].min()) / span
        all_X = np.vstack([scaled_X[train], stored["X"]])
        all_y = np.append(scaled_y[train], stored["y"])
        clean = scikit_learn(row, len(train)).fit(scaled_X[train], scaled_y[train])
        poisoned = scikit_learn(row, len(all_y)).fit(all_X, all_y)

        predicted = (poisoned if defense == "none" else clean).predict(scaled_X)
        mse = mean_squared_error(scaled_y[test], predicted[test])
        mse_clean = mean_squared_error(scaled_y[test], clean.predict(scaled_X[test]))
        mse_none = mean_squared_error(scaled_y[test], poisoned.predict(scaled_X[test]))
        expected = {
            "test_mse": mse,
            "test_mse_clean": mse_clean,
            "ratio_to_clean": mse / mse_clean,
            "ratio_to_none": mse / mse_none,
            "test_mse_clipped": mean_squared_error(scaled_y[test], predicted[test].clip(0, 1)),
            "test_median_se": np.median((scaled_y[test] - predicted[test]) ** 2),
            "test_mae": mean_absolute_error(scaled_y[test], predicted[test]),
            "test_r2": r2_score(scaled_y[test], predicted[test]),
            "test_rmse_unscaled": np.sqrt(
                mean_squared_error(y[test], predicted[test] * span + y[train].min())
            ),
            "val_mse": mean_squared_error(scaled_y[validation], predicted[validation]),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-8, abs=1e-9), (row["model"], name)


def test_the_two_conventions_of_strength(results):
    N = results["n_clean"] + results["n_poison"].where(results["defense"] != "oracle", 0)
    half = np.where(results["model"] == "ridge", N / 2, 0.5)
    assert results["alpha"].to_numpy() == pytest.approx(results["lambda"] * half)
    given = results["model_parameters"]
    assert set(results[given == "alpha=0.1"]["alpha"]) == {0.1}
    assert set(results[given == "lambda=0.01"]["lambda"]) == {0.01}
    assert set(results[results["model"] == "ols"]["alpha"]) == {0.0}


def test_counts_and_rates(results):
    assert set(results["n_clean"]) == {120}
    assert set(results["n_validation"]) == {40}
    assert set(results["n_test"]) == {60}
    assert set(results["n_features"]) == {11}
    p = results["attack"].map({"none": 0, "optp": 12, "statp": 12})
    assert (results["n_poison"] == p).all()
    assert results["rate_clean"].to_numpy() == pytest.approx(p / 120)
    assert results["rate_total"].to_numpy() == pytest.approx(p / (120 + p))
    assert (results["poison_file"].isna() == (p == 0)).all()


def test_without_poison_all_is_as_if_there_were_no_attack(results):
    clean = results[(results["attack"] == "none") & results["defense"].isin(["none", "oracle"])]
    assert len(clean) == 2 * len(CONFIG["model"])
    assert (clean["test_mse"] == clean["test_mse_clean"]).all()
    assert (clean["ratio_to_clean"] == 1).all()
    assert (clean["ratio_to_none"] == 1).all()
    assert clean[["objective_initial", "objective_final", "removal_recall"]].isna().all(axis=None)


def test_the_attack_ends_no_lower_than_it_starts(results):
    optp = results[results["attack"] == "optp"]
    assert (optp["objective_final"] >= optp["objective_initial"]).all()
    undefended = optp[optp["defense"] == "none"]  # W_val is the error on the validation rows
    assert undefended["objective_final"].to_numpy() == pytest.approx(undefended["val_mse"])
    assert results[results["attack"] == "statp"]["objective_final"].isna().all()


def test_what_was_removed(results):
    poisoned = results[results["n_poison"] > 0]
    removal = ["n_removed", "removal_precision", "removal_recall", "poison_kept"]

    def of(defense: str) -> pd.DataFrame:
        return poisoned[poisoned["defense"] == defense][removal]

    assert of("oracle").drop_duplicates().to_numpy().tolist() == [[12, 1, 1, 0]]
    none = of("none")
    assert (none["n_removed"] == 0).all()
    assert none["removal_precision"].isna().all()
    assert (none["removal_recall"] == 0).all()
    assert (none["poison_kept"] == 1).all()
    trim = of("trim")
    assert (trim["n_removed"] == 12).all()
    assert (trim["removal_precision"] == trim["removal_recall"]).all()  # 12 removed, 12 poison
    assert trim["poison_kept"].to_numpy() == pytest.approx(1 - trim["removal_recall"])


def test_metrics_of_removal_by_hand():
    kept = np.array([True, False, False, True, False])
    poison = np.array([False, True, False, True, False])
    assert metrics.removal(kept, poison) == {
        "n_removed": 3,
        "removal_precision": 1 / 3,
        "removal_recall": 1 / 2,
        "poison_kept": 1 / 2,
    }
    assert metrics.removal(kept, np.zeros(5, dtype=bool))["removal_recall"] is None
    assert metrics.removal(np.ones(5, dtype=bool), poison)["removal_precision"] is None
    for wrong in (kept.astype(int), kept[:4]):
        with pytest.raises(ValueError, match="support_ has type"):
            metrics.removal(wrong, poison)


def test_r2_of_test_rows_that_do_not_vary_is_empty():
    assert metrics.errors(np.ones(3), np.zeros(3))["test_r2"] is None


def test_how_a_defense_learns_the_number_of_poison_rows(bench):
    sources: list[Any] = ["oracle", "estimated", {"count": 7}, {"rate": 0.2}]
    results = bench.results(
        {
            **CONFIG,
            "model": {"name": "ridge", "alpha": 0.1},
            "attack": "statp",
            "defense": ["none", "oracle", "huber"]
            + [{"name": "trim", "restarts": 2, "n_poison": source} for source in sources],
        }
    )
    told = results.set_index(["defense", "defense_parameters"])["n_poison_source"].to_dict()
    assert [told[key] for key in told if key[0] == "trim"] == [
        "oracle", "estimated", "count", "rate"
    ]  # fmt: skip
    assert results["n_poison_source"].isna().tolist() == [True, False, True] + [False] * 4
    assumed = results["n_poison_assumed"].to_list()
    assert assumed[1] == 12  # the reference row removes what there is
    assert assumed[3] == 12
    assert 0 <= assumed[4] < 66
    assert assumed[5:] == [7, 22]  # 132 rows: p/n = 0.2 is p = 22
    huber = results[results["defense"] == "huber"]  # it weighs rows and removes none
    assert huber[["n_removed", "removal_recall", "poison_kept"]].isna().all(axis=None)
    trims = results[results["defense"] == "trim"]
    assert (trims["n_removed"] == trims["n_poison_assumed"]).all()


@pytest.mark.parametrize("model", ["ridge", "lasso"])
def test_on_which_rows_the_strength_is_selected(bench, model):
    def strengths(select_on: str) -> pd.DataFrame:
        words = {
            "model": {"name": model, "select_on": select_on},
            "attack": {"name": "optp", "iterations": 0},
            "poisoning_rate": [0, 0.3],
            "defense": "none",
        }
        frame = bench.results({**CONFIG, **words}, out=select_on)
        return frame.set_index("poisoning_rate")

    clean, poisoned = strengths("clean"), strengths("poisoned")
    assert clean["lambda"].nunique() == 1
    assert poisoned.loc[0.3, "lambda"] != clean.loc[0.3, "lambda"]
    # Without poison there is but one set of rows to select on ...
    pd.testing.assert_frame_equal(
        poisoned.loc[[0.0]].drop(columns="model_parameters"),
        clean.loc[[0.0]].drop(columns="model_parameters"),
    )
    # ... and the attacker, who does not see what the learner gets, makes the same rows.
    files = [
        bench.folder / name / frame.loc[0.3, "poison_file"]
        for name, frame in (("clean", clean), ("poisoned", poisoned))
    ]
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert np.array_equal(one["X"], other["X"])
        assert np.array_equal(one["y"], other["y"])


SPACE = FeatureSpace(("x", "c:1", "c:2"), (OneHotGroup("c", (1, 2), all_zero=False),))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.5, 1, 0]], [1.0], "it has 1 rows, expected 2"),
        ([[0.5, 1, 0], [1.5, 1, 0]], [1.0, 1.0], "row 1, column 'x' is 1.5, outside the box"),
        ([[0.5, 1, 0], [np.nan, 1, 0]], [1.0, 1.0], "row 1, column 'x' is nan, not finite"),
        ([[0.5, 1, 1], [0.5, 1, 0]], [1.0, 1.0], "row 0 has 2 ones in the one-hot group 'c'"),
        ([[0.5, 0, 0], [0.5, 1, 0]], [1.0, 1.0], "row 0 has 0 ones in the one-hot group 'c'"),
        ([[0.5, 0.5, 0], [0.5, 1, 0]], [1.0, 1.0], "row 0, one-hot column 'c:1' is 0.5"),
        ([[0.5, 1, 0], [0.5, 1, 0]], [1.0, -0.1], "column 'the response' is -0.1, outside"),
        ([[0.5, 1, 0], [0.5, 1, 0]], [np.inf, 1.0], "column 'the response' is inf, not finite"),
        ([[0.5, 1, 0], [0.5, 1, 0]], [[1.0], [1.0]], "the responses have shape (2, 1)"),
        ([[0.5, 1], [0.5, 1]], [1.0, 1.0], "the rows have shape (2, 2), expected (rows, 3)"),
    ],
)
def test_illegal_poison_is_refused_and_not_repaired(X, y, message):
    with pytest.raises(pipeline.PoisonError) as caught:
        pipeline.check(PoisonSet(np.array(X, float), np.array(y, float)), 2, SPACE)
    assert message in str(caught.value)


def arrays_in(thing: Any, seen: set[int]) -> list[Any]:
    """Return every array that can be reached from `thing`."""
    if id(thing) in seen or isinstance(thing, str | int | float | type(None) | type):
        return []
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return [thing, *arrays_in(thing.base, seen)]
    if isinstance(thing, dict):
        inner = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        inner = list(thing)
    else:
        inner = (
            [getattr(thing, entry.name) for entry in fields(thing)] if is_dataclass(thing) else []
        )
        inner += list(getattr(thing, "__dict__", {}).values())
    return [array for item in inner for array in arrays_in(item, seen)]


def test_the_attacker_cannot_reach_test_rows(tmp_path, monkeypatch):
    problems: list[AttackProblem] = []
    work = planned(tmp_path, model=CONFIG["model"][0], attack="statp", defense="none")
    attack = type(work.groups[0].attack.build())
    original = attack.generate
    monkeypatch.setattr(
        attack,
        "generate",
        lambda self, problem: problems.append(problem) or original(self, problem),
    )
    stage = pipeline.stage(work.groups[0], next(iter(work.datasets.values())))
    test = stage.setting.test
    found = arrays_in(problems[0], set())
    assert any(np.shares_memory(array, stage.setting.train.X) for array in found)
    for array in found:
        assert not np.shares_memory(array, test.X)
        assert not np.shares_memory(array, test.y)
        if array.ndim == 2 and array.shape[1] == test.X.shape[1]:
            assert not (array[:, None] == test.X).all(axis=2).any()
        # Not all responses differ, so ask whether many test responses lie in one array.
        assert array.size < len(test) or not np.isin(test.y, array).all()
    assert not any(np.isin(stage.setting.split.test, array).all() for array in found
                   if np.issubdtype(array.dtype, np.integer))  # fmt: skip


def test_the_defender_gets_rows_and_responses_only(tmp_path, monkeypatch):
    given: list[tuple[Any, ...]] = []
    work = planned(tmp_path, model=CONFIG["model"][0], attack="statp", defense="trim")
    group = work.groups[0]
    stage = pipeline.stage(group, next(iter(work.datasets.values())))
    defense = type(group.tasks[0].defense.build())
    original = defense.fit

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        given.append((self.get_params(), args, kwargs))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(defense, "fit", spy)
    pipeline.measure(stage, group.tasks[0])
    parameters, (X, y), kwargs = given[0]
    assert kwargs == {}
    assert X.shape == (132, 11)
    assert y.shape == (132,)
    for array in arrays_in([parameters, X, y], set()):
        assert not np.shares_memory(array, stage.is_poison)
        assert array.dtype != bool
    assert not hasattr(parameters["estimator"], "coef_")  # the learner comes unfitted


def test_poison_is_shuffled_among_the_rows(tmp_path):
    work = planned(tmp_path, model=CONFIG["model"][0], attack="statp", poisoning_rate=0.5, seeds=30)
    dataset = next(iter(work.datasets.values()))
    setting = pipeline.prepare(work.groups[0], dataset)
    poison = PoisonSet(np.zeros((60, 11)), np.arange(60.0))
    places = []
    for seed in range(30):
        rows, is_poison = pipeline.poisoned_rows(setting, poison, seed)
        assert is_poison.sum() == 60
        assert sorted(rows.y[is_poison]) == list(range(60))
        assert sorted(rows.y[~is_poison]) == sorted(setting.train.y)
        places.append(np.flatnonzero(is_poison))
        # Poison rows themselves come in an order that tells nothing of how they were made.
        assert not (np.diff(rows.y[is_poison]) > 0).all()
    mean = np.mean(places)
    assert abs(mean - 89.5) < 4 * 52 / np.sqrt(30 * 60)  # uniform over 0..179: sd 52
    assert len({tuple(place) for place in places}) == 30


def computed(folder: Path, **words: Any) -> pd.DataFrame:
    """Return the results of CONFIG with these words."""
    work = planned(folder, **words)
    store.open_folder(folder / "out", work)
    assert not engine.run(work, folder / "out", RunOptions(jobs=0, quiet=True)).failures
    return tables.collect(work.rows, folder / "out").results


@pytest.fixture(scope="module")
def referenced(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Defenses and reference rows with poison and without."""
    sources: list[Any] = ["oracle", "estimated", {"count": 30}]
    return computed(
        tmp_path_factory.mktemp("referenced"),
        model=[{"name": "ridge", "alpha": 0.1}, {"name": "lasso", "lambda": "cv",
                                                 "select_on": "poisoned"}],
        attack="statp",
        poisoning_rate=[0, 0.2],
        defense=["none", "oracle", "median", "heavy-ridge", "huber", "mm",
                 *({"name": "trim", "restarts": 20, "n_poison": source} for source in sources)],
    )  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        {"name": "ridge", "alpha": 0.1},
        {"name": "lasso", "lambda": 0.002},
        {"name": "lasso", "alpha": 0.001},
    ],
)
def test_reference_rows_are_those_of_scikit_learn(tmp_path, model):
    work = planned(tmp_path, model=model, attack="statp", defense=["median", "heavy-ridge"])
    group = work.groups[0]
    stage = pipeline.stage(group, next(iter(work.datasets.values())))
    measured = [pipeline.measure(stage, task) for task in group.tasks]
    assert [timings.defense_seconds for _, timings in measured] == [0.0, 0.0]
    median, heavy = (row for row, _ in measured)
    rows, test = stage.rows, stage.setting.test
    assert median.test_mse == pytest.approx(np.mean((test.y - np.median(rows.y)) ** 2))
    # Beside LASSO, 100 times the default lambda of 1e-3; alpha = N lambda / 2.
    alpha = {"ridge": 10.0, "lasso": len(rows) * 0.1 / 2}[model["name"]]
    expected = Ridge(alpha).fit(rows.X, rows.y).predict(test.X)
    assert heavy.test_mse == pytest.approx(mean_squared_error(test.y, expected))
    assert heavy.alpha == pytest.approx(alpha)
    assert median.n_removed is heavy.n_removed is None


def test_the_ratio_to_ones_own_clean_error_is_to_the_row_at_rate_0(referenced):
    key = ["model", "defense", "n_poison_source"]
    errors = referenced.fillna({"n_poison_source": ""}).set_index([*key, "poisoning_rate"])
    assert (errors.xs(0.0, level=3)["ratio_to_own_clean"] == 1).all()
    poisoned, clean = errors.xs(0.2, level=3), errors.xs(0.0, level=3)["test_mse"]
    assert len(poisoned) == 18
    assert (poisoned["ratio_to_own_clean"] == poisoned["test_mse"] / clean).all()
    none = poisoned.xs("none", level=1)
    assert (none["ratio_to_own_clean"] == none["ratio_to_clean"]).all()


def test_no_ratio_to_what_cannot_be_fitted_to_the_clean_rows(tmp_path):
    trim = {"name": "trim", "restarts": 2, "n_poison": {"count": 125}}
    results = computed(tmp_path, model="ridge", attack="statp", defense=trim)
    assert results.loc[0, "ratio_to_own_clean"] is None
    assert results.loc[0, "test_mse"] > 0


def test_bounds_beside_what_they_bound(referenced):
    columns = ["bound_theorem2", "bound_sharp", "bound_lhs", "bound_condition"]
    trims = referenced[referenced["defense"] == "trim"]
    assert referenced.drop(trims.index)[columns].isna().all(axis=None)
    assert trims[columns].notna().all(axis=None)
    proved = trims[trims["bound_condition"] <= 1 + 1e-9]
    assert len(proved) > len(trims) / 2
    assert (proved["bound_lhs"] <= proved["bound_sharp"] + 1e-12).all()
    assert (proved["bound_sharp"] <= proved["bound_theorem2"]).all()


@pytest.mark.parametrize("select_on", ["clean", "poisoned"])
def test_the_bound_is_the_papers(tmp_path, select_on):
    model = {"name": "ridge", "lambda": "cv", "select_on": select_on}
    work = planned(tmp_path, model=model, attack="statp", defense=[CONFIG["defense"][2]])
    stage = pipeline.stage(work.groups[0], next(iter(work.datasets.values())))
    measured, _ = pipeline.measure(stage, work.groups[0].tasks[0])
    train = stage.setting.train
    star = Ridge(len(train) * measured.lambda_ / 2).fit(train.X, train.y)
    L = mean_squared_error(train.y, star.predict(train.X))
    L += measured.lambda_ / 2 * (star.coef_ @ star.coef_)
    alpha = 12 / 120
    assert measured.bound_theorem2 == pytest.approx((1 + alpha / (1 - alpha)) * L)


@pytest.mark.parametrize("assumed", [6, 12, 30])
def test_the_penalty_in_the_bound_is_that_of_as_many_rows_as_are_kept(tmp_path, assumed):
    """With alpha given, lambda = 2 alpha / h; h = N - p only where the defense is told p."""
    trim = {"name": "trim", "restarts": 2, "n_poison": {"count": assumed}}
    model = {"name": "ridge", "alpha": 5.0}
    work = planned(tmp_path, model=model, attack="statp", defense=trim)
    stage = pipeline.stage(work.groups[0], next(iter(work.datasets.values())))
    (task,) = work.groups[0].tasks
    measured, _ = pipeline.measure(stage, task)
    w = pipeline.defended(stage, task).model.coef_
    h = 132 - assumed
    m = h - 12
    assert measured.bound_theorem2 - measured.bound_sharp == pytest.approx(
        h / m * 5.0 / h * (w @ w)
    )
    train = stage.setting.train
    clean = Ridge(5.0).fit(train.X, train.y)
    L = mean_squared_error(train.y, clean.predict(train.X)) + 5.0 / 120 * clean.coef_ @ clean.coef_
    assert measured.bound_theorem2 == pytest.approx(h / m * L)


def test_a_defense_is_told_which_columns_are_categories(tmp_path):
    work = planned(tmp_path, model=CONFIG["model"][0], attack="statp", defense="mm")
    stage = pipeline.stage(work.groups[0], next(iter(work.datasets.values())))
    model = pipeline.defended(stage, work.groups[0].tasks[0]).model
    sex = [j for j, name in enumerate(stage.setting.space.names) if name.startswith("sex")]
    assert model.one_hot_groups == (tuple(sex),)


def test_what_a_defense_says_of_its_model_reaches_the_results(tmp_path, monkeypatch):
    theil_sen = {"name": "theil-sen", "n_components": 2, "max_subsets": 50}
    results = computed(
        tmp_path, model=CONFIG["model"][0], attack="statp", defense=["none", theil_sen, "trim"]
    )
    note = "no penalty; 2 of 11 principal components"
    assert results["defense_note"].tolist() == [None, note, None]
    work = planned(tmp_path, model=CONFIG["model"][0], attack="statp", defense="mm")
    stage = pipeline.stage(work.groups[0], next(iter(work.datasets.values())))
    task = work.groups[0].tasks[0]
    assert pipeline.measure(stage, task)[0].defense_note is None
    lines = (
        "category 1: 9 of 9 rows rejected together",
        "category 2: 3 of 8 rows rejected together",
    )
    mm = type(task.defense.build())
    monkeypatch.setattr(mm, "_rejected_together", lambda *_: lines)
    assert pipeline.measure(stage, task)[0].defense_note == "; ".join(lines)
