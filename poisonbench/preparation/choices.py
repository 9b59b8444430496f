"""The user's choices for a preparation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    """

    target: str | None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rare: float = 0.01
    missing: Literal["fill", "drop"] = "fill"
    dates: Literal["day-first", "month-first"] | None = None

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
            A name is not that of a column, a column has two roles, or `rare` is not a share.
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


def _columns(role: str, given: Iterable[str], names: Sequence[str]) -> Iterator[str]:
    for text in given:
        name = visible(text)
        if name not in names:
            guess = nearest(name, names)
            hint = f"did you mean '{guess}'?" if guess else f"it has {listing(names)}"
            raise DatasetError(f"{role}: no column '{name}'; {hint}")
        yield name
