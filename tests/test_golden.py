"""The golden run: what a small experiment gave when ``RESULT_VERSION`` got its value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poisonbench.plan.identity import RESULT_VERSION

GOLDEN = Path(__file__).resolve().parent / "golden"
MAKE = "python tests/golden/make.py"

TOLERANCE = 1e-9
"""Relative difference that another processor, another linear algebra or another order of the same
operations may make."""

CEILING_TOLERANCE = 1e-3
"""The same for ceilings.  Each is proved, but where the search for the lowest one stops depends on
the last bits: it stops at a relative gap of 1e-6, and for LASSO it need not reach the optimum."""


@pytest.fixture(scope="module")
def made() -> dict[str, object]:
    """What the kept numbers are of: the version, and the machine that made them."""
    found: dict[str, object] = json.loads((GOLDEN / "made.json").read_text())
    return found


def test_a_new_result_version_has_numbers_of_its_own(made):
    assert made["result_version"] == RESULT_VERSION, (
        f"tests/golden/results.csv is of RESULT_VERSION {made['result_version']}, and it is "
        f"{RESULT_VERSION} now; replace it by {MAKE}, and look at what has changed"
    )


def test_the_numbers_are_those_of_the_result_version(made, tmp_path):
    if made["result_version"] != RESULT_VERSION:
        pytest.skip(f"the numbers kept are of another version; {MAKE} makes new ones")
    # In a process of its own, which leaves the compiled engine out.
    command = [sys.executable, GOLDEN / "make.py", "--into", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stderr
    machine = json.loads(done.stdout)
    changed = differences(table(GOLDEN / "results.csv"), table(tmp_path / "out" / "results.csv"))
    assert not changed, (
        f"numbers changed and RESULT_VERSION did not:\n{chr(10).join(changed)}\n"
        "If they are meant to, raise RESULT_VERSION in poisonbench/plan/identity.py and then run "
        f"{MAKE}\n(computed on {machine}, kept from {made})"
    )


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def differences(kept: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """Return what differs between two tables, a line for each column."""
    if list(kept) != list(now) or len(kept) != len(now):
        return [f"columns {sorted({*kept} ^ {*now})}, rows {len(kept)} and {len(now)}"]
    found = []
    for name in kept:
        old, new = kept[name], now[name]
        if old.dtype.kind == "f" and new.dtype.kind == "f":
            own = CEILING_TOLERANCE if "ceiling" in name else TOLERANCE
            same = np.isclose(new, old, rtol=own, atol=own * 1e-3, equal_nan=True)
        else:
            same = ((old == new) | (old.isna() & new.isna())).to_numpy()
        if not same.all():
            i = int(np.argmin(same))
            where = kept.loc[i, ["model", "attack", "defense", "seed"]].tolist()
            found.append(f"  {name}: {int((~same).sum())} rows, such as {where}: "
                         f"{old[i]} before, {new[i]} now")  # fmt: skip
    return found


def test_one_number_that_changes_is_noticed(made):
    kept = table(GOLDEN / "results.csv")
    for name, other in (("test_mse", kept["test_mse"] * (1 + 1e-8)), ("n_removed", 5.0),
                        ("poison_file", "poison/0.npz")):  # fmt: skip
        changed = kept.copy()
        changed.loc[3, name] = other[3] if isinstance(other, pd.Series) else other
        (line,) = differences(kept, changed)
        assert line.startswith(f"  {name}: 1 rows")
    assert not differences(kept, kept)
