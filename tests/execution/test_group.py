"""One group of cells, in whatever process it is computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
from pathlib import Path

import threadpoolctl
from typer.testing import CliRunner

from poisonbench.cli.app import app
from poisonbench.defenses.trim import TRIMRegressor

def most():
    return max([pool["num_threads"] for pool in threadpoolctl.threadpool_info()])

seen = {"outside": most(), "inside": []}
fit = TRIMRegressor.fit
TRIMRegressor.fit = lambda self, X, y: (seen["inside"].append(most()), fit(self, X, y))[1]
Path("x.yaml").write_text(
    "{dataset: {name: synthetic, n: 60}, split: {train: 30, validation: 10, test: 10}, seeds: 1, "
    "attack: statp, poisoning_rate: 0.1, defense: {name: trim, restarts: 1}}"
)
result = CliRunner().invoke(app, ["run", "x.yaml", "--jobs", "0", "--output", "out"])
assert not result.exit_code, result.output
print(json.dumps({**seen, "after": most()}))
"""


def test_a_cell_computes_with_one_thread_whatever_the_environment_says(tmp_path):
    """With more, sums run in another order and the last bits are others."""
    variables = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    seen = json.loads(done.stdout)
    if seen["outside"] == 1:
        pytest.skip("the linear algebra here has one thread")
    assert seen["inside"]
    assert set(seen["inside"]) == {1}
    assert seen["after"] == seen["outside"]
