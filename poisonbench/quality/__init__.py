"""Checks of data files for faults that can turn the conclusions of an experiment round.

Each check is a module, and its docstring has the rule with its constants.  The checks see the
columns as the preparation read them, so that a column is a number, a date or a category for both.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from poisonbench.preparation.choices import Choices
from poisonbench.preparation.raw_file import RawFile, read_raw
from poisonbench.quality import (
    duplicates,
    extremes,
    near_duplicates,
    near_leak,
    notations,
    sentinels,
    strong_categories,
    units,
)
from poisonbench.quality.finding import Finding, Seen, as_findings, as_warnings
from poisonbench.quality.pairs import Comparison
from poisonbench.quality.profile import Profile
from poisonbench.quality.texts import odd_texts

__all__ = ["Finding", "as_warnings", "findings", "findings_in"]


def findings(
    path: Path,
    target: str | None,
    *,
    categorical: Collection[str] = (),
    numeric: Collection[str] = (),
    drop: Collection[str] = (),
    missing_values: Collection[str] = (),
    units: Collection[str] = (),
    **format_: Any,
) -> tuple[Finding, ...]:
    """Check a raw or a prepared CSV file.

    Parameters
    ----------
    path : Path
        The file.
    target : str or None
        The response; if None, the checks that need one are left out.
    categorical, numeric, drop : collection of str
        Columns to read as categories or as numbers, and columns to leave out, as in the
        preparation.
    missing_values, units : collection of str
        Values that mean a missing value (``"-999"`` or ``"age=-999"``), and columns with a unit in
        their cells (``"area=m2"``), as in the preparation.
    **format_
        Keyword arguments of :func:`poisonbench.preparation.read_raw`, such as ``delimiter``.

    Returns
    -------
    tuple of Finding
        In the order of the kinds.

    Raises
    ------
    DatasetError
        The file cannot be read, or a column that is named is not there.
    """
    choices = Choices(target, tuple(categorical), tuple(numeric), tuple(drop),
                      missing_values=tuple(missing_values), units=tuple(units))  # fmt: skip
    return findings_in(read_raw(path, choices, **format_))


def findings_in(file: RawFile) -> tuple[Finding, ...]:
    """Check the columns of a file that has been read.

    Parameters
    ----------
    file : RawFile
        The columns; they are not changed.
    """
    if not file.n_rows:
        return ()
    target, drop = file.choices.target, file.choices.drop
    compared = Comparison(file.n_rows)
    missing_codes: list[Seen] = []
    far: list[Seen] = []
    for column in file.columns:
        if column.name in drop:
            continue
        response = column.name == target
        profile = Profile.of(column)
        codes = sentinels.sentinels(profile)
        missing_codes += sentinels.seen(profile, codes, response=response)
        far += extremes.seen(profile, codes, response=response, clipped=file.choices.clip)
        compared.add(profile, response=response)
    texts = odd_texts(file)
    seen = [
        *missing_codes,
        *(() if file.choices.drop_duplicates else duplicates.check(compared)),
        *near_duplicates.check(compared, target),
        *near_leak.check(file),
        *far,
        *units.check(file, texts),
        *notations.check(file, texts),
        *strong_categories.check(file),
    ]
    return as_findings(seen, file)
