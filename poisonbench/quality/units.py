"""Units in the cells of numbers, such as "157 m2", and signs such as $ and € in one column.

A column of cells such as "157 m2" is not a column of numbers: each text would be a category.  It is
reported if at least :data:`MOST` of its cells are numbers with or without a unit.  A unit is a word
of at most :data:`LONGEST` characters after the number.  So that codes such as "12a" or "4x4" are no
numbers with units, there must be at least :data:`FEWEST` different numbers and at most
:data:`MOST_UNITS` units, and one of these in at least :data:`MAIN` of the cells with a unit.  A
single letter is a unit only if it is in more cells than not, because of numbers such as 12 and 12a.
Before a number, only some currencies are units.

The preparation ignores currency and percent signs, which is wrong if different signs, or numbers
with and without a percent sign, are in one column.  Then the cells without the most frequent sign
are reported.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from poisonbench.preparation.cells import PLAIN, number_parser
from poisonbench.preparation.raw_file import RawFile
from poisonbench.quality.finding import Seen
from poisonbench.quality.texts import Texts

MOST = 0.9
"""Smallest share of the cells that are numbers with or without a unit."""

FEWEST = 8
"""Smallest number of different numbers."""

MOST_UNITS = 5
"""Largest number of different units."""

MAIN = 0.6
"""Smallest share of the most frequent unit."""

LONGEST = 12
"""Largest length of a unit, in characters."""

_NUMBER = r"([+-]?\d[\d.,' ]*?)"
_POWER = r"(?:(?<=[^\W\d_])[23²³])?"
_WITH_UNIT = re.compile(rf"{_NUMBER} ?(°?[^\W\d_][^\d]{{0,{LONGEST - 2}}}{_POWER})")
_WITH_CURRENCY = re.compile(
    rf"(rs\.?|kr\.?|r\$|us\$|a\$|c\$|zł|sek|nok|dkk|pln|czk|huf|brl|mxn|krw|hkd|sgd|nzd|zar|₽|₺|₩)"
    rf" ?{_NUMBER}",
    re.IGNORECASE,
)
"""Other words before a number are rather part of a code, as in ID17."""

_POWERS = str.maketrans("²³", "23")


def check(file: RawFile, columns: Sequence[Texts]) -> Iterator[Seen]:
    """Yield the columns of a file whose cells have units, or different signs."""
    number = number_parser(file.dialect.decimal)
    for column in columns:
        if file.choices.unit_of(column.column.name, file.dialect.names):
            continue
        read = [number(text) for text in column.texts]
        counts = column.counts
        signs: Counter[str] = Counter()
        units: Counter[str] = Counter()
        unit_of: dict[int, str] = {}
        numbers: set[float] = set()
        for k, (text, cell) in enumerate(zip(column.texts, read, strict=True)):
            if cell is not None:
                numbers.add(cell.value)
                signs["" if cell.notation in PLAIN else cell.notation] += int(counts[k])
            elif (parts := _split(text)) and (value := number(parts[0])):
                numbers.add(value.value)
                unit_of[k] = parts[1].lower().translate(_POWERS)
                units[unit_of[k]] += int(counts[k])
        n_present, n_plain = int(counts.sum()), signs.total()
        if units and units.total() + n_plain >= MOST * n_present and len(numbers) >= FEWEST:
            yield from _units(column, units, unit_of, n_plain)
        elif len(signs) > 1 and column.column.kind == "number":
            yield _signs(column, signs, [cell.notation if cell else "" for cell in read])


def _split(text: str) -> tuple[str, str] | None:
    """Return the number and the unit of a cell; None if it does not have both."""
    if match := _WITH_UNIT.fullmatch(text):
        return match[1], match[2]
    if match := _WITH_CURRENCY.fullmatch(text):
        return match[2], match[1]
    return None


def _units(
    column: Texts, units: Counter[str], unit_of: dict[int, str], n_plain: int
) -> Iterator[Seen]:
    (main, n_main), *others = units.most_common()
    if len(units) > MOST_UNITS or n_main < MAIN * units.total():
        return
    name, kind = column.column.name, column.column.kind
    if len(main) == 1 and n_main < n_plain:
        return  # rather an addition, as in the house number 12a
    as_written = next(column.texts[k] for k, unit in unit_of.items() if unit == main)
    parts = [f"'{main}' in {n_main} cells (such as '{as_written}')"]
    parts += [f"'{unit}' in {count}" for unit, count in others]
    parts += [f"no unit in {n_plain}"] if n_plain else []
    # Few cells differ from the others, or all have the same unit.
    odd = [k for k, unit in unit_of.items() if n_plain > n_main or unit != main]
    rows = column.rows(odd or list(unit_of))
    fate = "these cells are then missing" if kind == "number" else "it is then no column of numbers"
    remedy = f"--unit {shlex.quote(f'{name}={main}')} reads these cells as numbers"
    if others:
        remedy += ", and those with another unit as missing; or convert these in the file"
    yield Seen("units", (name,), rows, f"'{name}' has units in its cells: {', '.join(parts)}; "
               f"{fate}", remedy)  # fmt: skip


def _signs(column: Texts, signs: Counter[str], notations: list[str]) -> Seen:
    (main, _), *_ = signs.most_common()
    parts = [f"{f'{sign!r}' if sign else 'no sign'} in {count} cells"
             for sign, count in signs.most_common()]  # fmt: skip
    own = ["" if notation in PLAIN else notation for notation in notations]
    rows = column.rows([k for k, sign in enumerate(own) if sign != main])
    name = column.column.name
    return Seen("units", (name,), rows, f"'{name}' mixes signs: {', '.join(parts)}; the signs are "
                "ignored", "if the units differ, convert these cells in the file")  # fmt: skip
