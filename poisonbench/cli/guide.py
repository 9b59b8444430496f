"""The commands ``init``, ``explain``, ``info`` and ``rerun``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from poisonbench.cli.datasets import DataDir
from poisonbench.cli.messages import say, usage, user_errors
from poisonbench.cli.options import Folder, Jobs, Quiet
from poisonbench.cli.run import beside, carry_out, open_index
from poisonbench.execution.options import RunOptions

STARTER = Path(__file__).with_name("starter.yaml")

MOST_SHOWN = 50
"""How many differences are shown one by one."""


def _names(incomplete: str) -> list[str]:
    """Return the components whose names begin with `incomplete`, for the shell's completion."""
    from poisonbench.config.choices import PLURALS, names

    every = {name for kind in PLURALS for name in names(kind)}
    return sorted(name for name in every if name.startswith(incomplete))


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", readable=False, help="The folder, which is created if necessary."
        ),
    ],
) -> None:
    """Write a commented config to start from.

    \b
    Examples:
      poisonbench init first
      poisonbench run first/config.yaml --dry-run
    """  # noqa: D301
    path = folder / "config.yaml"
    if path.exists():
        raise usage(f"{path}: already exists; expected a folder without config.yaml")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(STARTER.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise usage(f"{path}: cannot be written: {error.strerror}; expected a folder") from None
    say(f"Written: {path}\n  poisonbench validate {shlex.quote(str(path))}\n"
        f"  poisonbench run {shlex.quote(str(path))}")  # fmt: skip


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A component that a config can name.", autocompletion=_names
        ),
    ],
) -> None:
    """Explain a component: its idea, equation, assumptions and paper.

    \b
    Examples:
      poisonbench explain trim
      poisonbench explain optp
    """  # noqa: D301
    from poisonbench.cli.listing import explanation

    try:
        say(explanation(name))
    except ValueError as error:
        typer.echo(f"poisonbench explain: {error}", err=True)
        raise typer.Exit(2) from None


def info(data_dir: DataDir = None) -> None:
    """Describe this installation and this machine.

    This prints versions, processors, memory, the data folder, plug-ins and extras.

    \b
    Examples:
      poisonbench info
    """  # noqa: D301
    from poisonbench.cli.listing import installation

    say(installation(data_dir))


def rerun(
    folder: Folder,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="The new folder.  [default: DIR-rerun]",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
) -> None:
    """Run the experiment of an output folder again, and report every difference.

    The new results go into another folder.  Relative paths in the config are taken from the current
    folder.  The exit code is 0 if every number is the same, 1 if numbers differ or cells failed,
    and 2 if DIR is not an output folder or its data are missing.

    \b
    Examples:
      poisonbench rerun results/quickstart
      poisonbench rerun results/quickstart --output results/again --jobs 2
    """  # noqa: D301
    before = open_index(folder)
    out = output or beside(folder, "-rerun")
    with user_errors():
        from poisonbench.config import load
        from poisonbench.output.differences import differences
        from poisonbench.output.store import differences as plan_differences
        from poisonbench.output.stored_plan import config_of, read_plan
        from poisonbench.plan.make import make_plan

        known = read_plan(folder)
        work = make_plan(load(config_of(folder), sweep=True), data_dir)
    for change in plan_differences(known, work.identity()):
        typer.echo(f"the plan has changed: {change}", err=True)
    carry_out(work, out, RunOptions(jobs=jobs, quiet=True))
    found = list(differences((before, folder), (open_index(out), out)))
    for difference in found[:MOST_SHOWN]:
        say(str(difference))
    if found:
        more = f" ({len(found) - MOST_SHOWN} more)" if len(found) > MOST_SHOWN else ""
        say(f"{len(found)} differences between {folder} and {out}{more}")
        raise typer.Exit(1)
    if not quiet:
        say(f"All {len(list(before.rows))} rows of {folder} and {out} are the same to the last "
            "digit")  # fmt: skip
