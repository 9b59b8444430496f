"""An audit: how far bad rows can move a model of a file, and which defense to use.

    data -> grid that fits into the time -> cells -> conclusion -> answer, page and config

The output folder is that of a normal run of the config that the audit has made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from poisonbench import registry
from poisonbench.auditing import data as files
from poisonbench.auditing import shown
from poisonbench.auditing.budget import LEAST_TRIMMED, Clock, Runner
from poisonbench.auditing.conclusion import Conclusion, conclude, largest
from poisonbench.auditing.next_steps import CONFIG, next_steps
from poisonbench.auditing.refits import WorstRows, worst_rows
from poisonbench.auditing.request import Grid, Request, grid_of
from poisonbench.auditing.words import Answer, wrapped
from poisonbench.data.base import DatasetError
from poisonbench.execution import engine
from poisonbench.output import store, tables
from poisonbench.output.layout import StoreError
from poisonbench.output.reading import Tables, read
from poisonbench.output.tables import Results, read_csvs

ANSWER, PAGE = "answer.txt", "report.html"
"""The files of an audit, beside those of a run."""

DEFENSES = "defenses.csv"
"""The table from which the defense was chosen."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Parameters
    ----------
    conclusion : Conclusion
        The answer in numbers; ``conclusion.recommended`` is the defense.
    answer : str
        The text of ``answer.txt``; :attr:`paragraph` is its first paragraph.
    paragraph : str
        The answer in one paragraph.
    config : dict
        The config.
    results : pandas.DataFrame
        The rows of ``results.csv``.
    defenses : pandas.DataFrame
        A row for each defense: its errors without and with bad rows, and whether it was eligible.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import poisonbench
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"size": rng.uniform(30, 90, 90)})
    >>> y = (8 * X["size"] + rng.normal(0, 20, 90)).rename("rent")
    >>> found = poisonbench.audit(X, y, rates=[0.1], splits=1, minutes=1, jobs=0)
    >>> found.paragraph[:66]
    'With the rows as they are, ridge regression predicts rent with a t'
    >>> found.conclusion.recommended.label in set(found.defenses["defense"])
    True
    """

    conclusion: Conclusion
    answer: str
    paragraph: str
    config: dict[str, Any]
    results: pd.DataFrame
    defenses: pd.DataFrame

    def __str__(self) -> str:
        """Return the text of the answer."""
        return self.answer


def audit_file(
    file: Path,
    target: str | None,
    out: Path,
    request: Request | None = None,
    *,
    choices: Mapping[str, Any] | None = None,
    dialect: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
    jobs: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    clock: Clock | None = None,
) -> Audit:
    """Audit a file, and write the answer, the page, the config and the results to a folder.

    Parameters
    ----------
    file : Path
        A raw or a prepared CSV file, or a name of the catalogue.
    target : str or None
        The response; not needed for prepared files and for the catalogue.
    out : Path
        The output folder.  If it holds the same audit, finished cells are not computed again.
    request : Request, optional
        What to try, and the time.
    choices, dialect : mapping, optional
        How to prepare a raw file; see :func:`poisonbench.auditing.data.read`.
    data_dir : Path, optional
        Folder of the catalogue's files.
    jobs : int, optional
        Number of processes; 0 computes everything in this one.  One for each processor if not
        given.
    say : callable, optional
        Is called with each line on the progress.
    clock : Clock, optional
        The time since the start, if that was before this call.

    Raises
    ------
    DatasetError
        The file cannot be used.
    ValueError
        It has too few rows.
    StoreError
        The folder holds something else.
    AuditError
        No attack could be run.
    """
    request = request or Request()
    clock = clock or Clock(request.budget)
    n_jobs = engine.default_jobs() if jobs is None else jobs
    _check_folder(out)
    is_new = not (out / store.CLAIM).exists()
    if is_new and not files.is_absent(file):
        _claim(out, None, None)  # so that the folder can be used again, whatever happens next
    try:
        data = files.read(file, target, out, choices, dialect)
    except DatasetError:
        if is_new:  # leave nothing of an audit that could not begin
            (out / store.CLAIM).unlink(missing_ok=True)
            for folder in (out / files.FOLDER, out):
                with suppress(OSError):  # absent, or with something else in it
                    folder.rmdir()
        raise
    asked = {"data": data.content, "target": data.target, **_plain(asdict(request))}
    known = _stored_grid(out, asked)
    for warning in data.warnings:
        say(f"warning: {warning}")
    runner = Runner(out, n_jobs, clock, say, data_dir)
    if known is None:
        shape = _shape(runner, data, request)
        largest = _about(file, lambda: grid_of(request, data.entry, *shape))
        _claim(out, asked, None)
        grid = runner.fitted(largest, request)
    else:
        grid = known
    _write(out / CONFIG, _yaml(grid))
    plan = runner.finish(grid) if known is not None else runner.plan(grid)
    store.open_folder(out, plan)
    _claim(out, asked, grid)
    store.tidy(out)
    tables.write_csvs(tables.collect(plan.rows, out), out)
    found = read(out)
    trimmed = None if request.trusted else runner.trimmed
    conclusion = conclude(found.results, grid.rate, trimmed, trusted=request.trusted)
    rows = worst_rows(plan, out, conclusion.reached.attack, grid.rate, data.sidecar)
    answer = _answer(conclusion, grid, request)
    text = _text(answer, data, rows, out)
    _write(out / ANSWER, text)
    frame = defenses_frame(conclusion)
    _write(out / DEFENSES, frame.to_csv(index=False, lineterminator="\n"))
    write_page(out, found, answer, data, rows)
    results: Results = read_csvs(out)
    return Audit(conclusion, text, answer.paragraph(), grid.config(), results.results, frame)


def can_draw() -> bool:
    """Return whether the packages that the page needs are installed."""
    return all(find_spec(name) for name in ("matplotlib", "jinja2"))


def write_page(
    out: Path, found: Tables, answer: Answer, data: files.Data, rows: WorstRows | None
) -> None:
    """Write the page, if the packages that it needs are installed."""
    if not can_draw():
        return
    from poisonbench.auditing.page import page  # matplotlib takes a while, and may be missing

    _write(out / PAGE, page(found, answer, data, rows, out))


def defenses_frame(conclusion: Conclusion) -> pd.DataFrame:
    """Return a row for each defense: its errors, and whether it may be recommended."""
    return pd.DataFrame(
        [
            {
                "defense": one.label,
                "error_without_poison": one.clean,
                "worst_error": one.worst.median,
                "worst_attack": one.worst.attack,
                "worst_rate": one.worst.rate,
                "worst_split": one.worst_split,
                "clean_ratio": one.clean_ratio,
                "plain_ratio": one.plain_ratio,
                "eligible": one.is_eligible,
                "validation_error": one.worst_validation.median,
                "validation_worst_split": largest(one.validation),
                "recommended": one == conclusion.recommended,
                "response_unit": conclusion.unit,
            }
            for one in conclusion.candidates
        ]
    )


def _shape(runner: Runner, data: files.Data, request: Request) -> tuple[int, int]:
    """Return the numbers of rows and features of the data, which are loaded here."""
    some = Grid(data.entry, request.model, request.rates[-1:], ("statp",), (), 2, 1, 1)
    dataset = runner.dataset(some)
    return len(dataset.y), dataset.space.n_features


def _about(file: Path, made: Callable[[], Grid]) -> Grid:
    try:
        return made()
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"{file}: {error}") from error


def _check_folder(out: Path) -> None:
    """Raise StoreError if the folder is neither new or empty nor that of an audit."""
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file; expected a folder; give another one with --output")
    try:
        taken = out.is_dir() and any(path.name[0] != "." for path in out.iterdir())
    except OSError as error:
        raise StoreError(f"{out}: cannot be read: {error.strerror}") from error
    if taken and not (out / store.CLAIM).exists():
        raise StoreError(f"{out} is not empty and is not the folder of an audit; give another "
                         "folder with --output")  # fmt: skip


def _stored_grid(out: Path, asked: Mapping[str, Any]) -> Grid | None:
    """Return the grid of the same audit, if the folder has one that has ended.

    Raises
    ------
    StoreError
        The folder has another audit.
    """
    path = out / store.CLAIM
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        before, grid = content["request"], content["grid"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not the record of an audit ({error}); delete the folder, or "
                         "give another one with --output") from None  # fmt: skip
    if before != asked and not (out / "cells").exists():
        return None  # nothing was computed
    if before != asked:
        changes = "\n".join(
            "  the rows: the file has changed, or other options prepared it"
            if change.startswith("data: ") else f"  {change}"
            for change in store.differences(before, asked)
        )  # fmt: skip
        raise StoreError(f"{out} holds another audit; this one differs in\n{changes}\nGive another "
                         "folder with --output, or delete this one.")  # fmt: skip
    return None if grid is None else Grid.from_json(grid)


def _claim(out: Path, asked: Mapping[str, Any] | None, grid: Grid | None) -> None:
    """Record in the folder what was asked for, and the grid once it is known."""
    content = {"request": asked, "grid": None if grid is None else grid.as_json()}
    _write(out / store.CLAIM, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in
            content.items()}  # fmt: skip


def _write(path: Path, text: str) -> None:
    store.write(path, text.encode())


def _yaml(grid: Grid) -> str:
    """Return the config as text."""
    start = "# Made by poisonbench audit. Run it again with: poisonbench run config.yaml\n"
    return start + yaml.safe_dump(
        grid.config(), sort_keys=False, default_flow_style=None, allow_unicode=True, width=90
    )


def _answer(conclusion: Conclusion, grid: Grid, request: Request) -> Answer:
    known = registry.components("defense")
    told = [name for name in grid.defenses if registry.accepts(known[name], "n_poison")]
    share = max(LEAST_TRIMMED, grid.assumed_rate / (1 + grid.assumed_rate))
    trimmed = None if request.trusted else share
    return Answer(conclusion, grid.assumed_rate, told, grid.left_out, trimmed)


def _text(answer: Answer, data: files.Data, rows: WorstRows | None, out: Path) -> str:
    """Return the text of ``answer.txt``."""
    parts = [wrapped(answer.paragraph())]
    warning = answer.warning()
    parts += [wrapped(warning)] if warning else []
    parts.append(shown.of_defenses(answer.of).text())
    parts.append(wrapped(answer.choice()))
    parts.append(shown.of_attacks(answer.of).text())
    if rows is not None:
        parts.append(shown.of_worst_rows(rows).text())
    parts.append(_list("What was assumed", answer.assumptions()))
    parts.append(_list("What was not tried", answer.not_tried()))
    if data.warnings or data.notes:
        parts.append(_list("About the file", [*data.warnings, *data.notes]))
    commands = [
        f"{wrapped(f'{what}:', '- ')}\n    {command}" for what, command in next_steps(answer, out)
    ]
    parts.append("\n".join(["Run it again", *commands]))
    return "\n\n".join(parts) + "\n"


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([title, *(wrapped(line, "- ") for line in lines)])
