"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# readable=False, because Typer would only print the usage for an unreadable path; our message says
# what is wrong.
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", readable=False, help="The config, a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Override or add to the config, such as seeds=3 or model.alpha=0.1.",
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE,...",
        help="Vary a key, as in model.alpha=0.01,0.1,1, or override it, as in seeds=3.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        readable=False,
        help="Output folder.  [default: results/<name of the config>]",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        help="Number of processes.  0 computes in this process, for debuggers.  [default: one for "
        "each processor]",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Compute on a Dask cluster: the address of its scheduler, such as tcp://HOST:8786, or "
        "local for --jobs processes on this machine.  Needs the extra poisonbench[dask].",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print errors only: no progress, table or remarks.")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Log what is done, and the objective of each attack after each round.",
    ),
]
Predictions = Annotated[
    bool,
    typer.Option(
        "--predictions",
        help="Keep the predictions on every test row too, in DIR/predictions; changes.csv has "
        "how far they moved.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, without running it.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")]
RetryCrashed = Annotated[
    bool,
    typer.Option("--retry-crashed", help="Also try again the cells that killed their process."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        min=0.001,
        max=1e8,
        help="Stop after this time, keep the finished cells, and exit with 3.",
    ),
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend", help="Add to an output folder whose config asked for less, such as fewer seeds."
    ),
]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="First download the catalogue's data sets that are missing.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Go on where the config asks for more memory or cells than seems possible."
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", readable=False, help="The output folder of a run or a sweep."),
]
EmitSlurm = Annotated[
    bool,
    typer.Option("--emit-slurm", help="Write a Slurm script, DIR/slurm.sh, and compute nothing."),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards", min=1, help="With --emit-slurm: number of array tasks.  [default: at most 20]"
    ),
]
SlurmTime = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="With --emit-slurm: time limit of a task.  [default: 01:00:00]",
    ),
]
SlurmMemory = Annotated[
    str | None,
    typer.Option(
        "--mem", metavar="SIZE", help="With --emit-slurm: memory of a task.  [default: 2G]"
    ),
]
Partition = Annotated[
    str | None,
    typer.Option("--partition", metavar="NAME", help="With --emit-slurm: the partition."),
]
MaxParallel = Annotated[
    int | None,
    typer.Option(
        "--max-parallel", min=1, help="With --emit-slurm: how many tasks may run at once."
    ),
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="With --emit-slurm: who pays.")
]
Qos = Annotated[
    str | None,
    typer.Option("--qos", metavar="NAME", help="With --emit-slurm: the quality of service."),
]
Constraint = Annotated[
    str | None,
    typer.Option("--constraint", metavar="NAMES", help="With --emit-slurm: what nodes must have."),
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch",
        metavar="OPTION",
        help="With --emit-slurm: another option of sbatch, such as --sbatch=--exclusive; "
        "repeatable.",
    ),
]
ResultFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", readable=False, help="An output folder, or a folder of output folders."
    ),
]
Metric = Annotated[str, typer.Option("--metric", metavar="NAME", help="What is shown; see above.")]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", readable=False, help="Write it to a file instead."
    ),
]
PublishedName = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="NAME",
        help="Published values to show beside the measured ones, or none; if not given, "
        "jagielski2018 where it has the data sets.",
    ),
]
TrainingSets = Annotated[
    bool,
    typer.Option(
        "--training-sets/--no-training-sets",
        help="Whether to draw the poisoned training sets themselves, which needs the data.",
    ),
]
