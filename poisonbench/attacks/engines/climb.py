"""The climb of ``coordinate`` from given rows: sweeps over them until a sweep gains little.

Annealed sweeps come first.  They use a multiple of the penalty, since a heavier penalty makes the
outer objective smoother.  If the outer objective has an ``approach``, the functions in it are
climbed before it, one after the other.  From time to time the learner is trained from scratch, so
that rounding errors do not add up.

LASSO and elastic net are attacked through an adaptive ridge.  As eps goes to 0, its penalty
N alpha rho / (|w_j| + eps) + N alpha (1 - rho) on w_j has the same gradient at the solution.  A
round is one sweep with this ridge, a fit of the true model to the new rows, and the next penalty
from its weights, with a smaller eps.  The rows with the best W of the true model are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import linalg

from poisonbench.attacks.engines import quadratic_sweep, row_sweep
from poisonbench.attacks.engines.functions import Function, Quadratic, RowLosses, fast_moments
from poisonbench.attacks.engines.moves import Moves
from poisonbench.attacks.engines.quadratic_sweep import State, with_rows
from poisonbench.attacks.engines.row_sweep import RowState
from poisonbench.attacks.engines.surrogate import (
    RANK_CUT,
    columns_not_to_touch,
    trained_value,
    working_alpha,
)
from poisonbench.features import FloatArray, IntArray
from poisonbench.models.engines.active_set import solve_elastic_net
from poisonbench.problem import AttackProblem, Sample

logger = logging.getLogger(__name__)

ROUNDS, SHRINK, PATIENCE = 30, 0.75, 4
"""For the adaptive ridge: the largest number of rounds, the factor of eps from one to the next, and
the number of rounds without a gain after which it stops."""

REFRESH = 1000
"""Number of changes to rows after which the learner is trained from scratch, as rounding errors add
up; a tenth of the number of distinct rows, if that is more."""


@dataclass(frozen=True)
class Reached:
    """Where a climb ended: the distinct rows, their W, and W after each round."""

    rows: Sample
    W: float
    trace: tuple[float, ...]


class Engine(NamedTuple):
    """The sweeps, and the name and version of what computes them."""

    name: str
    version: str
    quadratic_sweep: Callable[[State, Moves, IntArray], IntArray]
    row_sweep: Callable[[RowState, Moves, IntArray], IntArray]


@cache
def engine() -> Engine:
    """Return the compiled sweeps if Numba is there, else those of NumPy.

    Numba is loaded only when something is attacked, since loading it takes longer than most
    commands.
    """
    try:
        import numba

        from poisonbench.attacks.engines import sweeps_compiled as compiled
    except ImportError:  # the extra `fast` is not installed
        return Engine("numpy", np.__version__, quadratic_sweep.sweep, row_sweep.sweep)
    return Engine("numba", numba.__version__, compiled.quadratic_sweep, compiled.row_sweep)


def sweep(state: State | RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    if isinstance(state, RowState):
        changed = engine().row_sweep(state, moves, visited)
    else:
        changed = engine().quadratic_sweep(state, moves, visited)
    state.updates += len(changed)
    return changed


@dataclass(frozen=True)
class Stage:
    """A function to climb, as it is and in the form that the sweeps take."""

    true: Function
    climbed: Function


class Climb:
    """The ascent from given rows, for one problem and objective.

    Parameters
    ----------
    problem : AttackProblem
        What the attacker knows; ``n_poison`` is the sum of the multiplicities.
    W : Function
        The outer objective.
    levels, anneal, sweeps, tol, kappa
        As in ``Coordinate``.

    Attributes
    ----------
    is_learner : bool
        Whether the learner itself is trained here, and not a surrogate for it.
    """

    def __init__(
        self,
        problem: AttackProblem,
        W: Function,
        *,
        levels: tuple[float, ...],
        anneal: tuple[float, ...],
        sweeps: int,
        tol: float,
        kappa: float,
    ) -> None:
        self.problem, self.W = problem, W
        self.anneal, self.sweeps, self.tol = anneal, sweeps, tol
        self.gram, self.moment = fast_moments(problem.train)
        self.n_rows = n_rows = len(problem.train) + problem.n_poison
        sparse = problem.model.l1_ratio() > 0
        alpha = 0.0 if sparse else working_alpha(problem.model, problem.train, n_rows)
        self.penalty = np.full(problem.space.n_features, alpha)
        # No surrogate, and so well conditioned that a Cholesky factorisation gives W accurately.
        self.is_learner = sparse or (
            alpha == problem.model.alpha_for(n_rows) > RANK_CUT * self.gram.trace()
        )
        self.moves = Moves.within(problem.space, levels, columns_not_to_touch(problem))
        approach = W.approach if isinstance(W, RowLosses) else ()
        self.stages = [Stage(f, self._without_penalty(f, kappa)) for f in (*approach, W)]

    def _without_penalty(self, W: Function, kappa: float) -> Function:
        """Return W as the sweeps take it, without l1, with kappa's term and the l2 part in A."""
        if not isinstance(W, Quadratic) or (W.gamma == 0 and kappa == 0):
            return W
        rho, space = self.problem.model.l1_ratio(), self.problem.space
        diagonal = np.full(space.n_features, W.gamma * (1 - rho) / 2)
        diagonal += kappa
        diagonal[space.numeric] -= kappa
        return replace(W, A=W.A + np.diag(np.append(diagonal, 0.0)), gamma=0.0)

    def __call__(self, start: Sample, m: FloatArray, *, refine: bool = False) -> Reached:
        """Climb from `start` and return where the climb ends.

        Parameters
        ----------
        start : Sample
            The distinct rows to start from.
        m : ndarray of shape (r,)
            Their multiplicities.
        refine : bool
            Whether the rows are good already: then W alone is climbed, without annealing.
        """
        trace: list[float] = []
        if not len(m):
            W = self._trained(start, m)[0]
            return Reached(start, W, (W,))
        rows, W = start, -np.inf
        anneal = () if refine else self.anneal
        for stage in self.stages[-1:] if refine else self.stages:
            rows, W = self._climbed(stage, anneal, rows, m, trace)
            anneal = ()  # annealing would undo what has been reached
        return Reached(rows, W, tuple(trace))

    def _climbed(
        self,
        stage: Stage,
        anneal: tuple[float, ...],
        rows: Sample,
        m: FloatArray,
        trace: list[float],
    ) -> tuple[Sample, float]:
        """Return the rows that a stage reaches, and their W; extend `trace` by W of each round."""
        if self.problem.model.l1_ratio() > 0:
            return self._adaptive(stage, rows, m, trace)
        everyone = np.arange(len(m))
        if not trace and anneal:
            trace.append(self._trained(rows, m)[0])
        for factor in anneal:
            state = self._state(stage, rows, m, factor * self.penalty)
            state, _ = self._swept(stage, state, factor * self.penalty, everyone)
            rows = Sample(state.X, state.y)
            self._note(self._trained(rows, m)[0], trace)
        state = self._state(stage, rows, m, self.penalty)
        if not trace:
            trace.append(self.W.value(state.theta))
        visited = everyone
        for _ in range(self.sweeps):
            before = state.W
            state, changed = self._swept(stage, state, self.penalty, visited)
            self._note(self.W.value(state.theta), trace)
            converged = state.W - before <= self.tol * abs(before)
            if converged and len(visited) == len(m):
                break
            # Late sweeps change few rows, and mostly the same ones: visit those alone until they
            # gain little, then all rows again.
            visited = everyone if converged else changed
        return Sample(state.X, state.y), trace[-1]

    def _adaptive(
        self, stage: Stage, rows: Sample, m: FloatArray, trace: list[float]
    ) -> tuple[Sample, float]:
        """Climb with the adaptive ridge; return the rows best for the stage, and their W."""
        model = self.problem.model
        alpha, rho = model.alpha_for(self.n_rows), model.l1_ratio()
        W, theta = self._trained(rows, m)
        if not trace:
            trace.append(W)
        best, highest = (rows, W), stage.true.value(theta)
        without_gain = 0
        for k in range(min(ROUNDS, self.sweeps)):
            penalty = self.n_rows * alpha * (rho / (np.abs(theta[:-1]) + SHRINK**k) + 1 - rho)
            state = self._state(stage, rows, m, penalty)
            state, _ = self._swept(stage, state, penalty, np.arange(len(m)))
            rows = Sample(state.X, state.y)
            W, theta = self._trained(rows, m, theta)
            self._note(W, trace)
            value = stage.true.value(theta)
            if value > highest:
                best, highest, without_gain = (rows, W), value, 0
            else:
                without_gain += 1
            if without_gain == PATIENCE:
                break
        return best

    def objective(self, rows: Sample, m: FloatArray) -> float:
        """Return W of the learner itself, trained on the clean rows and `rows`."""
        if self.is_learner:
            return self._trained(rows, m)[0]
        return trained_value(self.problem, expanded(rows, m), self.W)

    def fresh(self, rows: Sample, m: FloatArray) -> float:
        """Return W of the learner fitted to the clean rows and `rows` from scratch.

        Ridge has one minimiser, so W can be computed from the Gram matrix, without a copy of the
        clean rows.  LASSO may have several, so the learner's own ``fit`` decides.
        """
        if self.problem.model.l1_ratio() == 0:
            return self.objective(rows, m)
        return trained_value(self.problem, expanded(rows, m), self.W)

    def _trained(
        self, rows: Sample, m: FloatArray, near: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return W and theta of the learner or its surrogate, in O(d^3) for any n and p.

        For LASSO and elastic net, the search starts from the weights of `near`.
        """
        n, rho = self.n_rows, self.problem.model.l1_ratio()
        gram, moment = with_rows(self.gram, self.moment, rows, m)
        if rho > 0:
            alpha = self.problem.model.alpha_for(n)
            mean, mean_y = gram[-1, :-1] / n, moment[-1] / n
            w = solve_elastic_net(
                gram[:-1, :-1] - n * np.outer(mean, mean),
                moment[:-1] - n * mean_y * mean,
                n * alpha * rho,
                n * alpha * (1 - rho),
                None if near is None else near[:-1],
            )
            theta: FloatArray = np.append(w, mean_y - mean @ w)
        else:
            gram[np.diag_indices(len(self.penalty))] += self.penalty
            factor = linalg.cho_factor(gram.T, overwrite_a=True, check_finite=False)
            theta = linalg.cho_solve(factor, moment, check_finite=False)
        return self.W.value(theta), theta

    def _state(
        self, stage: Stage, rows: Sample, m: FloatArray, penalty: FloatArray
    ) -> State | RowState:
        W = stage.climbed
        if isinstance(W, Quadratic):
            return State.trained(self.gram, self.moment, rows, m, penalty, W)
        if isinstance(W, RowLosses):
            return RowState.trained(self.gram, self.moment, rows, m, penalty, W)
        raise TypeError(f"the sweeps take a Quadratic or RowLosses, not {type(W).__name__}")

    def _swept(
        self, stage: Stage, state: State | RowState, penalty: FloatArray, visited: IntArray
    ) -> tuple[State | RowState, IntArray]:
        """Return the state after a sweep, and which rows changed.

        The learner is trained from scratch during the sweep when that is due.
        """
        every = max(REFRESH, len(state.m) // 10)
        changed = []
        for part in np.split(visited, np.arange(every, len(visited), every)):
            if state.updates >= every:
                state = self._state(stage, Sample(state.X, state.y), state.m, penalty)
            changed.append(sweep(state, self.moves, part))
        return state, np.concatenate(changed)

    def _note(self, W: float, trace: list[float]) -> None:
        """Write W after a round to the trace and to the log."""
        trace.append(W)
        logger.info("round %d: W = %.6g", len(trace) - 1, W)


def expanded(rows: Sample, m: FloatArray) -> Sample:
    """Return the p rows: each distinct row as often as its multiplicity says."""
    index = np.repeat(np.arange(len(m)), m.astype(np.intp))
    return Sample(rows.X[index], rows.y[index])
