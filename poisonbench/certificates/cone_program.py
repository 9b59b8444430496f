"""The best multiplier and reference, by a cone program that Clarabel solves (extra ``certify``).

This is the program of ``program`` with an upper bound tau_i for each q_i^2 / (m - lambda_i) and one
for E^2 / m; all of these are rotated second-order cones.  For LASSO and elastic net, the term
-(m l1 - l1') ||w||_1 is dual to a variable v with |v_j| <= m l1 - l1', which is subtracted in
q = V'(A zeta + m b - 2c - v).  So the two problems between which ``interior_point`` alternates are
solved as one.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.certificates.program import Program, Proposal, inequalities


def proposals(problem: Poisoning, loss: Loss) -> list[Proposal]:
    """Return the best multiplier and reference.

    Parameters
    ----------
    problem : Poisoning
        The learner, its clean rows, the budget and the legal rows.
    loss : Loss
        The loss to bound.

    Raises
    ------
    ArithmeticError
        As for :class:`Program`, or Clarabel finds no solution.
    ImportError
        Clarabel is not installed.
    """
    import clarabel

    program = Program(problem, loss)
    given = inequalities(program)
    b, r = problem.moment, len(program.values)
    beta, chi = program.linear_terms(np.zeros(len(b)))
    # The variables: zeta, m, E; the auxiliary variables; tau; the bound on E^2 / m; v if l1 > 0.
    n_main, n_auxiliary = len(b) + 2, len(given.auxiliary)
    n_dual = len(b) - 1 if problem.l1 else 0
    tau = n_main + n_auxiliary
    v = tau + r + 1
    n_variables = v + n_dual
    cost = np.zeros(n_variables)
    cost[:n_main], cost[n_main:tau] = given.cost, given.auxiliary_cost
    cost[tau : tau + r] = 0.25
    cost[tau + r] = problem.n_poison / 4

    def wide(block: sparse.csr_array, at: int) -> sparse.csr_array:
        """Return a block of rows whose columns begin at column `at` of all variables."""
        coo = sparse.coo_array(block)
        shape = (block.shape[0], n_variables)
        return sparse.csr_array((coo.data, (coo.row, coo.col + at)), shape=shape)

    def entry(column: int, value: float = 1.0) -> sparse.csr_array:
        return sparse.csr_array(([value], ([0], [column])), shape=(1, n_variables))

    # The left-hand sides F x + f, in the order of their cones.
    where, owned = (np.flatnonzero(index < end) for index, end in
                    ((given.columns, n_main), (given.owners, n_auxiliary)))  # fmt: skip
    inner = sparse.csr_array(
        (
            np.concatenate([given.signs[where], np.ones(len(owned))]),
            (
                np.concatenate([where, owned]),
                np.concatenate([given.columns[where], n_main + given.owners[owned]]),
            ),
        ),
        shape=(len(given.shift), n_variables),
    )
    outer = wide(sparse.csr_array(given.outer.T), 0) - wide(
        sparse.csr_array(given.auxiliary.T), n_main
    )
    blocks, shifts = [inner, outer], [given.shift, np.zeros(2)]
    cones = [clarabel.NonnegativeConeT(len(given.shift) + 2)]
    m, E = n_main - 2, n_main - 1
    dense = np.zeros((r, n_variables))
    dense[:, : len(b)] = program.P
    dense[:, m] = beta
    if n_dual:
        dense[:, v:] = -program.V[:-1].T
        budget = sparse.vstack([entry(m, problem.l1)] * n_dual, format="csr")
        own = wide(sparse.eye_array(n_dual, format="csr"), v)
        blocks += [budget - own, budget + own]
        shifts += [np.full(2 * n_dual, -loss.l1 / program.scale)]
        cones.append(clarabel.NonnegativeConeT(2 * n_dual))
        if program.null.size:
            blocks.append(wide(sparse.csr_array(program.null[:-1].T), v))
            shifts.append(np.zeros(program.null.shape[1]))
            cones.append(clarabel.ZeroConeT(program.null.shape[1]))
    Q = sparse.csr_array(2 * dense)
    # q^2 <= tau (m - lambda) as || (2 q, tau - m + lambda) || <= tau + m - lambda.
    for i, value in enumerate([*program.values, 0.0]):
        top, middle = (Q[[i]], -4 * chi[i]) if i < r else (entry(E, 2.0), 0.0)
        gap, level = entry(m), entry(tau + i)
        blocks += [level + gap, level - gap, top]
        shifts.append(np.array([-value, value, middle]))
        cones.append(clarabel.SecondOrderConeT(3))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix((n_variables, n_variables)),
        cost,
        sparse.csc_matrix(-sparse.vstack(blocks)),
        np.concatenate(shifts),
        cones,
        settings,
    ).solve()
    x = np.array(solution.x)
    if not np.isfinite(x).all() or x[m] <= program.values[-1]:
        raise ArithmeticError(f"Clarabel found no solution: {solution.status}")
    q = program.P @ x[: len(b)] + x[m] * beta - 2 * chi
    if n_dual:
        q -= program.V[:-1].T @ x[v:]
    return [program.proposal(x[: len(b)], float(x[m]), q)]
