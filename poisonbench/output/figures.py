"""Figures of results: error against rate, convergence, and damage against detection.

Every function returns a :class:`Drawing`, or None if the results have nothing to show in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poisonbench.output import spread
from poisonbench.output.drawings import LOOK, PANEL, Drawing, log_if_needed, new_figure
from poisonbench.output.reading import distinct
from poisonbench.output.styles import Style, style
from poisonbench.reference_rows import REFERENCE_ROWS

HIGHEST_CEILING = 30.0
"""The ceiling is drawn only if its ratio to the largest error is at most this."""

MOST_TICKS = 8
"""Largest number of rates that each get a tick on the axis."""

MOST_LINES = 8
"""Largest number of attacks whose rounds are drawn."""


def of_results(
    results: pd.DataFrame, convergence: pd.DataFrame, reference: pd.DataFrame | None = None
) -> Iterator[Drawing]:
    """Yield every figure for which the results have something to show.

    Parameters
    ----------
    results, convergence : pandas.DataFrame
        The rows of :class:`poisonbench.output.reading.Tables`.
    reference : pandas.DataFrame, optional
        Published values to draw beside the measured ones.
    """
    results = distinct(results)
    drawing = attacks(results, reference)
    if drawing is not None:
        yield drawing
    for attack in results.loc[results["n_poison"] > 0, "attack_label"].unique():
        drawing = defenses(results, attack, reference)
        if drawing is not None:
            yield drawing
    yield from filter(None, (rounds(results, convergence), detection(results)))


def attacks(results: pd.DataFrame, reference: pd.DataFrame | None = None) -> Drawing | None:
    """Draw the error of the undefended learner against the rate, with a line for each attack."""
    rows = results[(results["defense"] == "none") & (results["attack"] != "none")]
    figure = _curves(rows, "attack", reference, "attacks")
    if figure is None:
        return None
    return Drawing(
        "attacks",
        "What the attacks do to the undefended learner",
        "Test error without a defense against the poisoning rate: the median over seeds, with the "
        f"range between the quartiles shaded.{_dashed(figure)}{_shaded(figure)}",
        figure,
    )


def defenses(
    results: pd.DataFrame, attack: str, reference: pd.DataFrame | None = None
) -> Drawing | None:
    """Draw the error under one attack against the rate, with a line for each defense."""
    rows = results[results["attack_label"] == attack]
    if not len(rows) or set(rows["defense"]) <= set(REFERENCE_ROWS):
        return None
    # The paper tested its defenses against OptP.
    known = reference if rows["attack"].iloc[0] == "optp" else None
    figure = _curves(rows, "defense", known, "defenses")
    if figure is None:
        return None
    slug = "-".join("".join(c if c.isalnum() else " " for c in attack).split())
    return Drawing(
        f"defenses-{slug}",
        f"What the defenses achieve against {attack}",
        f"Test error under {attack} against the poisoning rate, for each defense: the median over "
        "seeds, with the range between the quartiles shaded. Oracle is the learner trained on the "
        f"clean rows.{_dashed(figure)}{_dotted(figure)}",
        figure,
    )


def _dashed(figure: Figure) -> str:
    drawn = any(line.get_gid() == "published" for axes in figure.axes for line in axes.lines)
    return " Dashed lines with hollow markers are the published curves." if drawn else ""


def _dotted(figure: Figure) -> str:
    drawn = any(line.get_gid() == "largest" for axes in figure.axes for line in axes.lines)
    return (
        " A dotted line is the largest error of a defense over several fits to the same rows that "
        "differ in its random numbers only (the median over seeds); the solid line is the median "
        "of these fits."
        if drawn
        else ""
    )


def _shaded(figure: Figure) -> str:
    if not any(_has_ceiling(axes) for axes in figure.axes):
        return ""
    return " It is proved that no poison rows can cause an error in the grey area."


def _has_ceiling(axes: Axes) -> bool:
    return any(line.get_gid() == "ceiling" for line in axes.lines)


def _ceiling(axes: Axes, ceilings: pd.Series, highest: float) -> None:
    """Shade the errors above the ceiling, unless it is so high that the curves would look flat.

    Parameters
    ----------
    axes : Axes
        The panel.
    ceilings : pandas.Series
        The ceiling by rate.
    highest : float
        The largest error in the panel.
    """
    ceilings = ceilings.astype(float).dropna()
    if len(ceilings) < 2 or not ceilings.max() <= HIGHEST_CEILING * highest:
        return
    x, y = ceilings.index.to_numpy(float), ceilings.to_numpy()
    axes.plot(x, y, color="#555555", linestyle=(0, (1, 1.5)), linewidth=1.2, gid="ceiling")
    top = 1.12 * float(y.max())
    axes.fill_between(x, y, top, color="#555555", alpha=0.12, linewidth=0)
    axes.set_ylim(top=top)


def _curves(
    rows: pd.DataFrame, axis: str, reference: pd.DataFrame | None, figure_name: str
) -> Figure | None:
    if not len(rows) or rows["n_poison"].nunique() < 2:
        return None
    # The rate in the config, because p/n is rounded; a rate p/(n + p) is converted to p/n.
    rows = rows.assign(
        x=rows["rate_clean"].where(rows["rate_of"] == "total", rows["poisoning_rate"])
    )
    label = f"{axis}_label"
    rows = rows[rows.groupby(label)["n_poison"].transform("nunique") > 1]
    styles = _styles(rows[[axis, label]].drop_duplicates().itertuples(index=False, name=None))
    published = (
        None
        if reference is None
        else reference[(reference["figure"] == figure_name) & (reference["metric"] == "test_mse")]
    )

    def draw(axes: Axes, block: pd.DataFrame) -> None:
        for name, line in block.groupby(label, sort=False):
            of_rate = line.groupby("x")["test_mse"]
            look = styles[str(name)]
            _band(axes, of_rate.quantile(np.array([0.25, 0.5, 0.75])).unstack(), look)
            if spread.known(line):
                largest = line["test_mse_largest"].astype(float).groupby(line["x"]).median()
                axes.plot(largest, color=look.colour, linestyle=":", linewidth=1, gid="largest")
        if published is not None:
            first = block.iloc[0]
            known = published[
                (published["dataset"] == first["dataset"]) & (published["model"] == first["model"])
            ]
            for name in block[axis].unique():
                curve = known[known[axis] == name].sort_values("poisoning_rate")
                if curve.empty:
                    continue
                look = style(str(name))
                axes.plot(
                    curve["poisoning_rate"],
                    curve["value"],
                    color=look.colour,
                    linestyle=(0, (3, 2)),
                    linewidth=1,
                    marker=look.marker,
                    markerfacecolor="white",
                    gid="published",
                )
        rates = sorted(block["x"].unique())
        if len(rates) <= MOST_TICKS:
            axes.set_xticks(rates, [f"{rate:.2g}" for rate in rates])
        axes.set_xlabel("poisoning rate p/n")
        axes.set_ylabel("test MSE (squared box unit)")
        log_if_needed(axes)  # before the ceiling, which fixes the limits
        if axis == "attack":  # a defended model may exceed the bound for the undefended one
            ceilings = block.groupby("x")["test_mse_ceiling"].median()
            _ceiling(axes, ceilings, float(block["test_mse"].max()))

    return _panels(rows, draw, styles)


def _styles(pairs: Iterator[tuple[str, str]]) -> dict[str, Style]:
    """Return a style for each label; variants of one method get different styles."""
    known: dict[str, Style] = {}
    counts: dict[str, int] = {}
    for name, label in pairs:
        known[label] = style(name, counts.get(name, 0))
        counts[name] = counts.get(name, 0) + 1
    return known


def _band(axes: Axes, quartiles: pd.DataFrame, look: Style) -> None:
    x = quartiles.index.to_numpy(float)
    axes.plot(
        x,
        quartiles[0.5].to_numpy(),
        color=look.colour,
        marker=look.marker,
        linestyle=(0, look.dashes) if look.dashes else "-",
    )
    axes.fill_between(
        x,
        quartiles[0.25].to_numpy(),
        quartiles[0.75].to_numpy(),
        color=look.colour,
        alpha=0.15,
        linewidth=0,
    )


def _panels(
    rows: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], styles: dict[str, Style]
) -> Figure:
    """Draw a panel for each data set and learner, with one legend below."""
    names = ["dataset_label", "model_label", "split"]
    settings = rows[names].drop_duplicates()
    columns = list(dict.fromkeys(settings["dataset_label"]))
    lines = list(
        dict.fromkeys(settings[["model_label", "split"]].itertuples(index=False, name=None))
    )
    if len(columns) == 1:  # one data set: its learners side by side
        places = {(columns[0], *line): (0, j) for j, line in enumerate(lines)}
        shape = (1, len(lines))
    else:
        places = {
            (name, *line): (i, j) for j, name in enumerate(columns) for i, line in enumerate(lines)
        }
        shape = (len(lines), len(columns))
    several_splits = settings["split"].nunique() > 1
    width = max(PANEL[0], 5.2 / shape[1])
    entries = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            label=label,
            linestyle=(0, look.dashes) if look.dashes else "-",
        )
        for label, look in styles.items()
    ]
    longest = max(map(len, styles))
    with mpl.rc_context(LOOK):
        per_line = max(1, int(width * shape[1] // (0.45 + 0.073 * longest)))
        n_lines = -(-(len(entries) + 2) // per_line)
        figure, grid = new_figure(*shape, width=width, extra=0.22 * n_lines)
        for key, block in rows.groupby(names, sort=False):
            axes = grid[places[key]]
            draw(axes, block)
            title = f"{key[0]}, {key[1]}" + (f", split {key[2]}" if several_splits else "")
            axes.set_title(_wrapped(title, int(width * 13)))
        for place in np.ndindex(*shape):
            if not grid[place].has_data():  # this data set was not run with this learner
                grid[place].remove()
        if any(line.get_gid() == "published" for axes in figure.axes for line in axes.lines):
            entries.append(
                Line2D(
                    [],
                    [],
                    color="#555555",
                    marker="o",
                    markerfacecolor="white",
                    linestyle=(0, (3, 2)),
                    linewidth=1,
                    label="published",
                )
            )
        if any(_has_ceiling(axes) for axes in figure.axes):
            entries.append(
                Line2D(
                    [],
                    [],
                    color="#555555",
                    linestyle=(0, (1, 1.5)),
                    linewidth=1.2,
                    label="ceiling (proved)",
                )
            )
        figure.legend(handles=entries, loc="outside lower center", ncols=per_line)
    return figure


def _wrapped(text: str, width: int) -> str:
    """Return a title with line breaks after commas if it is too long for its panel."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > width and lines[-1]:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def rounds(results: pd.DataFrame, convergence: pd.DataFrame) -> Drawing | None:
    """Draw the outer objective by round at the highest rate, with a line for each attack."""
    if not len(convergence):
        return None
    key = ["folder", "poison_file"]
    attacked = results.drop_duplicates(key).dropna(subset=["poison_file"])
    most = attacked.groupby("dataset_label")["n_poison"].transform("max")
    attacked = attacked[attacked["n_poison"] == most]
    columns = [*key, "dataset_label", "model_label", "split", "attack", "attack_label", "seed"]
    joined = convergence.merge(attacked[columns], on=key)
    joined = joined[joined["attack_label"].isin(joined["attack_label"].unique()[:MOST_LINES])]
    if joined.empty or joined["round"].max() == 0:
        return None
    pairs = joined[["attack", "attack_label"]].drop_duplicates()
    styles = _styles(pairs.itertuples(index=False, name=None))

    def draw(axes: Axes, block: pd.DataFrame) -> None:
        for name, lines in block.groupby("attack_label", sort=False):
            wide = lines.pivot_table(index="round", columns="seed", values="objective").ffill()
            share = wide / wide.iloc[0]
            _band(axes, share.quantile([0.25, 0.5, 0.75], axis=1).T, styles[str(name)])
        axes.set_xlabel("round of the attack")
        axes.set_ylabel("outer objective / its start value")
        log_if_needed(axes)

    return Drawing(
        "rounds",
        "How the attacks converge",
        "The attacker's objective after each round, at the highest poisoning rate, divided by its "
        "value at the start: the median over seeds, with the range between the quartiles shaded. "
        "An attack that has stopped keeps its last value.",
        _panels(joined, draw, styles),
    )


def detection(results: pd.DataFrame) -> Drawing | None:
    """Draw the error under each defense against the share of the poison rows that it removed."""
    rows = results[
        (results["n_poison"] > 0)
        & results["removal_recall"].notna()
        & ~results["defense"].isin(["none", "oracle"])
    ]
    if rows.empty:
        return None
    pairs = rows[["defense", "defense_label"]].drop_duplicates()
    styles = _styles(pairs.itertuples(index=False, name=None))

    def draw(axes: Axes, block: pd.DataFrame) -> None:
        axes.axhline(1, color="#999999", linewidth=0.8)
        for name, points in block.groupby("defense_label", sort=False):
            medians = points.groupby(["attack_label", "poisoning_rate"])[
                ["removal_recall", "ratio_to_clean"]
            ].median()
            look = styles[str(name)]
            axes.plot(
                medians["removal_recall"],
                medians["ratio_to_clean"],
                linestyle="none",
                marker=look.marker,
                color=look.colour,
                alpha=0.8,
            )
        axes.set_xlim(-0.04, 1.04)
        axes.set_xlabel("share of the poison rows removed")
        axes.set_ylabel("test MSE / clean test MSE")
        log_if_needed(axes)

    return Drawing(
        "detection",
        "Damage against detection",
        "Each point is a defense under one attack at one rate. It shows the share of the poison "
        "rows that the defense removed, and its test error divided by that of the learner trained "
        "on the clean rows (medians over seeds). Even if a defense removes most of the poison, the "
        "rest can still do damage.",
        _panels(rows, draw, styles),
    )
