"""Figures: what is in them, that they are the same bytes, and that methods keep their looks."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pandas as pd
import pytest

from poisonbench import registry
from poisonbench.models import Ridge
from poisonbench.output import published
from poisonbench.output.reading import read
from poisonbench.output.styles import style
from poisonbench.reference_rows import REFERENCE_ROWS

pytest.importorskip("matplotlib", reason="the extra plot is not installed")
drawings = pytest.importorskip("poisonbench.output.drawings")
figures = pytest.importorskip("poisonbench.output.figures")
training_set_figures = pytest.importorskip("poisonbench.output.training_set_figures")


@pytest.fixture
def curve(rows):
    return pd.concat(
        [
            rows([level * (1 + rate * 40)] * 3, attack=attack, poisoning_rate=rate)
            for attack, level in (("statp", 0.01), ("optp", 0.02))
            for rate in (0, 0.1, 0.2)
        ]
    ).assign(rate_clean=lambda frame: frame["poisoning_rate"])


def test_a_curve_is_the_median_by_rate_with_the_published_one_beside_it(curve):
    drawing = figures.attacks(curve, published.values("jagielski2018"))
    lines = drawing.figure.axes[0].lines
    measured = [line for line in lines if line.get_gid() != "published"]
    assert [line.get_ydata().tolist() for line in measured] == [
        pytest.approx([0.01, 0.05, 0.09]),
        pytest.approx([0.02, 0.1, 0.18]),
    ]
    assert sum(line.get_gid() == "published" for line in lines) == 2
    assert "published curve" in drawing.caption
    assert drawing.figure.axes[0].get_xlabel() == "poisoning rate p/n"


def test_the_largest_error_of_several_fits_is_dotted(rows):
    drawn = [rows([level] * 3, defense="trim", poisoning_rate=rate, test_mse_largest=2 * level,
                  repetitions=5, spread=2.5)
             for rate, level in ((0.1, 0.01), (0.2, 0.02))]  # fmt: skip
    plain = [rows([0.01] * 3, defense="oracle", poisoning_rate=rate) for rate in (0.1, 0.2)]
    results = pd.concat([*drawn, *plain]).assign(rate_clean=lambda frame: frame["poisoning_rate"])
    drawing = figures.defenses(results, "statp")
    lines = drawing.figure.axes[0].lines
    (dotted,) = [line for line in lines if line.get_gid() == "largest"]
    assert dotted.get_ydata().tolist() == pytest.approx([0.02, 0.04])
    assert "A dotted line is the largest error" in drawing.caption
    once = figures.defenses(results.assign(spread=None), "statp")
    assert "dotted" not in once.caption
    assert len(once.figure.axes[0].lines) == len(lines) - 1


def test_without_a_published_curve_none_is_spoken_of(curve):
    other = curve.assign(dataset="mine", dataset_label="mine")
    drawing = figures.attacks(other, published.values("jagielski2018"))
    assert "published" not in drawing.caption
    assert len(drawing.figure.axes[0].lines) == 2


def test_the_ceiling_is_drawn_unless_it_is_far_above_the_curves(curve):
    with_ceiling = curve.assign(test_mse_ceiling=0.1 + curve["poisoning_rate"])
    drawing = figures.attacks(with_ceiling)
    axes = drawing.figure.axes[0]
    (ceiling,) = [line for line in axes.lines if line.get_gid() == "ceiling"]
    assert ceiling.get_ydata().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert "proved that no poison rows" in drawing.caption
    assert axes.get_ylim()[1] > 0.3
    far = curve.assign(test_mse_ceiling=100.0)
    assert not any(
        line.get_gid() == "ceiling" for line in figures.attacks(far).figure.axes[0].lines
    )


def test_below_a_ceiling_a_logarithmic_axis_begins_near_the_lowest_error(curve):
    wide = curve.assign(test_mse=curve["test_mse"] ** 3)
    drawing = figures.attacks(wide.assign(test_mse_ceiling=0.01))
    axes = drawing.figure.axes[0]
    assert axes.get_yscale() == "log"
    bottom, top = axes.get_ylim()
    assert wide["test_mse"].min() / 10 < bottom < wide["test_mse"].min()
    assert 0.01 < top < 0.02


def test_a_wide_range_is_logarithmic_and_a_narrow_one_starts_at_0(curve):
    wide = curve.assign(test_mse=curve["test_mse"] ** 3)
    assert figures.attacks(curve).figure.axes[0].get_yscale() == "linear"
    assert figures.attacks(curve).figure.axes[0].get_ylim()[0] == 0
    assert figures.attacks(wide).figure.axes[0].get_yscale() == "log"


def test_one_rate_makes_no_curve(curve):
    assert figures.attacks(curve[curve["poisoning_rate"] == 0.2]) is None


@pytest.mark.parametrize("kind", drawings.KINDS)
def test_the_same_results_give_the_same_bytes(folder, kind):
    tables = read(folder)
    once, again = (
        [
            drawings.rendered(one.figure, kind)
            for one in islice(figures.of_results(tables.results, tables.convergence), 1, 2)
        ]
        for _ in range(2)
    )
    assert once == again


def test_a_real_folder_gives_every_figure_and_none_is_empty(folder):
    tables = read(folder)
    drawn = list(figures.of_results(tables.results, tables.convergence))
    names = [drawing.name for drawing in drawn]
    assert names == [
        "attacks", "defenses-statp", "defenses-optp-iterations-1-xy-bflip-validation", "rounds",
        "detection",
    ]  # fmt: skip
    for drawing in drawn:
        assert drawing.figure.axes
        for axes in drawing.figure.axes:
            assert axes.has_data()
            assert axes.get_xlabel()
            assert axes.get_ylabel()
        assert drawing.figure.legends


def test_no_text_of_a_figure_lies_on_another(folder):
    tables = read(folder)
    for drawing in figures.of_results(tables.results, tables.convergence):
        figure = drawing.figure
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for axes in figure.axes:
            low, high = axes.get_xlim()
            boxes = [tick.label1.get_window_extent() for tick in axes.xaxis.get_major_ticks()
                     if low <= tick.get_loc() <= high]  # fmt: skip
            boxes += [axes.title.get_window_extent(), axes.xaxis.label.get_window_extent()]
            boxes += [legend.get_window_extent() for legend in figure.legends]
            for i, one in enumerate(boxes):
                assert one.x0 >= -1
                assert one.x1 <= width + 1
                assert one.y0 >= -1
                assert one.y1 <= height + 1
                assert not any(one.overlaps(other) for other in boxes[:i])


def test_every_method_has_a_style_of_its_own_among_the_papers():
    shown = ["none", "oracle", "trim", "huber", "ransac", "roni", "mm", "torrent", "chen"]
    assert len({style(name) for name in shown}) == len(shown)
    attacks = ["optp", "bgd", "statp", "coordinate", "subpopulation", "adaptive"]
    assert len({style(name) for name in attacks}) == len(attacks)
    for name in (*registry.components("defense"), *registry.components("attack"), *REFERENCE_ROWS):
        assert style(name) == style(name)
        assert style(name).colour == style(name, 2).colour
        assert style(name) != style(name, 1)


@pytest.mark.parametrize("d", [1, 4])
def test_figures_of_a_training_set_show_rows_poison_and_models(d):
    rng = np.random.default_rng(0)
    X, y = rng.random((40, d)), rng.random(40)
    poison = np.arange(40) >= 30
    predicted = Ridge(alpha=1).fit(X, y).predict(X)
    rounds = tuple(training_set_figures.TrimRound(number, ~poison, predicted) for number in (1, 2))
    fitted = training_set_figures.FittedTrainingSet(
        "made up", "trim", tuple("abcd"[:d]), "y", X, y, poison, predicted, predicted, predicted,
        ~poison, rounds
    )  # fmt: skip
    names = [drawing.name for drawing in training_set_figures.of_training_set(fitted)]
    assert names == (["lines", "trim-rounds"] if d == 1 else ["components"]) + ["residuals"]
    for drawing in training_set_figures.of_training_set(fitted):
        assert all(axes.has_data() for axes in drawing.figure.axes)
        assert drawings.rendered(drawing.figure, "svg").startswith(b"<?xml")
