"""What ``--dry-run`` says of time and memory, and that a run takes about that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.config import load
from poisonbench.execution import engine
from poisonbench.execution.estimate import LIBRARIES, START, Estimate, estimate
from poisonbench.execution.options import RunOptions
from poisonbench.output.layout import read_json, sealed
from poisonbench.plan import costs
from poisonbench.plan.groups import Plan
from poisonbench.plan.make import make_plan

CONFIG: dict[str, Any] = {
    "dataset": {"name": "synthetic", "n": 120, "d": 4, "informative": 2, "groups": [3]},
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": {"name": "bgd", "iterations": 1},
    "poisoning_rate": 0.1,
    "split": {"train": 40, "validation": 20, "test": 30},
    "defense": ["none", "huber"],
    "seeds": 2,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder is empty, and a ridge fit takes 10 ms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "ridge_seconds", lambda n, d: 0.01)
    return tmp_path


def plan_of(**changes: Any) -> Plan:
    return make_plan(load({**CONFIG, **changes}))


def left(plan: Plan, n_processes: int = 1, made: tuple[str, ...] = ()) -> Estimate:
    """Return the estimate of what is missing in the folder out."""
    todo = engine.missing_of(plan.groups, Path("out"), RunOptions())[1]
    return estimate(plan, todo, Path("out"), n_processes, made)


def total(plan: Plan, **options: Any) -> float:
    return sum(left(plan, **options).seconds.values())


def invoke(*words: str, code: int = 0, **changes: Any) -> str:
    Path("x.yaml").write_text(yaml.safe_dump({**CONFIG, **changes}))
    result = CliRunner().invoke(app, [words[0], "x.yaml", *words[1:]])
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_dry_run_says_cells_time_and_memory():
    said = invoke("run", "--dry-run", "--jobs", "2", "--output", "out")
    assert "0 cells are already in out" in said
    time, memory = said.splitlines()[-2:]
    assert re.fullmatch(
        r"time: about \d+ s with 2 processes \(\d+ s to \d+ s\), \d+ s of computing; from a table "
        r"of costs and the time of a ridge fit here",
        time,
    )
    assert re.fullmatch(
        r"memory: at most about 30\d MB for each process: 300 MB for the libraries", memory
    )
    assert not Path("out").exists()
    invoke("run", "--quiet", "--jobs", "0", "--output", "out")
    said = invoke("run", "--dry-run", "--jobs", "1", "--output", "out")
    assert "4 cells are already in out\nnothing is left to compute" in said
    said = invoke("run", "--dry-run", "--extend", "--jobs", "1", "--output", "out", seeds=4)
    assert "with one process" in said
    assert "from finished cells for " in said


def test_what_a_large_design_takes_is_said():
    said = invoke("run", "--dry-run", dataset={"name": "synthetic", "n": 60_000, "d": 40},
                  split="thirds")  # fmt: skip
    memory = said.splitlines()[-1]
    assert "77 MB of rows" in memory
    assert "from a table of costs on smaller data and" in said
    assert "MB huber" in memory


def test_more_of_the_same_takes_more():
    once = total(plan_of())
    assert total(plan_of(seeds=4)) == pytest.approx(2 * once)
    long = {"attack": {"name": "bgd", "iterations": 1000}}
    assert total(plan_of(**long)) > 3 * once
    assert total(plan_of(**long, poisoning_rate=0.2)) > 1.5 * total(plan_of(**long))
    assert total(plan_of(defense=["none", "huber", "ransac"])) > once
    assert total(plan_of(ceiling="off")) < once
    assert total(plan_of(attack="none", ceiling="off")) < once
    only_defenses = {"defense": ["none", "ransac"]}
    single = total(plan_of(**only_defenses)) - total(plan_of(defense="none"))
    fits = [total(plan_of(**only_defenses, repetitions=k)) - total(plan_of(**only_defenses))
            for k in (2, 5)]  # fmt: skip
    assert 0.5 * single < fits[0] < single  # a cell is more than its fits
    assert fits[1] == pytest.approx(4 * fits[0])
    assert total(plan_of(defense="none", repetitions=5)) == total(plan_of(defense="none"))


def test_what_is_computed_once_is_counted_once_in_each_process():
    """The strength is selected, and a defense fitted to the clean rows, once for each split."""
    fitted = {"model": {"name": "lasso", "alpha": 0.1}}
    selected = {"model": "lasso"}
    rates = {"poisoning_rate": [0.05, 0.1, 0.15, 0.2], "seeds": 1}
    selection = 0.01 * costs.ridge_fits("selection", "lasso", {}, "lasso", costs.Shape(40, 7, 4))
    for n_processes, runs in ((1, 1), (2, 2), (50, 4)):
        taken = total(plan_of(**rates, **selected), n_processes=n_processes)
        taken -= total(plan_of(**rates, **fitted), n_processes=n_processes)
        assert taken == pytest.approx(runs * selection, rel=0.3)


def test_what_is_done_takes_nothing():
    whole = total(plan_of(seeds=3))
    invoke("run", "--quiet", "--jobs", "0", "--output", "out")
    assert left(plan_of()).seconds == {}
    assert len(left(plan_of(seeds=3)).seconds) == 1
    assert total(plan_of(seeds=3)) < whole
    # Of a folder that has the poison, only the new defense is computed.
    plan = plan_of(defense=["none", "huber", "trim"])
    attack = 0.01 * costs.ridge_fits("attack", "bgd", {"iterations": 1}, "ridge",
                                     costs.Shape(40, 7, 4))  # fmt: skip
    for path in Path("out/poison").iterdir():
        path.rename(path.with_suffix(".away"))
    without = total(plan)
    assert without > total(plan, made=tuple(group.id for group in plan.groups))
    for path in Path("out/poison").iterdir():
        path.rename(path.with_suffix(".npz"))
    assert without - total(plan) > attack / 1e3


def slow_down(**taken: float) -> None:
    """Say that every cell in the folder out took this long."""
    for path in Path("out/meta").rglob("*.json"):
        content = read_json(path)
        if "defense_seconds" in content:
            path.write_bytes(sealed({**content, **taken}))


def test_the_time_of_a_cell_is_that_of_one_fit():
    invoke("run", "--quiet", "--jobs", "0", "--output", "out", repetitions=4)
    slow_down(attack_seconds=500.0, defense_seconds=20.0)
    (third,) = left(plan_of(seeds=3, repetitions=4)).seconds.values()
    assert 500 + 4 * 2 * 20 < third < 1.1 * (500 + 4 * 2 * 20)  # on clean rows, too


def test_finished_cells_of_the_same_kind_correct_the_table():
    invoke("run", "--quiet", "--jobs", "0", "--output", "out")
    plan = plan_of(seeds=3, poisoning_rate=[0.1, 0.2])
    slow_down(attack_seconds=500.0, defense_seconds=20.0)
    found = left(plan)
    assert found.measured > 0.9
    assert "from the times of finished cells" in found.report(1)
    by_size = {group.id: group.n_poison for group in plan.groups}
    seconds = {
        p: [taken for group, taken in found.seconds.items() if by_size[group] == p] for p in (4, 8)
    }
    assert len(seconds[4]) == 1  # the third seed
    assert 500 + 2 * 20 < seconds[4][0] < 1.1 * (500 + 2 * 20)  # huber twice: on clean rows, too
    assert len(seconds[8]) == 3
    assert all(1.7 * 500 < one < 3 * 500 for one in seconds[8])
    # All else is as much slower than the table says.
    more = plan_of(attack=[CONFIG["attack"], "statp"])
    slower = total(more)
    Path("out").rename("away")
    assert slower > 20 * total(more)


def test_how_groups_are_shared_among_processes():
    found = Estimate({"a": 5.0, "b": 5.0, "c": 20.0}, 0.0, {"for the libraries": LIBRARIES})
    assert found.wall(1) == START + 30
    assert found.wall(2) == START + 25  # c begins when a ends
    assert found.wall(8) == START + 20
    assert "about 28 s with 2 processes (9 s to 84 s), 30 s of computing" in found.report(2)


def test_of_a_shard_only_its_part_is_estimated():
    whole, part = (
        re.search(r"(\d+) s of computing", invoke("sweep", "--dry-run", *words, seeds=8))
        for words in ((), ("--shard", "0/4"))
    )
    assert int(part[1]) == pytest.approx(int(whole[1]) / 4, rel=0.3)


def test_poison_that_an_earlier_experiment_makes_is_made_once(monkeypatch):
    from poisonbench import packaged_files
    from poisonbench.cli import reproduce

    configs = Path("configs/jagielski2018")
    configs.mkdir(parents=True)
    slow = {**CONFIG, "attack": {"name": "bgd", "iterations": 10_000}, "ceiling": "off"}
    for name, defense in (("one", "none"), ("two", "trim")):
        (configs / f"{name}.yaml").write_text(yaml.safe_dump({**slow, "defense": defense}))
    monkeypatch.setattr(packaged_files, "folder", {"configs": configs.parent}.__getitem__)
    monkeypatch.setattr(reproduce, "PARTS", {"attacks": ("one",), "defenses": ("two",)})
    command = ["reproduce", "jagielski2018", "--dry-run", "--jobs", "1"]
    said = CliRunner().invoke(app, command).stdout
    one, two = re.findall(r"time: about (\d+ \w+) with", said)
    assert one.endswith("min") or int(one.split()[0]) > 20
    assert two.endswith(" s")
    assert int(two.split()[0]) < 10
    assert said.splitlines()[-2] == "== total"
    assert said.splitlines()[-1].startswith("time: about ")


def test_groups_of_any_number_are_estimated_fast():
    import time

    plan = plan_of(seeds=2000)
    start = time.process_time()
    assert len(left(plan).seconds) == 2000
    assert time.process_time() - start < 10  # 0.3 s where measured
