"""The page of an audit: the answer on top of the report of its results."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from poisonbench.auditing import shown
from poisonbench.auditing.conclusion import Reached, highest
from poisonbench.auditing.data import Data
from poisonbench.auditing.next_steps import next_steps
from poisonbench.auditing.refits import WorstRows
from poisonbench.auditing.shown import Shown
from poisonbench.auditing.words import Answer, over
from poisonbench.output import report
from poisonbench.output.drawings import LOOK, Drawing, new_figure
from poisonbench.output.reading import Tables
from poisonbench.output.report import LeadPart
from poisonbench.output.styles import style

SIZE = (5.2, 3.4)
"""Width and height of a figure in inches."""

HIGHEST = 6.0
"""The axis ends at this many times today's error if a defense goes far beyond it."""


def page(found: Tables, answer: Answer, data: Data, rows: WorstRows | None, out: Path) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    found : Tables
        The results.
    answer : Answer
        The sentences.
    data : Data
        The data.
    rows : WorstRows or None
        The worst poison rows, if there are any.
    out : Path
        The audit's folder.
    """
    warning = answer.warning()
    about = [*data.warnings, *data.notes]
    parts = [
        LeadPart(paragraphs=(answer.paragraph(), *([warning] if warning else []))),
        LeadPart("How far bad rows move the model", drawing=of_attacks(answer)),
        LeadPart("Which defense", drawing=of_defenses(answer)),
        _part(shown.of_defenses(answer.of), answer.choice()),
        _part(shown.of_attacks(answer.of)),
    ]
    if rows is not None:
        parts.append(_part(shown.of_worst_rows(rows), title="The worst rows"))
    parts += [
        LeadPart("What was assumed", bullets=tuple(answer.assumptions())),
        LeadPart("What was not tried", bullets=tuple(answer.not_tried())),
    ]
    if about:
        parts.append(LeadPart("About the file", bullets=tuple(about)))
    commands = tuple(f"{what}: {command}" for what, command in next_steps(answer, out))
    parts.append(LeadPart("Run it again", bullets=commands))
    title = f"How far bad rows move a linear regression of {answer.of.target}"
    return report.html(found, title, lead=parts)


def _part(table: Shown, *paragraphs: str, title: str = "") -> LeadPart:
    return LeadPart(title, paragraphs=paragraphs, table=(table.title, table.heads, table.rows))


def of_attacks(answer: Answer) -> Drawing:
    """Draw the error without a defense against the rate, with a line for each attack."""
    of = answer.of
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, 1, width=SIZE[0], height=SIZE[1])
        axes: Axes = grid[0, 0]
        for name, curve in of.by_attack.items():
            word = name.split(" ")[0].partition("(")[0]
            _line(axes, of.today, curve, word, word)
        axes.axhline(2 * of.today, color="#999999", linestyle=(0, (4, 2)), linewidth=1)
        behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        axes.text(0, 2 * of.today, " twice today's error", va="bottom", color="#555555", size=8,
                  bbox=behind)  # fmt: skip
        _finish(axes, answer)
        figure.legend(loc="outside lower center", ncols=3)
    return Drawing(
        "audit-attacks",
        f"Error of {of.target} without a defense",
        "The typical error on test rows against the share of bad rows, for each attack: "
        f"{over(of, 'split')}. Coordinate knows the training rows and the model; statp knows only "
        "means and covariances.",
        figure,
    )


def of_defenses(answer: Answer) -> Drawing:
    """Draw the error under the worst attack against the rate, with a line for each defense."""
    of = answer.of
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, 1, width=SIZE[0], height=SIZE[1] + 0.3)
        axes: Axes = grid[0, 0]
        _line(axes, of.today, of.curve, "none", "no defense")
        for one in of.candidates:
            bold = one == of.recommended
            label = f"{one.name} (recommended)" if bold else one.name
            _line(axes, one.clean, one.curve, one.name, label, bold=bold)
        _finish(axes, answer)
        curves = (of.curve, *(one.curve for one in of.candidates))
        is_cut = max(highest(curve).median for curve in curves) > HIGHEST * of.today > 0
        if is_cut:
            axes.set_ylim(top=HIGHEST * of.today)
        figure.legend(loc="outside lower center", ncols=3)
    cut = " Lines that leave the figure go on above it." if is_cut else ""
    return Drawing(
        "audit-defenses",
        f"Error of {of.target} with each defense",
        "The typical error on test rows under the attack that is worst for the defense, against "
        f"the share of bad rows: {over(of, 'split')}.{cut}",
        figure,
    )


def _line(
    axes: Axes,
    start: float,
    curve: tuple[Reached, ...],
    name: str,
    label: str,
    *,
    bold: bool = False,
) -> None:
    look = style(name)
    points = pd.Series({0.0: start, **{100 * one.rate: one.median for one in curve}})
    axes.plot(
        points.index.to_numpy(float),
        points.to_numpy(),
        color=look.colour,
        marker=look.marker,
        linestyle=(0, look.dashes) if look.dashes else "-",
        linewidth=2.6 if bold else 1.4,
        label=label,
    )


def _finish(axes: Axes, answer: Answer) -> None:
    of = answer.of
    unit = "percent of its range" if not of.unit else of.unit
    axes.set_xlabel("bad rows for every 100 good ones")
    axes.set_ylabel(f"typical error ({unit})")
    scale = 1.0 if of.unit else 100.0
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(scale * value)))
    axes.set_xticks([0, *(100 * one.rate for one in of.curve)])
    axes.set_xticklabels(["0", *(f"{100 * one.rate:.3g}" for one in of.curve)])
    axes.set_ylim(bottom=0)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
