"""Each sign of a weak attack shows on results made to show it, and not on those without it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from poisonbench.output import weak_attacks


def rows(attack: str, errors: dict[int, float], **others: Any) -> list[dict[str, Any]]:
    """Undefended rows of one attack, by number of poison rows; three seeds around each error."""
    return [
        {
            "dataset": "house",
            "dataset_label": "house",
            "split": "300/250/250",
            "model": "ridge",
            "model_label": "ridge",
            "attack": attack.split()[0],
            "attack_label": attack,
            "attack_parameters": "",
            "outer_objective": "",
            "defense": "none",
            "seed": seed,
            "n_poison": p,
            "test_mse": error * factor,
            "val_mse": error * factor,
            "ceiling_share": None,
            "objective_final": 0.3,
            "objective_ceiling": 0.25,
            "folder": "out",
            "poison_file": f"{attack}-{p}-{seed}.npz",
            **others,
        }
        for p, error in errors.items()
        for seed, factor in enumerate((0.9, 1.0, 1.2))
    ]


def rounds(results: pd.DataFrame, objectives: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"folder": "out", "poison_file": file, "round": k, "objective": value}
            for file in results["poison_file"]
            for k, value in enumerate(objectives)
        ],
        columns=["folder", "poison_file", "round", "objective"],
    )


VALIDATION = {"outer_objective": "validation"}
HEALTHY = rows("optp validation", {12: 0.1, 36: 0.2, 60: 0.3}, **VALIDATION, ceiling_share=0.9) + (
    rows("statp", {12: 0.05, 36: 0.06, 60: 0.07})
)


def test_no_sign_where_nothing_is_weak():
    results = pd.DataFrame(HEALTHY)
    assert not list(weak_attacks.signs(results, rounds(results, [0.1, 0.3, 0.301])))


@pytest.mark.parametrize(
    ("weak", "objectives", "expected"),
    [
        (
            rows("bgd training", {12: 0.1, 36: 0.2, 60: 0.15}, outer_objective="training"),
            [0.1, 0.1],
            "more poison rows do less damage: bgd training (median test MSE 0.15 with 60 rows, 0.2 "
            "with 36); try more rounds",
        ),
        (
            rows("bgd training", {12: 0.05, 36: 0.06, 60: 0.06}, outer_objective="training"),
            [0.1, 0.1],
            "less damage than one that knows less: bgd training (with 60 rows a median test MSE of "
            "0.06, statp 0.07); try coordinate",
        ),
        (
            rows("bgd validation", {12: 0.1, 36: 0.1, 60: 0.3}, **VALIDATION),
            [0.1, 0.1],
            "of it than another attack: bgd validation (with 36 rows 0.1, optp validation 0.2); "
            "try coordinate with preset: strong",
        ),
        (
            rows("bgd training", {60: 0.3}, outer_objective="training"),
            [0.1, 0.2, 0.3],
            "objective still rose by more than 1% in the last round: bgd training (3 of 3 poison "
            "sets); allow more rounds",
        ),
        (
            rows("bgd training", {60: 0.3}, outer_objective="training", ceiling_share=0.5),
            [0.1, 0.1],
            "maximum may be lower): bgd training (with 60 rows 50%); try coordinate",
        ),
    ],
)
def test_signs(weak, objectives, expected):
    results = pd.DataFrame(HEALTHY + weak)
    found = list(weak_attacks.signs(results, rounds(pd.DataFrame(weak), objectives)))
    assert len(found) == 1, found
    assert found[0].startswith("house, ridge: ")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("attack", "parameters"),
    [
        ("optp data", "knowledge=surrogate:data"),
        ("subpopulation", ""),
        ("adaptive mm", "defense=mm"),
        ("auto mm", "defense=mm"),
        ("optp start", "iterations=0"),
    ],
)
def test_what_aims_elsewhere_or_knows_less_may_do_less(attack, parameters):
    """On the undefended learner, or on the validation error of the true one."""
    others = rows(attack, {60: 0.05}, attack_parameters=parameters, outer_objective="validation")
    results = pd.DataFrame(HEALTHY + others)
    assert not list(weak_attacks.signs(results, rounds(results, [0.1])))


def test_an_attack_that_several_exceed_has_one_sign():
    weak = rows("bgd validation", {60: 0.1}, **VALIDATION)
    stronger = rows("coordinate validation", {60: 0.9}, **VALIDATION)
    results = pd.DataFrame(weak + stronger + rows("optp validation", {60: 0.89}, **VALIDATION))
    (sign,) = weak_attacks.signs(results, rounds(results, [0.1]))
    assert ": bgd validation (with 60 rows 0.1, coordinate validation 0.9); try" in sign


def test_attacks_with_the_same_sign_share_a_line():
    errors = {f"optp {k} validation": 0.1 + k / 100 for k in range(6)}
    weak = [row for name, error in errors.items() for row in rows(name, {60: error}, **VALIDATION)]
    results = pd.DataFrame(HEALTHY + weak)
    (sign,) = weak_attacks.signs(results, rounds(results, [0.1]))
    assert "than another attack: optp 0 validation (with 60 rows 0.1, optp validation 0.3)" in sign
    assert sign.count("(with 60 rows") == 4
    assert ", and 2 more; try coordinate" in sign


def test_above_the_ceiling_is_a_fault():
    fine = rows("optp", {60: 0.3}, ceiling_share=1 + 1e-9)
    assert not weak_attacks.above_ceiling(pd.DataFrame(fine))
    (line, *_) = weak_attacks.above_ceiling(
        pd.DataFrame(rows("sever", {60: 0.3}, ceiling_share=1.2))
    )
    assert "sever on house, ridge, 60 poison rows, seed 0" in line
    assert "0.3 exceeds its proved ceiling 0.25" in line
