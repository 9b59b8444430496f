"""The cost of `coordinate` on large data: seconds, multiples of Ridge.fit, and memory.

    python tests/benchmarks/scale.py                          # 10^6 x 100, and sweeps below it
    python tests/benchmarks/scale.py --n 1000000 --d 100 --p 200000 --engine numpy
    python tests/benchmarks/scale.py --n 1000000 --d 100 --p 200000 --defenses trim mm

Every line is measured in a separate process with one BLAS thread, so that its peak memory is not
affected by the others:

    fit, refit    scikit-learn's Ridge.fit on the clean rows: the first in the process, for which
                  the system must provide the memory, and the median of three more
    gram          reading the rows: Z'Z and Z'y of training and validation rows
    search        then the ascent on the distinct rows
    write         making the p rows from the distinct rows
    check         the pipeline's own check that they are legal
    total         gram, search and write, for the first time in the process
    ratio, reratio  the total in multiples of `fit` and of `refit`
    memory        peak resident memory minus that of the interpreter and its libraries, in multiples
                  of the size of the training and validation rows, which it includes

With --defenses, it fits defenses instead of running the attack, to n rows of which p are poison.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

COLUMNS = ("n", "d", "p", "distinct", "engine", "fit", "refit", "gram", "search", "write", "check",
           "total", "ratio", "reratio", "memory")  # fmt: skip


def seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the process's CPU seconds that an action takes, and what it returns."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def ridge_seconds(X: Any, y: Any) -> tuple[float, float]:
    """Return the CPU seconds of the process's first Ridge.fit, and the median of three more."""
    from sklearn.linear_model import Ridge

    first, *more = (seconds(lambda: Ridge(alpha=0.1).fit(X, y))[0] for _ in range(4))
    return first, sorted(more)[1]


def measure(n: int, d: int, p: int, distinct: int) -> dict[str, Any]:
    """Return one line of the table; to be called in a process of its own."""
    import numpy as np

    from poisonbench import pipeline
    from poisonbench.attacks import coordinate
    from poisonbench.attacks.engines import climb, functions
    from poisonbench.data.scaling import Scaling
    from poisonbench.features import FeatureSpace
    from poisonbench.models import Ridge
    from poisonbench.problem import AttackProblem, Sample

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, d) / d

    def sample(rows: int) -> Sample:
        X = rng.random((rows, d))
        return Sample(X, np.clip(0.5 + X @ weights + 0.05 * rng.standard_normal(rows), 0, 1))

    train, validation = sample(n), sample(n // 10)
    data = sum(part.nbytes for each in (train, validation) for part in (each.X, each.y))
    # The learner as it comes from clean rows; fitted on few, for its fit copies them all.
    model = Ridge(alpha=0.1).fit(train.X[:1000], train.y[:1000])
    problem = AttackProblem(
        train,
        validation,
        model,
        FeatureSpace(tuple(f"x{j}" for j in range(d))),
        "y",
        Scaling(np.zeros(d), np.ones(d), 0.0, 1.0),
        p,
        0,
    )
    attack = coordinate.Coordinate(max_distinct=distinct)
    if climb.engine().name == "numba":  # compile, or load, first
        small = Sample(train.X[:200], train.y[:200])
        tiny = AttackProblem(small, small, model, problem.space, "y", problem.scaling, distinct, 0)
        attack.generate(tiny)

    spent = {"gram": 0.0, "write": 0.0}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            before = spent[name]
            taken, result = seconds(lambda: function(*arguments))
            spent[name] = before + taken  # which includes calls of the same name in it
            return result

        return call

    functions.moments = timed("gram", functions.moments)
    climb.fast_moments = timed("gram", climb.fast_moments)
    climb.expanded = timed("write", climb.expanded)
    total, poison = seconds(lambda: attack.generate(problem))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    check, _ = seconds(lambda: pipeline.check(poison, p, problem.space))
    fit, refit = ridge_seconds(train.X, train.y)
    return {
        "n": n,
        "d": d,
        "p": p,
        "distinct": distinct,
        "engine": climb.engine().name,
        "fit": fit,
        "refit": refit,
        **spent,
        "search": total - sum(spent.values()),
        "check": check,
        "total": total,
        "ratio": total / fit,
        "reratio": total / refit,
        "memory": 1024 * peak / data,
    }


DEFENSE_COLUMNS = ("n", "d", "p", "defense", "fit", "refit", "total", "ratio", "reratio", "memory",
                   "kept")  # fmt: skip


def measure_defense(n: int, d: int, p: int, name: str) -> dict[str, Any]:
    """Return a line for a defense; to be called in a process of its own.

    `kept` is the share of the poison rows that it kept.  They are corners of the box, with a
    response of 0 or 1 at random.
    """
    import numpy as np

    from poisonbench.defenses import MMRegressor, TRIMRegressor
    from poisonbench.models import Ridge

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = np.random.default_rng(0)
    X, is_poison = rng.random((n, d)), rng.permutation(n) < p
    y = np.clip(0.5 + X @ (rng.uniform(-1, 1, d) / d) + 0.05 * rng.standard_normal(n), 0, 1)
    X[is_poison], y[is_poison] = np.round(X[is_poison]), rng.random(p) < 0.5
    model = Ridge(alpha=0.1)
    defense = (
        MMRegressor(model, one_hot_groups=(), random_state=0)
        if name == "mm"
        else TRIMRegressor(model, n_poison=p, random_state=0)
    )
    total, fitted = seconds(lambda: defense.fit(X, y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    fit, refit = ridge_seconds(X, y)
    return {
        "n": n,
        "d": d,
        "p": p,
        "defense": name,
        "fit": fit,
        "refit": refit,
        "total": total,
        "ratio": total / fit,
        "reratio": total / refit,
        "memory": 1024 * peak / (X.nbytes + y.nbytes),
        "kept": float(fitted.support_[is_poison].mean()),
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=None, help="training rows")
    parser.add_argument("--d", type=int, nargs="+", default=None, help="numeric features")
    parser.add_argument("--p", type=int, nargs="+", default=None, help="poison rows")
    parser.add_argument("--distinct", type=int, default=32, help="distinct poison rows")
    parser.add_argument("--engine", choices=("numpy", "numba"), help="numba where it is installed")
    parser.add_argument("--defenses", nargs="+", choices=("trim", "mm"), help="instead of attacks")
    parser.add_argument("--output", type=Path, default=Path("scale.csv"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine == "numpy":
        sys.modules["numba"] = None  # type: ignore[assignment]  # importing it fails now
    if given.one:
        [n], [d], [p] = given.n, given.d, given.p
        line = (
            measure_defense(n, d, p, given.defenses[0])
            if given.defenses
            else measure(n, d, p, given.distinct)
        )
        columns = DEFENSE_COLUMNS if given.defenses else COLUMNS
        csv.writer(sys.stdout).writerow([line[name] for name in columns])
        return
    if given.n or given.d or given.p:
        cases = list(product(given.n or [1_000_000], given.d or [100], given.p or [200_000]))
    else:
        cases = [(n, 100, 20_000) for n in (10_000, 100_000, 1_000_000)]
        cases += [(100_000, d, 20_000) for d in (10, 30, 300)]
        cases += [(1_000_000, 100, p) for p in (2_000, 200_000)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with given.output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = DEFENSE_COLUMNS if given.defenses else COLUMNS
        writer.writerow(columns)
        print(" ".join(f"{name:>9}" for name in columns))
        for (n, d, p), defense in product(cases, given.defenses or [None]):
            command = [sys.executable, __file__, "--one", f"--n={n}", f"--d={d}", f"--p={p}"]
            if defense:
                command.append(f"--defenses={defense}")
            else:
                command.append(f"--distinct={given.distinct}")
            if given.engine:
                command.append(f"--engine={given.engine}")
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            [line] = csv.reader([done.stdout.strip()])
            writer.writerow(line)
            file.flush()
            print(" ".join(f"{shown(text):>9}" for text in line), flush=True)


def shown(text: str) -> str:
    """Return a cell for people."""
    return f"{float(text):.3g}" if "." in text and " " not in text else text.replace(" ", "-")


if __name__ == "__main__":
    main()
