"""The commands ``run``, ``sweep`` and ``merge``, once their arguments are read.

Slow modules are imported inside the functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from poisonbench.cli.messages import say, to_stderr, usage, user_errors, using

if TYPE_CHECKING:
    from poisonbench.config import Config
    from poisonbench.execution.estimate import Estimate
    from poisonbench.execution.options import RunOptions
    from poisonbench.output.index import Index
    from poisonbench.plan.groups import Plan


def output_folder(config: Path, output: Path | None, ending: str, *, add: bool) -> Path:
    """Return the output folder that is given, or the default one, named after the config."""
    if not add:
        return output or Path("results") / f"{config.stem}{ending}"
    if output is not None:
        raise usage(f"--output {output}: --add adds to {config} itself; expected no --output")
    return config


def beside(folder: Path, ending: str) -> Path:
    """Return the folder with an ending of its name, also for ``.`` and ``..``."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise usage(f"{named}: has no folder beside it; give one with --output")
    return named.with_name(f"{named.name}{ending}")


def experiment_of(
    config: Path,
    words: Sequence[str],
    *,
    add: bool,
    sweep: bool = False,
    rates: str | None = None,
) -> Config:
    """Return the experiment of a config, or of an output folder and the values added to it."""
    from poisonbench.config import load
    from poisonbench.config.addition import added
    from poisonbench.output.stored_plan import config_of

    if not add:
        return load(config, words, sweep=sweep, rates=rates)
    if not words and rates is None:
        raise usage("--add: nothing to add; expected KEY=VALUE such as defense=huber or seeds=10")
    return added(config_of(config), words, rates)


def fetch_data(experiment: Config, data_dir: Path | None, *, progress: bool) -> None:
    """Download the data sets of an experiment that are not in the data folder."""
    from poisonbench.data.base import DatasetError
    from poisonbench.datasets.catalogue.entries import checked_folder
    from poisonbench.datasets.catalogue.fetch import fetch_missing
    from poisonbench.datasets.catalogue.limits import FetchError

    names = [choice.name for choice in experiment.datasets]
    try:
        fetch_missing(names, checked_folder(data_dir), progress=progress, say=to_stderr)
    except (DatasetError, FetchError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. Downloaded data are kept; run the same command again to resume.", err=True
        )
        raise typer.Exit(130) from None


def open_index(folder: Path) -> Index:
    """Return the index of an output folder, without the slow imports that a config needs."""
    from poisonbench.output.index import read_index
    from poisonbench.output.layout import StoreError

    try:
        return read_index(folder)
    except StoreError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Return the numbers (i, n) of a shard given as ``i/n``."""
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if slash and all(part.isascii() and part.isdigit() for part in (i, n)) and int(i) < int(n):
        return int(i), int(n)
    raise usage(f"--shard {text}: not a valid shard; expected I/N with 0 <= I < N, such as 0/4")


def check_dask(address: str | None, jobs: int | None) -> None:
    """Exit with a message if the address is not valid or cannot be combined with `jobs`."""
    if address is None:
        return
    if find_spec("distributed") is None:
        raise usage(f"--dask {address}: Dask is not installed; expected the extra: python -m pip "
                    "install 'poisonbench[dask]'")  # fmt: skip
    port = re.fullmatch(r"[a-z]+://(?:[^\s:/]+|\[[\da-fA-F:.]+\]):(\d{1,5})", address)
    if address != "local" and not (port and 0 < int(port[1]) < 1 << 16):
        raise usage(f"--dask {address}: not an address; expected tcp://HOST:PORT, such as "
                    "tcp://host:8786, or local")  # fmt: skip
    if address != "local" and jobs is not None:
        raise usage("--jobs is the number of processes on this machine; expected --dask "
                    f"{address} without it, which uses all workers of the cluster")  # fmt: skip
    if jobs == 0:
        raise usage("--dask local --jobs 0: no processes; expected at least 1")


def emit_slurm_script(
    work: Plan,
    config: Path,
    words: list[str],
    out: Path,
    request: dict[str, Any],
    data_dir: Path | None,
    *,
    extend: bool,
) -> None:
    """Write a Slurm script into the output folder."""
    with user_errors():
        from poisonbench.datasets.catalogue.entries import data_folder
        from poisonbench.execution.slurm import Request, script
        from poisonbench.output import store

        try:
            wanted = Request(**{"shards": min(20, len(work.groups)), **request})
        except ValueError as error:
            raise usage(str(error)) from None
        store.open_folder(out, work, extend=extend)
    # Absolute paths, so that the tasks run in any folder and any environment.
    program = [sys.executable, "-m", "poisonbench"]
    folder = out.absolute()
    data = ["--data-dir", str(data_folder(data_dir).absolute())]
    # With --add, the config is the folder.
    place = [] if config == out else ["--output", str(folder)]
    sweep = [*program, "sweep", str(config.absolute()), *words, *place, *data]
    path = out / "slurm.sh"
    with using(out):
        merge = [*program, "merge", str(folder)]
        text = script(wanted, sweep, merge, folder, Path.cwd())
        store.write(path, text.encode())
    say(f"Written: {path}\nRun bash {shlex.quote(str(path))} to submit {wanted.shards} shards of "
        f"{len(work.groups)} attack groups, and the merge after them.")  # fmt: skip


def dry_run_of(work: Plan, out: Path, options: RunOptions, made: Collection[str] = ()) -> Estimate:
    """Print what would run, and how much time and memory it would take; return this estimate.

    Parameters
    ----------
    work : Plan
        The plan.
    out : Path
        The output folder.
    options : RunOptions
        The options of the run.
    made : collection of str, optional
        Identities of groups whose poison sets other experiments will have made by then.
    """
    with user_errors(), using(out):
        from poisonbench.execution import engine
        from poisonbench.execution.estimate import estimate
        from poisonbench.output import store
        from poisonbench.plan import summary

        store.check_folder(out, work, extend=options.extend)
        groups = engine.share(work, options.shard)
        say(f"{summary.describe(work)}\n{store.n_done(out, work)} cells are already in {out}")
        if options.shard is not None:
            n_cells = sum(len(group.tasks) for group in groups)
            say(f"shard {options.shard[0]}/{options.shard[1]} has {n_cells} of these cells")
        jobs = engine.default_jobs() if options.jobs is None else options.jobs
        found = estimate(work, engine.missing_of(groups, out, options)[1], out, jobs, made)
        say(found.report(jobs))
    return found


def carry_out(work: Plan, out: Path, options: RunOptions) -> None:
    """Compute the missing cells, write the tables, and set the exit code."""
    with user_errors():
        from poisonbench.execution import dask_cluster, engine
        from poisonbench.execution.signals import EXIT_CODES, Stopped, stoppable
        from poisonbench.output import store

    if options.verbose:
        _log()
    quiet, shard = options.quiet, options.shard
    jobs = engine.default_jobs() if options.jobs is None else options.jobs
    cluster = nullcontext() if options.dask is None else dask_cluster.reached(options.dask, jobs)
    try:
        with user_errors(), cluster as client, using(out):
            store.open_folder(out, work, extend=options.extend)
            with stoppable(options.time_limit) as stop:
                outcome = engine.run(work, out, options, stop=stop, dask=client)
                left = len(outcome.failures) + outcome.n_missing
                if not (quiet or outcome.n_computed or left):
                    whose = "" if shard is None else f" of shard {shard[0]}/{shard[1]}"
                    say(f"Nothing to do: all {outcome.n_cells} cells{whose} are in {out}.")
                store.tidy(out)
                if shard is None and (options.tables_if_incomplete or not left):
                    merge_tables(work, out, quiet=quiet)
    except Stopped as stopped:
        word = "Time limit" if EXIT_CODES[stopped.number] == 3 else "Interrupted"
        typer.echo(
            f"{word}. Finished cells are kept in {out}; run the same command again to resume.",
            err=True,
        )
        raise typer.Exit(EXIT_CODES[stopped.number]) from None
    if outcome.n_warned and not quiet:
        typer.echo(
            f"In {outcome.n_warned} cells a library issued warnings; see {out / 'meta'}.", err=True
        )
    if outcome.failures:
        typer.echo(outcome.report(out), err=True)
        raise typer.Exit(1)
    if outcome.n_missing:
        typer.echo(f"{outcome.n_missing} of {outcome.n_cells} cells are missing; run the same "
                   "command again.", err=True)  # fmt: skip
        raise typer.Exit(3)
    if shard is not None and not quiet:
        say(f"Shard {shard[0]}/{shard[1]} is done. Once all shards are done, run "
            f"poisonbench merge {shlex.quote(str(out))} to make the tables.")  # fmt: skip


def merge_tables(plan: Plan | Index, out: Path, *, quiet: bool) -> None:
    """Write the tables of the finished cells, and print the MSE table.

    If an attack exceeded its proved ceiling, print which and exit with 1.
    """
    from poisonbench.output import merging, tables, weak_attacks

    results = tables.collect(plan.rows, out)
    files = tables.write_csvs(results, out)
    if not quiet:
        if len(results.results):
            say(f"\n{tables.render(results.results)}\n")
        if signs := weak_attacks.report(out):
            say(f"{signs}\n")
        written = [str(path) for path in files]
        if (out / "poison").is_dir():
            written.append(f"{out / 'poison'}{os.sep}")
        say(f"Written: {', '.join(written)}")
        for mixture in merging.mixtures(plan.rows, out):
            typer.echo(mixture, err=True)
    impossible = weak_attacks.above_ceiling(results.results)
    for line in impossible:
        typer.echo(line, err=True)
    if impossible:
        raise typer.Exit(1)


def _log() -> None:
    """Send the package's log to stderr."""
    import logging

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("poisonbench").setLevel(logging.INFO)
