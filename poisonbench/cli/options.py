"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Typer would say of a path that may not be read how the command is used; we say what is wrong.
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", readable=False, help="The config, a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Values that replace or extend the file's, such as seeds=3 or model.alpha=0.1.",
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE,...",
        help="Axes, such as model.alpha=0.01,0.1,1, or single values that replace the file's.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        readable=False,
        help="Output folder; if not given, results/ and the config's name.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        help="Processes; as many as processors if not given; 0: in this one, for debuggers.",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Compute on a Dask cluster: its scheduler, tcp://HOST:8786, or local for --jobs "
        "processes here; needs the extra poisonbench[dask].",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no table, no remarks; errors only.")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Log what is done, with the time, and how attacks get on, by round."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")]
Predictions = Annotated[
    bool,
    typer.Option(
        "--predictions",
        help="Keep the predictions on every test row too, in DIR/predictions; changes.csv has "
        "how far they moved.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")]
RetryCrashed = Annotated[
    bool,
    typer.Option("--retry-crashed", help="Try cells again that killed their process before."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        min=0.001,
        max=1e8,
        help="Stop after so long, keep what is done, and exit with 3.",
    ),
]
Extend = Annotated[
    bool,
    typer.Option(
        "--extend", help="Add to the folder of a config that asked for less, such as fewer seeds."
    ),
]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="Fetch data sets of the catalogue that are not here.")
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
    typer.Option(
        "--emit-slurm", help="Write a ready script for Slurm, DIR/slurm.sh; compute nothing."
    ),
]
Shards = Annotated[
    int | None,
    typer.Option(
        "--shards", min=1, help="With --emit-slurm: tasks of the array; up to 20 if not given."
    ),
]
SlurmTime = Annotated[
    str | None,
    typer.Option("--time", metavar="TIME", help="With --emit-slurm: of a task; 01:00:00."),
]
SlurmMemory = Annotated[
    str | None, typer.Option("--mem", metavar="SIZE", help="With --emit-slurm: of a task; 2G.")
]
Partition = Annotated[
    str | None, typer.Option("--partition", metavar="NAME", help="With --emit-slurm: where.")
]
MaxParallel = Annotated[
    int | None,
    typer.Option("--max-parallel", min=1, help="With --emit-slurm: most tasks at once."),
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
Scenes = Annotated[
    bool,
    typer.Option(
        "--scenes/--no-scenes", help="Whether to draw the rows themselves, which needs the data."
    ),
]
