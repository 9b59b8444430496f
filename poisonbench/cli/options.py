"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# readable=False, because for an unreadable path Typer would only print the usage; our own message
# says what is wrong.
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", readable=False, help="The config, a YAML file.")
]
ConfigOrFolder = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        readable=False,
        help="The config, a YAML file; with --add, an output folder.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Set or override a key of the config, as in seeds=3 or model.alpha=0.1.",
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE,...",
        help="Vary a key over several values, as in model.alpha=0.01,0.1,1, or override it, as in "
        "seeds=3.",
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
        help="Number of processes; 0 computes everything in this process, as debuggers need.  "
        "[default: one for each processor]",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Compute on the Dask cluster whose scheduler has this address, such as "
        "tcp://HOST:8786; local starts one with --jobs processes on this machine.  Needs the "
        "extra poisonbench[dask].",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only errors: no progress, tables or notes.")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Log each step, and the objective of each attack after each round.",
    ),
]
Predictions = Annotated[
    bool,
    typer.Option(
        "--predictions",
        help="Also keep the predictions on every test row, in DIR/predictions, and write to "
        "changes.csv how far they moved.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would run, and how much time and memory it would take, but do not run it.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")]
RetryCrashed = Annotated[
    bool,
    typer.Option("--retry-crashed", help="Also retry the cells that killed their process."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        min=0.001,
        max=1e8,
        help="Stop after this time, keep the finished cells, and exit with code 3.",
    ),
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Add to an output folder that was made with a smaller config, such as one with fewer "
        "seeds.",
    ),
]
Add = Annotated[
    bool,
    typer.Option(
        "--add",
        help="CONFIG is an output folder: add each KEY=VALUE to the lists in its plan, and compute "
        "the new cells; see above.",
    ),
]
Fetch = Annotated[
    bool,
    typer.Option("--fetch", help="First download any missing data sets of the catalogue."),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Continue even if the config seems to need more memory or cells than is possible.",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", readable=False, help="The output folder of a run or a sweep."),
]
EmitSlurm = Annotated[
    bool,
    typer.Option("--emit-slurm", help="Only write a Slurm script, DIR/slurm.sh; compute nothing."),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards",
        min=1,
        help="With --emit-slurm: number of array tasks.  [default: 20, or fewer for small sweeps]",
    ),
]
SlurmTime = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="With --emit-slurm: time limit of each task.  [default: 01:00:00]",
    ),
]
SlurmMemory = Annotated[
    str | None,
    typer.Option(
        "--mem", metavar="SIZE", help="With --emit-slurm: memory for each task.  [default: 2G]"
    ),
]
Partition = Annotated[
    str | None,
    typer.Option("--partition", metavar="NAME", help="With --emit-slurm: partition to run in."),
]
MaxParallel = Annotated[
    int | None,
    typer.Option(
        "--max-parallel", min=1, help="With --emit-slurm: how many tasks may run at once."
    ),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="With --emit-slurm: account to charge."),
]
Qos = Annotated[
    str | None,
    typer.Option("--qos", metavar="NAME", help="With --emit-slurm: quality of service."),
]
Constraint = Annotated[
    str | None,
    typer.Option(
        "--constraint", metavar="NAMES", help="With --emit-slurm: features that nodes must have."
    ),
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch",
        metavar="OPTION",
        help="With --emit-slurm: another option for sbatch, as in --sbatch=--exclusive; may be "
        "given several times.",
    ),
]
ResultFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", readable=False, help="An output folder, or a folder of output folders."
    ),
]
Metric = Annotated[
    str, typer.Option("--metric", metavar="NAME", help="The metric to show; see above.")
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", readable=False, help="Write to this file."),
]
PublishedName = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="NAME",
        help="Published values to show beside the measured ones, or none for none.  [default: "
        "jagielski2018, if it has values for these data sets and learners]",
    ),
]
TrainingSets = Annotated[
    bool,
    typer.Option(
        "--training-sets/--no-training-sets",
        help="Whether to draw poisoned training sets and the models fitted to them; this needs the "
        "data.",
    ),
]
