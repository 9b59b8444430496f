"""The ``poisonbench`` command: reads arguments, prints, and sets the exit code; nothing else.

Everything but Typer is imported where it is used, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from poisonbench.datasets.cli import DataDir
from poisonbench.datasets.cli import app as datasets_app

if TYPE_CHECKING:
    from poisonbench.config import Config

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.add_typer(datasets_app, name="datasets")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The config, a YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Values that replace or extend the file's, such as seeds=3 or model.alpha=0.1.",
    ),
]

Fetch = Annotated[
    bool, typer.Option("--fetch", help="Fetch data sets of the catalogue that are not here.")
]


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
    from poisonbench.store import StoreError

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
      poisonbench list                                  what there is to choose from
      poisonbench validate configs/quickstart.yaml      is this config right?
      poisonbench show configs/quickstart.yaml          what it amounts to, defaults filled in
      poisonbench datasets list                         real data sets, fetched by name
    """  # noqa: D301 (\b keeps the line breaks)


@app.command(cls=ConfigCommand)
def run(
    config: ConfigFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Output folder; results/<config's name> if not given.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Processes; as many as processors if not given."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Say how attacks get on: the objective by round."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")
    ] = False,
    data_dir: DataDir = None,
    fetch: Fetch = False,
) -> None:
    """Run a config: attacks, defenses, errors; write the tables as CSV.

    What is done already is not done again: the same line goes on where it was interrupted.
    Exit code 0 if all is done, 1 if some cells failed, 2 if the config is wrong, 130 or 143 if
    interrupted or terminated.

    \b
    Examples:
      poisonbench run configs/quickstart.yaml
      poisonbench run configs/quickstart.yaml --dry-run
      poisonbench run configs/quickstart.yaml seeds=2 defense='[none, trim]' --output results/try
    """  # noqa: D301
    with user_errors():
        from poisonbench import engine, plan, store, summary, tables
        from poisonbench.config import load

        experiment = load(config, overrides or ())
        if fetch:
            fetch_data(experiment, data_dir, progress=not quiet)
        work = plan.make(experiment, data_dir)
        out = output or Path("results") / config.stem
        if dry_run:
            store.check_folder(out, work)
            done = store.n_done(out, work)
            typer.echo(f"{summary.describe(work)}\n{done} cells are in {out} already")
            return
        store.open_folder(out, work)
    try:
        with engine.terminable():
            outcome = engine.run(
                work,
                out,
                jobs=jobs or engine.default_jobs(),
                progress=not quiet,
                verbose=verbose,
            )
            results = tables.collect(work, out)
            files = tables.write_csvs(results, out)
    except KeyboardInterrupt as stop:
        typer.echo(
            f"Interrupted. What is done is kept in {out}; the same command goes on.", err=True
        )
        raise typer.Exit(143 if isinstance(stop, engine.Terminated) else 130) from None
    except OSError as error:
        typer.echo(
            f"{error.filename or out}: {error.strerror or error}. What is done is kept.", err=True
        )
        raise typer.Exit(1) from None
    if not quiet:
        if len(results.results):
            typer.echo(f"\n{tables.render(results.results)}\n")
        written = [str(path) for path in files]
        if (out / "poison").is_dir():
            written.append(f"{out / 'poison'}{os.sep}")
        typer.echo(f"Written: {', '.join(written)}")
    if outcome.n_warned and not quiet:
        typer.echo(f"Libraries warned in {outcome.n_warned} cells; see {out / 'meta'}.", err=True)
    if outcome.failures:
        typer.echo(outcome.report(out), err=True)
        raise typer.Exit(1)


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

        experiment = load(config, overrides or ())
        if fetch:
            fetch_data(experiment, data_dir, progress=True)
        work = plan.make(experiment, data_dir)
    typer.echo(f"{config}: OK: {summary.counts(work)}")


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

        typer.echo(dump(load(config, overrides or ()).resolved()), nl=False)


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
