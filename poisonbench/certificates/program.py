"""The convex program whose solution gives the best multiplier and reference.

With zeta = m theta_r, the bound to be minimised is jointly convex in m and zeta:

    1/4 sum_i q_i^2 / (m - lambda_i) - b.zeta + l1 ||zeta_w||_1 + k + (p/4) E^2 / m,

    q = V'(A zeta + m b - 2 c),     E >= m R(zeta / m),

where V'AV = I and V'CV = diag(lambda) come from one generalised eigendecomposition.  E is described
by linear inequalities with one auxiliary variable for each free column and two for each one-hot
group:

    t_j >= 0, t_j >= zeta_j;     T_g >= zeta_j, U_g >= -zeta_j for j in g (>= 0 with all-zero);
    E >= zeta_b + sum t + sum T;     E >= m - zeta_b + sum (t - zeta) + sum U.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import linalg

from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.features import BoolArray, FloatArray, IntArray

MARGIN = 1e-6
"""How far m stays above the largest eigenvalue, relative to it."""

L1_MARGIN = 1e-3
"""How far m stays above the value at which the l1 terms of the loss and of the learner cancel,
relative to it."""

RANK_CUT = 1e-12
"""Eigenvalues below this share of the largest are treated as zero."""

UNSEEN = 1e-9
"""Largest share of the loss that may depend on directions in which the clean rows do not vary."""


class Proposal(NamedTuple):
    """A multiplier m, a reference theta_r, and the model theta_* that is worst for them."""

    multiplier: float
    reference: FloatArray
    peak: FloatArray


class Program:
    """The program of a problem and a loss, in units in which m has the order of magnitude 1.

    Parameters
    ----------
    problem : Poisoning
        The learner, its clean rows, the budget and the legal rows.
    loss : Loss
        The loss to bound.

    Attributes
    ----------
    scale : float
        The unit of m; the loss is divided by it.
    values : ndarray of shape (r,)
        lambda; r = d + 1 unless A is singular.
    V, P : ndarray of shape (d + 1, r) and (r, d + 1)
        V'AV = I, and P = V'A.
    null : ndarray of shape (d + 1, d + 1 - r)
        A basis of the null space of A.
    lowest : float
        The smallest m that is allowed.

    Raises
    ------
    ArithmeticError
        A is singular in directions in which C is not, or the loss does not depend on theta.
    """

    def __init__(self, problem: Poisoning, loss: Loss) -> None:
        self.problem, self.loss = problem, loss
        A, C = problem.hessian, loss.hessian
        self.null: FloatArray = np.empty((len(A), 0))
        if problem.l2:
            try:
                eigenvalues, self.V = linalg.eigh(C, A)
            except linalg.LinAlgError as error:
                raise ArithmeticError("the penalty is lost in rounding; expected a larger "
                                      "penalty") from error  # fmt: skip
            self.P = self.V.T @ A
        else:  # A may be singular, which is harmless in directions in which C is singular too
            values, vectors = linalg.eigh(A)
            kept = values > RANK_CUT * values[-1]
            root = np.sqrt(values[kept])
            self.null = vectors[:, ~kept]
            unseen = float(np.linalg.norm(C @ self.null))
            if unseen > UNSEEN * float(np.linalg.norm(C)) or (
                self.null.size and loss.share is None and not problem.l1
            ):
                raise ArithmeticError(
                    "the Gram matrix of the clean rows is singular, and the loss depends on "
                    "coefficients that the clean rows do not determine; expected a ridge penalty "
                    "or more rows"
                )
            eigenvalues, rotation = linalg.eigh(vectors[:, kept].T / root[:, None] @ C
                                                @ (vectors[:, kept] / root))  # fmt: skip
            self.V = vectors[:, kept] / root @ rotation
            self.P = rotation.T @ (vectors[:, kept] * root).T
        # The scale is the largest eigenvalue or, if the slope of the loss at the clean model
        # dominates, the best m for a linear loss with the clean model as the reference.
        beta, chi = self.V.T @ problem.moment, self.V.T @ loss.vector
        clean = self.V @ beta
        R = max(problem.legal.highest(clean), 1 - problem.legal.lowest(clean))
        slope = 2 * float(np.linalg.norm(eigenvalues * beta - chi))
        self.scale = max(float(eigenvalues[-1]), slope / (R * problem.n_poison**0.5))
        if not 0 < self.scale < np.inf:
            raise ArithmeticError("the loss does not depend on the model")
        self.values = eigenvalues / self.scale
        self.lowest = max(float(self.values[-1]), 0.0) + MARGIN
        if problem.l1:
            cancel = loss.l1 / problem.l1 / self.scale
            self.lowest = max(self.lowest, cancel * (1 + L1_MARGIN))

    def linear_terms(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return beta = V'(b - l1 u) and chi = V'(c - l1' u / 2), which stand for b and c in q."""
        beta = self.V.T @ (self.problem.moment - self.problem.l1 * u)
        chi = self.V.T @ (self.loss.vector - self.loss.l1 / 2 * u) / self.scale
        return beta, chi

    def proposal(self, zeta: FloatArray, m: float, q: FloatArray) -> Proposal:
        """Return the proposal that a point of the program stands for, in the loss's own units."""
        return Proposal(m * self.scale, zeta / m, self.V @ (q / (2 * (m - self.values))))


@dataclass(frozen=True)
class Inequalities:
    """The linear description of E, in x = (zeta, m, E) and auxiliary variables a.

    An inequality i other than the two of E contains at most one variable of x and one of a:

        signs[i] x[columns[i]] + a[owners[i]] + shift[i] >= 0.

    The last of these bounds m.  The two inequalities of E are outer'x - auxiliary'a >= 0.  An index
    one past the last variable means that there is none.
    """

    columns: IntArray
    signs: FloatArray
    owners: IntArray
    shift: FloatArray
    outer: FloatArray
    auxiliary: FloatArray
    cost: FloatArray
    auxiliary_cost: FloatArray
    n_free: int
    """Number of free columns, each of which has one auxiliary variable."""
    n_groups: int
    """Number of one-hot groups, each of which has two auxiliary variables.  If l1 > 0, each column
    of a group has one more."""

    @cached_property
    def grouped(self) -> BoolArray:
        """Which inequalities join a column of a one-hot group with a variable of the group."""
        end = self.n_free + 2 * self.n_groups
        in_group = (self.owners >= self.n_free) & (self.owners < end)
        return in_group & (self.columns < len(self.cost))

    def slopes(self, x: FloatArray, a: FloatArray) -> FloatArray:
        """Return the left-hand sides without ``shift``; those of E are last."""
        inner = self.signs * np.append(x, 0.0)[self.columns] + np.append(a, 0.0)[self.owners]
        return np.concatenate([inner, self.outer.T @ x - self.auxiliary.T @ a])

    def slacks(self, x: FloatArray, a: FloatArray) -> FloatArray:
        """Return the left-hand sides, nonnegative if the inequalities hold; those of E are last."""
        left = self.slopes(x, a)
        left[: len(self.shift)] += self.shift
        return left

    def onto_x(self, values: FloatArray) -> FloatArray:
        """Return the weighted sum of the inequalities' coefficients of x, without those of E."""
        sums = np.bincount(self.columns, self.signs * values, len(self.cost) + 1)
        return sums[:-1].astype(np.float64)

    def onto_a(self, values: FloatArray) -> FloatArray:
        """Return the same for a."""
        sums = np.bincount(self.owners, values, len(self.auxiliary_cost) + 1)
        return sums[:-1].astype(np.float64)


def inequalities(program: Program) -> Inequalities:
    """Return the description of E, and the linear costs of l1 ||zeta_w||_1 - b.zeta."""
    problem = program.problem
    legal, l1, b = problem.legal, problem.l1, problem.moment
    d, F, n_groups = len(b) - 1, len(legal.free), len(legal.all_zero)
    zero = np.flatnonzero(legal.all_zero)
    weights = legal.choices if l1 else legal.choices[:0]
    n_auxiliary = F + 2 * n_groups + len(weights)
    t, T = np.arange(F), F + legal.group_of
    U, absolute = T + n_groups, F + 2 * n_groups + np.arange(len(weights))
    no_column, no_owner = d + 3, np.array([n_auxiliary])
    blocks = [
        (np.full(F, no_column), 0.0, t),
        (legal.free, -1.0, t),
        (legal.choices, -1.0, T),
        (np.full(len(zero), no_column), 0.0, F + zero),
        (legal.choices, 1.0, U),
        (np.full(len(zero), no_column), 0.0, F + n_groups + zero),
        (weights, -1.0, absolute),
        (weights, 1.0, absolute),
        (np.array([d + 1]), 1.0, no_owner),
    ]
    signs = np.concatenate([np.full(len(block[0]), block[1]) for block in blocks])
    shift = np.zeros(len(signs))
    shift[-1] = -program.lowest
    outer = np.zeros((d + 3, 2))
    outer[d] = -1.0, 1.0
    outer[d + 1, 1] = -1.0
    outer[d + 2] = 1.0
    outer[legal.free, 1] = 1.0
    auxiliary = np.zeros((n_auxiliary, 2))
    auxiliary[:F] = 1.0
    auxiliary[F : F + n_groups, 0] = auxiliary[F + n_groups : F + 2 * n_groups, 1] = 1.0
    cost, auxiliary_cost = np.append(-b, [0.0, 0.0]), np.zeros(n_auxiliary)
    if l1:  # |zeta_j| = 2 max(zeta_j, 0) - zeta_j
        cost[legal.free] -= l1
        auxiliary_cost[:F] = 2 * l1
        auxiliary_cost[absolute] = l1
    return Inequalities(
        np.concatenate([block[0] for block in blocks]),
        signs,
        np.concatenate([block[2] for block in blocks]),
        shift,
        outer,
        auxiliary,
        cost,
        auxiliary_cost,
        F,
        n_groups,
    )
