"""The climb of ``coordinate`` from given rows: sweeps over them until no sweep gains much.

Annealed sweeps come first, under multiples of the penalty: a heavier penalty smooths what is
climbed.  Where the outer objective has an ``approach``, its functions are climbed one by one.  The
learner is trained from scratch after so many changed rows that rounding cannot add up.

LASSO and elastic net are attacked through the adaptive ridge whose penalty on w_j,
N alpha rho / (|w_j| + eps) + N alpha (1 - rho), has the same gradient at the solution: one sweep,
the true model, the next penalty, with eps shrinking; the best true W is kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from poisonbench.attacks.engines import quadratic_sweep, row_sweep
from poisonbench.attacks.engines.functions import Function, Quadratic, RowLosses, moments
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

try:
    import numba

    from poisonbench.attacks.engines import quadratic_sweep_compiled, row_sweep_compiled
except ImportError:  # the extra `fast` is not installed
    SWEEP, ROW_SWEEP = quadratic_sweep.sweep, row_sweep.sweep
    ENGINE, VERSION = "numpy", np.__version__
else:
    SWEEP, ROW_SWEEP = quadratic_sweep_compiled.sweep, row_sweep_compiled.sweep
    ENGINE, VERSION = "numba", numba.__version__

logger = logging.getLogger(__name__)

ROUNDS, SHRINK, PATIENCE = 30, 0.75, 4
"""Of the adaptive ridge: most rounds, how eps shrinks in each, and rounds without gain to stop."""

REFRESH = 1000
"""Changed rows after which the learner is trained from scratch, since rounding adds up; a tenth of
the distinct rows if these are more."""


@dataclass(frozen=True)
class Reached:
    """Distinct rows, the W that they reach, and W on the way."""

    rows: Sample
    W: float
    trace: tuple[float, ...]


def sweep(state: State | RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    if isinstance(state, RowState):
        changed = ROW_SWEEP(state, moves, visited)
    else:
        changed = SWEEP(state, moves, visited)
    state.updates += len(changed)
    return changed


@dataclass(frozen=True)
class Stage:
    """A function to climb: as it is, and as the sweeps take it."""

    true: Function
    climbed: Function


class Climb:
    """The ascent from given rows, for one problem and objective.

    Parameters
    ----------
    problem : AttackProblem
        What the attacker knows; its number of poison rows is that of the multiplicities' sum.
    W : Function
        The outer objective.
    levels, anneal, sweeps, tol, kappa
        As in ``Coordinate``.

    Attributes
    ----------
    is_learner : bool
        Whether what is trained here is the learner itself, and no surrogate for it.
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
        self.gram, self.moment = moments(problem.train)
        self.n_rows = n_rows = len(problem.train) + problem.n_poison
        sparse = problem.model.l1_ratio() > 0
        alpha = 0.0 if sparse else working_alpha(problem.model, problem.train, n_rows)
        self.penalty = np.full(problem.space.n_features, alpha)
        # No surrogate, and Cholesky loses less of theta than anybody compares W to.
        self.is_learner = sparse or (
            alpha == problem.model.alpha_for(n_rows) > RANK_CUT * self.gram.trace()
        )
        self.moves = Moves.within(problem.space, levels, columns_not_to_touch(problem))
        approach = W.approach if isinstance(W, RowLosses) else ()
        self.stages = [Stage(f, self._without_penalty(f, kappa)) for f in (*approach, W)]

    def _without_penalty(self, W: Function, kappa: float) -> Function:
        """Return W and kappa's term as the sweeps take them: what is quadratic all in A."""
        if not isinstance(W, Quadratic) or (W.gamma == 0 and kappa == 0):
            return W
        rho, space = self.problem.model.l1_ratio(), self.problem.space
        diagonal = np.full(space.n_features, W.gamma * (1 - rho) / 2)
        diagonal += kappa
        diagonal[space.numeric] -= kappa
        return replace(W, A=W.A + np.diag(np.append(diagonal, 0.0)), gamma=0.0)

    def __call__(self, start: Sample, m: FloatArray, *, refine: bool = False) -> Reached:
        """Return where the ascent ends.

        Parameters
        ----------
        start : Sample
            The distinct rows to start from.
        m : ndarray of shape (r,)
            Their multiplicities.
        refine : bool
            Whether the rows are good already: then only W is climbed, and nothing annealed.
        """
        trace: list[float] = []
        if not len(m):
            W = self._trained(start, m)[0]
            return Reached(start, W, (W,))
        rows, W = start, -np.inf
        anneal = () if refine else self.anneal
        for stage in self.stages[-1:] if refine else self.stages:
            rows, W = self._climbed(stage, anneal, rows, m, trace)
            anneal = ()  # it would undo what has been reached
        return Reached(rows, W, tuple(trace))

    def _climbed(
        self,
        stage: Stage,
        anneal: tuple[float, ...],
        rows: Sample,
        m: FloatArray,
        trace: list[float],
    ) -> tuple[Sample, float]:
        """Return the rows that a stage reaches, and their W; start and rounds go to `trace`."""
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
            # Late sweeps change few rows, mostly the same ones: follow those, then look at all.
            visited = everyone if converged else changed
        return Sample(state.X, state.y), trace[-1]

    def _adaptive(
        self, stage: Stage, rows: Sample, m: FloatArray, trace: list[float]
    ) -> tuple[Sample, float]:
        """Return the rows best for a stage on the way of the adaptive ridge, and their W."""
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
        """Return W of the learner itself, trained on the clean rows and these."""
        if self.is_learner:
            return self._trained(rows, m)[0]
        return trained_value(self.problem, expanded(rows, m), self.W)

    def fresh(self, rows: Sample, m: FloatArray) -> float:
        """Return W of the learner fitted afresh to the clean rows and these.

        Ridge has one minimiser, so the fit from the Gram matrix is that fit, without a copy of the
        rows.  LASSO may have several, and what anybody's fit returns counts.
        """
        if self.problem.model.l1_ratio() == 0:
            return self.objective(rows, m)
        return trained_value(self.problem, expanded(rows, m), self.W)

    def _trained(
        self, rows: Sample, m: FloatArray, near: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return W and theta of the learner, or of its surrogate, in O(d^3) whatever n and p.

        LASSO and elastic net are solved from the weights of `near` on.
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
        """Return the state after a sweep, trained from scratch on the way, and what changed."""
        every = max(REFRESH, len(state.m) // 10)
        changed = []
        for part in np.split(visited, np.arange(every, len(visited), every)):
            if state.updates >= every:
                state = self._state(stage, Sample(state.X, state.y), state.m, penalty)
            changed.append(sweep(state, self.moves, part))
        return state, np.concatenate(changed)

    def _note(self, W: float, trace: list[float]) -> None:
        """Put W after a round into the trace, and the log."""
        trace.append(W)
        logger.info("round %d: W = %.6g", len(trace) - 1, W)


def expanded(rows: Sample, m: FloatArray) -> Sample:
    """Return the p rows."""
    index = np.repeat(np.arange(len(m)), m.astype(np.intp))
    return Sample(rows.X[index], rows.y[index])
