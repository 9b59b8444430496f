"""The options that say how to read and prepare a raw CSV file.

The commands ``datasets prepare``, ``audit`` and ``defend`` have them in common.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from poisonbench.cli.messages import usage


class Missing(StrEnum):
    """How to treat missing values."""

    fill = "fill"
    drop = "drop"


class Dates(StrEnum):
    """How to read a date that could be day first or month first."""

    day_first = "day-first"
    month_first = "month-first"


class Decimal(StrEnum):
    """A decimal mark."""

    point = "."
    comma = ","


Categorical = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMNS", help="Columns to read as categories, even if they hold numbers."
    ),
]
Numeric = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMNS",
        help="Columns to read as numbers, even if they look like identifiers or codes with "
        "leading zeros; cells that are not numbers are then missing.",
    ),
]
Drop = Annotated[list[str] | None, typer.Option(metavar="COLUMNS", help="Columns to leave out.")]
Rare = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="If several categories of a column each have less than this share of the rows, "
        "merge them into 'other'; 0 merges none.",
    ),
]
MissingCells = Annotated[
    Missing,
    typer.Option(
        help="Fill missing values with the column's mean or the category NA, or drop the rows "
        "that have any."
    ),
]
MissingValue = Annotated[
    list[str] | None,
    typer.Option(
        metavar="VALUE",
        help="A number, date or text that means a missing value, such as -999; COLUMN=VALUE in "
        "one column only.  Can be given several times.",
    ),
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=UNIT",
        help="Read a column with cells such as '157 m2' as numbers: area=m2.  Cells with "
        "another unit are missing.  Can be given several times.",
    ),
]
Clip = Annotated[
    bool,
    typer.Option(
        "--clip",
        help="If a few numbers set the range of a feature by themselves, set them to the "
        "smallest or largest of the others.",
    ),
]
DropDuplicates = Annotated[
    bool, typer.Option("--drop-duplicates", help="Drop rows that repeat an earlier row.")
]
DateOrder = Annotated[
    Dates | None,
    typer.Option(
        help="How to read a column of dates that could be either.  [default: day-first, with a "
        "warning]"
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line holds the column names.  [default: it does, and a first "
        "line that looks like data is an error]",
    ),
]
Encoding = Annotated[str | None, typer.Option(help="Character encoding.  [default: detected]")]
Delimiter = Annotated[
    str | None, typer.Option(help="Character between cells.  [default: detected]")
]
DecimalMark = Annotated[Decimal | None, typer.Option(help="Decimal mark.  [default: detected]")]


def check_delimiter(delimiter: str | None) -> None:
    """Exit with a message if a delimiter is not one character."""
    if delimiter is not None and len(delimiter) != 1:
        raise usage(f"--delimiter is {delimiter!r}, expected one character")
