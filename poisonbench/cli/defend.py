"""The commands ``defend`` and ``predict``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from poisonbench.cli.messages import say, to_stderr, usage, using

if TYPE_CHECKING:
    from poisonbench.defending.reading import SuspectFile

app = typer.Typer(rich_markup_mode=None)
"""The commands of this file, which are merged into the main command."""

RawInput = Annotated[
    str, typer.Argument(metavar="FILE", help="A CSV file, or the name of a data set with a file.")
]


@contextmanager
def _errors() -> Iterator[None]:
    """Turn an error in data into a message and exit code 2."""
    from poisonbench.data.base import DatasetError

    try:
        yield
    except DatasetError as error:
        raise usage(str(error)) from None


@app.command()
def defend(
    file: RawInput,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of the response."),
    ] = None,
    defense: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The defense.  [default: the one recommended from the data]"
        ),
    ] = None,
    share: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="The share of the rows to call suspicious, such as 0.05, or auto to estimate it.",
        ),
    ] = "0.05",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The learner: ridge, ols, lasso or elastic-net.")
    ] = "ridge",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            readable=False,
            help="Output folder.  [default: results/<name of the file>-defended]",
        ),
    ] = None,
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
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    data_dir: DataDir = None,
) -> None:
    """Find suspicious rows in a file that may be poisoned, and fit a robust linear regression.

    No attack is run and no row is trusted.  The output folder gets suspicious.csv (the rows that
    agree least with the others, with reasons), cleaned.csv (the file without these rows, otherwise
    the same), model.json (the defended model, for poisonbench predict) and, with the extra
    poisonbench[plot], report.html.  FILE is read by the rules of poisonbench datasets prepare.

    A suspicious row is not always wrong, and poison that agrees with the other rows is not found.
    Without --defense, up to five defenses are compared by a robust held-out error; the table is
    printed.  --share 0.05 always lists 5% of the rows; auto lists those that stand out, possibly
    none.

    \b
    Examples:
      poisonbench defend sales.csv --target price
      poisonbench defend sales.csv --target price --share auto --drop id,url
      poisonbench defend sales.csv --target price --defense mm --share 0.02 -o checked
      poisonbench predict results/sales-defended/model.json new.csv
    """  # noqa: D301
    wanted = _share(share)
    path, column = _file(file, target, data_dir)
    check_delimiter(delimiter)
    out = output or Path("results") / f"{path.stem}-defended"
    if out.is_file():
        raise usage(f"{out}: is a file; expected a folder for the results")
    if out.is_dir() and any(out.iterdir()) and not (out / "model.json").is_file():
        raise usage(f"{out} is not empty and is not the folder of an earlier defend; give another "
                    "folder with --output")  # fmt: skip
    with _errors():
        from poisonbench.defending import output as results
        from poisonbench.defending.fit import check
        from poisonbench.defending.fit import defend as run
        from poisonbench.defending.learners import learner_named
        from poisonbench.defending.reading import read_file
        from poisonbench.preparation import Choices

        try:
            check(defense, wanted)
            learner_named(model)
        except ValueError as error:
            raise usage(str(error)) from None
        choices = Choices(
            target=column,
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
        raw = read_file(path, choices, encoding=encoding, delimiter=delimiter,
                        decimal=decimal.value if decimal else None, header=header)  # fmt: skip
        _say_about_the_file(raw)
        found = run(raw.rows.data, defense=defense, share=wanted, model=model, random_state=seed)
        with using(out):
            written = results.write(raw, found, out)
    say(results.summary(raw, found))
    page = out / "report.html"
    with using(out):
        if results.write_page(raw, found, page):
            written.append(page)
    say(f"Written: {', '.join(map(str, written))}")
    if page not in written:
        say("The page report.html needs the extra poisonbench[plot]: "
            "python -m pip install 'poisonbench[plot]'")  # fmt: skip
    say(f"To predict:\n  poisonbench predict {shlex.quote(str(out / 'model.json'))} FILE")


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", readable=False, help="A model.json of poisonbench defend."),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            readable=False,
            help="A CSV file with the columns of the file that the model was made from.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            readable=False,
            help="Write to this CSV file.  [default: standard output]",
        ),
    ] = None,
    header: Header = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: DecimalMark = None,
) -> None:
    """Predict the response for the rows of a raw CSV file, with a model of poisonbench defend.

    The output has a row for each data row of FILE: its number (counted from 1 below the header),
    its line and the prediction, in the unit of the response.  If FILE has the response, its
    residuals are added, and their typical size is printed.  Columns may be in any order; missing
    values and categories that the model does not know are reported.

    \b
    Examples:
      poisonbench predict results/sales-defended/model.json new.csv
      poisonbench predict results/sales-defended/model.json new.csv -o predicted.csv
    """  # noqa: D301
    check_delimiter(delimiter)
    if not file.is_file():
        problem = "is a folder; expected a CSV file" if file.is_dir() else "no such file"
        raise usage(f"{file}: {problem}")
    with _errors():
        from poisonbench.defending import output as results
        from poisonbench.defending.model_file import read_model
        from poisonbench.defending.prediction import predict_file

        known = read_model(model)
        found = predict_file(known, file, encoding=encoding, delimiter=delimiter,
                             decimal=decimal.value if decimal else None, header=header)  # fmt: skip
    for remark in found.remarks:
        to_stderr(f"note: {remark}")
    text = results.prediction_csv(known, found)
    if output is None:
        say(text, nl=False)
    else:
        with using(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text, encoding="utf-8")
        say(f"Written: {output}")
    errors = results.typical_error(known, found)
    if errors:
        to_stderr(errors)


def _share(text: str) -> Any:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise usage(
            f"--share is '{text}', expected a share of the rows such as 0.05, or auto"
        ) from None


def _file(name: str, target: str | None, data_dir: Path | None) -> tuple[Path, str]:
    """Return the file and the response that a path, or the name of a data set, stands for."""
    path = Path(name)
    if not path.is_file():
        entry = _entry(name)
        if entry is None:
            problem = "is a folder; expected a CSV file" if path.is_dir() else "no such file"
            raise usage(f"{name}: {problem}, and no data set of the catalogue has this name")
        with _errors():
            from poisonbench.datasets.catalogue.entries import checked_folder
            from poisonbench.datasets.catalogued import how_to_get

            folder = checked_folder(data_dir)
            path = folder / str(entry.file)
            if not path.exists():
                raise usage(how_to_get([entry], folder))
        target = target or entry.target
    if target is None:
        raise usage("no --target; expected --target with the name of the column to predict")
    return path, target


def _entry(name: str) -> Any:
    """Return the entry of the catalogue with a file, or None."""
    from poisonbench.datasets.catalogue.entries import entries

    entry = entries().get(name)
    if entry is not None and not entry.file:
        raise usage(f"{name} has no file; expected a CSV file, or a data set that is in one")
    return entry


def _say_about_the_file(raw: SuspectFile) -> None:
    """Print what was found in the file."""
    for warning in raw.warnings:
        to_stderr(f"warning: {warning}")
