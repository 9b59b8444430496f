"""The time that the engine takes in addition to the computation, and how fast commands answer.

This prints a table of the wall and CPU times of commands and, for a sweep of trivial cells, how
much longer a cell takes than the same computation in a plain loop.  See README.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from threadpoolctl import threadpool_limits

from poisonbench import pipeline
from poisonbench.config import load
from poisonbench.output.layout import read_json, sealed
from poisonbench.plan.groups import Plan
from poisonbench.plan.make import make_plan

CELLS_OF_A_SEED = 4

CONFIG = """
dataset: {{name: synthetic, n: 90, d: 2, informative: 2}}
model: {{name: ridge, alpha: 0.1}}
attack: none
poisoning_rate: 0
defense: [none, oracle, median, heavy-ridge]
seeds: {seeds}
"""


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds, those of ended children included."""

    def cpu() -> float:
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    wall_before, cpu_before = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall_before, cpu() - cpu_before


def command(*arguments: str | Path) -> Callable[[], Any]:
    """Return a call of ``poisonbench``."""
    words = [sys.executable, "-m", "poisonbench", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return lambda: subprocess.run(words, check=True, capture_output=True, env=environment)


def bare(work: Plan) -> None:
    """Compute all cells of a plan, and keep nothing."""
    for group in work.groups:
        with threadpool_limits(1), warnings.catch_warnings(record=True):
            stage = pipeline.stage(group, work.datasets[group.data], None)
            for task in group.tasks:
                pipeline.measure(stage, task)


def fill(out: Path, n_cells: int) -> None:
    """Make the folder of a sweep of one seed that of a plan of many, all done but one in ten."""
    index = read_json(out / "index.json") or {}
    data, _, model, attack, n_poison, _ = index["groups"][0]
    cell, meta = (next(out.glob(f"{kind}/*/*.json")).read_bytes() for kind in ("cells", "meta"))
    groups = []
    for seed in range(n_cells // 10):
        ids = [sha256(f"{seed} {i}".encode()).hexdigest() for i in range(10)]
        groups.append([data, seed, model, attack, n_poison, [[id_, "none"] for id_ in ids]])
        for id_ in ids[1:]:
            for kind, content in (("cells", cell), ("meta", meta)):
                path = out / kind / id_[:2] / f"{id_}.json"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
    labels = index["rows"][0][1:]
    rows = [[id_, *labels] for group in groups for id_, _ in group[-1]]
    whole = sealed({**index, "groups": groups, "rows": rows}, compact=True)
    (out / "index.json").write_bytes(whole)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--cells", type=int, default=2_000, help="cells of the sweeps")
    parser.add_argument("--status", type=int, default=100_000, help="cells that status counts")
    parser.add_argument("--repeat", type=int, default=3, help="of the short commands; medians")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stem, seeds in (("many", options.cells // CELLS_OF_A_SEED), ("one", 1)):
            (folder / f"{stem}.yaml").write_text(CONFIG.format(seeds=seeds))
        many, one = folder / "many.yaml", folder / "one.yaml"

        def sweep(config: Path, out: str, *more: str) -> Callable[[], Any]:
            return command("sweep", config, "--rates", "0", "--output", folder / out, *more)

        def show(what: str, times: tuple[float, float], cells: int | None = None) -> None:
            words = [f"{what:<44}", *(f"{seconds:8.2f}" for seconds in times)]
            if cells:
                over = [
                    1000 * (taken - idle - least) / cells
                    for taken, idle, least in zip(times, start, computation, strict=True)
                ]
                words += [f"{milliseconds:12.1f}" for milliseconds in over]
            print(*words)

        def repeated(work: Callable[[], Any]) -> tuple[float, float]:
            runs = [timed(work) for _ in range(options.repeat)]
            return median(wall for wall, _ in runs), median(cpu for _, cpu in runs)

        print(f"{'':<44}{'wall s':>9}{'CPU s':>9}{'wall ms/cell':>14}{'CPU ms/cell':>13}")
        show("--help", repeated(command("--help")))
        show("validate", repeated(command("validate", many)))
        sweep(one, "one")()
        start = repeated(sweep(one, "one"))
        show("sweep of what is done", start)
        work = make_plan(load(many))
        computation = timed(lambda: bare(work))
        show(f"{options.cells} cells in a bare loop", computation)
        for jobs in ("0", "1", "2"):
            times = timed(sweep(many, f"jobs{jobs}", "--jobs", jobs))
            show(f"sweep of {options.cells} cells, --jobs {jobs}", times, options.cells)
        show("the same again", timed(sweep(many, "jobs2")))
        fill(folder / "one", options.status)
        show(f"status of {options.status} cells", timed(command("status", folder / "one")))


if __name__ == "__main__":
    main()
