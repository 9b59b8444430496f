"""The ``poisonbench`` command: read arguments, print, set the exit code.

Slow modules are imported inside the functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from poisonbench.cli.artifact import artifact, verify
from poisonbench.cli.audit import audit
from poisonbench.cli.datasets import DataDir
from poisonbench.cli.datasets import app as datasets_app
from poisonbench.cli.defend import app as defend_app
from poisonbench.cli.guide import explain, info, init, rerun
from poisonbench.cli.messages import say, say_notes, usage, user_errors, using
from poisonbench.cli.options import (
    Account,
    Add,
    Axes,
    ConfigFile,
    ConfigOrFolder,
    Constraint,
    Dask,
    DryRun,
    EmitSlurm,
    Extend,
    FailFast,
    Fetch,
    Folder,
    Force,
    Jobs,
    MaxParallel,
    Metric,
    Output,
    OutputFile,
    Overrides,
    Partition,
    Predictions,
    PublishedName,
    Qos,
    Quiet,
    ResultFolder,
    RetryCrashed,
    Sbatch,
    Shards,
    SlurmMemory,
    SlurmTime,
    TimeLimit,
    TrainingSets,
    Verbose,
)
from poisonbench.cli.run import (
    carry_out,
    check_dask,
    dry_run_of,
    emit_slurm_script,
    experiment_of,
    fetch_data,
    merge_tables,
    open_index,
    output_folder,
    shard_of,
)
from poisonbench.execution.options import RunOptions

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.add_typer(datasets_app, name="datasets")
app.add_typer(defend_app)
for _command in (audit, init, explain, info, rerun, artifact, verify):
    app.command()(_command)


class ConfigCommand(TyperCommand):
    """A command that takes a config; its help ends with the names that a config may use."""

    def get_help(self, ctx: Any) -> str:
        """Return the help text and the names of all components; the registry is read only here."""
        from poisonbench.cli.listing import names_by_kind

        return f"{super().get_help(ctx)}\n\n{names_by_kind()}"


def _print_version(wanted: bool) -> None:
    if wanted:
        from poisonbench.version import __version__

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
      poisonbench audit sales.csv --target price        say how far bad rows can move your model
      poisonbench init first                            write a commented config to start from
      poisonbench run configs/quickstart.yaml           run attacks and defenses, print MSE tables
      poisonbench sweep configs/sweeps/diabetes.yaml    do the same at many poisoning rates
      poisonbench list                                  list everything that a config can name
      poisonbench explain trim                          explain a component: idea, equation, paper
      poisonbench validate configs/quickstart.yaml      check a config without running it
      poisonbench defend sales.csv --target price       find suspicious rows in a file of your own
      poisonbench show configs/quickstart.yaml          print a config with all its defaults
      poisonbench datasets list                         list the catalogue of real data sets
    """  # noqa: D301 (\b keeps the line breaks)


@app.command(cls=ConfigCommand)
def run(
    config: ConfigOrFolder,
    overrides: Overrides = None,
    output: Output = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    extend: Extend = False,
    add: Add = False,
    predictions: Predictions = False,
    fail_fast: FailFast = False,
    retry_crashed: RetryCrashed = False,
    time_limit: TimeLimit = None,
    force: Force = False,
) -> None:
    """Run the attacks and defenses of a config, and write tables of test errors as CSV.

    A cell is one defense on one poisoned training set.  Finished cells are not computed again, so
    run the same command again to resume.  The exit code is 0 if all cells are done, 1 if some
    failed, 2 if the config is wrong, 3 if some are missing, and 130 or 143 if the run was
    interrupted or terminated.

    With --add, name an output folder in place of the config, followed by what to add to it: data
    sets, splits, models, attacks, poisoning rates, defenses or seeds.  The grid grows by all
    combinations with the new values; finished cells stay as they are.

    \b
    Examples:
      poisonbench run configs/quickstart.yaml
      poisonbench run configs/quickstart.yaml --dry-run
      poisonbench run configs/quickstart.yaml seeds=2 defense='[none, trim]' --output results/try
      poisonbench run results/quickstart --add defense=mm
    """  # noqa: D301
    out = output_folder(config, output, "", add=add)
    with user_errors():
        from poisonbench.plan.make import make_plan

        experiment = experiment_of(config, overrides or (), add=add)
        say_notes(experiment, quiet=quiet)
        if fetch:
            fetch_data(experiment, data_dir, progress=not quiet)
        work = make_plan(experiment, data_dir, force=force)
    say_notes(work, quiet=quiet)
    options = RunOptions(
        jobs=jobs,
        quiet=quiet,
        verbose=verbose,
        extend=extend or add,
        predictions=predictions,
        fail_fast=fail_fast,
        retry_crashed=retry_crashed,
        time_limit=time_limit,
    )
    if dry_run:
        dry_run_of(work, out, options)
    else:
        carry_out(work, out, options)


@app.command(cls=ConfigCommand)
def sweep(
    config: ConfigOrFolder,
    axes: Axes = None,
    rates: Annotated[
        str | None,
        typer.Option(
            "--rates",
            metavar="R,R,...",
            help="Poisoning rates.  Without this option: those of the config's sweep block, else a "
            "list in the config, else the paper's 0, 0.04, ..., 0.2.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="Output folder.  [default: results/<name of the config>-sweep]",
        ),
    ] = None,
    jobs: Jobs = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Compute only part I of N, counted from 0."),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    extend: Extend = False,
    add: Add = False,
    predictions: Predictions = False,
    fail_fast: FailFast = False,
    retry_crashed: RetryCrashed = False,
    time_limit: TimeLimit = None,
    force: Force = False,
    dask: Dask = None,
    emit_slurm: EmitSlurm = False,
    shards: Shards = None,
    slurm_time: SlurmTime = None,
    slurm_memory: SlurmMemory = None,
    partition: Partition = None,
    max_parallel: MaxParallel = None,
    account: Account = None,
    qos: Qos = None,
    constraint: Constraint = None,
    sbatch: Sbatch = None,
) -> None:
    """Run a config at many poisoning rates, or values of any other key.

    Like run, but varies the keys given on the command line, those in the config's sweep block, and
    the poisoning rate (over the paper's rates if none are given).  On a cluster, each of N tasks
    computes one shard in the same output folder, and then merge makes the tables.

    Run the same command again to resume.  The exit code is 0 if all cells (of the shard) are done,
    1 if some failed, 2 if the config is wrong, 3 if some are missing, and 130 or 143 if the sweep
    was interrupted or terminated.

    With --add, name an output folder in place of the config, followed by what to add to it: data
    sets, splits, models, attacks, poisoning rates, defenses or seeds.  The grid grows by all
    combinations with the new values; finished cells stay as they are.  For example, if
    results/curve has the seeds 0 to 4, these commands add two defenses, an attack, and the seeds
    5 to 9 (values that the folder already has are ignored):

    \b
      poisonbench sweep results/curve --add defense=huber,mm
      poisonbench sweep results/curve --add attack='{name: optp, outer_objective: training}'
      poisonbench sweep results/curve --add seeds=10

    \b
    Examples:
      poisonbench sweep configs/quickstart.yaml
      poisonbench sweep configs/quickstart.yaml --rates 0,0.1,0.2 model.alpha=0.01,0.1,1
      poisonbench sweep configs/quickstart.yaml --output results/curve --shard 0/20
      poisonbench merge results/curve
      poisonbench sweep configs/quickstart.yaml --dask tcp://host:8786
      poisonbench sweep configs/quickstart.yaml --emit-slurm --shards 20 --time 02:00:00
    """  # noqa: D301
    out = output_folder(config, output, "-sweep", add=add)
    extend = extend or add
    part = shard_of(shard)
    asked = {
        "shards": shards,
        "time": slurm_time,
        "memory": slurm_memory,
        "partition": partition,
        "max_parallel": max_parallel,
        "account": account,
        "qos": qos,
        "constraint": constraint,
        "others": tuple(sbatch) if sbatch else None,
    }
    request = {name: value for name, value in asked.items() if value is not None}
    if request and not emit_slurm:
        first = next(iter(request))
        option = {"memory": "mem", "others": "sbatch"}.get(first, first)
        raise usage(
            f"--{option.replace('_', '-')} works only with --emit-slurm; expected both or neither"
        )
    if emit_slurm and (part or dry_run or dask):
        raise usage("--emit-slurm only writes a script; expected it without --shard, --dry-run and "
                    "--dask")  # fmt: skip
    check_dask(dask, jobs)
    with user_errors():
        from poisonbench.plan.make import make_plan

        experiment = experiment_of(config, axes or (), add=add, sweep=True, rates=rates)
        say_notes(experiment, quiet=quiet)
        if fetch:
            fetch_data(experiment, data_dir, progress=not quiet)
        work = make_plan(experiment, data_dir, force=force)
    say_notes(work, quiet=quiet)
    if emit_slurm:
        words = [*(axes or ()), *(["--rates", rates] if rates is not None else [])]
        flags = {"--add": add, "--extend": extend and not add, "--fail-fast": fail_fast,
                 "--retry-crashed": retry_crashed, "--predictions": predictions, "--quiet": quiet,
                 "--verbose": verbose, "--force": force}  # fmt: skip
        words += [flag for flag, given in flags.items() if given]
        if jobs is not None:
            words += ["--jobs", str(jobs)]
            request["processors"] = max(jobs, 1)
        words += ["--time-limit", str(time_limit)] if time_limit is not None else []
        emit_slurm_script(work, config, words, out, request, data_dir, extend=extend)
        return
    options = RunOptions(
        jobs=jobs,
        quiet=quiet,
        verbose=verbose,
        extend=extend,
        predictions=predictions,
        fail_fast=fail_fast,
        retry_crashed=retry_crashed,
        time_limit=time_limit,
        shard=part,
        dask=dask,
        tables_if_incomplete=False,
    )
    if dry_run:
        dry_run_of(work, out, options)
    else:
        carry_out(work, out, options)


@app.command()
def status(folder: Folder) -> None:
    """Show the progress of an output folder, and the time left.

    This counts the cells that are done, failed and missing.  If the folder has result files, it
    also lists signs that an attack could be stronger.  It needs neither the config nor the data.
    Cells that another machine has just written may not be visible yet.  The exit code is 0, or 2
    if DIR is not an output folder or cannot be read.

    \b
    Examples:
      poisonbench status results/curve
    """  # noqa: D301
    from poisonbench.output import status as statuses

    index = open_index(folder)
    with using(folder):
        say(statuses.report(statuses.look(index, folder), folder))
        if (folder / "results.csv").is_file():
            from poisonbench.output import weak_attacks  # pandas takes a while
            from poisonbench.output.layout import StoreError

            try:
                signs = weak_attacks.report(folder)
            except StoreError as error:  # the cells are what counts
                signs = f"Attacks were not checked for signs of weakness: {error}"
            if signs:
                say(signs)


@app.command()
def merge(
    folder: Folder,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the tables even if cells are missing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make the CSV files of an output folder once all its cells are done.

    If cells are missing, merge names them and exits with code 3; it then writes the CSV files only
    with --partial.

    \b
    Examples:
      poisonbench merge results/curve
    """  # noqa: D301
    from poisonbench.output import merging

    index = open_index(folder)
    with using(folder):
        missing = merging.missing(index, folder)
        if missing:
            typer.echo(merging.report(missing, folder), err=True)
        if not missing or partial:
            merge_tables(index, folder, quiet=quiet)
    if missing:
        raise typer.Exit(3)


@app.command()
def table(
    folder: ResultFolder,
    rows: Annotated[
        str,
        typer.Option(
            "--rows",
            metavar="AXIS,...",
            help="What the rows stand for: one or more of dataset, split, model, attack, rate, "
            "defense and folder.",
        ),
    ] = "attack,defense",
    columns: Annotated[
        str,
        typer.Option(
            "--columns", metavar="AXIS", help="What the columns stand for: one of the same axes."
        ),
    ] = "rate",
    metric: Metric = "test_mse",
    statistic: Annotated[
        str,
        typer.Option(
            "--statistic", help="mean (with standard deviation) or median (with quartiles)."
        ),
    ] = "mean",
    form: Annotated[
        str, typer.Option("--format", "-f", help="text, csv, markdown or latex (booktabs).")
    ] = "text",
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="COLUMN=VALUE,...",
            help="Use only the rows with one of these values; may be given several times.",
        ),
    ] = None,
    output: OutputFile = None,
) -> None:
    """Print a table of results, with rows and columns of your choice.

    Each cell averages over the seeds that all cells have.  If no seed is in all cells, the table
    says that it is not paired.  The best of a column is marked only if it is significantly better
    than every other: corrected resampled t-test with Holm's adjustment, at the 5% level.

    \b
    Metrics: test_mse, clipped, median, mae, rmse, ratio, ratio-none, own-clean, spread,
    removed, change, attack-seconds, defense-seconds, ceiling, ceiling-share, white-box-share.

    \b
    Examples:
      poisonbench table results/quickstart
      poisonbench table results/quickstart --rows defense --columns attack --metric ratio
      poisonbench table results/quickstart --where defense=trim,huber --format latex
    """  # noqa: D301
    from poisonbench.cli.results import table_of_results

    table_of_results(folder, rows, columns, metric, statistic, form, where or [], output)


@app.command()
def compare(
    folder: ResultFolder,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="NAME or DIR",
            help="Published values (jagielski2018, guedes-ayala2025 or reruns), or another output "
            "folder.  [default: jagielski2018]",
        ),
    ] = None,
    metric: Metric = "test_mse",
    output: OutputFile = None,
) -> None:
    """Compare results with published values, or with another folder of results.

    With published values, print for each cell the published value, the measured one (median, mean,
    standard deviation, count), their ratio and a verdict; then whether the curves have the
    published shape.  With another folder, print paired differences of a metric, with confidence
    intervals and p-values.  The exit code is 0 whatever the verdicts are.

    \b
    Metrics: test_mse, clipped, median, mae, rmse, ratio, ratio-none, own-clean, spread,
    removed, change, attack-seconds, defense-seconds, ceiling, ceiling-share.

    \b
    Examples:
      poisonbench compare results/jagielski2018
      poisonbench compare results/house --reference guedes-ayala2025
      poisonbench compare results/weaker --reference results/quickstart --metric clipped
    """  # noqa: D301
    from poisonbench.cli.results import compare_results

    compare_results(folder, reference, metric, output)


@app.command()
def plot(
    folder: ResultFolder,
    reference: PublishedName = None,
    form: Annotated[
        str,
        typer.Option("--format", "-f", metavar="KIND,...", help="One or more of png, svg and pdf."),
    ] = "png,svg,pdf",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="Folder for the figures.  [default: figures in the output folder]",
        ),
    ] = None,
    training_sets: TrainingSets = True,
    data_dir: DataDir = None,
) -> None:
    """Draw figures of results.

    They show the error against the poisoning rate, the convergence of the attacks, the error
    against the share of poison removed, and poisoned training sets with the models fitted to them.
    The command needs the extra poisonbench[plot].  The figures of training sets need the data, and
    are left out if the data are missing.

    \b
    Examples:
      poisonbench plot results/quickstart
      poisonbench plot results/quickstart --format pdf --no-training-sets --output figures
    """  # noqa: D301
    from poisonbench.cli.results import plot_results

    plot_results(folder, reference, form, output, training_sets=training_sets, data_dir=data_dir)


@app.command()
def report(
    folder: ResultFolder,
    reference: PublishedName = None,
    output: OutputFile = None,
    training_sets: TrainingSets = True,
    data_dir: DataDir = None,
) -> None:
    """Write a report of results as one HTML file.

    It has a summary in plain words, tables and figures, and needs no network.  The command needs
    the extra poisonbench[plot].

    \b
    Examples:
      poisonbench report results/quickstart
      poisonbench report results/jagielski2018 --output report.html
    """  # noqa: D301
    from poisonbench.cli.results import report_results

    report_results(folder, reference, output, training_sets=training_sets, data_dir=data_dir)


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="The paper's name: jagielski2018.")],
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help="Run only this part: attacks, defenses, transfer, times or dose; may be given "
            "several times.",
        ),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            "--datasets", metavar="NAME,...", help="Data sets to use.  [default: house,health]"
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", min=1, help="Number of random splits of each data set.  [default: 5]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="Output folder.  [default: results/PAPER]",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    time_limit: TimeLimit = None,
) -> None:
    """Run the experiments of a paper, and compare them with its published values.

    Each experiment is a config in configs/PAPER and has its own folder in DIR.  At the end, DIR
    also holds comparison.csv (for each cell the published and the measured value and a verdict),
    checks.csv (whether the curves have the published shape) and, if the extra poisonbench[plot] is
    installed, report.html.  Run the same command again to resume.  The exit codes are those of
    sweep.

    \b
    Examples:
      poisonbench reproduce jagielski2018 --fetch
      poisonbench reproduce jagielski2018 --part attacks --datasets house --seeds 2
      poisonbench reproduce jagielski2018 --dry-run
    """  # noqa: D301
    from poisonbench.cli.reproduce import reproduce_paper

    overrides = [f"dataset=[{datasets}]"] if datasets is not None else []
    overrides += [f"seeds={seeds}"] if seeds is not None else []
    options = RunOptions(jobs=jobs, quiet=quiet, time_limit=time_limit)
    reproduce_paper(
        paper, part or [], overrides, output, options, data_dir, fetch=fetch, dry_run=dry_run
    )


@app.command(cls=ConfigCommand)
def validate(
    config: ConfigFile,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    fetch: Fetch = False,
    force: Force = False,
) -> None:
    """Check a config and the data that it names, without running anything.

    If something is wrong, a message names the file and the line, and the exit code is 2.

    \b
    Examples:
      poisonbench validate configs/quickstart.yaml
      poisonbench validate configs/quickstart.yaml attack=optp poisoning_rate='[0.1, 0.2]'
    """  # noqa: D301
    with user_errors():
        from poisonbench.config import load
        from poisonbench.plan import summary
        from poisonbench.plan.make import make_plan

        experiment = load(config, overrides or (), sweep=None)
        if fetch:
            fetch_data(experiment, data_dir, progress=True)
        work = make_plan(experiment, data_dir, force=force)
    say(f"{config}: OK: {summary.counts(work)}")
    say_notes(experiment, quiet=False)
    say_notes(work, quiet=False)


@app.command(cls=ConfigCommand)
def show(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print a config with all its defaults, as YAML.

    Grids are expanded.  The output is a config with the same meaning, as long as it is saved in the
    same folder.

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
            # A sweep uses a list of rates as it is, but replaces a single rate by the paper's.
            resolved["poisoning_rate"] = [single]
        say(dump(resolved), nl=False)


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND or NAME]", help="A kind of component, or a component's name."
        ),
    ] = None,
) -> None:
    """List everything that a config can name.

    These are datasets, models, attacks, initializations, outer objectives and defenses.  With the
    name of a component, describe it and each of its parameters: type, default and meaning.

    \b
    Examples:
      poisonbench list
      poisonbench list defenses
      poisonbench list ridge
    """  # noqa: D301
    from poisonbench.cli.listing import find, overview
    from poisonbench.config.choices import PLURALS

    try:
        say(find(what) if what else overview(list(PLURALS)))
    except ValueError as error:
        typer.echo(f"poisonbench list: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead."),
    ] = None,
) -> None:
    """Print the JSON Schema of configs, for editors that check and complete them.

    \b
    Examples:
      poisonbench schema
      poisonbench schema --output configs/schema.json
    """  # noqa: D301
    from poisonbench.config.schema import schema as build

    text = json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        say(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{output}: cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None
