"""Statistics over a few seeds: paired differences with confidence intervals and p-values.

Two methods are compared on the same splits and the same poison, so what counts is their difference
for each seed and not the spread of each method.  The interval is the bias-corrected and accelerated
(BCa) bootstrap interval of the mean difference.

Splits of one data set share rows, so the differences of different seeds are correlated, and a
plain t-test rejects far too often.  The p-values are therefore those of the corrected resampled
t-test, which replaces the variance s^2/k of a mean over k splits by (1/k + n_test/n_train) s^2.
For several p-values, Holm's step-down adjustment keeps the probability of any false rejection below
the level.

References
----------
Efron, "Better bootstrap confidence intervals", JASA 1987; Nadeau and Bengio, "Inference for the
generalization error", Machine Learning 2003; Holm, "A simple sequentially rejective multiple test
procedure", Scandinavian Journal of Statistics 1979.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

LEAST_FOR_INTERVAL = 5
"""Smallest number of differences for which an interval is given; with fewer, the bootstrap has too
few distinct resamples to reach its nominal level."""

RESAMPLES = 9999
"""Number of bootstrap resamples, SciPy's default."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A paired difference, second minus first.

    Parameters
    ----------
    count : int
        Number of pairs.
    mean : float
        Mean difference.
    low, high : float or None
        Ends of its 95% confidence interval; None with fewer than five pairs.
    p_value : float or None
        Two-sided, of the corrected resampled t-test; None with fewer than two pairs.
    """

    count: int
    mean: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def beyond_noise(self) -> bool | None:
        """Whether the interval excludes 0; None if there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


def paired(first: FloatArray, second: FloatArray, n_train: int, n_test: int) -> Difference:
    """Return the difference of two methods over the same seeds.

    Parameters
    ----------
    first, second : ndarray of shape (k,)
        A measure of each method in k seeds, in the same order.
    n_train, n_test : int
        Numbers of training and test rows of a split, for the p-value.
    """
    differences = second - first
    low, high = bca_interval(differences) or (None, None)
    return Difference(
        len(differences),
        float(differences.mean()),
        low,
        high,
        corrected_t_test(differences, n_train, n_test),
    )


def bca_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float] | None:
    """Return the BCa bootstrap interval of a mean.

    Parameters
    ----------
    values : ndarray of shape (k,)
        The sample.
    level : float, default=0.95
        Confidence level.

    Returns
    -------
    tuple of (float, float) or None
        Its ends; None with fewer than five values.  If all values are the same, both ends are
        that value.
    """
    if len(values) < LEAST_FOR_INTERVAL:
        return None
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # the acceleration would be 0/0
        return float(values.mean()), float(values.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="BCa",
            random_state=0,  # so that the same results give the same report
        ).confidence_interval
    if not np.isfinite([found.low, found.high]).all():
        return None
    return float(found.low), float(found.high)


def corrected_t_test(differences: FloatArray, n_train: int, n_test: int) -> float | None:
    """Return the two-sided p-value of the corrected resampled t-test.

    Parameters
    ----------
    differences : ndarray of shape (k,)
        Differences of two methods over k splits of one data set.
    n_train, n_test : int
        Numbers of training and test rows of a split.

    Returns
    -------
    float or None
        The p-value, with k - 1 degrees of freedom; None with fewer than two differences.  If
        all differences are the same it is 0, or 1 if they are all 0.
    """
    k = len(differences)
    if k < 2:
        return None
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    if variance == 0:
        return float(mean == 0)
    t = mean / np.sqrt((1 / k + n_test / n_train) * variance)
    return float(2 * stats.t.sf(abs(t), k - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    scaled = (len(p_values) - np.arange(len(p_values))) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]
