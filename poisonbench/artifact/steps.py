"""The commands that make the tables and figures of an artifact, with their time and memory."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poisonbench.artifact.contents import Experiment
from poisonbench.execution.estimate import estimate
from poisonbench.output.layout import StoreError

RERUN, FIGURES = "../rerun", "../figures"
"""Where the commands write: beside the artifact, which stays as its checksums say."""

NOT_POSSIBLE = 2
"""Exit code of a command that cannot work with these results or without an extra."""


class NotPossibleError(Exception):
    """A command cannot work with these results or without an extra; the message says why."""


@dataclass(frozen=True)
class Step:
    """A command that makes tables or figures, and what it needs.

    Parameters
    ----------
    makes : str
        What it makes.
    command : tuple of str
        The command, to be run in the folder of the artifact.
    seconds : float
        How long it took.
    memory : float
        How much memory it needs, in bytes.
    """

    makes: str
    command: tuple[str, ...]
    seconds: float
    memory: float


def steps_of(
    experiment: Experiment, expected: Path, data_dir: Path | None, notes: list[str]
) -> Iterator[Step]:
    """Yield the commands of an experiment; those that take its results are run, to measure them.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    expected : Path
        The folder into which the commands print and draw.
    data_dir : Path, optional
        The folder of the catalogue's files.
    notes : list of str
        Gets what cannot be made, and why.
    """
    name, plan = experiment.name, experiment.plan
    folder = f"{RERUN}/{name}"
    memory = estimate(plan, plan.groups, experiment.folder, 1).memory
    files = ["results.csv", "table.csv", "convergence.csv", "timings.csv"]
    sweep = ["sweep", f"{name}.yaml", "--output", folder]
    if experiment.predictions:
        files.append("changes.csv")
        sweep.append("--predictions")
    yield Step(
        f"{name}: {', '.join(files)}",
        ("poisonbench", *sweep),
        experiment.seconds,
        sum(memory.values()),
    )
    yield _measured(f"{name}: table of test errors (table.txt)", ["table", folder],
                    {folder: experiment.folder}, expected / "table.txt")  # fmt: skip
    figures, drawn = expected / "figures", f"{FIGURES}/{name}"
    places = {folder: experiment.folder, drawn: figures}
    plot = ["plot", folder, "--format", "png", "--output", drawn]
    data = [] if data_dir is None else ["--data-dir", str(data_dir)]
    try:
        step = _measured("", plot, places, None, data)
    except NotPossibleError as error:
        notes.append(f"{name}: no figures. {error}")
        return
    for path in sorted(figures.glob("*.png")):
        yield replace(step, makes=f"{name}: figure {path.name}")


def comparison(folder: Path, target: str, expected: Path, notes: list[str]) -> Iterator[Step]:
    """Yield the command that compares results with published values, if there are such values.

    Parameters
    ----------
    folder : Path
        The output folder, or the folder of output folders.
    target : str
        The folder of the repeated results.
    expected : Path
        The file into which the command prints.
    notes : list of str
        Gets the reason if there is nothing to compare with.
    """
    try:
        yield _measured("comparison with published values (comparison.txt)", ["compare", target],
                        {target: folder}, expected)  # fmt: skip
    except NotPossibleError as error:
        notes.append(f"No comparison with published values. {error}")


def _measured(
    makes: str,
    words: Sequence[str],
    places: dict[str, Path],
    expected: Path | None,
    more: Sequence[str] = (),
) -> Step:
    """Run a command on the finished results, and return it with time and memory.

    Parameters
    ----------
    makes : str
        What it makes.
    words : sequence of str
        The command.
    places : dict of str to Path
        The folders that take the place of those in the command.
    expected : Path or None
        The file that gets its output.
    more : sequence of str, optional
        Further options.

    Raises
    ------
    NotPossibleError
        There is nothing to draw or to compare, or an extra is missing.
    StoreError
        The command fails for another reason; a table can always be made.
    """
    # Absolute paths, because these can be found again in what the command prints.
    there = {target: str(place.absolute()) for target, place in places.items()}
    run = [sys.executable, "-m", "poisonbench", *(there.get(word, word) for word in words), *more]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(run, stdout=printed, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)  # unlike wait, it tells the memory
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        for file in (printed, messages):
            file.seek(0)
        text, message = printed.read().decode(), messages.read().decode()
    for target, place in there.items():
        text, message = text.replace(place, target), message.replace(place, target)
    if process.returncode == NOT_POSSIBLE and words[0] != "table":
        raise NotPossibleError(message.strip())
    if process.returncode:
        raise StoreError(f"{shlex.join(run)}: exit code {process.returncode}\n{message}")
    if expected is not None:
        expected.write_text(text, encoding="utf-8")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Step(makes, ("poisonbench", *words), seconds, usage.ru_maxrss * unit)
