"""The commands ``poisonbench datasets ...``: read arguments, print, set the exit code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poisonbench.cli.file_options import (
    Categorical,
    Clip,
    DateOrder,
    DecimalMark,
    Delimiter,
    Drop,
    DropDuplicates,
    Encoding,
    Header,
    Missing,
    MissingCells,
    MissingValue,
    Numeric,
    Rare,
    Unit,
    check_delimiter,
)
from poisonbench.cli.messages import usage

if TYPE_CHECKING:
    from poisonbench.datasets.catalogue.entries import Entry

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, describe, fetch, verify and prepare data sets.",
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder of the data files.  [default: POISONBENCH_DATA, else ./datasets]",
    ),
]


@contextmanager
def _errors(code: int) -> Iterator[None]:
    """Turn an error in data into a message on stderr and an exit code."""
    from poisonbench.data.base import DatasetError

    try:
        yield
    except DatasetError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code) from None


def _entries(names: list[str]) -> list[Entry]:
    """Return the entries of these names; exit with a message if a name is not known."""
    from poisonbench.config.fields import hint
    from poisonbench.datasets.catalogue.entries import entries

    known = entries()
    for name in names:
        if name not in known:
            typer.echo(f"no data set is named '{name}'{hint(name, list(known))} poisonbench "
                       "datasets list shows the names", err=True)  # fmt: skip
            raise typer.Exit(2)
    return [known[name] for name in dict.fromkeys(names)]


def _folder(data_dir: Path | None, *, to_read: bool = True) -> Path:
    """Return the data folder; exit with a message if it cannot be used."""
    from poisonbench.datasets.catalogue.entries import checked_folder

    with _errors(2):
        return checked_folder(data_dir, to_read=to_read)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page datasets/README.md instead.")
    ] = False,
) -> None:
    """List the data sets of the catalogue, and which of their files are in the data folder.

    \b
    Examples:
      poisonbench datasets list
      poisonbench datasets list --markdown > datasets/README.md
    """  # noqa: D301
    from poisonbench.datasets.catalogue.entries import entries

    if markdown:
        from poisonbench.datasets.catalogue.readme import readme

        typer.echo(readme(), nl=False)
        return
    from poisonbench.datasets.catalogue.verify import presence

    folder = _folder(data_dir)
    typer.echo(f"data folder: {folder.absolute()}" + ("" if folder.exists() else " (not there)"))
    states = {entry.name: presence(entry, folder) for entry in entries().values()}
    for entry in entries().values():
        rows = "" if entry.rows is None else f"{entry.rows} x {entry.columns}"
        typer.echo(f"  {entry.name:<17}{rows:>11}  {states[entry.name]:<10}{entry.title}")
    wrong = [name for name, state in states.items() if state == "wrong"]
    if wrong:
        typer.echo(f"Run poisonbench datasets verify {' '.join(wrong)} to see what is wrong")


@app.command()
def describe(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A data set of the catalogue, or a CSV file.")
    ],
    data_dir: DataDir = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The response of a CSV file, for the checks that need it.  [default: that of the "
            "preparation of the file]",
        ),
    ] = None,
) -> None:
    """Describe a data set of the catalogue, or any CSV file, raw or prepared.

    Of a data set of the catalogue, it prints provenance, shape, groups, ranges, rank, condition and
    a histogram.  Of a file, it prints what each column contains (kind, missing values, range, most
    frequent values), and what checks have found, with the lines of the file and the remedy:
    sentinel numbers such as -999, exact and near duplicates, columns that give the response in most
    rows, values that set the range of their column by themselves, units in cells, mixed notations,
    and categories with a large effect.

    \b
    Examples:
      poisonbench datasets describe diabetes
      poisonbench datasets describe sales.csv --target price
      poisonbench datasets describe raw-prepared.csv
    """  # noqa: D301
    from poisonbench.datasets.catalogue.entries import entries

    if name and name not in entries() and Path(name).exists():
        _describe_file(Path(name), target)
        return
    if name not in entries() and (Path(name).suffix or len(Path(name).parts) > 1):
        raise usage(f"no data set is named '{name}', and there is no such file; poisonbench "
                    "datasets list shows the names")  # fmt: skip
    (entry,) = _entries([name])
    if target is not None:
        raise usage(f"--target is for a CSV file; the response of {name} is '{entry.target}'")
    from poisonbench import registry
    from poisonbench.data.sidecar import Sidecar
    from poisonbench.datasets.catalogue.describe import provenance, statistics
    from poisonbench.datasets.catalogued import how_to_get

    folder = _folder(data_dir)
    typer.echo(provenance(entry))
    loader = registry.components("dataset")[name]
    if entry.file and not (folder / entry.file).exists():
        typer.echo(how_to_get([entry], folder))
        return
    with _errors(1):
        data = (loader(data_dir=folder) if entry.file else loader()).load()
        sidecar = Sidecar.read(folder / entry.file) if entry.file else None
        typer.echo(statistics(data, sidecar))


def _describe_file(file: Path, target: str | None) -> None:
    """Print what the columns of a file contain, and what the checks have found."""
    from poisonbench.data.sidecar import Sidecar
    from poisonbench.preparation import Choices, read_raw
    from poisonbench.quality import findings_in
    from poisonbench.quality.overview import listing, overview

    _check_file(file)
    with _errors(2):
        sidecar = Sidecar.read(file)
        if target is None and sidecar is not None:
            target = sidecar.target
        raw = read_raw(file, Choices(target))
        typer.echo(overview(raw))
        typer.echo(listing(findings_in(raw), target))


def _check_file(file: Path) -> None:
    """Exit with a message if a path is not that of a file."""
    if not file.is_file():
        problem = "is a folder; expected a CSV file" if file.is_dir() else "no such file"
        raise usage(f"{file}: {problem}")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="The names of data sets of the catalogue."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Fetch the whole catalogue.")] = False,
    data_dir: DataDir = None,
    timeout: Annotated[
        float,
        typer.Option(min=0.01, help="Seconds to wait for an answer before trying again."),
    ] = 30.0,
    retries: Annotated[
        int, typer.Option(min=0, help="How often to try again after a failure.")
    ] = 4,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Download data sets into the data folder, and check them.

    A file appears in the folder only when it is complete and correct.  Run the same command again
    to resume an interrupted download.  Proxies are taken from HTTPS_PROXY and NO_PROXY.
    POISONBENCH_MIRROR may hold the address of a web folder to use instead of the original sources.
    The exit code is 0 if all data sets are there, 1 if one could not be fetched, 2 if a name, the
    mirror or the data folder is not valid, and 130 if the command was interrupted.

    \b
    Examples:
      poisonbench datasets fetch house health
      poisonbench datasets fetch --all --data-dir /scratch/data
    """  # noqa: D301
    from poisonbench.datasets.catalogue.entries import entries

    if names and every:
        typer.echo(
            "--all fetches the whole catalogue; expected either --all or names, not both", err=True
        )
        raise typer.Exit(2)
    if not names and not every:
        typer.echo("expected the names of data sets, or --all; poisonbench datasets list shows the "
                   "names", err=True)  # fmt: skip
        raise typer.Exit(2)
    chosen = list(entries().values()) if every else _entries(names or [])
    folder = _folder(data_dir, to_read=False)
    from poisonbench.datasets.catalogue.fetch import fetch as fetch_one
    from poisonbench.datasets.catalogue.fetch import mirror_address
    from poisonbench.datasets.catalogue.limits import FetchError, Limits

    try:
        mirror_address()
    except FetchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    limits = Limits(timeout=timeout, retries=retries)
    failed = 0
    for entry in chosen:
        try:
            fetch_one(entry, folder, limits=limits, progress=not quiet, say=typer.echo)
        except FetchError as error:
            failed += 1
            typer.echo(f"{entry.name}: {error}", err=True)
        except KeyboardInterrupt:
            typer.echo(
                "Interrupted. Downloaded data are kept; run the same command again to resume.",
                err=True,
            )
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="Data sets of the catalogue, or prepared files.  [default: the whole catalogue]",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Check the files in the data folder, or prepared files of your own.

    The exit code is 1 if a file is wrong (a missing file does not count as wrong), 2 if an argument
    is neither a name nor a file, and 0 otherwise.

    \b
    Examples:
      poisonbench datasets verify
      poisonbench datasets verify house --data-dir /scratch/data
      poisonbench datasets verify raw-prepared.csv
    """  # noqa: D301
    from poisonbench.datasets.catalogue.entries import entries
    from poisonbench.datasets.catalogue.verify import verify as verify_one
    from poisonbench.datasets.catalogue.verify import verify_file

    given = list(dict.fromkeys(names or [e.name for e in entries().values() if e.file]))
    paths = [name for name in given if name not in entries() and Path(name).is_file()]
    chosen = {entry.name: entry for entry in _entries([n for n in given if n not in paths])}
    folder = _folder(data_dir) if chosen else Path()
    verdicts = [
        verify_one(chosen[name], folder) if name in chosen else verify_file(Path(name))
        for name in given
    ]
    for verdict in verdicts:
        typer.echo(verdict.report())
    if any(verdict.wrong for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def prepare(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A raw CSV file.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the response.")],
    categorical: Categorical = None,
    numeric: Numeric = None,
    drop: Drop = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "--out",
            "-o",
            metavar="FILE",
            help="The prepared file.  [default: FILE-prepared.csv]",
        ),
    ] = None,
    rare: Rare = 0.01,
    missing: MissingCells = Missing.fill,
    missing_value: MissingValue = None,
    unit: Unit = None,
    clip: Clip = False,
    drop_duplicates: DropDuplicates = False,
    dates: DateOrder = None,
    header: Header = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: DecimalMark = None,
) -> None:
    """Turn a raw CSV file into a numeric one that a config can name.

    The command prints what each column holds and what was done with it.  Options that take columns
    can be given several times, or with several names separated by commas.  A second file, with the
    ending .json, is written beside the prepared file; it records the one-hot groups and every step
    of the preparation.

    A cell is missing if it is empty or one of NA, N/A, NaN, null, none, ?, - and . (in upper or
    lower case).  So is a cell that is not a number (or a date) in a column where at least 9 in 10
    are, and a number beyond 1e150.  A number with a leading zero, such as 007, is read as a code,
    unless --numeric names its column.  If a column has several rare categories, they are merged
    into one, called other; --rare 0 keeps them all.

    Warnings name the lines of the file in which something looks wrong, and the option that helps.
    To see them without preparing anything, use poisonbench datasets describe FILE.

    \b
    Examples:
      poisonbench datasets prepare raw.csv --target price
      poisonbench datasets prepare raw.csv --target price --categorical zip --drop id,url
      poisonbench datasets prepare raw.csv --target price --missing-value -999 --clip
      poisonbench datasets prepare raw.csv --target price --missing-value age=0 --unit area=m2
    """  # noqa: D301
    import yaml

    from poisonbench.preparation import Choices, check_place, prepare_columns, read_raw
    from poisonbench.quality import as_warnings, findings_in

    _check_file(file)
    check_delimiter(delimiter)
    out = out or file.with_name(f"{file.stem}-prepared.csv")
    choices = Choices(
        target=target,
        categorical=tuple(categorical or ()),
        numeric=tuple(numeric or ()),
        drop=tuple(drop or ()),
        rare=rare,
        missing=missing.value,
        dates=dates.value if dates else None,
        missing_values=tuple(missing_value or ()),
        units=tuple(unit or ()),
        clip=clip,
        drop_duplicates=drop_duplicates,
    )
    with _errors(2):
        check_place(file, out)
        raw = read_raw(file, choices, encoding=encoding, delimiter=delimiter,
                       decimal=decimal.value if decimal else None, header=header)  # fmt: skip
        warnings, told = as_warnings(findings_in(raw))
        prepared = prepare_columns(raw, out, warnings=warnings, told=told)
    typer.echo(prepared.report())
    typer.echo(f"Written: {out}, {out}.json.  In a config:")
    line = {"dataset": {"name": "csv", "path": str(out.absolute()), "target": prepared.target}}
    written = yaml.safe_dump(line, default_flow_style=None, sort_keys=False, allow_unicode=True,
                             width=math.inf)  # fmt: skip
    typer.echo(f"  {written.rstrip()}")
