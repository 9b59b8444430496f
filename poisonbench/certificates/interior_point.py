"""The best multiplier and reference, by a primal-dual interior-point method in NumPy and SciPy.

The auxiliary variables of the program (``program``) are eliminated by divisions, so a Newton step
costs one factorisation of size d + 3.  The steps are those of Mehrotra (1992): a predictor, a
centring parameter chosen from it, and a corrector with the same factorisation.

For LASSO and elastic net, the concave function to be maximised over theta has a term
-(m l1 - l1') ||w||_1, where l1' is the loss's own l1.  If this is replaced by -(m l1 - l1') u.w
with any vector u in [-1, 1], the function is quadratic again, with b - l1 u and c - l1' u / 2 in
place of b and c in q.  The best u for a multiplier and a reference is the subgradient at the
maximum, which a LASSO problem gives.  The method alternates between the two problems.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.certificates.program import Inequalities, Program, Proposal, inequalities
from poisonbench.features import FloatArray
from poisonbench.models.engines.active_set import solve_elastic_net

ITERATIONS = 60

GAP = 1e-6
"""The method has converged when the complementarity and the gain of a step, relative to the bound,
are below this."""

SHORT = 1e-7
"""If a step must be shorter than this, rounding errors prevent further progress."""

TURNS = 4
"""How often the method alternates between the two problems of LASSO and elastic net."""


def proposals(problem: Poisoning, loss: Loss) -> list[Proposal]:
    """Return candidates for the best multiplier and reference.

    Parameters
    ----------
    problem : Poisoning
        The learner, its clean rows, the budget and the legal rows.
    loss : Loss
        The loss to bound.

    Raises
    ------
    ArithmeticError
        As for :class:`Program`.
    """
    program = Program(problem, loss)
    if not problem.l1:
        return _minimised(program, np.zeros(len(problem.moment)))
    found: list[Proposal] = []
    theta = _sparse_fit(problem.hessian, problem.moment, problem.l1)
    pull, weight = problem.moment - problem.hessian @ theta, problem.l1
    for _ in range(TURNS):
        u = np.clip(pull / weight, -1, 1)
        u[-1] = 0.0
        proposal = _minimised(program, u)[-1]
        m, reference = proposal.multiplier, proposal.reference
        S = m * problem.hessian - loss.hessian
        v = m * (problem.hessian @ reference + problem.moment) - 2 * loss.vector
        weight = m * problem.l1 - loss.l1
        theta = _sparse_fit(2 * S, v, weight)
        pull = v - 2 * S @ theta
        found.append(Proposal(m, reference, theta))
    return found


def _sparse_fit(G: FloatArray, b: FloatArray, l1: float) -> FloatArray:
    """Minimise theta'G theta / 2 - b.theta + l1 ||w||_1 over theta = (w, intercept)."""
    border, corner = G[:-1, -1], G[-1, -1]
    solution = solve_elastic_net(
        G[:-1, :-1] - np.outer(border, border) / corner,
        b[:-1] - border * (b[-1] / corner),
        l1,
        0.0,
        np.zeros(len(border)),
    )
    return np.append(solution, (b[-1] - border @ solution) / corner)


class _Newton:
    """The Newton equations at an iterate, factorised once for the predictor and the corrector.

    Parameters
    ----------
    given : Inequalities
        The linear description of E.
    H : ndarray of shape (d + 3, d + 3)
        Second derivatives of the objective in (zeta, m, E); overwritten.
    weights : ndarray
        Dual variable divided by slack, for each inequality; the two inequalities of E are last.
    """

    def __init__(self, given: Inequalities, H: FloatArray, weights: FloatArray) -> None:
        self.given, self.inner = given, weights[:-2]
        self.own = given.onto_a(self.inner)  # second derivatives in the auxiliary variables
        diagonal = given.onto_x(given.signs * self.inner)
        # Eliminating them subtracts a diagonal for those with one column each, and a matrix of
        # rank one for each of those that belong to a group.
        single = self.inner * given.signs * ~given.grouped
        diagonal -= given.onto_x(given.signs * single * self._per_owner(single))
        H[np.diag_indices_from(H)] += diagonal
        rows = given.grouped
        groups = np.zeros((len(H), 2 * given.n_groups))
        owners = given.owners[rows]
        groups[given.columns[rows], owners - given.n_free] = self.inner[rows] / np.sqrt(
            self.own[owners]
        )
        H -= groups @ groups.T
        # The two inequalities of E contain all auxiliary variables, so they add two unknowns.
        scaled = given.auxiliary / self.own[:, None]
        self.B = given.outer + np.stack([self._couple(column) for column in scaled.T], axis=1)
        self.capacity = np.linalg.inv(np.diag(1 / weights[-2:]) + given.auxiliary.T @ scaled)
        H += self.B @ self.capacity @ self.B.T
        H[np.diag_indices_from(H)] *= 1 + 1e-13
        self.factor = linalg.cho_factor(H, overwrite_a=True, check_finite=False)

    def _per_owner(self, values: FloatArray) -> FloatArray:
        """Return, for each inequality, the sum of its auxiliary variable's values / ``own``."""
        return np.append(self.given.onto_a(values) / self.own, 0.0)[self.given.owners]

    def _couple(self, a: FloatArray) -> FloatArray:
        """Return the mixed second derivatives in x and a, multiplied by `a`."""
        return self.given.onto_x(self.inner * np.append(a, 0.0)[self.given.owners])

    def __call__(
        self, gradient: FloatArray, target: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the steps of x, of a and of the slacks.

        Parameters
        ----------
        gradient : ndarray of shape (d + 3,)
            The gradient of the objective in (zeta, m, E).
        target : ndarray
            The dual variables for which the slacks would not move.
        """
        given, own = self.given, self.own
        main = given.onto_x(target[:-2]) + given.outer @ target[-2:] - gradient
        side = given.onto_a(target[:-2]) - given.auxiliary @ target[-2:] - given.auxiliary_cost
        pull = -given.auxiliary.T @ (side / own)
        right = main - self._couple(side / own) - self.B @ (self.capacity @ pull)
        dx = linalg.cho_solve(self.factor, right, check_finite=False)
        outer = self.capacity @ (self.B.T @ dx + pull)
        moved = given.onto_a(self.inner * given.signs * np.append(dx, 0.0)[given.columns])
        da = (side + given.auxiliary @ outer - moved) / own
        return dx, da, given.slopes(dx, da)


def _minimised(program: Program, u: FloatArray) -> list[Proposal]:
    """Return the starting point of the interior-point method and the best point that it found."""
    problem, values, V, P = program.problem, program.values, program.V, program.P
    p, d = problem.n_poison, len(u) - 1
    beta, chi = program.linear_terms(u)
    constant = program.loss.constant / program.scale
    given = inequalities(program)

    def numerator(zeta: FloatArray, m: float) -> FloatArray:
        return np.asarray(P @ zeta + m * beta - 2 * chi)

    def bound(zeta: FloatArray, m: float) -> float:
        legal, w = problem.legal, np.abs(zeta[:-1]).sum()
        R = max(legal.highest(zeta / m), 1 - legal.lowest(zeta / m))
        quadratic = (numerator(zeta, m) ** 2 / (m - values)).sum() / 4
        linear = problem.l1 * w - problem.moment @ zeta
        return float(quadratic + linear + constant + m * p / 4 * R * R)

    def merit(x: FloatArray, a: FloatArray, s: FloatArray, centre: float) -> float:
        if s.min() <= 0:
            return float(np.inf)
        m, E = x[-2], x[-1]
        quadratic = (numerator(x[:-2], m) ** 2 / (m - values)).sum() / 4 + p / 4 * E * E / m
        linear = given.cost @ x + given.auxiliary_cost @ a
        return float(quadratic + linear - centre * np.log(s).sum())

    def clean(m: float) -> FloatArray:
        # The best choice without poison, for which the worst model is the clean one.
        return np.asarray(V @ (m * beta - 2 * (values * beta - chi)))

    trials = program.lowest + np.logspace(-3, 3, 25)
    m = float(min(trials, key=lambda m: bound(clean(m), m)))
    x = np.concatenate([clean(m), [m, 0.0]])
    start = program.proposal(x[:-2], m, numerator(x[:-2], m))
    room = 0.1 * m
    a = np.full(len(given.auxiliary), -np.inf)
    np.maximum.at(a, given.owners[:-1], -given.slopes(x, np.zeros(len(a)))[:-3])
    a += room
    x[-1] = (given.auxiliary.T @ a - given.outer.T @ x).max() + room
    best, best_bound = (x[:-2].copy(), m), bound(x[:-2], m)

    s = given.slacks(x, a)
    duals = p / 4 * x[-1] / m * room / s
    gain = np.inf
    for _ in range(ITERATIONS):
        m, E = x[-2], x[-1]
        gaps = m - values
        r = numerator(x[:-2], m) / gaps
        gradient = given.cost.copy()
        gradient[:-2] += P.T @ r / 2
        gradient[-2] += (r * beta / 2 - r * r / 4).sum() - p / 4 * (E / m) ** 2
        gradient[-1] += p / 2 * E / m
        mean = float(duals @ s) / len(s)
        if max(mean * len(s), gain) < GAP * abs(best_bound):
            break
        # Second derivatives of the objective; _Newton adds those of the inequalities.
        H = np.empty((d + 3, d + 3))
        half = P * np.sqrt(0.5 / gaps)[:, None]
        H[:-2, :-2] = half.T @ half
        mixed = P.T @ ((beta - r) / gaps) / 2
        H[:-2, -2] = H[-2, :-2] = mixed
        H[:-2, -1] = H[-1, :-2] = 0.0
        H[-2, -2] = ((beta - r) ** 2 / gaps).sum() / 2 + p / 2 * E * E / m**3
        H[-2, -1] = H[-1, -2] = -p / 2 * E / m**2
        H[-1, -1] = p / 2 / m
        weights = duals / s
        newton = _Newton(given, H, weights)
        ds = newton(gradient, np.zeros_like(s))[2]
        dd = -duals - weights * ds
        step = min(_longest(s, ds), _longest(duals, dd))
        predicted = float((s + step * ds) @ (duals + step * dd)) / len(s)
        centre = mean * (predicted / mean) ** 3
        for correction in (ds * dd, 0.0):
            target = (centre - correction) / s
            dx, da, ds = newton(gradient, target)
            dd = target - duals - weights * ds
            slope = float(gradient @ dx + given.auxiliary_cost @ da - centre * (ds / s).sum())
            if slope < 0:  # always true without the second-order correction
                break
        step = min(1.0, 0.99 * min(_longest(s, ds), _longest(duals, dd)))
        # Near the smallest m the objective is far from quadratic, and a full step can increase it.
        before = merit(x, a, s, centre)
        while step > SHORT:
            tried = given.slacks(x + step * dx, a + step * da)
            after = merit(x + step * dx, a + step * da, tried, centre)
            if after <= before + 0.01 * step * slope:
                break
            step /= 2
        else:
            break
        x, a, duals, s = x + step * dx, a + step * da, duals + step * dd, tried
        reached = bound(x[:-2], float(x[-2]))
        gain = best_bound - reached
        if gain > 0:
            best, best_bound = (x[:-2].copy(), float(x[-2])), reached
    return [start, program.proposal(*best, numerator(*best))]


def _longest(values: FloatArray, steps: FloatArray) -> float:
    """Return the longest step, at most 1, that makes no value negative."""
    falling = steps < 0
    return float(min(1.0, (values[falling] / -steps[falling]).min(initial=1.0)))
