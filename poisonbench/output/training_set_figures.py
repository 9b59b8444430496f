"""Figures of one poisoned training set: its clean rows, its poison rows, and the fitted models.

For one feature they follow Figures 1 and 2 of Jagielski et al. 2018, which show the rows, the lines
fitted without poison, with poison and under a defense, and the rounds of TRIM.  For more features
they show the rows on their first two principal components.  All have a histogram of residuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from poisonbench.features import BoolArray, FloatArray
from poisonbench.output.drawings import LOOK, Drawing, new_figure
from poisonbench.output.styles import BLACK, BLUE, GREEN, VERMILION

GREY = "#8a8a8a"
"""The colour of clean rows."""


@dataclass(frozen=True)
class TrimRound:
    """A round of TRIM from a random start.

    Parameters
    ----------
    number : int
        The number of fits up to this round.
    kept : ndarray of bool of shape (N,)
        The rows that this round selects for the next fit.
    predicted : ndarray of shape (N,)
        The predictions of this round's fit.
    """

    number: int
    kept: BoolArray
    predicted: FloatArray


@dataclass(frozen=True)
class FittedTrainingSet:
    """A poisoned training set of N = n + p rows, in the box, with the models fitted to it.

    Parameters
    ----------
    title : str
        A title: data set, seed, learner, attack and number of poison rows.
    defense : str
        Label of the defense.
    names : tuple of str
        Names of the d features.
    target : str
        Name of the response.
    X, y : ndarray of shape (N, d) and (N,)
        The rows.
    is_poison : ndarray of bool of shape (N,)
        Which rows are poison.
    clean, poisoned, defended : ndarray of shape (N,)
        Predictions of the learner trained on the clean rows, of the learner trained on all rows,
        and of the defense.
    kept : ndarray of bool of shape (N,) or None
        The rows that the defense kept; None if it does not remove rows.
    trim : tuple of TrimRound
        Rounds of TRIM from a random start.
    """

    title: str
    defense: str
    names: tuple[str, ...]
    target: str
    X: FloatArray
    y: FloatArray
    is_poison: BoolArray
    clean: FloatArray
    poisoned: FloatArray
    defended: FloatArray
    kept: BoolArray | None
    trim: tuple[TrimRound, ...]


def of_training_set(fitted: FittedTrainingSet) -> Iterator[Drawing]:
    """Yield the figures of a poisoned training set."""
    if fitted.X.shape[1] == 1:
        yield fitted_lines(fitted)
        yield trim_rounds(fitted)
    else:
        yield components(fitted)
    yield residuals(fitted)


def fitted_lines(fitted: FittedTrainingSet) -> Drawing:
    """Draw rows with one feature, and the lines fitted without poison, with it, and defended."""
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, 1, width=5.2, height=3.4, extra=0.5)
        axes = grid[0, 0]
        _rows(axes, fitted)
        order = np.argsort(fitted.X[:, 0])
        for predicted, colour, dashes, label in (
            (fitted.clean, GREEN, (), "clean rows only"),
            (fitted.poisoned, VERMILION, (4, 1.5), "all rows"),
            (fitted.defended, BLUE, (1, 1), f"under {fitted.defense}"),
        ):
            axes.plot(
                fitted.X[order, 0],
                predicted[order],
                color=colour,
                linestyle=(0, dashes) if dashes else "-",
                linewidth=2,
                label=label,
            )
        axes.set_title(fitted.title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Drawing(
        "lines",
        "How the poison moves the fitted line",
        f"{fitted.title}: clean and poison rows, and the lines fitted by the learner to the clean "
        f"rows, by the learner to all rows, and by {fitted.defense} to all rows.",
        figure,
    )


def trim_rounds(fitted: FittedTrainingSet) -> Drawing:
    """Draw rounds of TRIM on rows with one feature: the rows kept and the fitted line."""
    rounds = fitted.trim
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, len(rounds), width=2.6, height=2.7, extra=0.3)
        order = np.argsort(fitted.X[:, 0])
        for axes, step in zip(grid[0], rounds, strict=True):
            _rows(axes, fitted, kept=step.kept)
            axes.plot(fitted.X[order, 0], step.predicted[order], color=BLUE, linewidth=2)
            axes.set_title(f"after fit {step.number}")
            axes.label_outer()
        figure.suptitle(fitted.title, fontsize=LOOK["axes.titlesize"])
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Drawing(
        "trim-rounds",
        "The rounds of TRIM",
        f"{fitted.title}: TRIM from a random start, as in the paper. Filled markers are the rows "
        "kept after the round, hollow markers the rows set aside. The line is fitted to the rows "
        "kept before the round.",
        figure,
    )


def components(fitted: FittedTrainingSet) -> Drawing:
    """Draw the rows on the first two principal components of the clean rows."""
    clean = fitted.X[~fitted.is_poison]
    centre = clean.mean(axis=0)
    directions = np.linalg.svd(clean - centre, full_matrices=False)[2][:2]
    # The sign of a direction is arbitrary; the largest entry is made positive.
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    x, y = ((fitted.X - centre) @ directions.T).T
    poison = fitted.is_poison
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, 1, width=5.2, height=3.6, extra=0.3)
        axes = grid[0, 0]
        shown = axes.scatter(
            x[~poison],
            y[~poison],
            c=fitted.y[~poison],
            cmap="cividis",
            s=14,
            vmin=0,
            vmax=1,
            linewidths=0,
            label="clean rows",
        )
        axes.scatter(
            x[poison],
            y[poison],
            c=fitted.y[poison],
            cmap="cividis",
            s=34,
            vmin=0,
            vmax=1,
            marker="D",
            edgecolors=VERMILION,
            linewidths=1.2,
            label="poison rows",
        )
        figure.colorbar(shown, ax=axes, label=f"{fitted.target} (box unit)")
        axes.set_xlabel("first principal component of the clean rows")
        axes.set_ylabel("second principal component")
        axes.set_title(fitted.title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return Drawing(
        "components",
        "Where the poison rows are",
        f"{fitted.title}: clean and poison rows on the first two principal components of the clean "
        "rows; the colour is the response.",
        figure,
    )


def residuals(fitted: FittedTrainingSet) -> Drawing:
    """Draw the residuals of clean and poison rows, without the defense and with it."""
    poison = fitted.is_poison
    found = {
        "undefended": fitted.y - fitted.poisoned,
        f"under {fitted.defense}": fitted.y - fitted.defended,
    }
    size = max(float(np.abs(values).max()) for values in found.values())
    bins = np.linspace(-size, size, 41)
    with mpl.rc_context(LOOK):
        figure, grid = new_figure(1, len(found), extra=0.3)
        grid[0, 0].sharey(grid[0, 1])
        for axes, (name, values) in zip(grid[0], found.items(), strict=True):
            axes.hist(values[~poison], bins, color=GREY, label="clean rows")
            axes.hist(
                values[poison],
                bins,
                histtype="step",
                color=VERMILION,
                hatch="////",
                linewidth=1.4,
                label="poison rows",
            )
            axes.set_xlabel("residual y - f(x) (box unit)")
            axes.set_ylabel("training rows")
            axes.set_title(name)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return Drawing(
        "residuals",
        "Residuals of clean and poison rows",
        f"{fitted.title}: residuals of the training rows without a defense (left) and under "
        f"{fitted.defense} (right). A defense can distinguish clean from poison rows where their "
        "residuals differ.",
        figure,
    )


def _rows(axes: Axes, fitted: FittedTrainingSet, kept: BoolArray | None = None) -> None:
    x = fitted.X[:, 0]
    for poison, colour, marker, label in (
        (False, GREY, "o", "clean rows"),
        (True, BLACK, "X", "poison rows"),
    ):
        chosen = fitted.is_poison == poison
        inside = chosen if kept is None else chosen & kept
        axes.scatter(
            x[inside],
            fitted.y[inside],
            s=16 if not poison else 34,
            color=colour,
            marker=marker,
            linewidths=0,
            label=label,
        )
        if kept is not None:
            outside = chosen & ~kept
            axes.scatter(
                x[outside],
                fitted.y[outside],
                s=14 if not poison else 34,
                facecolors="none",
                edgecolors=colour,
                marker=marker,
                linewidths=0.7,
                label=f"{label}, set aside",
            )
    axes.set_xlabel(f"{fitted.names[0]} (box unit)")
    axes.set_ylabel(f"{fitted.target} (box unit)")
