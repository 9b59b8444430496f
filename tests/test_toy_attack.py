"""A new attack or defense is one file with one class: everything else picks it up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import poisonbench

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = Path(poisonbench.__file__).resolve().parent.parent

ATTACK = '''
"""Random rows with the largest response."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from poisonbench.attacks.base import Attack
from poisonbench.problem import AttackProblem, PoisonSet


class Toy(Attack):
    """Random legal rows that all say the same.

    Parameters
    ----------
    response : float, default=1.0
        What they say.
    """

    name = "toy"
    reference = "nobody"

    def __init__(self, *, response: Annotated[float, Ge(0), Le(1)] = 1.0) -> None:
        self.response = response

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows."""
        points = problem.generator().random((problem.n_poison, problem.space.n_features))
        X = problem.space.project(points)
        return PoisonSet(X, np.full(len(X), self.response))
'''

DEFENSE = '''
"""The median response."""

import numpy as np

from poisonbench.defenses.base import Defense


class MedianRegressor(Defense):
    """Predicts the median response whatever the features.

    Parameters
    ----------
    shift : float, default=0.0
        Added to it.
    random_state : int, optional
        Has no effect.
    """

    name = "toy-median"
    reference = "nobody"

    def __init__(self, *, shift: float = 0.0, random_state: int | None = None) -> None:
        self.shift = shift
        self.random_state = random_state

    def _fit_rows(self, X, y, rng):
        self.coef_ = np.zeros(X.shape[1])
        self.intercept_ = float(np.median(y)) + self.shift
'''

PLUGIN = """
import poisonbench.attacks
import poisonbench.defenses

poisonbench.attacks.__path__.append({attacks!r})
poisonbench.defenses.__path__.append({defenses!r})
"""

COMMANDS = """
import json, sys
import with_toys
from typer.testing import CliRunner
from poisonbench.cli.app import app

results = []
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(app, arguments)
    results.append([result.exit_code, result.stdout, result.stderr])
print(json.dumps(results))
"""

CONFIG = """
dataset: {name: synthetic, n: 90, d: 5, groups: [3]}
attack: [{name: toy, response: 0.75}, {name: optp, iterations: 1}]
poisoning_rate: 0.2
defense: [none, toy-median, trim]
seeds: 2
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that can import `with_toys`, which adds the two files."""
    folders = {"attacks": ATTACK, "defenses": DEFENSE}
    for folder, text in folders.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "toy.py").write_text(text)
    plugin = PLUGIN.format(**{folder: str(tmp_path / folder) for folder in folders})
    (tmp_path / "with_toys.py").write_text(plugin)
    (tmp_path / "toy.yaml").write_text(CONFIG)
    (tmp_path / "wrong.yaml").write_text(CONFIG.replace("0.75", "7"))
    path = os.pathsep.join([str(tmp_path), str(PACKAGE)])
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_command_line_and_a_run_know_it(tmp_path: Path, environment: dict[str, str]) -> None:
    commands = [
        ["list", "attacks"],
        ["list", "toy"],
        ["list", "toy-median"],
        ["schema"],
        ["run", "--help"],
        ["validate", "wrong.yaml"],
        ["run", "toy.yaml", "--output", "out", "--jobs", "0"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS], input=json.dumps(commands), env=environment,
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = dict(zip(map(" ".join, commands), json.loads(done.stdout), strict=True))

    def printed(command: str) -> Any:
        code, output, errors = results[command]
        assert code == 0, errors
        return output

    assert "  toy               Random legal rows that all say the same.\n" in (
        printed("list attacks")
    )
    assert "response: a number with 0 <= response <= 1; default 1.0" in printed("list toy")
    assert "shift" in printed("list toy-median")
    schema = printed("schema")
    assert '"toy"' in schema
    assert '"toy-median"' in schema
    assert "What they say." in schema
    assert "toy" in printed("run --help").split("attacks:")[1].split(":")[0]

    code, _, errors = results["validate wrong.yaml"]
    assert code == 2
    assert "wrong.yaml:3: " in errors
    assert "response" in errors

    table = printed("run toy.yaml --output out --jobs 0")
    assert "toy" in table
    rows = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 * 3
    assert sum(",toy," in row for row in rows) == 6
    assert sum(",toy-median," in row for row in rows) == 4
    assert len(list((tmp_path / "out" / "poison").glob("toy-p6-*.npz"))) == 2


def test_the_contract_tests_run_on_it(tmp_path: Path, environment: dict[str, str]) -> None:
    contract = REPOSITORY / "tests" / "attacks" / "test_contract.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "with_toys", "-p", "no:cacheprovider", "-rA", "-q",
         "-c", REPOSITORY / "pyproject.toml", "--rootdir", REPOSITORY, contract, "-k", "toy"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    passed = re.findall(r"^PASSED .*::(\w+)\[.*toy.*\]$", done.stdout, re.M)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(passed) > 10
    assert {"test_returns_as_many_legal_rows_as_asked_for", "test_the_entropy_alone_decides",
            "test_works_for_every_model", "test_is_documented"} <= set(passed)  # fmt: skip
