"""How far results move on other kinds of processors; see README.md in this folder.

A linear algebra library has kernels for each kind of processor, and NumPy and Numba too use what a
processor offers.  Each of them rounds sums differently.  This runs a config with several of them on
one machine, and compares the claims that ``poisonbench artifact`` would make.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import poisonbench
from poisonbench.artifact.claims import checked, claims_of

KERNELS = {
    "Haswell": {},
    "Prescott": {"NUMBA_CPU_NAME": "generic", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"},
    "Sandybridge": {},
    "SkylakeX": {},
}
"""Kinds of processors by their names in OpenBLAS, with settings of NumPy and Numba.  The first is
compared with the others; an x86-64 processor can run all that are older than itself."""


def main(arguments: list[str] | None = None) -> None:
    """Run the config with every kernel, and print the largest relative differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", nargs="?", default="configs/quickstart.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--kernels", nargs="+", choices=list(KERNELS), default=list(KERNELS))
    parser.add_argument("--data-dir", default="datasets")
    options = parser.parse_args(arguments)
    found = {}
    for kernel in options.kernels:
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "out")
            command = [sys.executable, "-m", "poisonbench", "run", options.config,
                       *options.overrides, "--quiet", "--jobs", "1", "--output", out, "--data-dir",
                       options.data_dir]  # fmt: skip
            settings = {"OPENBLAS_CORETYPE": kernel, **KERNELS[kernel]}
            subprocess.run(command, env={**os.environ, **settings}, check=True)
            done = poisonbench.load_results(out)
            found[kernel] = claims_of("", done.results, done.timings)
    first, *others = options.kernels
    table = pd.DataFrame({kernel: _largest(found[first], found[kernel]) for kernel in others})
    print(f"Largest relative difference from {first}:")
    print(table.to_string(float_format=lambda value: f"{value:.1e}"))


def _largest(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """Return the largest difference of each attack, by the kind of row."""
    both = checked(before, after)
    kinds = np.where(both["defense"].isin(["none", "oracle"]), both["defense"], "defenses")
    return both["difference"].abs().groupby([both["attack"], kinds]).max()


if __name__ == "__main__":
    main()
