"""The conclusion of an audit from tables that are made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from poisonbench.auditing.conclusion import Reached, conclude, doubling
from poisonbench.auditing.words import Answer

RATES = (0.01, 0.04, 0.16)


def table(
    errors: dict[str, dict[str, list[float]]], splits: int = 1, unit: str | None = "euros"
) -> pd.DataFrame:
    """Return result rows from root mean squared errors: attack -> defense -> by rate, 0 first."""
    rows: list[dict[str, Any]] = []
    for attack, of_defense in errors.items():
        for defense, values in of_defense.items():
            for rate, value in zip((0.0, *RATES), values, strict=True):
                for seed in range(splits):
                    rmse = value * (1 + 0.1 * (seed - splits // 2))
                    rows.append(
                        {
                            "target": "price", "seed": seed, "model": "ridge", "attack": attack,
                            "attack_label": f"{attack} bflip validation", "defense": defense,
                            "defense_label": defense, "poisoning_rate": rate,
                            "n_poison": round(1000 * rate), "n_clean": 1000, "n_test": 500,
                            "n_validation": 400, "test_mse": (rmse / 1000) ** 2,
                            "val_mse": (rmse / 1000) ** 2,
                            "test_rmse_unscaled": rmse if unit else np.nan,
                            "response_unit": unit, "test_mse_ceiling": np.nan,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def one_attack(**of_defense: list[float]) -> dict[str, dict[str, list[float]]]:
    return {"coordinate": {"median": [900.0] * 4, **of_defense}}


def test_the_error_at_a_rate_is_that_of_the_worst_attack():
    errors = one_attack(none=[100, 120, 180, 500], mm=[102, 103, 104, 110])
    errors["statp"] = {"none": [100, 130, 150, 300], "mm": [102, 103, 120, 108]}
    found = conclude(table(errors, splits=3), 0.04)
    assert [reached.attack.split()[0] for reached in found.curve] == [
        "statp", "coordinate", "coordinate",
    ]  # fmt: skip
    assert [reached.median for reached in found.curve] == pytest.approx([130, 180, 500])
    assert found.reached.worst == pytest.approx(198)  # the last of three splits
    assert found.today == pytest.approx(100)
    assert found.today_worst == pytest.approx(110)
    assert found.recommended is not None
    assert found.recommended.worst == Reached(0.04, "statp bflip validation",
                                              pytest.approx(120), pytest.approx(132))  # fmt: skip
    assert found.unit == "euros"


def test_no_defense_is_recommended_that_costs_more_than_a_fifth():
    # Squared, 110 is 1.21 times 100, and 109 is 1.19 times.
    errors = one_attack(none=[100, 200, 300, 400], huber=[100, 150, 200, 300],
                        mm=[110, 110, 110, 110])  # fmt: skip
    found = conclude(table(errors), 0.04)
    assert found.recommended is not None
    assert found.recommended.name == "huber"
    assert [one.name for one in found.candidates if not one.is_eligible] == ["mm"]
    errors = one_attack(none=[100, 200, 300, 400], huber=[100, 150, 200, 300],
                        mm=[109, 110, 110, 110])  # fmt: skip
    found = conclude(table(errors), 0.04)
    assert found.recommended is not None
    assert found.recommended.name == "mm"


def test_if_nothing_is_trusted_the_rows_that_fit_best_decide():
    # The file has bad rows: huber follows them, and seems better on all test rows.
    errors = one_attack(none=[300, 300, 300, 300], huber=[310, 310, 310, 310],
                        mm=[400, 401, 402, 403])  # fmt: skip
    trimmed = {0: {"none": 0.02, "median": 0.1, "huber": 0.013, "mm": 0.01}}
    found = conclude(table(errors), 0.04, trimmed)
    assert found.recommended is not None
    assert found.recommended.name == "mm"
    assert found.suspicion == pytest.approx(2)
    trusted = conclude(table(errors), 0.04, trimmed, trusted=True)
    assert trusted.recommended is not None
    assert trusted.recommended.name == "huber"
    warning = Answer(found, 0.16, trimmed=0.14).warning()
    assert warning is not None
    assert "is 2 times that of MM-regression (mm)" in warning
    text = Answer(found, 0.16, trimmed=0.14).paragraph()
    assert "on the 86% of the validation rows that fit best, it is 29% smaller" in text
    assert Answer(trusted, 0.16).warning() is None


def test_among_defenses_that_fit_the_best_rows_equally_well_all_rows_decide():
    errors = one_attack(none=[100] * 4, lts=[150, 150, 150, 150], huber=[100, 160, 160, 160])
    trimmed = {0: {"none": 0.01, "median": 0.1, "lts": 0.010, "huber": 0.0115}}
    found = conclude(table(errors), 0.04, trimmed)
    assert found.recommended is not None
    assert found.recommended.name == "huber"


def test_of_defenses_that_are_alike_the_one_with_the_best_worst_split_is_taken():
    errors = one_attack(none=[100] * 4, lts=[100, 110, 110, 110], mm=[100, 111, 111, 111],
                        huber=[100, 150, 150, 150])  # fmt: skip
    rows = table(errors, splits=3)
    of_lts = (rows["defense"] == "lts") & (rows["seed"] == 2) & (rows["poisoning_rate"] > 0)
    rows.loc[of_lts, "val_mse"] = 0.5**2
    found = conclude(rows, 0.04)
    assert found.recommended is not None
    assert found.recommended.name == "mm"


def test_the_choice_is_made_on_validation_rows_and_reported_on_test_rows():
    errors = one_attack(none=[100, 200, 300, 400], huber=[100, 110, 120, 130],
                        mm=[101, 102, 103, 104], lts=[120, 101, 102, 103])  # fmt: skip
    rows = table(errors)
    for defense, by_rate in {
        "huber": (100, 110, 115, 120), "mm": (100, 130, 140, 150), "lts": (140, 110, 110, 110),
    }.items():  # fmt: skip
        for rate, error in zip((0.0, *RATES), by_rate, strict=True):
            here = (rows["defense"] == defense) & (rows["poisoning_rate"] == rate)
            rows.loc[here, "val_mse"] = (error / 1000) ** 2
    found = conclude(rows, 0.04)
    assert [one.name for one in found.candidates] == ["huber", "mm", "lts"]
    assert [one.is_eligible for one in found.candidates] == [True, True, False]
    best = found.recommended
    assert best is not None
    assert best.name == "huber"
    assert best.clean_ratio == pytest.approx(1)
    assert best.worst_validation.median == pytest.approx(120)
    assert [reached.median for reached in best.curve] == pytest.approx([110, 120, 130])
    # On the test rows mm would be safer, but nobody may choose by them, nor speak of it as safer.
    assert "Safer" not in Answer(found, 0.16).paragraph()


def test_validation_errors_have_the_own_unit_even_where_no_test_error_does():
    errors = one_attack(none=[0, 200, 300, 400], mm=[0, 0, 0, 0])
    rows = table(errors)
    rows.loc[rows["defense"] == "mm", "val_mse"] = 0.03**2
    found = conclude(rows, 0.04)
    assert found.candidates[0].worst.median == 0
    assert found.candidates[0].worst_validation.median == pytest.approx(30)


@pytest.mark.parametrize(
    ("medians", "kind", "rate"),
    [
        ([150, 180, 400], "between", 0.04 + 0.12 * 20 / 220),
        ([150, 250, 120], "between", 0.01 + 0.03 * 50 / 100),  # it falls again afterwards
        ([300, 400, 500], "below", 0.005),
        ([110, 120, 199], "above", 0.16),
        ([200, 300, 400], "below", 0.01),
    ],
)
def test_the_rate_at_which_the_error_doubles(medians, kind, rate):
    curve = tuple(Reached(at, "statp", median, median)
                  for at, median in zip(RATES, medians, strict=True))  # fmt: skip
    found = doubling(curve, 100.0)
    assert found.kind == kind
    assert found.rate == pytest.approx(rate)


def test_an_error_of_0_that_stays_0_does_not_double():
    curve = tuple(Reached(rate, "statp", 0.0, 0.0) for rate in RATES)
    assert doubling(curve, 0.0).kind == "above"


def said(errors: dict[str, dict[str, list[float]]], **options: Any) -> str:
    return Answer(conclude(table(errors, **options), 0.04), 0.16).paragraph()


def test_the_paragraph_says_what_the_numbers_are():
    errors = one_attack(none=[1000, 1500, 2500, 9000], mm=[1030, 1040, 1050, 1100])
    errors["statp"] = {"none": [1000, 1100, 1200, 1500]}
    text = said(errors, splits=3)
    assert text == (
        "With the rows as they are, ridge regression predicts price with a typical error of "
        "1,000 euros (root mean squared error on test rows, median over 3 random splits, with "
        "1,000 training rows). That is no better than the same prediction for every row (900 "
        "euros), so the model is of little use even without bad rows. If an attacker who knows "
        "the training rows and the model adds 4% bad rows, the error is 2,500 euros, 2.5 times "
        "today's; 2,750 euros on the worst split. One who knows only the means and covariances "
        "of the training rows reaches 1,200 euros, 1.2 times today's. The error doubles at "
        "about 2.5% bad rows (between 1%, where it does not, and 4%, where it does). The "
        "defense to use is MM-regression (mm): it held, with an error of at most 1,100 euros at"
        " up to 16% bad rows under the attacks tried (1,050 euros at 4%). Without bad rows its "
        "error is 1,030 euros, 3% more than today's. Not tried: attackers who know the defense,"
        " or who change or delete rows."
    )


def test_it_says_if_no_defense_held_and_if_none_is_needed():
    text = said(one_attack(none=[100, 150, 250, 900], mm=[100, 105, 110, 300]))
    assert "No defense held at every rate. The best is MM-regression (mm): it held up to 4% bad " \
        "rows, but its error is 300 euros at 16% and 110 euros at 4%." in text  # fmt: skip
    errors = one_attack(none=[100, 150, 250, 900], mm=[100, 105, 110, 300],
                        huber=[130, 131, 132, 133])  # fmt: skip
    assert "Safer, but worse without bad rows (130 euros), is Huber regression (huber), with an " \
        "error of at most 133 euros." in said(errors)  # fmt: skip
    text = said(one_attack(none=[100, 101, 102, 110], mm=[95, 96, 97, 99]))
    assert "so none is needed against these attacks. The safest is MM-regression (mm)" in text
    assert "5% less than today's" in text
    assert "The error does not double at up to 16% bad rows, the highest rate tried." in text


@pytest.mark.parametrize(
    ("today", "said_first", "said_then"),
    [
        # The same prediction for every row has an error of 900 in each of these.
        (895, True, False),
        (850, True, True),
        (700, False, True),
        (400, False, False),
    ],
)
def test_it_compares_the_model_with_the_same_prediction_for_every_row(today, said_first, said_then):
    text = said(one_attack(none=[today, 701, 880 if today == 400 else 950, 990], mm=[today] * 4))
    first = "no better than" if today == 895 else "only a little better than"
    assert (f"That is {first} the same prediction for every row (900 euros)" in text) is said_first
    then = "The model is then worse than the same prediction for every row (900 euros)."
    assert (then in text) is said_then


def test_it_says_if_there_are_few_test_rows():
    results = table(one_attack(none=[100, 150, 250, 900], mm=[100, 105, 110, 120]))
    rough = "With so few rows, all these errors are rough."
    few = Answer(conclude(results.assign(n_test=49), 0.04), 0.16).paragraph()
    assert f"1,000 training rows and only 49 test rows). {rough}" in few
    assert rough not in Answer(conclude(results.assign(n_test=50), 0.04), 0.16).paragraph()


def test_without_a_unit_errors_are_shares_of_the_range():
    text = said(one_attack(none=[100, 150, 250, 900], mm=[100, 105, 110, 120]), unit=None)
    assert "a typical error of 10% of its range" in text
    assert "the error is 25% of its range, 2.5 times today's" in text


def test_the_ceiling_is_that_of_the_rate_of_the_answer():
    rows = table(one_attack(none=[100, 150, 250, 900], mm=[100, 105, 110, 120]))
    for rate, ceiling in zip(RATES, (0.5, 0.3, 0.9), strict=True):
        here = (rows["poisoning_rate"] == rate) & (rows["defense"] == "none")
        rows.loc[here, "test_mse_ceiling"] = ceiling**2
    assert conclude(rows, 0.04).ceiling == pytest.approx(300)  # a range of 1000 euros
