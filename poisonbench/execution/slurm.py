"""A Slurm script that submits a sweep: an array of shards, and then the merge."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIME = re.compile(r"\d+(-\d+(:\d\d(:\d\d)?)?|:\d\d(:\d\d)?)?")
_MEMORY = re.compile(r"[1-9]\d*[KMGT]?")
_NAME = re.compile(r"[\w.,-]+")
_CONSTRAINT = re.compile(r"[\w.,&|*()\[\]-]+")
_OPTION = re.compile(r"--[a-z][a-z-]*(=[^\s\"'`$\\]+)?")


@dataclass(frozen=True)
class Request:
    """The resources to ask Slurm for.

    Parameters
    ----------
    shards : int
        Number of tasks of the array.
    time : str
        Time limit of each task, in a form that sbatch accepts.
    memory : str
        Memory of each task, in a form that sbatch accepts.
    partition : str, optional
        The partition, or several, separated by commas.
    max_parallel : int, optional
        How many tasks may run at once.
    processors : int, default=1
        Number of processors of each task.
    account, qos, constraint : str, optional
        The account to charge, the quality of service, and the features that nodes must have.
    others : tuple of str
        Other options of sbatch, such as ``--exclusive``.

    Raises
    ------
    ValueError
        A value is not one that sbatch accepts.
    """

    shards: int
    time: str = "01:00:00"
    memory: str = "2G"
    partition: str | None = None
    max_parallel: int | None = None
    processors: int = 1
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, text, pattern, expected in (
            ("--time", self.time, _TIME, "minutes, HH:MM:SS or D-HH:MM:SS"),
            ("--mem", self.memory, _MEMORY, "a number with K, M, G or T, such as 2G"),
            ("--partition", self.partition, _NAME, "the name of a partition"),
            ("--account", self.account, _NAME, "the name of an account"),
            ("--qos", self.qos, _NAME, "the name of a quality of service"),
            ("--constraint", self.constraint, _CONSTRAINT, "names of features of nodes"),
            *(
                ("--sbatch", other, _OPTION, "an option of sbatch, such as --exclusive")
                for other in self.others
            ),
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
        The resources to ask for.
    sweep, merge : sequence of str
        The two commands; ``sweep`` is without ``--shard``.
    out, folder : Path
        Absolute paths of the output folder, and of the folder to run the commands in.
    """
    charged = [f"--{name}={value}" for name, value in
               (("account", request.account), ("qos", request.qos)) if value]  # fmt: skip
    most = f"%{request.max_parallel}" if request.max_parallel else ""
    options = [
        f"--job-name={re.sub(r'[^A-Za-z0-9_.-]', '_', out.name) or 'poisonbench'}",
        f"--array=0-{request.shards - 1}{most}",
        f"--time={request.time}",
        f"--mem={request.memory}",
        f"--cpus-per-task={request.processors}",
        *([f"--partition={request.partition}"] if request.partition else []),
        *charged,
        *([f'--constraint="{request.constraint}"'] if request.constraint else []),
        *request.others,
        f'--chdir="{folder}"',
        "--requeue",
        "--open-mode=append",
        # In #SBATCH lines, a path with spaces must be quoted, and a percent sign must be doubled.
        f'--output="{str(out).replace("%", "%%")}/slurm-%A_%a.log"',
    ]
    lines = "\n".join(f"#SBATCH {option}" for option in options)
    asked = f" --partition={request.partition}" if request.partition else ""
    asked += "".join(f" {option}" for option in charged)
    log = shlex.quote(str(out).replace("%", "%%") + "/slurm-%j-merge.log")
    return f"""#!/bin/bash
# A sweep in {request.shards} shards, written by poisonbench sweep --emit-slurm.  Run this script
# with bash: it submits itself as an array, and then a job that merges the results.  If tasks are
# lost, run it again: finished cells are not computed again.
{lines}
set -euo pipefail

if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    # exec, so that SIGTERM reaches poisonbench itself at the time limit.
    exec {shlex.join(sweep)} --shard "$SLURM_ARRAY_TASK_ID/{request.shards}"
fi

job=$(sbatch --parsable "$0")
job=${{job%%;*}}
# afterany, because with afterok the merge would never start once a task has failed, even if its
# second attempt succeeds.
sbatch --dependency="afterany:$job" --job-name=poisonbench-merge --time=10 \\
    --mem={request.memory}{asked} --output={log} --wrap={shlex.quote(shlex.join(merge))}
"""
