"""The ``poisonbench`` command: reads arguments, prints, and sets the exit code; nothing else.

Everything but Typer is imported where it is used, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from poisonbench.datasets.cli import DataDir
from poisonbench.datasets.cli import app as datasets_app
from poisonbench.options import (
    Axes,
    ConfigFile,
    DryRun,
    EmitSlurm,
    Extend,
    FailFast,
    Fetch,
    Folder,
    Jobs,
    MaxParallel,
    Output,
    Overrides,
    Partition,
    Quiet,
    RetryCrashed,
    Shards,
    SlurmMemory,
    SlurmTime,
    TimeLimit,
    Verbose,
)

if TYPE_CHECKING:
    from poisonbench.config import Config
    from poisonbench.index import Index
    from poisonbench.work import Plan

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.add_typer(datasets_app, name="datasets")


class ConfigCommand(TyperCommand):
    """A command that takes a config; its help ends with the names that a config may hold."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, and the registry's names, read only when they are asked for."""
        from poisonbench.listing import names_by_kind

        return f"{super().get_help(ctx)}\n\n{names_by_kind()}"


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what is wrong with a config into messages on stderr and exit code 2."""
    from poisonbench.config.strict_yaml import ConfigError
    from poisonbench.index import StoreError

    try:
        yield
    except (ConfigError, StoreError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def fetch_data(experiment: Config, data_dir: Path | None, *, progress: bool) -> None:
    """Fetch the data sets of an experiment that are not in the data folder."""
    from poisonbench.data.base import DatasetError
    from poisonbench.data.catalogue import checked_folder
    from poisonbench.datasets.fetch import fetch_missing
    from poisonbench.datasets.policy import FetchError

    names = [choice.name for choice in experiment.datasets]
    try:
        fetch_missing(names, checked_folder(data_dir), progress=progress, say=_to_stderr)
    except (DatasetError, FetchError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted. What is fetched is kept; the same command goes on.", err=True)
        raise typer.Exit(130) from None


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        from poisonbench import __version__

        typer.echo(f"poisonbench {__version__}")
        raise typer.Exit


@app.callback()
def _poisonbench(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Data-poisoning attacks on linear regression, and the defenses against them.

    \b
    Examples:
      poisonbench run configs/quickstart.yaml           attacks, defenses, MSE tables
      poisonbench sweep configs/sweeps/diabetes.yaml    the same over many poisoning rates
      poisonbench list                                  what there is to choose from
      poisonbench validate configs/quickstart.yaml      is this config right?
      poisonbench show configs/quickstart.yaml          what it amounts to, defaults filled in
      poisonbench datasets list                         real data sets, fetched by name
    """  # noqa: D301 (\b keeps the line breaks)


@app.command(cls=ConfigCommand)
def run(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Output = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    extend: Extend = False,
    fail_fast: FailFast = False,
    retry_crashed: RetryCrashed = False,
    time_limit: TimeLimit = None,
) -> None:
    """Run a config: attacks, defenses, errors; write the tables as CSV.

    What is done already is not done again: the same line goes on where it was interrupted.
    Exit code 0 if all is done, 1 if some cells failed, 2 if the config is wrong, 3 if some cells
    are missing, 130 or 143 if interrupted or terminated.

    \b
    Examples:
      poisonbench run configs/quickstart.yaml
      poisonbench run configs/quickstart.yaml --dry-run
      poisonbench run configs/quickstart.yaml seeds=2 defense='[none, trim]' --output results/try
    """  # noqa: D301
    out = output or Path("results") / config.stem
    with user_errors():
        from poisonbench import plan
        from poisonbench.config import load

        experiment = load(config, overrides or ())
        _say_notes(experiment, quiet=quiet)
        if fetch:
            fetch_data(experiment, data_dir, progress=not quiet)
        work = plan.make(experiment, data_dir)
    if dry_run:
        _dry_run(work, out, extend=extend)
    else:
        _carry_out(
            work,
            out,
            jobs=jobs,
            quiet=quiet,
            verbose=verbose,
            extend=extend,
            fail_fast=fail_fast,
            retry_crashed=retry_crashed,
            time_limit=time_limit,
            only_whole=False,
        )


@app.command(cls=ConfigCommand)
def sweep(
    config: ConfigFile,
    axes: Axes = None,
    rates: Annotated[
        str | None,
        typer.Option(
            "--rates",
            metavar="R,R,...",
            help="Poisoning rates; else those of the sweep: block, else a list in the config, "
            "else the paper's 0, 0.04, ..., 0.2.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Output folder; results/<config's name>-sweep if not given.",
        ),
    ] = None,
    jobs: Jobs = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Only the I-th of N parts, from 0; merge makes the CSVs."
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    extend: Extend = False,
    fail_fast: FailFast = False,
    retry_crashed: RetryCrashed = False,
    time_limit: TimeLimit = None,
    emit_slurm: EmitSlurm = False,
    shards: Shards = None,
    slurm_time: SlurmTime = None,
    slurm_memory: SlurmMemory = None,
    partition: Partition = None,
    max_parallel: MaxParallel = None,
) -> None:
    """Run a config over poisoning rates and any other axis, on one machine or many.

    Like run, but it takes axes: from the command line, from the config's block sweep:, and the
    rates of the paper's curves if none are given.  On a cluster each of N tasks does one shard,
    in the same output folder, and merge makes the tables.

    Exit code 0 if all is done (of a shard: its own cells), 1 if some cells failed, 2 if the
    config is wrong, 3 if some cells are missing, 130 or 143 if interrupted or terminated.  The
    same line goes on where it was.

    \b
    Examples:
      poisonbench sweep configs/quickstart.yaml
      poisonbench sweep configs/quickstart.yaml --rates 0,0.1,0.2 model.alpha=0.01,0.1,1
      poisonbench sweep configs/quickstart.yaml --output results/curve --shard 0/20
      poisonbench merge results/curve
      poisonbench sweep configs/quickstart.yaml --emit-slurm --shards 20 --time 02:00:00
    """  # noqa: D301
    out = output or Path("results") / f"{config.stem}-sweep"
    part = _shard(shard)
    asked = {
        "shards": shards,
        "time": slurm_time,
        "memory": slurm_memory,
        "partition": partition,
        "max_parallel": max_parallel,
    }
    request = {name: value for name, value in asked.items() if value is not None}
    if request and not emit_slurm:
        option = {"memory": "mem"}.get(next(iter(request)), next(iter(request)))
        raise _usage(f"--{option.replace('_', '-')} is for --emit-slurm; expected both or neither")
    if emit_slurm and (part or dry_run):
        raise _usage("--emit-slurm does nothing else; expected no --shard and no --dry-run with it")
    with user_errors():
        from poisonbench import plan
        from poisonbench.config import load

        experiment = load(config, axes or (), sweep=True, rates=rates)
        _say_notes(experiment, quiet=quiet)
        if fetch:
            fetch_data(experiment, data_dir, progress=not quiet)
        work = plan.make(experiment, data_dir)
    if emit_slurm:
        words = [*(axes or ()), *(["--rates", rates] if rates is not None else [])]
        flags = {"--extend": extend, "--fail-fast": fail_fast, "--retry-crashed": retry_crashed,
                 "--quiet": quiet, "--verbose": verbose}  # fmt: skip
        words += [flag for flag, given in flags.items() if given]
        words += ["--jobs", str(jobs)] if jobs is not None else []
        words += ["--time-limit", str(time_limit)] if time_limit is not None else []
        _emit_slurm(work, config, words, out, request, data_dir, extend=extend)
    elif dry_run:
        _dry_run(work, out, extend=extend, shard=part)
    else:
        _carry_out(
            work,
            out,
            jobs=jobs,
            quiet=quiet,
            verbose=verbose,
            extend=extend,
            fail_fast=fail_fast,
            retry_crashed=retry_crashed,
            time_limit=time_limit,
            shard=part,
        )


@app.command()
def status(folder: Folder) -> None:
    """Say how far an output folder is: cells done, failed and missing, and the time left.

    It needs neither the config nor the data, and looks only at what is there: cells that another
    machine wrote a moment ago may not be seen yet.  Exit code 0, or 2 if it is no output folder.

    \b
    Examples:
      poisonbench status results/curve
    """  # noqa: D301
    from poisonbench import status as statuses

    index = _index(folder)
    typer.echo(statuses.report(statuses.look(index, folder), folder))


@app.command()
def merge(
    folder: Folder,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the tables of what is done all the same.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make the CSV files of an output folder from its cells, once all of them are there.

    Every cell is read; exit code 3 with the names of those that are missing, and no file is
    written then but with --partial.

    \b
    Examples:
      poisonbench merge results/curve
    """  # noqa: D301
    from poisonbench import merging

    index = _index(folder)

    missing = merging.missing(index, folder)
    if missing:
        typer.echo(merging.report(missing, folder), err=True)
    if not missing or partial:
        with _writing(folder):
            _merge(index, folder, quiet=quiet)
    if missing:
        raise typer.Exit(3)


def _index(folder: Path) -> Index:
    """Return the index of an output folder, without the imports that a config needs."""
    from poisonbench.index import StoreError, read_index

    try:
        return read_index(folder)
    except StoreError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _say_notes(experiment: Config, *, quiet: bool) -> None:
    for note in experiment.notes if not quiet else ():
        typer.echo(note, err=True)


def _shard(text: str | None) -> tuple[int, int] | None:
    """Return shard i of n as numbers."""
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if slash and all(part.isascii() and part.isdigit() for part in (i, n)) and int(i) < int(n):
        return int(i), int(n)
    raise _usage(
        f"--shard {text}: not a part of a sweep; expected I/N with 0 <= I < N, such as 0/4"
    )


def _usage(message: str) -> typer.Exit:
    """Say what is wrong with the options, and return what to raise."""
    typer.echo(message, err=True)
    return typer.Exit(2)


def _emit_slurm(
    work: Plan,
    config: Path,
    words: list[str],
    out: Path,
    request: dict[str, Any],
    data_dir: Path | None,
    *,
    extend: bool,
) -> None:
    """Write a script for Slurm into the output folder."""
    with user_errors():
        from poisonbench import store
        from poisonbench.data.catalogue import data_folder
        from poisonbench.slurm import Request, script

        try:
            wanted = Request(**{"shards": min(20, len(work.groups)), **request})
        except ValueError as error:
            raise _usage(str(error)) from None
        store.open_folder(out, work, extend=extend)
    # The same program and files wherever the tasks run, whatever their folder and environment.
    program = [sys.executable, "-m", "poisonbench"]
    folder = out.absolute()
    data = ["--data-dir", str(data_folder(data_dir).absolute())]
    sweep = [*program, "sweep", str(config.absolute()), *words, "--output", str(folder), *data]
    path = out / "slurm.sh"
    with _writing(out):
        merge = [*program, "merge", str(folder)]
        text = script(wanted, sweep, merge, folder, Path.cwd())
        store.write(path, text.encode())
    typer.echo(f"Written: {path}\nbash {shlex.quote(str(path))} submits {wanted.shards} shards of "
               f"{len(work.groups)} attack groups, and the merge.")  # fmt: skip


def _dry_run(work: Plan, out: Path, *, extend: bool, shard: tuple[int, int] | None = None) -> None:
    """Say what would run."""
    with user_errors():
        from poisonbench import engine, store, summary

        store.check_folder(out, work, extend=extend)
        done = store.n_done(out, work)
        typer.echo(f"{summary.describe(work)}\n{done} cells are in {out} already")
        if shard is not None:
            groups = engine.share(work, shard)
            n_cells = sum(len(group.tasks) for group in groups)
            typer.echo(f"shard {shard[0]}/{shard[1]} has {n_cells} of them all")


def _carry_out(
    work: Plan,
    out: Path,
    *,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
    extend: bool,
    fail_fast: bool,
    retry_crashed: bool,
    time_limit: float | None,
    shard: tuple[int, int] | None = None,
    only_whole: bool = True,
) -> None:
    """Compute what is missing, write the tables, and set the exit code.

    With `only_whole` the tables are written only if no cell is missing.
    """
    with user_errors():
        from poisonbench import engine, store
        from poisonbench.interrupts import EXIT_CODES, Stopped, stoppable

        store.open_folder(out, work, extend=extend)
    if verbose:
        _log()
    try:
        with stoppable(time_limit) as stop, _writing(out):
            outcome = engine.run(
                work,
                out,
                jobs=engine.default_jobs() if jobs is None else jobs,
                progress=not quiet,
                verbose=verbose,
                shard=shard,
                fail_fast=fail_fast,
                retry_crashed=retry_crashed,
                stop=stop,
            )
            left = len(outcome.failures) + outcome.n_missing
            if not (quiet or outcome.n_computed or left):
                whose = "" if shard is None else f" of shard {shard[0]}/{shard[1]}"
                typer.echo(f"Nothing to do: all {outcome.n_cells} cells{whose} are in {out}.")
            if shard is None and not (left and only_whole):
                _merge(work, out, quiet=quiet)
    except Stopped as stopped:
        word = "Time limit" if EXIT_CODES[stopped.number] == 3 else "Interrupted"
        typer.echo(f"{word}. What is done is kept in {out}; the same command goes on.", err=True)
        raise typer.Exit(EXIT_CODES[stopped.number]) from None
    if outcome.n_warned and not quiet:
        typer.echo(f"Libraries warned in {outcome.n_warned} cells; see {out / 'meta'}.", err=True)
    if outcome.failures:
        typer.echo(outcome.report(out), err=True)
        raise typer.Exit(1)
    if outcome.n_missing:
        typer.echo(f"{outcome.n_missing} of {outcome.n_cells} cells are missing; the same command "
                   "goes on.", err=True)  # fmt: skip
        raise typer.Exit(3)
    if shard is not None and not quiet:
        typer.echo(f"Shard {shard[0]}/{shard[1]} is done; once all are, "
                   f"poisonbench merge {shlex.quote(str(out))} makes the tables.")  # fmt: skip


def _merge(plan: Plan | Index, out: Path, *, quiet: bool) -> None:
    """Write the tables of what is done, and print them."""
    from poisonbench import merging, tables

    results = tables.collect(plan, out)
    files = tables.write_csvs(results, out)
    if quiet:
        return
    if len(results.results):
        typer.echo(f"\n{tables.render(results.results)}\n")
    written = [str(path) for path in files]
    if (out / "poison").is_dir():
        written.append(f"{out / 'poison'}{os.sep}")
    typer.echo(f"Written: {', '.join(written)}")
    for mixture in merging.mixtures(plan, out):
        typer.echo(mixture, err=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn what the disk refuses into a message and exit code 3: what is missing can be made."""
    try:
        yield
    except BrokenPipeError:  # a reader of our output that has had enough
        raise
    except OSError as error:
        typer.echo(
            f"{error.filename or out}: {error.strerror or error}. What is done is kept; the same "
            "command goes on.",
            err=True,
        )
        raise typer.Exit(3) from None


def _log() -> None:
    """Log what the package does to stderr."""
    import logging

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("poisonbench").setLevel(logging.INFO)


@app.command(cls=ConfigCommand)
def validate(
    config: ConfigFile,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    fetch: Fetch = False,
) -> None:
    """Check a config and the data that it names; nothing is run.

    Exit code 2 if it is wrong, with the file and the line of everything that is.

    \b
    Examples:
      poisonbench validate configs/quickstart.yaml
      poisonbench validate configs/quickstart.yaml attack=optp poisoning_rate='[0.1, 0.2]'
    """  # noqa: D301
    with user_errors():
        from poisonbench import plan, summary
        from poisonbench.config import load

        experiment = load(config, overrides or (), sweep=None)
        if fetch:
            fetch_data(experiment, data_dir, progress=True)
        work = plan.make(experiment, data_dir)
    typer.echo(f"{config}: OK: {summary.counts(work)}")
    _say_notes(experiment, quiet=False)


@app.command(cls=ConfigCommand)
def show(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print a config with all its defaults, as YAML.

    Grids are expanded too.  What is printed is a config itself; kept in the same folder, it
    means the same.

    \b
    Examples:
      poisonbench show configs/quickstart.yaml
      poisonbench show configs/quickstart.yaml model.alpha=0.1 seeds=3
    """  # noqa: D301
    with user_errors():
        from poisonbench.config import load
        from poisonbench.config.strict_yaml import dump

        experiment = load(config, overrides or (), sweep=None)
        resolved = experiment.resolved()
        single = resolved.get("poisoning_rate")
        if "sweep" in experiment.source.data and isinstance(single, float):
            # A sweep takes a list of rates as it is, and puts others in the place of a single one.
            resolved["poisoning_rate"] = [single]
        typer.echo(dump(resolved), nl=False)


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[KIND or NAME]", help="A kind, or the name of a component."),
    ] = None,
) -> None:
    """List what a config can choose from.

    That is datasets, models, attacks, initializations, outer objectives and defenses.  With the
    name of one of them: all about it, with the type, default and meaning of each parameter.

    \b
    Examples:
      poisonbench list
      poisonbench list defenses
      poisonbench list ridge
    """  # noqa: D301
    from poisonbench.config.choices import PLURALS
    from poisonbench.listing import find, overview

    try:
        typer.echo(find(what) if what else overview(list(PLURALS)))
    except ValueError as error:
        typer.echo(f"poisonbench list: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it to a file instead."),
    ] = None,
) -> None:
    """Print the JSON Schema of configs, for editors.

    \b
    Examples:
      poisonbench schema
      poisonbench schema --output configs/schema.json
    """  # noqa: D301
    from poisonbench.config.schema import schema as build

    text = json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{output}: cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def main() -> None:
    """Run the command."""
    app(prog_name="poisonbench")
