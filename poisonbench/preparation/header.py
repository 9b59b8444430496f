"""The column names of a raw file: check whether it has any, and make them distinct."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poisonbench.data.base import DatasetError, listing
from poisonbench.data.names import visible
from poisonbench.preparation.cells import DATE_ORDERS, date_parser, number_parser

_FRACTION = re.compile(r"[+-]?\d*[.,]\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The column names of a raw file.

    Parameters
    ----------
    names : tuple of str
        The names, which are distinct and each on one line.
    line : bool
        Whether the file has a line with the names.
    blank_records : int
        Number of blank lines before it.
    repeated : tuple of str
        Names that several columns had.
    remarks : tuple of str
        What the user should check, such as names that were changed.
    """

    names: tuple[str, ...]
    line: bool = True
    blank_records: int = 0
    repeated: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read_header(
    path: Path, cells: Sequence[str], given: bool | None, blank_records: int = 0
) -> Header:
    """Return the column names of a file.

    Parameters
    ----------
    path : Path
        The file.
    cells : sequence of str
        The cells of its first line that is not blank.
    given : bool or None
        Whether this line contains the names; if None it does, unless it looks like data.
    blank_records : int
        Number of lines before it.

    Raises
    ------
    DatasetError
        The line looks like data.
    """
    if given is False:
        names = tuple(f"column {j}" for j in range(1, len(cells) + 1))
        return Header(names, False, blank_records)
    remarks = [] if given else _suspicion(path, [cell.strip() for cell in cells])
    wanted = [visible(cell) or f"column {j}" for j, cell in enumerate(cells, start=1)]
    names = distinct(wanted)
    unnamed = [name for name, cell in zip(names, cells, strict=True) if not cell.strip()]
    changed = [(cell.strip(), name) for name, cell in zip(names, cells, strict=True)
               if cell.strip() not in ("", name)]  # fmt: skip
    alike = [pair for pair in changed if visible(pair[0]) != " ".join(pair[0].split())]
    if unnamed:
        remarks.append(f"columns without a name are named by their number: {listing(unnamed)}")
    for pairs, why, quoted in (
        ([pair for pair in changed if pair not in alike], "to be distinct and on one line", repr),
        (alike, "to avoid characters that are invisible or look like others", ascii),
    ):
        shown = ", ".join(f"{quoted(before)} is now '{after}'" for before, after in pairs[:5])
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        if pairs:
            remarks.append(f"column names were changed, {why}: {shown}{more}")
    repeated = tuple(name for name, count in Counter(wanted).items() if count > 1)
    return Header(names, True, blank_records, repeated, tuple(remarks))


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with numbers added to repeated ones: ``a``, ``a (2)``."""
    taken = set(names)
    found: dict[str, None] = {}
    last: dict[str, int] = {}  # the last number that was added to a name
    for name in names:
        new, k = name, last.get(name, 1)
        while new in found or (k > 1 and new in taken):
            k += 1
            new = f"{name} ({k})"
        found[new] = None
        last[name] = k
    return tuple(found)


def _suspicion(path: Path, cells: Sequence[str]) -> list[str]:
    """Return a remark if the names may be data; raise DatasetError if they almost certainly are."""
    number = number_parser(".")
    dates = [date_parser(order) for order in DATE_ORDERS]
    present = [cell for cell in cells if cell]
    numbers = [cell for cell in present if number(cell) or _FRACTION.fullmatch(cell)]
    certain = [cell for cell in present
               if _FRACTION.fullmatch(cell) or any(date(cell) for date in dates)]  # fmt: skip
    if certain or (numbers and len(numbers) == len(present)):
        raise DatasetError(
            f"{path}: the first line contains {listing(certain or numbers)}, which looks like "
            "data, not like column names; use --no-header if it is data (the columns are then "
            "named 'column 1', 'column 2', ...), or --header if it contains the names"
        )
    if numbers:
        return [f"the first line contains {listing(numbers)}, read as column names; use "
                "--no-header if it is data"]  # fmt: skip
    return []
