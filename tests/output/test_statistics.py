"""Paired differences, intervals and p-values, against scipy, hand-worked cases and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from poisonbench.output.statistics import bca_interval, corrected_t_test, holm, paired


def test_a_difference_is_the_second_less_the_first_with_scipys_interval():
    first, second = np.array([1.0, 2, 3, 4, 5, 6]), np.array([1.5, 2.1, 3.9, 4.2, 5.3, 6.8])
    found = paired(first, second, 300, 500)
    expected = stats.bootstrap(
        (second - first,), np.mean, method="BCa", n_resamples=9999, random_state=0
    ).confidence_interval
    assert found.count == 6
    assert found.mean == pytest.approx(2.8 / 6)
    assert (found.low, found.high) == (expected.low, expected.high)
    assert found.beyond_noise


def test_the_corrected_t_test_by_hand():
    # mean 2, variance 2.5, k = 5, test/train = 1/2: t = 2 / sqrt(.7 * 2.5) = 1.5119
    differences = np.array([0.0, 1, 2, 3, 4])
    assert corrected_t_test(differences, 100, 50) == pytest.approx(
        2 * stats.t.sf(2 / np.sqrt(1.75), 4)
    )
    assert corrected_t_test(differences, 100, 50) == pytest.approx(0.2051, abs=1e-4)


def test_without_test_rows_the_corrected_t_test_is_the_plain_one():
    differences = np.array([0.3, -0.1, 0.5, 0.2])
    assert corrected_t_test(differences, 10, 0) == pytest.approx(
        stats.ttest_1samp(differences, 0).pvalue
    )


def test_equal_differences_leave_nothing_to_chance():
    assert corrected_t_test(np.full(4, 0.0), 3, 5) == 1
    assert corrected_t_test(np.full(4, 2.0), 3, 5) == 0
    assert bca_interval(np.full(6, 2.0)) == (2, 2)


def test_too_few_seeds_have_no_interval_and_one_has_no_p_value():
    found = paired(np.zeros(1), np.ones(1), 3, 5)
    assert found.low is found.high is found.p_value is found.beyond_noise is None
    assert bca_interval(np.arange(4.0)) is None


def test_holm_by_hand():
    # 3 x .01, max(that, 2 x .03), max(that, 1 x .04): in the order given
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_adjustment_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = np.array(holm(p_values))
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    assert adjusted.min() <= min(1, len(p_values) * min(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_the_interval_covers_the_mean(draw):
    rng = np.random.default_rng(0)
    true = 0.0 if draw == "normal" else float(np.exp(0.125))
    repetitions, k, covered = 400, 20, 0
    for _ in range(repetitions):
        sample = rng.standard_normal(k) if draw == "normal" else rng.lognormal(sigma=0.5, size=k)
        low, high = bca_interval(sample)
        covered += low <= true <= high
    # Nominal .95; of 20 values the BCa interval has about .92, by Efron and Tibshirani's studies.
    assert 0.88 <= covered / repetitions <= 0.98


@pytest.mark.slow
def test_the_corrected_test_rejects_a_true_null_seldom_where_the_plain_one_does_often():
    rng = np.random.default_rng(1)
    repetitions, k, n, m = 400, 10, 40, 20
    plain = corrected = 0
    for _ in range(repetitions):
        # The difference of two rules that are equally good, on k splits of the same rows.
        rows = rng.standard_normal(n + m)
        differences = np.array([rng.permutation(rows)[:m].mean() for _ in range(k)])
        plain += stats.ttest_1samp(differences, 0).pvalue < 0.05
        corrected += corrected_t_test(differences, n, m) < 0.05
    assert plain / repetitions > 0.15
    assert corrected / repetitions < 0.10
