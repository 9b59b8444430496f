"""The command ``audit``: how far bad rows can move a model of a file, and which defense to use.

Slow modules are imported inside the functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from poisonbench.cli.datasets import DataDir
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
from poisonbench.cli.messages import say, to_stderr, usage, user_errors, using
from poisonbench.cli.options import Jobs, Quiet


def audit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            readable=False,
            help="A CSV file, raw or prepared, or a data set of the catalogue.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="COLUMN",
            help="The column of the response; not needed for a prepared file or the catalogue.",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="R,R,...",
            help="Bad rows as a share of the good training rows.  [default: 0.01,0.04,0.08,0.16]",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME", help="The learner: ridge, ols, lasso or elastic-net."
        ),
    ] = "ridge",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="Output folder.  [default: results/audit-<name of the file>]",
        ),
    ] = None,
    budget: Annotated[
        float,
        typer.Option("--budget", metavar="MINUTES", help="Time that the audit may take."),
    ] = 3.0,
    splits: Annotated[
        int, typer.Option("--splits", metavar="N", help="Largest number of random splits.")
    ] = 5,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="The file contains no bad rows: compare the defenses on all of its test rows, and "
            "not only on those that fit best.",
        ),
    ] = False,
    categorical: Categorical = None,
    numeric: Numeric = None,
    drop: Drop = None,
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
    jobs: Jobs = None,
    quiet: Quiet = False,
    data_dir: DataDir = None,
) -> None:
    """Say how far bad rows can move a model of your data, and which defense to use.

    The command prepares the file as datasets prepare does, attacks the model with added rows at a
    few rates, trains the defenses that are worth their time on the same rows, and answers in plain
    words and in the unit of the response.  DIR then has the answer (answer.txt, and report.html if
    the extra poisonbench[plot] is installed), the table from which the defense was chosen
    (defenses.csv), the result files of a run, the prepared data, and config.yaml, which gives the
    same results again.

    It measures the first cells and fits the rest into --budget: if there is not enough time, it
    uses fewer training rows, attacks, defenses, rates or splits, and says so.  Run the same command
    again to resume it.  The exit code is 0, 1 if no attack could be run, 2 if the file or an option
    is wrong, and 130 if the command was interrupted.

    \b
    Examples:
      poisonbench audit sales.csv --target price
      poisonbench audit sales.csv --target price --rate 0.04 --model lasso --drop id,url -o lasso
      poisonbench audit diabetes --budget 1
    """  # noqa: D301
    start = time.monotonic()
    from poisonbench.preparation.choices import Choices

    check_delimiter(delimiter)
    choices: dict[str, Any] = {
        "categorical": tuple(categorical or ()),
        "numeric": tuple(numeric or ()),
        "drop": tuple(drop or ()),
        "missing_values": tuple(missing_value or ()),
        "units": tuple(unit or ()),
        "clip": clip,
        "drop_duplicates": drop_duplicates,
    }
    choices |= {"missing": missing.value} if missing is not Missing.fill else {}
    choices |= {"dates": dates.value} if dates else {}
    choices |= {"rare": rare} if rare != Choices.rare else {}
    dialect: dict[str, Any] = {
        "encoding": encoding,
        "delimiter": delimiter,
        "decimal": decimal.value if decimal else None,
        "header": header,
    }
    with user_errors():
        from poisonbench.auditing.audit import audit_file, can_draw
        from poisonbench.auditing.budget import AuditError, Clock
        from poisonbench.auditing.data import name_of
        from poisonbench.auditing.request import RATES, Request
        from poisonbench.data.base import DatasetError
        from poisonbench.execution.signals import EXIT_CODES, Stopped, stoppable

        try:
            rates = RATES if rate is None else _rates(rate)
            request = Request(rates, model, splits, 60 * budget, trusted)
        except ValueError as error:
            raise usage(f"--{error}") from None
        out = output or Path("results") / f"audit-{name_of(file)}"
        try:
            with using(out), stoppable():
                found = audit_file(
                    file,
                    target,
                    out,
                    request,
                    choices=choices,
                    dialect=dialect,
                    data_dir=data_dir,
                    jobs=jobs,
                    say=(lambda line: None) if quiet else to_stderr,
                    clock=Clock(request.budget, start),
                )
        except DatasetError as error:
            raise usage(str(error)) from None
        except AuditError as error:
            typer.echo(f"{file}: {error}", err=True)
            raise typer.Exit(1) from None
        except Stopped as stopped:
            to_stderr(f"Interrupted. Finished cells are kept in {out}; run the same command again "
                      "to resume.")  # fmt: skip
            raise typer.Exit(EXIT_CODES[stopped.number]) from None
    if quiet:
        return
    say(f"\n{found.answer}")
    pages = ["report.html"] if can_draw() else []
    written = ["answer.txt", *pages, "defenses.csv", "results.csv", "config.yaml"]
    say(f"Written: {', '.join(str(out / name) for name in written)}")
    if not can_draw():
        say("There is no page with pictures, which needs the extra: python -m pip install "
            "'poisonbench[plot]'; then run the same command again.")  # fmt: skip


def _rates(text: str) -> tuple[float, ...]:
    """Return the rates of ``0.01,0.04``."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"rate {text}: not numbers; expected shares of the training rows, such as "
                         "0.01,0.04") from None  # fmt: skip
