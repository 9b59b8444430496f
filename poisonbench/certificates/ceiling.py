"""A ceiling: a proved bound on how bad any p legal poison rows can make a learner.

Let the clean rows be z_i = (x_i, 1) with responses y_i, and let A = sum z z' + l2 D and
b = sum y z.  A learner trained on these and on poison rows satisfies
A theta - b + l1 v = sum_c z_c s_c, where v is a subgradient of ||w||_1 and s_c = y_c - z_c.theta
are the residuals of the poison rows.  For any reference theta_r, with e_c = y_c - z_c.theta_r,

    (theta - theta_r).(A theta - b) + l1 ||w||_1 - l1 ||w_r||_1
        <= sum_c (e_c - s_c) s_c <= sum_c e_c^2 / 4 <= (p/4) R(theta_r)^2,

where R(theta_r) is the largest residual of any legal point (``legal_set``).  To bound a loss
W(theta), subtract m times the left side and add m (p/4) R^2, for some m > 0.  If m is so large
that the result is concave in theta, its maximum is a bound on W for every poison set.  For ridge
and W = theta'C theta - 2 c.theta + k,

    W(theta) <= 1/4 || m A theta_r + m b - 2c ||^2_{(mA - C)^-1} - m b.theta_r + k + m (p/4) R^2.

The bound also holds for copies of rows, fractional weights and fewer than p rows.  It does not hold
if clean rows are deleted or changed, if the strength is selected on the poisoned rows, or if there
is a defense.

The reported bound is the one that m and theta_r prove (``check``).  A solver only proposes them; if
it does so badly, the bound becomes looser but remains true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from poisonbench.certificates import cone_program, interior_point
from poisonbench.certificates.check import proved
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.certificates.program import Proposal
from poisonbench.features import FloatArray


class NoCeilingError(ValueError):
    """No ceiling is known for this learner and loss; the message says why."""


@dataclass(frozen=True)
class Ceiling:
    """A bound that no p legal poison rows can exceed, and its proof.

    Parameters
    ----------
    bound : float
        The ceiling on the loss, including an allowance for rounding.
    multiplier : float
        m.
    reference : ndarray of shape (d + 1,)
        theta_r.
    peak : ndarray of shape (d + 1,)
        theta_*, the model at which the concave function is largest; there need not be poison that
        leads to it.
    reach : float
        R(theta_r), rounded up.
    slack : float
        The part of ``bound`` that allows for rounding and for an inexact theta_*.
    solver : str
        The solver that proposed m, theta_r and theta_*.
    """

    bound: float
    multiplier: float
    reference: FloatArray
    peak: FloatArray
    reach: float
    slack: float
    solver: str


SOLVERS = {"interior-point": interior_point.proposals, "clarabel": cone_program.proposals}
"""The solvers that propose multipliers and references; Clarabel needs the extra ``certify``."""


def ceiling(problem: Poisoning, loss: Loss, solver: str = "interior-point") -> Ceiling:
    """Return the ceiling on `loss`.

    Parameters
    ----------
    problem : Poisoning
        The learner, its clean rows, the budget p > 0 and the legal rows.
    loss : Loss
        The loss to bound.
    solver : {"interior-point", "clarabel"}, default="interior-point"
        The solver that proposes m and theta_r.

    Raises
    ------
    NoCeilingError
        No ceiling is known, because this method gives no finite bound on the loss, or because the
        problem is too ill-conditioned for a proof in double precision.
    """
    if not problem.n_poison > 0:
        raise ValueError(f"n_poison is {problem.n_poison}, expected a positive budget")
    try:
        proposals = SOLVERS[solver](problem, loss)
    except (ArithmeticError, linalg.LinAlgError) as error:
        raise NoCeilingError(f"no ceiling: {error}") from error
    found = [_checked(problem, loss, proposal, solver) for proposal in proposals]
    best = min(found, key=lambda candidate: candidate.bound)
    if not np.isfinite(best.bound):
        raise NoCeilingError(
            "no ceiling: double precision is not sufficient to prove one; expected a larger penalty"
        )
    return best


def curve(
    problem: Poisoning, loss: Loss, budgets: Sequence[float], solver: str = "interior-point"
) -> list[Ceiling]:
    """Return the ceilings for several budgets; they never decrease as the budget grows.

    The proof of a ceiling for one budget also proves a lower ceiling for every smaller budget.

    Parameters
    ----------
    problem : Poisoning
        The learner, with the same strength for every budget; ``n_poison`` is not used.
    loss : Loss
        The loss to bound.
    budgets : sequence of float
        Values of p.
    solver : str, default="interior-point"
        See :func:`ceiling`.
    """
    found: dict[float, Ceiling] = {}
    larger: Ceiling | None = None
    for p in sorted(set(budgets), reverse=True):
        smaller = replace(problem, n_poison=p)
        best = ceiling(smaller, loss, solver)
        if larger is not None:
            proposal = Proposal(larger.multiplier, larger.reference, larger.peak)
            again = _checked(smaller, loss, proposal, solver)
            best = min(best, again, key=lambda candidate: candidate.bound)
        found[p] = larger = best
    return [found[p] for p in budgets]


def _checked(problem: Poisoning, loss: Loss, proposal: Proposal, solver: str) -> Ceiling:
    """Return the ceiling that a proposal proves."""
    checked = proved(problem, loss, *proposal)
    return Ceiling(checked.bound, *proposal, checked.reach, checked.slack, solver)
