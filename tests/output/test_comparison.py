"""Verdicts beside published values, shapes of curves, and two folders side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poisonbench.output import comparison, published
from poisonbench.output.layout import StoreError
from poisonbench.output.statistics import paired


def reference(**values):
    """Published curves of attacks on house ridge at 10% and 20%."""
    lines = [
        ("attacks", "house", "ridge", attack, "none", rate, "test_mse", "mean", value, "read")
        for attack, curve in values.items()
        for rate, value in zip((0.1, 0.2), curve, strict=True)
    ]
    return pd.DataFrame(lines, columns=published.COLUMNS)


@pytest.mark.parametrize(
    ("ratio", "defense", "poisoned", "expected"),
    [
        (1.04, "none", True, "met"),
        (2.0, "none", True, "stronger"),
        (0.6, "none", True, "weaker by 40%"),
        (0.6, "trim", True, "stronger"),
        (1.5, "trim", True, "weaker by 50%"),
        (0.7, "trim", False, "differs by -30%"),
    ],
)
def test_an_attack_is_stronger_by_a_larger_error_and_a_defense_by_a_smaller(
    ratio, defense, poisoned, expected
):
    assert comparison.verdict(ratio, defense, poisoned) == expected


def test_a_cell_has_the_medians_ratio_and_the_strongest_attack_stands_beside_the_published_top(
    rows,
):
    results = pd.concat([rows([0.1, 0.2, 0.9]), rows([0.5, 0.5, 0.5], attack="coordinate")])
    cells = comparison.with_published(results, reference(statp=(0.05, 0.1))).cells
    statp = cells[cells["attack"] == "statp"].iloc[0]
    assert statp["median"] == 0.2
    assert statp["mean"] == pytest.approx(0.4)
    assert statp["count"] == 3
    assert statp["ratio"] == pytest.approx(2)
    assert statp["verdict"] == "stronger"
    top = cells[cells["attack"] == comparison.STRONGEST].iloc[0]
    assert top["measured_attack"] == "coordinate"
    assert top["ratio"] == pytest.approx(5)


def test_optp_is_the_best_of_its_variants_where_that_was_run(rows):
    results = pd.concat(
        [
            rows([0.1, 0.1], attack="optp", attack_parameters="best_of=true"),
            rows([0.9, 0.9], attack="optp", variables="x", initialization="bflip"),
        ]
    )
    cells = comparison.with_published(results, reference(optp=(0.1, 0.1))).cells
    assert cells[cells["attack"] == "optp"]["measured_attack"].tolist() == ["optp(best_of=true)"]


def test_changes_of_predictions_are_compared_where_a_folder_has_them(rows):
    line = ("dose", "house", "ridge", "optp", "none", 0.2, "relative_change_q75", "", 2.0, "read")
    known = pd.DataFrame([line], columns=published.COLUMNS)
    best = {"attack": "optp", "attack_parameters": "best_of=true"}
    without = rows([0.5, 0.5, 0.5], **best, change_q75=None)
    # The same cells in a folder that was run with --predictions.
    kept = rows([0.5, 0.5, 0.5], **best).assign(change_q75=[1.0, 3.0, 9.0])
    (cell,) = comparison.with_published(pd.concat([without, kept]), known).cells.to_dict("records")
    assert (cell["metric"], cell["median"], cell["count"]) == ("relative_change_q75", 3.0, 3)
    assert (cell["ratio"], cell["verdict"]) == (1.5, "stronger")


def test_a_black_box_attack_is_not_what_was_published(rows):
    results = rows([1.0], attack_parameters="knowledge=surrogate:data")
    assert comparison.with_published(results, reference(statp=(0.1, 0.1))).cells.empty


def test_a_share_of_all_rows_is_compared_at_its_share_of_the_clean_ones(rows):
    results = rows([0.1], rate_of="total").assign(poisoning_rate=1 / 6)
    cells = comparison.with_published(results, reference(statp=(0.2, 0.1))).cells
    assert cells["poisoning_rate"].tolist() == [0.2, 0.2]
    assert cells["verdict"].iloc[0] == "met"


def curves(rows, **values):
    return pd.concat(
        [
            rows([value] * 6, attack=attack, poisoning_rate=rate)
            for attack, curve in values.items()
            for rate, value in zip((0, 0.1, 0.2), (0.01, *curve), strict=True)
        ]
    )


def checks(results, known):
    found = comparison.with_published(results, known).checks
    return {(row.check, row.poisoning_rate if row.poisoning_rate == row.poisoning_rate else None):
            row.verdict for row in found.itertuples()}  # fmt: skip


def test_shapes_as_published(rows):
    known = reference(optp=(0.2, 0.4), bgd=(0.1, 0.2))
    found = checks(curves(rows, optp=(0.3, 0.9), bgd=(0.1, 0.3)), known)
    assert found == {
        ("order of attacks", 0.1): "as published",
        ("order of attacks", 0.2): "as published",
        ("optp rises with the rate", None): "as published",
        ("bgd rises with the rate", None): "as published",
    }


def test_shapes_that_differ_are_named(rows):
    known = reference(optp=(0.2, 0.4), bgd=(0.1, 0.2))
    found = checks(curves(rows, optp=(0.3, 0.2), bgd=(0.1, 0.3)), known)
    assert found["order of attacks", 0.2] == "not as published: bgd above optp"
    assert found["optp rises with the rate", None] == "falls at 60 rows"


def test_an_order_that_noise_may_have_made_says_so(rows):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 6)
    results = pd.concat(
        [rows(list(1 + noise), attack="optp"), rows(list(1.05 + noise[::-1]), attack="bgd")]
    )
    found = checks(results, reference(optp=(0.2, 0.4), bgd=(0.1, 0.2)))
    assert found["order of attacks", 0.2] == "not as published: bgd above optp (within noise)"


def test_an_order_that_the_figure_does_not_tell_is_not_checked(rows):
    known = reference(optp=(0.2, 0.205), bgd=(0.1, 0.2))
    found = checks(curves(rows, optp=(0.3, 0.2), bgd=(0.1, 0.3)), known)
    assert found["order of attacks", 0.2] == "as published"


def test_trim_is_held_to_the_clean_error(rows):
    known = reference(optp=(0.2, 0.4)).assign(figure="defenses")
    results = pd.concat(
        [
            rows([0.011] * 3, attack="optp", defense="trim"),
            rows([0.02] * 3, attack="statp", defense="trim"),
        ]
    )
    found = checks(results, known)
    assert found["trim against optp: at most 1.15 x clean", None] == "met"
    assert found["trim against statp: at most 1.15 x clean", None] == "up to 2.00"


def test_two_folders_are_compared_over_their_common_seeds(rows):
    first, second = rows([1.0, 2, 3, 4, 5, 6]), rows([9.0, 2.5, 3.4, 4.6, 5.5, 6.5])
    found = comparison.of_folders(first[first["seed"] > 0], second).iloc[0]
    expected = paired(np.arange(2.0, 7), np.array([2.5, 3.4, 4.6, 5.5, 6.5]), 300, 500)
    assert found["count"] == 5
    assert found["mean"] == pytest.approx(0.5)
    assert found["first"] == 4
    assert (found["low"], found["p_value"]) == (expected.low, expected.p_value)
    assert found["verdict"] == "higher"


def test_equal_folders_are_the_same(rows):
    assert comparison.of_folders(rows([1.0] * 6), rows([1.0] * 6))["verdict"].tolist() == [
        "the same"
    ]


def test_every_reference_can_be_read_and_says_how_it_was():
    assert published.names()[0] == "jagielski2018"
    for name in published.names():
        values = published.values(name)
        assert tuple(values) == published.COLUMNS
        assert values["value"].notna().all()
        assert (values["reading"] != "").all()
        assert not values.duplicated(list(published.COLUMNS[:7])).any()


def test_an_unknown_reference_is_answered_with_the_nearest():
    with pytest.raises(StoreError, match="did you mean 'jagielski2018'"):
        published.values("jagielski2081")
