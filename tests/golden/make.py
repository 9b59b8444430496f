"""Compute the golden run and store its numbers, which belong to the current ``RESULT_VERSION``.

    python tests/golden/make.py             replaces the stored numbers (raise RESULT_VERSION first)
    python tests/golden/make.py --into DIR  writes to DIR only; prints what the last bits depend on

The compiled engine is not used: the stored numbers are those of the NumPy form.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.modules["numba"] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from poisonbench.cli.app import app  # noqa: E402
from poisonbench.execution.provenance import facts  # noqa: E402
from poisonbench.plan.identity import RESULT_VERSION  # noqa: E402

HERE = Path(__file__).resolve().parent


def machine() -> dict[str, Any]:
    """Return what the last bits of a number depend on, beside the code of this project."""
    found = facts()
    libraries = {name: found["libraries"][name] for name in ("numpy", "scipy", "scikit-learn")}
    blas = sorted(found["blas"], key=str)  # by one and the same order, whichever was loaded first
    # NumPy chooses its loops by these when it starts.
    simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return {"libraries": libraries, "blas": blas, "simd": simd, "platform": sys.platform}


def compute(out: Path) -> str:
    """Run the config into `out` and return its ``results.csv``."""
    arguments = ["sweep", str(HERE / "config.yaml"), "--jobs", "0", "--quiet", "--output", str(out)]
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        raise RuntimeError(result.output)
    return (out / "results.csv").read_text()


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, metavar="DIR", help="folder of the results")
    into = parser.parse_args().into
    out = into or Path(tempfile.mkdtemp())
    text = compute(out)
    if into is not None:
        print(json.dumps(machine()))
    else:
        shutil.rmtree(out)
        (HERE / "results.csv").write_text(text)
        made = {"result_version": RESULT_VERSION, **machine()}
        (HERE / "made.json").write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
