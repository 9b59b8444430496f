"""The page of a defended file: one HTML file that needs no other file and no network."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from poisonbench.defending.choice import WITHOUT
from poisonbench.defending.fit import Defended
from poisonbench.defending.model_file import Model, model_of
from poisonbench.defending.reading import SuspectFile
from poisonbench.defending.reasons import together
from poisonbench.defending.remarks import estimate, limits, remark
from poisonbench.defending.table import suspicious_table
from poisonbench.defending.words import amount, signed
from poisonbench.output.drawings import LOOK, Drawing, new_figure
from poisonbench.output.report import inline
from poisonbench.output.styles import BLUE, VERMILION
from poisonbench.version import __version__

MOST_ROWS = 100
"""Largest number of suspicious rows on the page; all are in suspicious.csv."""

MOST_POINTS = 3000
"""Largest number of other rows that are drawn."""

EDGE = 0.75
"""The figure ends this far beyond the middle 98% of the responses, as a share of their range."""

MOST_EFFECTS = 60
"""Largest number of coefficients on the page; all are in model.json."""


def html(raw: SuspectFile, found: Defended) -> str:
    """Return the page.

    Parameters
    ----------
    raw : SuspectFile
        The file.
    found : Defended
        The defense of its rows.
    """
    environment = Environment(autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(
        files("poisonbench.defending").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    table = suspicious_table(raw.rows, found, raw.lines).head(MOST_ROWS)
    n, k = len(raw.rows.data.y), len(found.suspicious)
    with mpl.rc_context(LOOK):
        drawings = [_residuals(raw, found), _scores(found)]
    return template.render(
        title=f"Suspicious rows for linear regression: {raw.path.name}",
        subtitle=f"{n} rows, response {raw.rows.data.target}; made by poisonbench {__version__}.",
        target=raw.rows.data.target,
        n=n,
        k=k,
        share=f"{k / n:.1%}",
        asked=found.share,
        estimate=estimate(found),
        no_excess=not found.excess.n_rows,
        defense=found.defense,
        learner=found.learner.name,
        remark=remark(found),
        usual=amount(0.6745 * found.scale),
        counted=None if found.choice is None else f"{found.choice.counted:.0%}",
        compared=None if found.choice is None else found.choice.n_rows,
        alternatives=[] if found.choice is None else _alternatives(found),
        groups=[str(one) for one in together(raw.rows, found)],
        limits=list(limits(raw, found)),
        suspicious=[_row(one) for one in table.to_dict("records")],
        shown=len(table),
        figures=[{"title": one.title, "caption": one.caption, "svg": inline(one)}
                 for one in drawings],
        effects=_effects(model_of(raw, found)),
        most_effects=MOST_EFFECTS,
        fates=list(raw.fates.items()),
        filled=list(raw.filled.items()),
        warnings=raw.warnings,
        dialect=str(raw.dialect),
    )  # fmt: skip


def _row(one: dict[Any, Any]) -> dict[str, Any]:
    shown = {name: amount(float(one[name])) for name in ("score", "response", "prediction")}
    return {
        "row": one["row"],
        "line": one["line"],
        **shown,
        "values": {name: repr(float(one[name])) for name in shown},
        "reason": one["reason"],
    }


def _alternatives(found: Defended) -> list[dict[str, Any]]:
    assert found.choice is not None
    return [
        {
            "name": "no defense" if one.name == WITHOUT else one.name,
            "error": amount(one.error),
            "ratio": f"{one.ratio:.2f}",
            "aside": "weights" if np.isnan(one.set_aside) else f"{one.set_aside:.0%}",
            "best": one.name == found.defense,
        }
        for one in found.choice.alternatives
    ]


def _effects(model: Model) -> list[tuple[str, str]]:
    """Return the coefficients: columns or categories, and what they add to the prediction."""
    listed = [("(intercept)", amount(model.intercept))]
    for column in model.columns:
        if not column.effects:
            each = "day" if column.kind == "date" else "unit"
            listed.append((column.name, f"{signed(column.coefficient)} for each {each}"))
        listed += [(f"{column.name} = {label}", signed(effect) if k else "reference")
                   for k, (label, effect) in enumerate(column.effects.items())]  # fmt: skip
    return listed


def _residuals(raw: SuspectFile, found: Defended) -> Drawing:
    """Draw responses against predictions, with the suspicious rows marked."""
    figure, axes = _new()
    marked = np.zeros(len(raw.rows.data.y), dtype=bool)
    marked[found.suspicious] = True
    others = np.flatnonzero(~marked)
    step = max(1, len(others) // MOST_POINTS)
    others = others[::step]
    chosen = found.suspicious[:MOST_POINTS]
    low, high = np.quantile(raw.rows.data.y, [0.01, 0.99])
    edge = EDGE * (high - low)
    x, y = (np.clip(values, low - edge, high + edge)
            for values in (found.prediction, raw.rows.data.y))  # fmt: skip
    axes.scatter(x[others], y[others], s=6, color=BLUE, alpha=0.35, linewidths=0,
                 label="other rows")  # fmt: skip
    axes.scatter(x[chosen], y[chosen], s=18, color=VERMILION, marker="x", linewidths=1,
                 label="suspicious rows")  # fmt: skip
    axes.plot([low, high], [low, high], color="#555555", linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{raw.rows.data.target} that the model expects")
    axes.set_ylabel(f"{raw.rows.data.target} in the file")
    axes.legend(loc="lower right")
    return Drawing(
        "expected",
        "What the model expects, and what the file says",
        "Each point is a row; on the line, the two agree.  Crosses are the "
        f"{len(found.suspicious)} suspicious rows.  Rows far outside are drawn at the edge."
        + (f"  Of the other rows, only one in {step} is drawn." if step > 1 else ""),
        figure,
    )  # fmt: skip


def _scores(found: Defended) -> Drawing:
    """Draw the scores in decreasing order."""
    figure, axes = _new()
    score = np.sort(found.score)[::-1]
    rank = np.arange(1, len(score) + 1)
    floor = max(float(np.quantile(score, 0.05)), 1e-3)
    axes.plot(rank, np.maximum(score, floor), color=BLUE)
    axes.set_yscale("log")
    axes.set_xscale("log")
    if len(found.suspicious):
        axes.axvline(len(found.suspicious), color=VERMILION, linewidth=1, label="listed")
    if found.excess.n_rows:
        axes.axvline(found.excess.n_rows, color="#555555", linestyle="--", linewidth=1,
                     label="estimated to stand out")  # fmt: skip
    if len(found.suspicious) or found.excess.n_rows:
        axes.legend(loc="lower left")
    axes.set_xlabel("rank of the row")
    axes.set_ylabel("score")
    return Drawing(
        "scores",
        "Where the suspicious rows end",
        "The scores of all rows, the largest first; both axes are logarithmic.  A score of 5 is a "
        "residual of five usual deviations.  A step suggests that the rows before it are "
        "different; a smooth curve suggests that they are only the largest of many.",
        figure,
    )  # fmt: skip


def _new() -> tuple[Figure, Any]:
    figure, panels = new_figure(1, 1, width=5.4, height=3.6)
    return figure, panels[0][0]
