"""The files and the text that ``poisonbench defend`` and ``poisonbench predict`` give."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from poisonbench.data.files import written_whole
from poisonbench.defending.choice import WITHOUT
from poisonbench.defending.fit import Defended
from poisonbench.defending.lines import write_without
from poisonbench.defending.model_file import Model, model_of
from poisonbench.defending.prediction import Predictions
from poisonbench.defending.reading import SuspectFile
from poisonbench.defending.reasons import together
from poisonbench.defending.remarks import estimate, limits, remark
from poisonbench.defending.table import suspicious_table
from poisonbench.defending.words import amount

WIDTH = 96
"""Number of characters of a printed line, as long as the words allow it."""

SHOWN = 10
"""Number of suspicious rows that are printed."""

NARROW = WIDTH - 27
"""Number of characters of a line of a reason, beside the three numbers before it."""


def write(raw: SuspectFile, found: Defended, out: Path) -> list[Path]:
    """Write the suspicious rows, the cleaned file and the model.

    Parameters
    ----------
    raw : SuspectFile
        The file.
    found : Defended
        The defense of its rows.
    out : Path
        The output folder.

    Returns
    -------
    list of Path
        The files.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = out / "suspicious.csv"
    cleaned = out / "cleaned.csv"
    model = out / "model.json"
    _write_text(table, suspicious_table(raw.rows, found, raw.lines).to_csv(index=False))
    left_out = raw.rows.number[found.suspicious] - 1
    write_without(raw.path, raw.dialect, raw.lines, left_out.tolist(), cleaned)
    _write_text(model, model_of(raw, found).text())
    return [table, cleaned, model]


def write_page(raw: SuspectFile, found: Defended, path: Path) -> bool:
    """Write the page; return False if the libraries that it needs are not installed."""
    if not all(map(find_spec, ("jinja2", "matplotlib"))):
        return False
    from poisonbench.defending.page import html

    _write_text(path, html(raw, found))
    return True


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as file:
        file.write(text.encode())


def summary(raw: SuspectFile, found: Defended) -> str:
    """Return what is printed: the defense, the alternatives, the first rows and the limits."""
    lines = [_about_rows(raw), f"Estimate: {_lower(estimate(found))}", *_about_choice(found)]
    lines += list(_about_suspicious(raw, found))
    groups = together(raw.rows, found)
    lines += [f"  {one}" for one in groups]
    if groups:
        lines.append("  In such a category, the data cannot tell which part of the rows is wrong.")
    lines.append("What this cannot tell:")
    lines += [f"  - {limit}" for limit in limits(raw, found)]
    return "\n".join(
        line if line.startswith("   ") else textwrap.fill(line, WIDTH, subsequent_indent="    ")
        for line in lines
    )


def _about_rows(raw: SuspectFile) -> str:
    dropped = len(raw.lines) - len(raw.rows.data.y)
    chosen = raw.choices.missing == "drop" or raw.choices.drop_duplicates
    why = "no response, or left out by an option" if chosen else "no response"
    without = f" ({dropped} more dropped: {why})" if dropped else ""
    k = len(raw.rows.columns)
    columns = "1 column as feature" if k == 1 else f"{k} columns as features"
    return (f"{len(raw.rows.data.y)} rows{without}, {columns} "
            f"({len(raw.left_out)} left out), response '{raw.rows.data.target}'")  # fmt: skip


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _about_choice(found: Defended) -> Iterator[str]:
    penalty = "" if found.learner.name == "ols" else ", penalty selected on the rows that agree"
    learner = f"{found.learner.name}{penalty}"
    if found.choice is None:
        yield f"Defense: {found.defense}, as asked, with {learner}"
    else:
        counted = f"{found.choice.counted:.0%}"
        yield f"Defense: {found.defense}, recommended from the data, with {learner}"
        yield (f"  Typical error on held-out rows; only the {counted} that fit best count, because "
               "others may be poison")  # fmt: skip
        for one in found.choice.alternatives:
            aside = "" if np.isnan(one.set_aside) else f", sets {one.set_aside:.0%} of rows aside"
            mark = "<- recommended" if one.name == found.defense else ""
            name = "no defense" if one.name == WITHOUT else one.name
            yield (f"    {name:<11}{amount(one.error):>10}  squared error {one.ratio:.2f} x best"
                   f"{aside}  {mark}".rstrip())  # fmt: skip
    if note := remark(found):
        yield f"  Remark of {found.defense}: {note}"


def _about_suspicious(raw: SuspectFile, found: Defended) -> Iterator[str]:
    k, n = len(found.suspicious), len(raw.rows.data.y)
    if not k:
        yield "Suspicious rows: none."
        return
    asked = "estimated" if found.share == "auto" else f"--share {found.share:g}"
    yield (f"Suspicious rows: {k} ({k / n:.1%}, {asked}).  Half of the other rows are within "
           f"{amount(0.6745 * found.scale)} of what the model expects.")  # fmt: skip
    table = suspicious_table(raw.rows, found, raw.lines).head(SHOWN)
    yield f"  {'row':>7} {'line':>7} {'score':>7}  reason"
    for row, line, score, reason in zip(
        table["row"], table["line"], table["score"], table["reason"], strict=True
    ):
        first, *more = textwrap.wrap(reason, NARROW, break_on_hyphens=False)
        yield f"  {row:>7} {line:>7} {amount(score):>7}  {first}"
        yield from (f"{'':27}{rest}" for rest in more)
    if k > SHOWN:
        yield f"  ... and {k - SHOWN} more in suspicious.csv"


def prediction_csv(model: Model, found: Predictions) -> str:
    """Return the predictions as CSV."""
    table = pd.DataFrame(
        {
            "row": np.arange(1, len(found.values) + 1),
            "line": found.lines[:, 0],
            "prediction": found.values,
        }
    )
    if found.response is not None:
        table["response"] = found.response
        table["residual"] = found.response - found.values
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def typical_error(model: Model, found: Predictions) -> str:
    """Return a sentence on the errors, if the file has responses; otherwise an empty text."""
    if found.response is None:
        return ""
    errors = (found.response - found.values)[~np.isnan(found.response)]
    if not len(errors):
        return ""
    root = amount(float(np.sqrt(np.mean(errors**2))))
    if len(errors) == 1:
        return f"{model.target}: 1 response; its error is {amount(float(np.abs(errors[0])))}"
    half = amount(float(np.median(np.abs(errors))))
    return (f"{model.target}: {len(errors)} responses; root mean squared error {root}; half of the "
            f"errors are at most {half}")  # fmt: skip
