"""Check that every cell that the tables of an output folder need is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from poisonbench.output import store
from poisonbench.output.index import Cell, Index
from poisonbench.output.layout import place, read_json
from poisonbench.records import Row

SHOWN = 20
"""How many missing cells a report names."""


def missing(index: Index, out: Path) -> list[tuple[Cell, str]]:
    """Return the cells that are missing or damaged, each with the reason."""
    return [
        (cell, _reason(out, cell.id))
        for cell in index.cells()
        if store.read_cell(out, cell.id) is None
    ]


def _reason(out: Path, cell: str) -> str:
    if place(out, "cells", cell).exists():
        return "damaged, or of another version; the next run computes it again"
    failure = store.read_failure(out, cell)
    return "missing" if failure is None else f"failed: {failure.get('error')}"


def report(found: list[tuple[Cell, str]], out: Path) -> str:
    """Return the first few missing cells with the reasons, one a line."""
    lines = [f"{out}: {len(found)} cells are missing:"]
    lines += [f"  {cell.label}: {reason}" for cell, reason in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    return "\n".join(lines)


def mixtures(rows: Iterable[Row], out: Path) -> list[str]:
    """Return a warning for each library or kind of processor that differs between the cells.

    Results from different processors or versions of libraries may differ in the last digits.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    for cell in dict.fromkeys(row.cell for row in rows):
        facts = read_json(place(out, "meta", cell)) or {}
        for pool in facts.get("blas", []):
            seen["processor kernels"].add(f"{pool['internal_api']} {pool['architecture']}")
        for name, version in facts.get("libraries", {}).items():
            seen[f"versions of {name}"].add(version)
    return [
        f"The cells were computed with different {what} ({', '.join(sorted(kinds))}), so their "
        "results may differ in the last digits."
        for what, kinds in seen.items()
        if len(kinds) > 1
    ]
