"""Exact coordinate ascent: the strong and fast attack.

Gradient attacks climb through a relaxation of the legal rows and lose much of what they gain when
one-hot groups are made legal again.  This attack searches legal rows only, one feature or one
group at a time, with the exact effect of each change on the retrained learner (see
``coordinate_ascent``).  Much of its strength comes from rare categories: a test row with a
category that hardly any clean row has can be moved a long way, beyond the box, which is why
clipped errors stand beside the plain ones in every table.

LASSO and elastic net are attacked through the adaptive ridge whose penalty on w_j,
N alpha rho / (|w_j| + eps) + N alpha (1 - rho), has the same gradient at the solution: one sweep,
the true model, the next penalty, with eps shrinking; the best true W is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy import linalg

from poisonbench import registry
from poisonbench.attacks import coordinate_ascent, coordinate_rows
from poisonbench.attacks.active_set import solve_elastic_net
from poisonbench.attacks.base import Attack
from poisonbench.attacks.coordinate_ascent import State, with_rows
from poisonbench.attacks.coordinate_rows import RowState
from poisonbench.attacks.gradient_ascent import columns_not_to_touch, trained_value
from poisonbench.attacks.moves import Moves
from poisonbench.attacks.objectives import Function, Quadratic, RowLosses, moments
from poisonbench.attacks.optp import OptP
from poisonbench.attacks.retraining import RANK_CUT, working_alpha
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, FloatArray, IntArray
from poisonbench.problem import AttackProblem, PoisonSet, Sample

try:
    import numba

    from poisonbench.attacks import _compiled, _compiled_rows
except ImportError:  # the extra `fast` is not installed
    SWEEP, ROW_SWEEP = coordinate_ascent.sweep, coordinate_rows.sweep
    ENGINE, VERSION = "numpy", np.__version__
else:
    SWEEP, ROW_SWEEP = _compiled.sweep, _compiled_rows.sweep
    ENGINE, VERSION = "numba", numba.__version__

logger = logging.getLogger(__name__)

REDRAWN = 0.25
"""Share of the distinct rows that a perturbation draws anew."""

ROUNDS, SHRINK, PATIENCE = 30, 0.75, 4
"""Of the adaptive ridge: most rounds, how eps shrinks in each, and rounds without gain to stop."""

REFRESH = 1000
"""Changed rows after which the learner is trained from scratch, since rounding adds up; a tenth of
the distinct rows if these are more."""


@dataclass(frozen=True)
class Preset:
    """Values for the parameters that a config leaves open."""

    restarts: int = 1
    sweeps: int = 50
    tol: float = 1e-2
    levels: tuple[float, ...] = (0.0, 1.0)
    anneal: tuple[float, ...] = ()
    max_distinct: int | None = None
    perturbations: int = 0


PRESETS = {
    "fast": Preset(sweeps=2, max_distinct=30),
    "standard": Preset(anneal=(4.0,)),
    "strong": Preset(restarts=4, anneal=(4.0,), perturbations=25),
}


@dataclass(frozen=True)
class _Reached:
    """Distinct rows, the W that they reach, and W on the way."""

    rows: Sample
    W: float
    trace: tuple[float, ...]


class Coordinate(Attack):
    """Exact coordinate ascent over legal rows and responses in {0, 1}.

    Parameters
    ----------
    initialization : str, default="bflip"
        How the starting rows are made; numeric features start at their real values.
    outer_objective : str, default="validation"
        What the attack maximises.
    preset : {"fast", "standard", "strong"}, default="standard"
        Values for the parameters that are not given. All: restarts 1, sweeps 50, tol 0.01, levels
        [0, 1], anneal [], max_distinct p, perturbations 0; but `fast`: sweeps 2, max_distinct 30;
        `standard`: anneal [4]; `strong`: anneal [4], restarts 4, perturbations 25.
    restarts : int, optional
        Starts from different training rows; the one that reaches the highest objective is kept.
    sweeps : int, optional
        Sweeps over the rows at most, after annealed ones; with LASSO and elastic net rounds.
    tol : float, optional
        Relative gain of a sweep below which the ascent has converged.
    levels : list of float, optional
        Values in [0, 1] that numeric features may take, beside the one that they start at.
    anneal : list of float, optional
        Factors by which the penalty is multiplied in the first sweeps, one sweep each.
    max_distinct : int, optional
        Distinct starting rows at most; each is repeated p / max_distinct times.
    perturbations : int, optional
        Times that a quarter of the rows is drawn anew and climbed again, kept if better.
    kappa : float, default=0.0
        Adds kappa times the squared weights of one-hot columns to the function climbed.
    warm_start : {"none", "optp"}, default="none"
        Whether the first start is the result of `optp` with the same objective.
    """

    name = "coordinate"
    reference = "this project, coordinate_ascent.py and coordinate_rows.py"
    engine: ClassVar[str | None] = f"{ENGINE} {VERSION}"

    def __init__(
        self,
        *,
        initialization: str = "bflip",
        outer_objective: str = "validation",
        preset: Literal["fast", "standard", "strong"] = "standard",
        restarts: Annotated[int, Ge(1)] | None = None,
        sweeps: Annotated[int, Ge(1)] | None = None,
        tol: Annotated[float, Ge(0)] | None = None,
        levels: tuple[Annotated[float, Ge(0), Le(1)], ...] | None = None,
        anneal: tuple[Annotated[float, Gt(0)], ...] | None = None,
        max_distinct: Annotated[int, Ge(1)] | None = None,
        perturbations: Annotated[int, Ge(0)] | None = None,
        kappa: Annotated[float, Ge(0)] = 0.0,
        warm_start: Literal["none", "optp"] = "none",
    ) -> None:
        self.initialization = initialization
        self.outer_objective = outer_objective
        self.preset = preset
        self.restarts = restarts
        self.sweeps = sweeps
        self.tol = tol
        self.levels = levels
        self.anneal = anneal
        self.max_distinct = max_distinct
        self.perturbations = perturbations
        self.kappa = kappa
        self.warm_start = warm_start

    def own_rows(
        self, space: FeatureSpace, target: str, scaling: Scaling | None = None
    ) -> int | None:
        """Return None; see the base class.

        Raises
        ------
        ValueError
            ``kappa`` is given with an objective that is no quadratic.
        """
        objective = registry.components("outer_objective")[self.outer_objective]
        if self.kappa and not objective.quadratic:
            raise ValueError(f"kappa is {self.kappa:g}, and its term can be added to a quadratic "
                             f"objective only; expected 0 with {self.outer_objective}")  # fmt: skip
        return None

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows that reach the highest objective."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name in Preset.__dataclass_fields__
            if (value := getattr(self, name)) is not None
        }
        settings = replace(PRESETS[self.preset], **given)
        W = registry.components("outer_objective")[self.outer_objective]().function(problem)
        climb = _Climb(problem, W, settings, self.kappa)
        m = _multiplicities(problem.n_poison, settings.max_distinct)
        starts = self._starts(problem, settings.restarts, len(m))
        start = next(starts)
        best = climb(start, m, refine=self.warm_start == "optp")
        initial = best.trace[0] if climb.is_learner else climb.objective(start, m)
        for other in starts:
            best = max(best, climb(other, m), key=lambda reached: reached.W)
        rng = problem.generator()
        for _ in range(settings.perturbations):
            perturbed = climb(self._perturbed(problem, best.rows, rng), m, refine=True)
            if perturbed.W > best.W:
                best = replace(perturbed, trace=best.trace + perturbed.trace)
        final = climb.objective(best.rows, m)
        if final < initial:
            # Where a surrogate stood in for the learner, kappa's term was climbed at W's cost, or
            # what was climbed first led astray.
            best, final = _Reached(start, initial, (*best.trace, initial)), initial
        reached = expanded(best.rows, m)
        return PoisonSet(
            reached.X,
            reached.y,
            objective_initial=initial,
            objective_final=final,
            rounds=len(best.trace) - 1,
            trace=best.trace,
        )

    def _starts(self, problem: AttackProblem, n_restarts: int, n_distinct: int) -> Iterator[Sample]:
        """Yield the starting rows of each restart."""
        initialization = registry.components("initialization")[self.initialization]()
        for restart in range(n_restarts):
            if restart == 0 and self.warm_start == "optp":
                attack = OptP(
                    initialization=self.initialization, outer_objective=self.outer_objective
                )
                poison = attack.generate(problem)
                yield Sample(poison.X[:n_distinct], poison.y[:n_distinct])
            else:
                # A prefix of the p starting rows; the others would only be thrown away.
                entropy = problem.entropy + restart
                yield initialization.rows(replace(problem, n_poison=n_distinct, entropy=entropy))

    def _perturbed(self, problem: AttackProblem, best: Sample, rng: np.random.Generator) -> Sample:
        """Return the best rows with some of them drawn anew."""
        X, y = best.X.copy(), best.y.copy()
        where = rng.choice(len(y), int(np.ceil(REDRAWN * len(y))), replace=False)
        drawn = rng.integers(len(problem.train), size=len(where))
        initialization = registry.components("initialization")[self.initialization]()
        X[where] = problem.train.X[drawn]
        y[where] = initialization.responses(problem.train.y[drawn])
        return Sample(X, y)


def _multiplicities(n_poison: int, max_distinct: int | None) -> FloatArray:
    """Return how often each distinct row is repeated, as equally often as may be."""
    n_distinct = min(max_distinct or n_poison, n_poison)
    return np.bincount(np.arange(n_poison) % max(n_distinct, 1)).astype(np.float64)


def sweep(state: State | RowState, moves: Moves, visited: IntArray) -> IntArray:
    """Climb to a local maximum in each of the rows `visited`; return which of them changed."""
    if isinstance(state, RowState):
        changed = ROW_SWEEP(state, moves, visited)
    else:
        changed = SWEEP(state, moves, visited)
    state.updates += len(changed)
    return changed


@dataclass(frozen=True)
class _Stage:
    """A function to climb: as it is, and as the sweeps take it."""

    true: Function
    climbed: Function


class _Climb:
    """The ascent from given rows, for one problem and objective."""

    def __init__(
        self,
        problem: AttackProblem,
        W: Function,
        settings: Preset,
        kappa: float,
    ) -> None:
        self.problem, self.W, self.settings = problem, W, settings
        self.gram, self.moment = moments(problem.train)
        self.n_rows = n_rows = len(problem.train) + problem.n_poison
        sparse = problem.model.l1_ratio() > 0
        alpha = 0.0 if sparse else working_alpha(problem.model, problem.train, n_rows)
        self.penalty = np.full(problem.space.n_features, alpha)
        # No surrogate, and Cholesky loses less of theta than anybody compares W to.
        self.is_learner = sparse or (
            alpha == problem.model.alpha_for(n_rows) > RANK_CUT * self.gram.trace()
        )
        self.moves = Moves.within(problem.space, settings.levels, columns_not_to_touch(problem))
        approach = W.approach if isinstance(W, RowLosses) else ()
        self.stages = [_Stage(f, self._without_penalty(f, kappa)) for f in (*approach, W)]

    def _without_penalty(self, W: Function, kappa: float) -> Function:
        """Return W and kappa's term as the sweeps take them: what is quadratic all in A."""
        if not isinstance(W, Quadratic):
            return W
        rho, space = self.problem.model.l1_ratio(), self.problem.space
        diagonal = np.full(space.n_features, W.gamma * (1 - rho) / 2)
        diagonal += kappa
        diagonal[space.numeric] -= kappa
        return replace(W, A=W.A + np.diag(np.append(diagonal, 0.0)), gamma=0.0)

    def __call__(self, start: Sample, m: FloatArray, *, refine: bool = False) -> _Reached:
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
            self._note(self._trained(start, m)[0], trace)
            return _Reached(start, trace[0], tuple(trace))
        rows, W = start, -np.inf
        anneal = () if refine else self.settings.anneal
        for stage in self.stages[-1:] if refine else self.stages:
            rows, W = self._climbed(stage, anneal, rows, m, trace)
            anneal = ()  # it would undo what has been reached
        return _Reached(rows, W, tuple(trace))

    def _climbed(
        self,
        stage: _Stage,
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
            self._note(self._trained(rows, m)[0], trace)
        for factor in anneal:
            state = self._state(stage, rows, m, factor * self.penalty)
            state, _ = self._swept(stage, state, factor * self.penalty, everyone)
            rows = Sample(state.X, state.y)
            self._note(self._trained(rows, m)[0], trace)
        state = self._state(stage, rows, m, self.penalty)
        if not trace:
            self._note(self.W.value(state.theta), trace)
        visited = everyone
        for _ in range(self.settings.sweeps):
            before = state.W
            state, changed = self._swept(stage, state, self.penalty, visited)
            self._note(self.W.value(state.theta), trace)
            converged = state.W - before <= self.settings.tol * abs(before)
            if converged and len(visited) == len(m):
                break
            # Late sweeps change few rows, mostly the same ones: follow those, then look at all.
            visited = everyone if converged else changed
        return Sample(state.X, state.y), trace[-1]

    def _adaptive(
        self, stage: _Stage, rows: Sample, m: FloatArray, trace: list[float]
    ) -> tuple[Sample, float]:
        """Return the rows best for a stage on the way of the adaptive ridge, and their W."""
        model = self.problem.model
        alpha, rho = model.alpha_for(self.n_rows), model.l1_ratio()
        W, theta = self._trained(rows, m)
        if not trace:
            self._note(W, trace)
        best, highest = (rows, W), stage.true.value(theta)
        without_gain = 0
        for k in range(min(ROUNDS, self.settings.sweeps)):
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
                np.zeros(len(mean)) if near is None else near[:-1],
            ).w
            theta: FloatArray = np.append(w, mean_y - mean @ w)
        else:
            gram[np.diag_indices(len(self.penalty))] += self.penalty
            factor = linalg.cho_factor(gram, overwrite_a=True, check_finite=False)
            theta = linalg.cho_solve(factor, moment, check_finite=False)
        return self.W.value(theta), theta

    def _state(
        self, stage: _Stage, rows: Sample, m: FloatArray, penalty: FloatArray
    ) -> State | RowState:
        W = stage.climbed
        if isinstance(W, Quadratic):
            return State.trained(self.gram, self.moment, rows, m, penalty, W)
        if isinstance(W, RowLosses):
            return RowState.trained(self.gram, self.moment, rows, m, penalty, W)
        raise TypeError(f"the sweeps take a Quadratic or RowLosses, not {type(W).__name__}")

    def _swept(
        self, stage: _Stage, state: State | RowState, penalty: FloatArray, visited: IntArray
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
