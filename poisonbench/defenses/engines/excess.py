"""Estimate the number of bad rows: the residuals beyond what the other residuals lead to expect.

Without poison, residuals may have heavy tails, as those of prices have, so a normal distribution is
no yardstick; and the tails may differ.  On each side of the median, the reference is a Student t
distribution whose ratio of two inner quantiles is that of the residuals on this side.  The estimate
is the largest excess of the observed tail over the expected tail,

    sup_t (F0(t) - F(t)),    t beyond the outer quantile,

as in the adaptive cut of Gervini and Yohai, "A class of robust and fully efficient regression
estimators", 2002, where F0 is normal.  An excess that chance may explain counts as none.

Bad rows that were made in the same way often lie together, apart from all others.  So a second
estimate is the largest k for which the k largest residuals are separated from the others by a gap
that a heavy tail would not leave.  In a tail P(R > t) ~ 1/t, the ratio of the k-th largest size to
the next is g or more with probability g^-k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from poisonbench.defenses.engines.core import find_core, rounding_scale
from poisonbench.defenses.engines.fits import Refits
from poisonbench.features import FloatArray

CORE = 0.75
"""Share of the rows of the first fit, which need not know the share of poison."""

INNER, OUTER = 0.5, 0.75
"""The quantiles of the absolute residuals whose ratio gives the degrees of freedom."""

DEGREES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 1000.0)
"""The degrees of freedom to choose from."""

BEYOND = 0.05
"""Only the part of the tail with at most this expected share is compared."""

CHANCE = 4.0
"""An excess is no evidence if it is below this many standard deviations of the number of rows."""

TAIL = 0.6
"""A gap counts only beyond this quantile of the sizes, where the tail falls at least like 1/t."""

GAP_CHANCE = 1e-2
"""Probability of a gap by chance, over all k together, if the tail is as heavy as 1/t."""

SAME_ROWS = 2
"""An excess counts if it is at least this many times the number of rows beyond a gap."""

FEWEST = 3
"""An excess of fewer rows than this is no evidence; only a gap can be."""


@dataclass(frozen=True)
class Excess:
    """The rows that are beyond what the other residuals lead to expect.

    Parameters
    ----------
    n_rows : int
        Their estimated number; 0 if there is no evidence of any.
    degrees : float
        Degrees of freedom of the reference distribution; 1000 means normal.
    """

    n_rows: int
    degrees: float


def estimated_excess(engine: Refits, rng: np.random.RandomState) -> Excess:
    """Return the estimated number of bad rows among those of `engine`.

    Parameters
    ----------
    engine : Refits
        The learner and the rows.
    rng : RandomState
        Draws the starts of the first fit, least trimmed squares on three quarters of the rows.
    """
    residual = find_core(engine, CORE, None, rng).residual
    return excess(residual, rounding_scale(engine.y))


def excess(residual: FloatArray, nothing: float = 0.0) -> Excess:
    """Return how many residuals are beyond what the others lead to expect.

    Parameters
    ----------
    residual : ndarray of shape (N,)
        Residuals of a robust fit.
    nothing : float
        Residuals up to this size are rounding errors.

    Examples
    --------
    The residuals are normal, except for 50 of 1000.

    >>> import numpy as np
    >>> residual = np.random.default_rng(0).standard_normal(1000)
    >>> excess(residual).n_rows
    0
    >>> residual[:50] += 8
    >>> 45 <= excess(residual).n_rows <= 55
    True
    """
    centred = residual - np.median(residual)
    if np.quantile(np.abs(centred), OUTER) <= nothing:
        # Most rows are fitted exactly, and every other one stands out.
        return Excess(int((np.abs(centred) > nothing).sum()), DEGREES[-1])
    nothing = max(nothing, np.finfo(float).tiny)
    sides = [_one_side(np.sort(side), nothing) for side in (centred[centred >= 0],
                                                             -centred[centred < 0])]  # fmt: skip
    n_rows = sum(side.n_rows for side in sides)
    return Excess(n_rows, min(side.degrees for side in sides))


def _one_side(size: FloatArray, nothing: float) -> Excess:
    """Return the excess among the residuals on one side of the median, sorted by their size."""
    n = len(size)
    if n < FEWEST:
        return Excess(0, DEGREES[-1])
    inner, outer = np.maximum(np.quantile(size, [INNER, OUTER]), nothing)
    ratio = outer / inner
    # The quantiles of the absolute value.
    expected = [student.ppf((1 + OUTER) / 2, df) / student.ppf((1 + INNER) / 2, df)
                for df in DEGREES]  # fmt: skip
    fitting = [df for df, value in zip(DEGREES, expected, strict=True) if value >= ratio]
    degrees = max(fitting, default=DEGREES[0])
    scale = outer / student.ppf((1 + OUTER) / 2, degrees)
    tail = 2 * student.sf(size / scale, degrees)  # the expected share beyond each residual
    observed = (n - np.arange(n)) / n
    more = np.where(tail <= BEYOND, (observed - tail) * n, 0.0)
    evidence = more > CHANCE * np.sqrt(tail * n + 1)
    n_beyond = round(float(np.where(evidence, more, 0.0).max()))
    n_apart = _beyond_gap(size)
    # If both are about the same rows, the gap tells them exactly.
    n_rows = n_apart if n_beyond < max(FEWEST, SAME_ROWS * n_apart) else n_beyond
    return Excess(n_rows, degrees)


def _beyond_gap(size: FloatArray) -> int:
    """Return how many of the sorted sizes lie beyond a gap in the tail; 0 if there is none."""
    n = len(size)
    log = np.log(np.maximum(size, np.finfo(float).tiny))
    k = n - np.arange(1, n)  # the number of sizes beyond the gap before each of them
    wide = (k * np.diff(log) > np.log(n / GAP_CHANCE)) & (size[:-1] >= np.quantile(size, TAIL))
    return int(k[wide].max(initial=0))
