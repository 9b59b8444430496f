"""The results on disk: one file for each cell, written whole or not at all.

    OUT/plan.json             the plan that the folder belongs to; another plan is refused
    OUT/index.json            the cells and rows of the plan, for status and merge
    OUT/cells/ab/<id>.json    the numbers of a cell; the same bytes on every run
    OUT/meta/ab/<id>.json     seconds, versions and machine, which are not reproducible
    OUT/failed/ab/<id>.json   why a cell failed; the next run tries it again
    OUT/poison/*.npz          the poison sets
    OUT/predictions/ab/...    the predictions of a cell on its test rows, with --predictions
    OUT/ceilings/*.npz        the ceilings and their proofs, each used by several cells
    OUT/*.csv                 the tables, made from the cells

A process that is killed loses only the cell that it was computing.  Two processes that compute the
same cell write the same bytes, so files need no locks.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench.certificates.ceiling import Ceiling, NoCeilingError
from poisonbench.certificates.cell_ceilings import CeilingTask
from poisonbench.data.base import DatasetError
from poisonbench.data.files import remove_leftovers, written_whole
from poisonbench.data.npz import is_sealed, read_arrays, seal
from poisonbench.output.index import index_of, read_index
from poisonbench.output.layout import StoreError, place, read_json, sealed
from poisonbench.plan.groups import Group, Plan, Task
from poisonbench.plan.identity import RESULT_VERSION, digest
from poisonbench.problem import Poisoned, PoisonSet, Setting
from poisonbench.records import Measured, Predictions, Timings

KINDS = ("cells", "meta", "failed", "poison", "ceilings", "predictions")
"""The subfolders of an output folder."""

POISON_ARRAYS = ("X", "y", "train", "validation", "test", "feature_names", "target", "trace",
                 "summary")  # fmt: skip
"""The arrays of a poison file."""

CLAIM = "audit.json"
"""A folder with this file belongs to an audit, which makes its plan only after its first cells."""

CEILING_ARRAYS = ("id", "numbers", "reference", "peak", "solver")
"""The arrays of a ceiling's file from which the ceiling is read.

The file also has the split, for readers who check the proof."""


def check_folder(out: Path, plan: Plan, *, extend: bool = False) -> bool:
    """Return whether `out` already belongs to this plan; raise if it belongs to anything else.

    A folder that is new or empty belongs to nothing.

    Parameters
    ----------
    out : Path
        The folder.
    plan : Plan
        The plan.
    extend : bool, default=False
        Whether the folder may belong to a smaller plan, which this one extends.

    Raises
    ------
    StoreError
        The folder holds results of another plan, or something else.
    """
    path = out / "plan.json"
    try:
        # List the folder before looking for plan.json: another process may write it at any moment,
        # and writes it before any other file.  Ignore hidden files, because a killed process may
        # have left an unfinished plan.json.
        entries = [name for name in os.listdir(out) if name[0] != "."] if out.is_dir() else []
        if path.exists():
            stored, identity = json.loads(path.read_text(encoding="utf-8")), plan.identity()
            if stored == identity:
                return True
            if extend:
                _check_extension(out, plan, stored)
                return False
            changes = "\n".join(f"  {change}" for change in differences(stored, identity))
            raise StoreError(
                f"{out} holds the results of another config; this one differs in\n{changes}\n"
                "Give another folder with --output, or delete this one. If this config only adds "
                "to the other, use --extend to add to the folder."
            )
        for folder in (out, *out.parents):
            if folder.exists() and not folder.is_dir():
                raise StoreError(f"{folder} is a file; expected a folder; give another one with "
                                 "--output")  # fmt: skip
        if entries and CLAIM not in entries:
            raise StoreError(f"{out} is not empty and has no plan.json, so it is not an output "
                             "folder; give another folder with --output")  # fmt: skip
    except OSError as error:
        raise StoreError(f"{error.filename or out}: cannot be used: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: damaged ({error}); delete the folder, or give another one with "
                         "--output") from error  # fmt: skip
    return False


def _check_extension(out: Path, plan: Plan, stored: Any) -> None:
    """Raise StoreError if the plan lacks a row that the folder has."""
    contents = stored.get("contents", {}) if isinstance(stored, dict) else {}
    changed = [name for name, content in contents.items()
               if plan.contents.get(name, content) != content]  # fmt: skip
    if changed:
        raise StoreError(f"{out} cannot be extended: the content of {', '.join(changed)} has "
                         "changed since the folder was computed; expected the same content"
                         )  # fmt: skip
    cells = {row.labels: row.cell for row in plan.rows}
    lost = [row.labels for row in read_index(out).rows if cells.get(row.labels) != row.cell]
    if lost:
        one = lost[0]
        raise StoreError(
            f"{out} cannot be extended: {len(lost)} of its rows are missing or different in this "
            f"config, such as {one.dataset}, seed {one.seed}, {one.attack} at "
            f"{one.poisoning_rate:g}, {one.defense}; expected a config that only adds to them"
        )


def open_folder(out: Path, plan: Plan, *, extend: bool = False) -> None:
    """Make `out` the folder of this plan, or check that it already is.

    Raises
    ------
    StoreError
        As in :func:`check_folder`, or the folder cannot be written to.
    """
    ours = check_folder(out, plan, extend=extend)
    identity = plan.identity()
    index = index_of(plan, digest(identity))
    try:
        for folder in (out, *(out / kind for kind in KINDS)):
            _check_writable(folder)
        # plan.json first, because it says which plan the folder belongs to.  If this process is
        # killed before it has written index.json, the next run writes it.
        if not ours:
            text = json.dumps(identity, indent=1, sort_keys=True)
            write(out / "plan.json", f"{text}\n".encode())
        if (read_json(out / "index.json") or {}).get("plan") != index.content["plan"]:
            write(out / "index.json", sealed(index.content, compact=True))
    except OSError as error:
        raise StoreError(
            f"{error.filename or out}: cannot be written to: {error.strerror}"
        ) from error


def _check_writable(folder: Path) -> None:
    """Raise now the OSError that the first write would otherwise raise after hours of computing."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(folder))


def differences(known: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """Yield the differences between two JSON values, one line for each key."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        for name in sorted({*known, *wanted}):
            inner = f"{key}.{name}" if key else name
            yield from differences(known.get(name), wanted.get(name), inner)
    elif isinstance(known, list) and isinstance(wanted, list) and known != wanted:
        for side, one, other in (("there", known, wanted), ("here", wanted, known)):
            only = [item for item in one if item not in other]
            if only:
                yield f"{key.removeprefix('config.')}: only {side}: {json.dumps(only)}"
        if all(item in wanted for item in known) and all(item in known for item in wanted):
            yield f"{key.removeprefix('config.')}: in another order"
    elif known != wanted:
        yield f"{key.removeprefix('config.')}: {json.dumps(known)} there, {json.dumps(wanted)} here"


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; if `durable`, return only when it is on the disk."""
    with written_whole(path, durable=durable) as file:
        file.write(content)


def write_cell(out: Path, cell: str, measured: Measured, timings: Timings, facts: Any) -> None:
    """Write a cell's numbers, and to another file its timings and facts about the machine."""
    # No result depends on meta, so it need not survive a power failure.
    write(place(out, "meta", cell), sealed({**asdict(timings), **facts}), durable=False)
    write(place(out, "cells", cell), sealed({"id": cell, **asdict(measured)}))


def write_failure(out: Path, cell: str, failure: Mapping[str, Any]) -> None:
    """Write why a cell failed."""
    write(place(out, "failed", cell), sealed(dict(failure)))


def tidy(out: Path) -> None:
    """Remove the temporary files that killed processes have left."""
    for folder in (out, *(out / kind for kind in KINDS), *out.glob("[cmf]*/??")):
        if folder.is_dir():
            remove_leftovers(folder)


def n_done(out: Path, plan: Plan) -> int:
    """Return how many of the plan's cells are done."""
    return sum(read_cell(out, task.id) is not None for group in plan.groups for task in group.tasks)


def missing(out: Path, tasks: Iterable[Task], *, predictions: bool = False) -> list[Task]:
    """Return the tasks whose cells are not done, with their `predictions` if these are wanted."""
    return [
        task
        for task in tasks
        if read_cell(out, task.id) is None
        or (predictions and read_predictions(out, task.id) is None)
    ]


def write_predictions(out: Path, cell: str, predictions: Predictions) -> None:
    """Write the predictions of a cell."""
    write(place(out, "predictions", cell), sealed({"id": cell, **asdict(predictions)}))


def read_predictions(out: Path, cell: str) -> Predictions | None:
    """Return the predictions of a cell, or None if they are missing or damaged."""
    content = read_json(place(out, "predictions", cell)) or {}
    if content.pop("id", None) != cell:
        return None
    try:
        return Predictions(**content)
    except (TypeError, ValueError):
        return None


def read_cell(out: Path, cell: str) -> Measured | None:
    """Return a cell's numbers, or None if the file is missing, damaged, or of another cell."""
    content = read_json(place(out, "cells", cell)) or {}
    if content.pop("id", None) != cell:
        return None
    try:
        return Measured(**content)
    except (TypeError, ValueError):
        return None


def read_timings(out: Path, cell: str) -> Timings | None:
    """Return a cell's timings, or None if they are missing."""
    content = read_json(place(out, "meta", cell)) or {}
    try:
        return Timings(**{name: content[name] for name in Timings.__dataclass_fields__})
    except (KeyError, TypeError, ValueError):
        return None


def read_warnings(out: Path, cell: str) -> list[str]:
    """Return the warnings that libraries issued in a cell."""
    messages: list[str] = (read_json(place(out, "meta", cell)) or {}).get("warnings", [])
    return messages


def forget_failure(out: Path, cell: str) -> None:
    """Remove the record of a cell's earlier failure, before the cell is tried again."""
    place(out, "failed", cell).unlink(missing_ok=True)


def read_failure(out: Path, cell: str) -> dict[str, Any] | None:
    """Return the record of a cell's failure, with ``crashed`` if it killed its process, or None."""
    return read_json(place(out, "failed", cell))


def write_poison(out: Path, group: Group, setting: Setting, made: Poisoned) -> None:
    """Write a poison set with the split that it was made on."""
    if group.poison_file is None:
        return
    poison = made.poison
    summary = {
        "id": group.id,
        "objective_initial": poison.objective_initial,
        "objective_final": poison.objective_final,
        "rounds": poison.rounds,
        "variant": poison.variant,
    }
    meta = sealed({"attack_seconds": made.seconds, "engine": made.engine})
    write(place(out, "meta", group.id), meta, durable=False)
    with written_whole(out / group.poison_file) as file:
        np.savez(
            file,
            X=poison.X,
            y=poison.y,
            train=setting.split.train,
            validation=setting.split.validation,
            test=setting.split.test,
            feature_names=np.array(setting.space.names),
            target=np.array(setting.target),
            trace=np.array(poison.trace, dtype=np.float64),
            summary=np.array(json.dumps(summary)),
        )
        seal(file)


def has_poison(out: Path, group: Group) -> bool:
    """Return whether the poison file of a group is complete, without loading its large arrays."""
    if group.poison_file is None:
        return True
    path = out / group.poison_file
    try:
        if not is_sealed(path):
            return False
        summary = json.loads(str(read_arrays(path, ["summary"])["summary"]))
        return bool(summary["id"] == group.id)
    except (OSError, DatasetError, ValueError, TypeError, KeyError, RecursionError):
        return False


def read_poison(out: Path, group: Group) -> Poisoned | None:
    """Return the stored poison set of a group, or None if it is missing or damaged."""
    if group.poison_file is None or not has_poison(out, group):
        return None
    # Read all arrays, including those that only other programs use, to find any damage.
    arrays = read_arrays(out / group.poison_file, POISON_ARRAYS)
    summary = json.loads(str(arrays["summary"]))
    del summary["id"]
    trace = tuple(arrays["trace"].tolist())
    meta = read_json(place(out, "meta", group.id)) or {}
    poison = PoisonSet(arrays["X"], arrays["y"], **summary, trace=trace)
    return Poisoned(poison, meta.get("attack_seconds", 0.0), meta.get("engine"))


def stored_ceiling(out: Path, data: str, wanted: CeilingTask) -> Ceiling:
    """Return the ceiling that answers a question: the stored one, or else compute and store it.

    Parameters
    ----------
    out : Path
        The output folder.
    data : str
        Fingerprint of the data set.
    wanted : CeilingTask
        Which ceiling is asked for.

    Raises
    ------
    NoCeilingError
        No ceiling is known, or computing it failed.
    """
    split = wanted.setting.split
    rows = [part.tolist() for part in (split.train, split.validation, split.test)]
    id_ = digest(RESULT_VERSION, data, rows, repr(wanted.clean), wanted.n_poison, wanted.name)
    path = out / "ceilings" / f"{wanted.name}-p{wanted.n_poison}-{id_[:12]}.npz"
    try:
        stored = read_arrays(path, CEILING_ARRAYS) if path.exists() else {}
        if stored and str(stored["id"]) == id_:
            m, reach, bound, slack = stored["numbers"].tolist()
            reference, peak = stored["reference"], stored["peak"]
            return Ceiling(bound, m, reference, peak, reach, slack, str(stored["solver"]))
    except (DatasetError, ValueError):
        pass  # damaged, so compute it again
    try:
        found = wanted.compute()
    except NoCeilingError:
        raise
    except Exception as error:
        # Whatever the error is, the other numbers of these rows are correct without the ceiling.
        raise NoCeilingError(f"{type(error).__name__}: {error}") from error
    with written_whole(path) as file:
        np.savez(
            file,
            id=np.array(id_),
            numbers=np.array([found.multiplier, found.reach, found.bound, found.slack]),
            reference=found.reference,
            peak=found.peak,
            solver=np.array(found.solver),
            train=split.train,
            validation=split.validation,
            test=split.test,
        )
    return found


def read_trace(out: Path, poison_file: str) -> tuple[float, ...]:
    """Return the objective after each round of an attack from its poison file; empty if unknown."""
    try:
        return tuple(read_arrays(out / poison_file, ("trace",))["trace"].tolist())
    except DatasetError:
        return ()
