"""What a check of a data file reports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from poisonbench.features import IntArray
from poisonbench.preparation.raw_file import RawFile

Kind = Literal[
    "sentinel",
    "duplicates",
    "near-duplicates",
    "near-leak",
    "extreme values",
    "units",
    "notations",
    "strong categories",
]

SHOWN_ROWS = 5
"""How many rows a finding names by their line."""

_MARK = re.compile("\0(\\d+)\0")


@dataclass(frozen=True)
class Finding:
    """Something in a data file that may turn the conclusions of an experiment round.

    Parameters
    ----------
    kind : str
        Its kind, such as ``"sentinel"``.
    columns : tuple of str
        The columns that it concerns.
    n_rows : int
        The number of rows that it concerns.
    rows : tuple of int
        The first of these rows, as line numbers of the file, counted from 1 for the header line, as
        an editor shows them.
    message : str
        What was seen, and where.
    remedy : str
        What to do about it.
    """

    kind: str
    columns: tuple[str, ...]
    n_rows: int
    rows: tuple[int, ...]
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return the finding on one line."""
        lines = ", ".join(map(str, self.rows))
        more = ", ..." if self.n_rows > len(self.rows) else ""
        word = "line" if len(self.rows) == 1 and not more else "lines"
        where = f" ({word} {lines}{more})" if self.rows else ""
        return f"{self.kind}: {self.message}{where}; {self.remedy}"


@dataclass(frozen=True)
class Seen:
    """A finding before its rows are turned into lines of the file.

    Parameters
    ----------
    kind : str
        Its kind.
    columns : tuple of str
        The columns that it concerns.
    rows : ndarray of int
        Indices of all the rows that it concerns.
    message : str
        What was seen.  :func:`line_of` puts the line of a row into it.
    remedy : str
        What to do about it.
    """

    kind: Kind
    columns: tuple[str, ...]
    rows: IntArray
    message: str
    remedy: str


def as_warnings(findings: Iterable[Finding]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return findings as the preparation takes them, so that it says nothing twice.

    Parameters
    ----------
    findings : iterable of Finding
        The findings.

    Returns
    -------
    warnings : list of str
        Each on one line.
    told : list of (str, str)
        The kind and each column of them.
    """
    findings = list(findings)
    told = [(finding.kind, column) for finding in findings for column in finding.columns]
    return [str(finding) for finding in findings], told


def line_of(row: int) -> str:
    """Return a text for :attr:`Seen.message` that becomes the number of the line of a row."""
    return f"\0{row}\0"


def as_findings(seen: Iterable[Seen], file: RawFile) -> tuple[Finding, ...]:
    """Return findings with the line numbers of their first rows; the file is read once.

    Parameters
    ----------
    seen : iterable of Seen
        What the checks have seen.
    file : RawFile
        The file.
    """
    seen = list(seen)
    shown = {
        *(int(row) for found in seen for row in np.sort(found.rows)[:SHOWN_ROWS]),
        *(int(row) for found in seen for row in _MARK.findall(found.message)),
    }
    lines = file.lines(shown)
    return tuple(
        Finding(
            found.kind,
            found.columns,
            len(found.rows),
            tuple(lines[int(row)] for row in np.sort(found.rows)[:SHOWN_ROWS]),
            _MARK.sub(lambda mark: str(lines[int(mark[1])]), found.message),
            found.remedy,
        )
        for found in seen
    )
