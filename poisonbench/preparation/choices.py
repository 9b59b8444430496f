"""What the user decides about a preparation, and the names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from poisonbench.data.base import DatasetError, listing
from poisonbench.data.names import visible
from poisonbench.registry import nearest


@dataclass(frozen=True)
class Choices:
    """What the user decides about a preparation.

    Parameters
    ----------
    target : str
        The response.
    categorical : tuple of str
        Columns whose values name categories, numbers though they may be.
    numeric : tuple of str
        Columns that are kept as numbers, even if they look like an identifier.
    drop : tuple of str
        Columns that are left out.
    rare : float
        Share of the rows below which a category is rare; rare ones are merged.
    missing : {"fill", "drop"}
        Whether missing values are filled, or their rows dropped.
    dates : {"day-first", "month-first"}, optional
        How to read a column of dates that could be either; day first, with a warning, if not
        given.
    """

    target: str
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rare: float = 0.01
    missing: Literal["fill", "drop"] = "fill"
    dates: Literal["day-first", "month-first"] | None = None

    def resolved(self, names: Sequence[str]) -> Self:
        """Return the choices with every column named as the file's header does.

        What is not a column may be several, with commas between them.

        Parameters
        ----------
        names : sequence of str
            The columns.

        Raises
        ------
        DatasetError
            A column is not one of them, or has two roles; the share is none.
        """
        if not 0 <= self.rare <= 1:
            raise DatasetError(f"rare is {self.rare:g}, expected a share of the rows, from 0 to 1")
        (target,) = _columns("target", [self.target], names)
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
                raise DatasetError(f"{role}: '{target}' is the response")
            for other, others in roles.items():
                both = sorted(set(columns) & set(others))
                if role < other and both:
                    raise DatasetError(f"{role}: '{both[0]}' is named by {other} too")
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
