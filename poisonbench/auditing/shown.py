"""The tables of an audit, as texts: for the answer and for the page."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from poisonbench.auditing.conclusion import Conclusion, largest
from poisonbench.auditing.refits import WorstRows
from poisonbench.auditing.words import WIDTH, over, percent, short


@dataclass(frozen=True)
class Shown:
    """A table of texts.

    Parameters
    ----------
    title : str
        What it shows.
    heads : tuple of str
        The heads of the columns.
    rows : tuple of tuple of str
        The cells; the first of each row is its label.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the table as aligned text."""
        lines = [self.heads, *self.rows]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.heads))]
        aligned = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        aligned.insert(1, "-" * max(map(len, aligned)))
        return "\n".join([*textwrap.wrap(self.title, WIDTH), *aligned])


def of_defenses(of: Conclusion) -> Shown:
    """Return the errors with each defense under the worst attack, by rate."""
    last = "worst split" if of.n_splits > 1 else "largest error"
    rows = [
        ("no defense", _cell(of, of.today),
         *(_cell(of, one.median) for one in of.curve), _cell(of, largest(of.curve)),
         "", ""),
    ]  # fmt: skip
    for one in of.candidates:
        verdict = "recommended" if one == of.recommended else ""
        if not one.is_eligible:
            verdict = "costs too much"
        rows.append(
            (one.name, _cell(of, one.clean), *(_cell(of, at.median) for at in one.curve),
             _cell(of, one.worst_split), _cell(of, one.worst_validation.median), verdict)
        )  # fmt: skip
    rows.append(("same value for all", _cell(of, of.constant), *[""] * (len(of.curve) + 3)))
    return Shown(
        f"Error of {of.target} by the share of bad rows, under the worst attack: "
        f"{over(of, 'split')}, and the {last} at any rate; then the highest error on the "
        f"validation rows, by which the defense was chosen{_in_unit(of)}",
        ("defense", "0%", *(percent(one.rate) for one in of.curve), last, "validation", ""),
        tuple(rows),
    )


def of_attacks(of: Conclusion) -> Shown:
    """Return the errors without a defense under each attack, by rate."""
    return Shown(
        "Error without a defense by the share of bad rows: "
        f"{over(of, 'split')}{_in_unit(of)}",
        ("attack", "0%", *(percent(one.rate) for one in of.curve)),
        tuple(
            (name.split(" ")[0], _cell(of, of.today),
             *(_cell(of, one.median) for one in curve))
            for name, curve in of.by_attack.items()
        ),
    )  # fmt: skip


def of_worst_rows(worst: WorstRows) -> Shown:
    """Return the bad rows that do most, column by column."""
    heads = [
        f"bad row {k} ({count}x)" if count > 1 else f"bad row {k}"
        for k, count in enumerate(worst.counts, start=1)
    ]
    cells = zip(worst.names, worst.usual, *worst.rows, strict=True)
    return Shown(
        f"Bad rows of {worst.attack.split(' ')[0]} that do most damage: "
        f"{worst.n_poison} bad rows among {worst.n_clean} good ones, split {worst.seed}; the "
        "response, and the columns that change the predictions most",
        ("column", "usual", *heads),
        tuple(tuple(line) for line in cells),
    )


def _in_unit(of: Conclusion) -> str:
    if not of.unit:
        return ", in percent of its range"
    return ", in the unit of the file" if of.unit.startswith("unit of ") else f", in {of.unit}"


def _cell(of: Conclusion, value: float) -> str:
    return short(value) if of.unit else f"{100 * value:.3g}%"
