"""The package as a library: `run`, `load_results`, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import poisonbench
from poisonbench import attacks, defenses, registry
from poisonbench.config import ConfigError
from poisonbench.output.layout import StoreError

CONFIG: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 90, "d": 5, "groups": (3,)},  # a tuple, as Python has
    "model": {"name": "ridge", "alpha": np.float64(0.1)},
    "attack": ["statp", {"name": "optp", "iterations": 1}, "none"],
    "poisoning_rate": np.array([0.2, 0.1]),
    "defense": ["none", {"name": "crr", "max_iter": 500}],
    "seeds": 2,
}


def test_a_dict_gives_what_the_command_line_gives(bench: Any) -> None:
    done = poisonbench.run(CONFIG, output="mine")
    plain = {**CONFIG, "poisoning_rate": [0.2, 0.1], "model": {"name": "ridge", "alpha": 0.1},
             "dataset": {**CONFIG["dataset"], "groups": [3]}}  # fmt: skip
    theirs = bench.run(plain)
    for name in ("results.csv", "table.csv", "convergence.csv"):
        assert (Path("mine") / name).read_bytes() == (theirs / name).read_bytes()
    again = poisonbench.load_results(theirs)
    pd.testing.assert_frame_equal(done.results, again.results)
    pd.testing.assert_frame_equal(done.convergence, again.convergence)
    # Read without rounding.
    raw = pd.read_csv(theirs / "results.csv", dtype=str, keep_default_na=False)
    assert [repr(float(x)) for x in done.results["test_mse"]] == raw["test_mse"].tolist()
    assert str(done).splitlines()[1].split()[:2] == ["attack", "defense"]
    assert done.table["0.2_count"].sum() == 2 * 2 * 2 * 2  # attacks, defenses, metrics, seeds
    # Nothing is left to do; what is there is used.
    before = {path: path.stat().st_mtime_ns for path in Path("mine", "cells").rglob("*.json")}
    poisonbench.run(CONFIG, output=Path("mine"))
    assert {path: path.stat().st_mtime_ns for path in Path("mine", "cells").rglob("*.json")} == (
        before
    )


def test_labels_are_categories_in_the_order_of_the_config(bench: Any) -> None:
    (bench.folder / "x.yaml").write_text(
        yaml.safe_dump({"dataset": "diabetes", "attack": ["statp", "none"], "seeds": [3, 1],
                        "poisoning_rate": [0.1, 0], "defense": ["none", "heavy-ridge"]})
    )  # fmt: skip
    results = poisonbench.run("x.yaml").results
    assert not (bench.folder / "results").exists()  # nothing is kept unless asked for
    assert list(results["attack"].cat.categories) == ["statp", "none"]
    assert list(results["defense"].cat.categories) == ["none", "heavy-ridge"]
    assert results["defense"].cat.ordered
    assert results["variables"].isna().all()  # neither attack has any
    assert list(results["attack_parameters"].cat.categories) == [""]
    by_defense = results.groupby("defense", observed=True)["test_mse"].mean()
    assert list(by_defense.index) == ["none", "heavy-ridge"]
    assert results["n_poison_assumed"].dtype == "Int64"
    assert results["n_poison_assumed"].isna().all()
    assert results["seed"].dtype == results["n_poison"].dtype == "int64"
    assert results["test_mse"].dtype == "float64"


def test_a_sweep_block_is_a_sweep(bench: Any) -> None:
    config = {"dataset": "diabetes", "attack": "statp", "seeds": 1, "model": "ridge",
              "sweep": {"poisoning_rate": [0, 0.1], "model.alpha": [0.1, 1]}}  # fmt: skip
    results = poisonbench.run(config).results
    assert len(results) == 4
    assert sorted(set(results["alpha"])) == [0.1, 1.0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"attack": "statp"}, r"config: dataset: missing; expected"),
        ({**CONFIG, "attack": "optpp"}, r"config: attack: 'optpp' is not .* did you mean 'optp'"),
        ({**CONFIG, "model": {"name": "ridge", "alpha": -1}}, r"config: model\.alpha: "),
        ({**CONFIG, "defence": "trim"}, r"config: defence: .*did you mean 'defense'"),
        ({**CONFIG, "dataset": {"name": "csv", "path": Path("no.csv"), "target": "y"}}, r"no\.csv"),
        (7, r"config: 7 is neither the path of a file nor a mapping; expected"),
        ("nowhere.yaml", r"nowhere\.yaml: no such file"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(bench: Any, config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        poisonbench.run(config)


def test_a_cell_that_fails_is_reported_with_the_others_done(bench: Any, plugin: Any) -> None:
    plugin(
        """
        import numpy as np
        from poisonbench.defenses import Defense

        class Broken(Defense):
            '''Fails.'''

            name = "broken"
            reference = "nobody"

            def _fit_rows(self, X, y, rng):
                raise ValueError("no consensus")
        """,
        defenses="Broken",
    )
    with pytest.raises(
        poisonbench.RunError, match=r"2 of 4 cells failed:(?s:.*)no consensus"
    ) as error:
        poisonbench.run({**CONFIG, "attack": "statp", "poisoning_rate": 0.1,
                         "defense": ["none", "broken"]})  # fmt: skip
    assert list(error.value.results.results["defense"]) == ["none", "none"]


def test_a_folder_that_holds_no_results(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"results\.csv: no such file; expected the output folder"):
        poisonbench.load_results(tmp_path)
    (tmp_path / "results.csv").write_text("dataset,attack\nhouse,optp\n")
    with pytest.raises(StoreError, match="not those of this version"):
        poisonbench.load_results(tmp_path)


def test_importing_the_package_imports_nothing_else() -> None:
    code = """
import sys
import poisonbench
heavy = ("poisonbench", "numpy", "pandas", "sklearn")
print(*sorted(m for m in sys.modules if m.startswith(heavy)))
assert {"run", "load_results"} <= set(dir(poisonbench))
try:
    poisonbench.runn
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert done == [
        "poisonbench poisonbench.version",
        "module 'poisonbench' has no attribute 'runn'",
    ]


@pytest.mark.parametrize(
    ("package", "kind"), [(attacks, "attack"), (defenses, "defense")], ids=["attacks", "defenses"]
)
def test_every_component_can_be_imported_from_its_package(package: Any, kind: str) -> None:
    built_in = [
        cls
        for cls in registry.components(kind).values()
        if cls.__module__.startswith(package.__name__)
    ]
    names: dict[str, Any] = {}
    exec(f"from {package.__name__} import *", names)
    for cls in built_in:
        assert getattr(package, cls.__name__) is cls is names[cls.__name__]
        assert cls.__name__ in package.__all__
        assert cls.__name__ in dir(package)
    assert registry.KINDS[kind][1] in package.__all__
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'Nothing'"):
        _ = package.Nothing


def test_a_component_of_another_distribution_is_not_in_the_package(plugin: Any) -> None:
    plugin(
        """
        from poisonbench.defenses import Defense

        class Theirs(Defense):
            '''Is theirs.'''

            name = "theirs"
            reference = "them"
        """,
        defenses="Theirs",
    )
    assert "theirs" in registry.components("defense")
    assert "Theirs" not in defenses.__all__
