"""What all figures share: their look, their files, and the choice of a logarithmic axis.

The same figure gives files with the same bytes, if the version of matplotlib is the same.  Text is
drawn as outlines, so that a figure looks the same on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANEL = (3.7, 2.9)
"""Width and height of one panel, in inches."""

LOG_RANGE = 30.0
"""An axis is logarithmic if the largest value is more than this many times the smallest."""

KINDS = ("png", "svg", "pdf")

LOOK: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "axes.formatter.useoffset": False,
    "svg.hashsalt": "poisonbench",
    "savefig.dpi": 160,
    "pdf.fonttype": 42,
}
"""The matplotlib settings of all figures."""


@dataclass(frozen=True)
class Drawing:
    """A figure with a title and a caption.

    Parameters
    ----------
    name : str
        The name of its file, without an ending.
    title : str
        A title.
    caption : str
        A description in a sentence or two, also for readers who cannot see the figure.
    figure : Figure
        The figure.
    """

    name: str
    title: str
    caption: str
    figure: Figure


def save(drawing: Drawing, folder: Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Write a figure in several formats, and return the paths."""
    paths = []
    for kind in kinds:
        path = folder / f"{drawing.name}.{kind}"
        path.write_bytes(rendered(drawing.figure, kind))
        paths.append(path)
    return paths


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as the content of a file, without dates."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(LOOK):
        figure.savefig(buffer, format=kind, metadata=metadata[kind])
    return buffer.getvalue()


def new_figure(
    n_rows: int,
    n_columns: int,
    *,
    width: float = PANEL[0],
    height: float = PANEL[1],
    extra: float = 0.0,
) -> tuple[Figure, Any]:
    """Return a figure with a grid of panels and `extra` inches for a legend, and the panels."""
    figure = Figure(figsize=(width * n_columns, height * n_rows + extra), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def log_if_needed(axes: Axes) -> None:
    """Make the vertical axis logarithmic if its values span more than :data:`LOG_RANGE`."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > LOG_RANGE * values.min():
        axes.set_yscale("log")
    elif values.size:
        axes.set_ylim(bottom=0)
