"""The progress of an output folder: which cells are done, and how long the others may take."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poisonbench.output.index import Cell, Index
from poisonbench.output.layout import is_whole, place, read_json

SAMPLE = 20
"""How many cells of each kind are read to estimate the time left."""

SHOWN = 10
"""How many failed cells a report names."""


@dataclass(frozen=True)
class Status:
    """The cells of a folder by their state.

    Parameters
    ----------
    done, failed, crashed, missing : list of Cell
        Cells that are computed, cells that ended with an exception, cells that killed their
        process, and cells that have not been computed yet.
    """

    done: list[Cell]
    failed: list[Cell]
    crashed: list[Cell]
    missing: list[Cell]

    def counts(self) -> str:
        """Return the number of cells in each state, in one line."""
        parts = [f"{len(self.done)} done", f"{len(self.failed)} failed"]
        if self.crashed:
            parts.append(f"{len(self.crashed)} crashed")
        return ", ".join([*parts, f"{len(self.missing)} missing"])


def look(index: Index, out: Path) -> Status:
    """Return the state of each cell of `index`."""
    failures = _ids(out / "failed")
    whole = _whole(out / "cells")
    found = Status([], [], [], [])
    for cell in index.cells():
        if cell.id in whole:
            found.done.append(cell)
        elif cell.id in failures:
            crashed = (read_json(place(out, "failed", cell.id)) or {}).get("crashed")
            (found.crashed if crashed else found.failed).append(cell)
        else:
            found.missing.append(cell)
    return found


def seconds_left(status: Status, out: Path) -> float | None:
    """Return an estimate of the computing time of the missing and failed cells, in seconds.

    The estimate for a cell is the mean over finished cells of the same kind with the same number of
    poison rows, else over those of the same kind, else over all.  None if no cell is done.
    """
    times: dict[object, list[float]] = defaultdict(list)
    for cell in status.done:
        if len(times[cell.kind]) < SAMPLE:
            seconds = (read_json(place(out, "meta", cell.id)) or {}).get("seconds")
            if isinstance(seconds, int | float):
                for key in (cell.kind, cell.kind[0], None):
                    times[key].append(seconds)
    means = {key: sum(values) / len(values) for key, values in times.items() if values}
    if not means:
        return None
    left = (*status.missing, *status.failed)
    return sum(means.get(cell.kind, means.get(cell.kind[0], means[None])) for cell in left)


def report(status: Status, out: Path) -> str:
    """Return what ``poisonbench status`` prints."""
    n_cells = sum(map(len, vars(status).values()))
    lines = [f"{out}: {n_cells} cells: {status.counts()}"]
    left = seconds_left(status, out)
    if (status.missing or status.failed) and left is not None:
        lines.append(f"about {in_words(left)} of computing left, shared by all processes")
    for cell in (*status.crashed, *status.failed)[:SHOWN]:
        failure = read_json(place(out, "failed", cell.id)) or {}
        lines.append(f"  {cell.label}: {failure.get('error', 'failed')}")
    more = len(status.crashed) + len(status.failed) - SHOWN
    if more > 0:
        lines.append(f"  and {more} more; all are in {out / 'failed'}")
    return "\n".join(lines)


def in_words(seconds: float) -> str:
    """Return a time as text: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _folders(kind: Path) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(kind) as entries:
            return [entry for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _ids(kind: Path) -> set[str]:
    """Return the cells that have a file of this kind."""
    return {
        name.removesuffix(".json")
        for folder in _folders(kind)
        for name in os.listdir(folder)
        if name.endswith(".json") and not name.startswith(".")
    }


def _whole(kind: Path) -> set[str]:
    """Return the cells whose file is undamaged."""
    found = set()
    for folder in _folders(kind):
        for name in os.listdir(folder):
            # A hidden file is still being written, and may disappear at any moment.
            if name.startswith("."):
                continue
            try:
                if is_whole(Path(folder, name).read_bytes()):
                    found.add(name.removesuffix(".json"))
            except FileNotFoundError:  # removed since the listing
                continue
    return found
