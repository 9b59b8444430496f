"""The user's choices for a preparation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from poisonbench.data.base import DatasetError, listing
from poisonbench.data.names import visible
from poisonbench.registry import nearest


@dataclass(frozen=True)
class Choices:
    """The user's choices for a preparation.

    Parameters
    ----------
    target : str or None
        The response; None only for a file that is looked at, not prepared.
    categorical : tuple of str
        Columns to read as categories, even if they contain numbers.
    numeric : tuple of str
        Columns to read as numbers, even if they look like identifiers.
    drop : tuple of str
        Columns to leave out.
    rare : float
        A category with less than this share of the rows is rare; rare categories are merged.
    missing : {"fill", "drop"}
        Whether to fill missing values or to drop their rows.
    dates : {"day-first", "month-first"}, optional
        How to read a column of dates that could be either; if not given, day first, with a warning.
    missing_values : tuple of str
        Values that mean a missing value, ``VALUE`` in all columns or ``COLUMN=VALUE`` in one.
    units : tuple of str
        ``COLUMN=UNIT``: columns of numbers with a unit in their cells.
    clip : bool
        Whether to clip the numbers of a feature whose range is set by a few of them.
    drop_duplicates : bool
        Whether to drop rows that repeat an earlier row.
    """

    target: str | None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rare: float = 0.01
    missing: Literal["fill", "drop"] = "fill"
    dates: Literal["day-first", "month-first"] | None = None
    missing_values: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    clip: bool = False
    drop_duplicates: bool = False

    def resolved(self, names: Sequence[str]) -> Self:
        """Return the choices with the column names of the file's header.

        A text that is not a column's name may be several names, separated by commas.

        Parameters
        ----------
        names : sequence of str
            The columns.

        Raises
        ------
        DatasetError
            A name is not that of a column, a column has two roles, a text is not of the form
            ``COLUMN=UNIT``, or `rare` is not a share.
        """
        if not 0 <= self.rare <= 1:
            raise DatasetError(f"rare is {self.rare:g}, expected a share of the rows, from 0 to 1")
        (target,) = ((None,) if self.target is None
                     else _columns("target", [self.target], names))  # fmt: skip
        roles = {
            role: tuple(
                column
                for given in getattr(self, role)
                for column in _columns(
                    role, [given] if visible(given) in names else given.split(","), names
                )
            )
            for role in ("categorical", "numeric", "drop")
        }
        for text in self.missing_values:
            _pair("missing value", text, names)
        with_unit = [_pair("unit", text, names) for text in self.units]
        for text, (column, unit) in zip(self.units, with_unit, strict=True):
            if column is None or not unit:
                raise DatasetError(f"unit: '{text}', expected COLUMN=UNIT, such as area=m2")
            if column not in roles["numeric"]:
                roles["numeric"] += (column,)
        for role, columns in roles.items():
            if target in columns and role != "numeric":
                raise DatasetError(f"{role}: '{target}' is the response, expected another column")
            for other, others in roles.items():
                both = sorted(set(columns) & set(others))
                if role < other and both:
                    raise DatasetError(f"{role}: '{both[0]}' is also named by {other}, expected "
                                       "it in only one of them")  # fmt: skip
        return replace(
            self,
            target=target,
            categorical=roles["categorical"],
            numeric=roles["numeric"],
            drop=roles["drop"],
        )

    def missing_values_of(self, column: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return the values that mean a missing value in a column.

        Parameters
        ----------
        column : str
            The column.
        names : sequence of str
            All columns.
        """
        given = [_pair("missing value", text, names) for text in self.missing_values]
        return tuple(value for name, value in given if name in (None, column))

    def without_effect(self, found: Mapping[str, set[str]]) -> list[str]:
        """Return those of the values that mean a missing value that no cell has.

        Parameters
        ----------
        found : mapping of str to set of str
            For each column, those that were found.
        """
        given = {text: _pair("missing value", text, list(found)) for text in self.missing_values}
        return [text for text, (name, value) in given.items()
                if not any(value in values for column, values in found.items()
                           if name in (None, column))]  # fmt: skip

    def unit_of(self, column: str, names: Sequence[str]) -> str:
        """Return the unit in the cells of a column; empty if none was given.

        Parameters
        ----------
        column : str
            The column.
        names : sequence of str
            All columns.
        """
        return dict(_pair("unit", text, names) for text in self.units).get(column, "")


def _columns(role: str, given: Iterable[str], names: Sequence[str]) -> Iterator[str]:
    for text in given:
        name = visible(text)
        if name not in names:
            guess = nearest(name, names)
            hint = f"did you mean '{guess}'?" if guess else f"it has {listing(names)}"
            raise DatasetError(f"{role}: no column '{name}'; {hint}")
        yield name


def _pair(what: str, text: str, names: Sequence[str]) -> tuple[str | None, str]:
    """Split ``COLUMN=VALUE``; the column is None if the text has no equals sign."""
    places = [place for place, mark in enumerate(text) if mark == "="]
    for place in places:
        if visible(text[:place]) in names:
            return visible(text[:place]), visible(text[place + 1 :])
    if places:
        next(_columns(what, [text[: places[-1]]], names))  # says that there is none
    return None, visible(text)
