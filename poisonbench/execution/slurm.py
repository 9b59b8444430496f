"""A script for Slurm that is ready to be run: an array of shards, and the merge after it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIME = re.compile(r"\d+(-\d+(:\d\d(:\d\d)?)?|:\d\d(:\d\d)?)?")
_MEMORY = re.compile(r"[1-9]\d*[KMGT]?")
_NAME = re.compile(r"[\w.,-]+")


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm.

    Parameters
    ----------
    shards : int
        Tasks of the array.
    time : str
        Time limit of a task, as sbatch takes it.
    memory : str
        Memory of a task, as sbatch takes it.
    partition : str, optional
        The partition, or several with commas.
    max_parallel : int, optional
        Most tasks that run at once.
    processors : int, default=1
        Processors of a task.

    Raises
    ------
    ValueError
        sbatch would not take one of them.
    """

    shards: int
    time: str = "01:00:00"
    memory: str = "2G"
    partition: str | None = None
    max_parallel: int | None = None
    processors: int = 1

    def __post_init__(self) -> None:
        for option, text, pattern, expected in (
            ("--time", self.time, _TIME, "minutes, HH:MM:SS or D-HH:MM:SS"),
            ("--mem", self.memory, _MEMORY, "a number with K, M, G or T, such as 2G"),
            ("--partition", self.partition, _NAME, "the name of a partition"),
        ):
            if text is not None and not pattern.fullmatch(text):
                raise ValueError(f"{option} {text}: not valid; expected {expected}")


def script(
    request: Request, sweep: Sequence[str], merge: Sequence[str], out: Path, folder: Path
) -> str:
    """Return the script.

    Parameters
    ----------
    request : Request
        What is asked of Slurm.
    sweep, merge : sequence of str
        The two commands, the first without its ``--shard``.
    out, folder : Path
        The output folder, and the one that the commands run in, both absolute.
    """
    most = f"%{request.max_parallel}" if request.max_parallel else ""
    options = [
        f"--job-name={re.sub(r'[^A-Za-z0-9_.-]', '_', out.name) or 'poisonbench'}",
        f"--array=0-{request.shards - 1}{most}",
        f"--time={request.time}",
        f"--mem={request.memory}",
        f"--cpus-per-task={request.processors}",
        *([f"--partition={request.partition}"] if request.partition else []),
        f'--chdir="{folder}"',
        "--requeue",
        "--open-mode=append",
        # In the comments of sbatch a quoted path may have spaces; a percent sign is doubled.
        f'--output="{str(out).replace("%", "%%")}/slurm-%A_%a.log"',
    ]
    lines = "\n".join(f"#SBATCH {option}" for option in options)
    asked = f" --partition={request.partition}" if request.partition else ""
    log = shlex.quote(str(out).replace("%", "%%") + "/slurm-%j-merge.log")
    return f"""#!/bin/bash
# A sweep in {request.shards} shards, made by poisonbench sweep --emit-slurm.  Run it with bash:
# it submits itself as an array, and after that the merge.  Whatever is lost, run it again; what is
# done is not done again.
{lines}
set -euo pipefail

if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    # exec, so that the SIGTERM of a time limit reaches poisonbench itself.
    exec {shlex.join(sweep)} --shard "$SLURM_ARRAY_TASK_ID/{request.shards}"
fi

job=$(sbatch --parsable "$0")
job=${{job%%;*}}
# afterany: afterok would wait for ever once a task has failed, even if its second try succeeds.
sbatch --dependency="afterany:$job" --job-name=poisonbench-merge --time=10 \\
    --mem={request.memory}{asked} --output={log} --wrap={shlex.quote(shlex.join(merge))}
"""
