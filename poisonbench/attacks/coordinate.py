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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from scipy import linalg

from poisonbench import registry
from poisonbench.attacks.base import Attack
from poisonbench.attacks.coordinate_ascent import Moves, State, sweep
from poisonbench.attacks.gradient_ascent import columns_not_to_touch, trained_value
from poisonbench.attacks.objectives import Quadratic, with_intercept
from poisonbench.attacks.optp import OptP
from poisonbench.attacks.retraining import ElasticNetRetraining, working_alpha
from poisonbench.features import FloatArray
from poisonbench.problem import AttackProblem, PoisonSet, Sample

try:
    from poisonbench.attacks import _compiled
except ImportError:  # the extra `fast` is not installed
    SWEEP, ENGINE = sweep, "numpy"
else:
    SWEEP, ENGINE = _compiled.sweep, "numba"

REDRAWN = 0.25
"""Share of the distinct rows that a perturbation draws anew."""

ROUNDS, SHRINK, PATIENCE = 30, 0.75, 4
"""Of the adaptive ridge: most rounds, how eps shrinks in each, and rounds without gain to stop."""


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
    "fast": Preset(sweeps=2, max_distinct=20),
    "standard": Preset(anneal=(10.0, 3.0)),
    "strong": Preset(
        restarts=4,
        tol=1e-3,
        levels=(0.0, 0.25, 0.5, 0.75, 1.0),
        anneal=(10.0, 3.0),
        perturbations=15,
    ),
}


@dataclass(frozen=True)
class _Reached:
    """Distinct rows, their multiplicities, and the true W that they reach."""

    rows: Sample
    m: FloatArray
    W: float
    trace: tuple[float, ...]

    def expanded(self) -> Sample:
        """Return the p rows."""
        index = np.repeat(np.arange(len(self.m)), self.m.astype(np.intp))
        return Sample(self.rows.X[index], self.rows.y[index])


class Coordinate(Attack):
    """Exact coordinate ascent over legal rows and responses in {0, 1}.

    Parameters
    ----------
    initialization : str, default="bflip"
        How the starting rows are made; numeric features start at their real values.
    outer_objective : str, default="validation"
        What the attack maximises.
    preset : {"fast", "standard", "strong"}, default="standard"
        Values for the parameters that are not given: two sweeps over 20 distinct rows; two
        annealed sweeps and then to convergence; the same with restarts, perturbations and five
        levels.
    restarts : int, optional
        Starts from different training rows; the one that reaches the highest objective is kept.
    sweeps : int, optional
        Visits to every row at most.
    tol : float, optional
        Relative gain of a sweep below which the ascent has converged.
    levels : list of float, optional
        Values in [0, 1] that numeric features may take; they also keep their starting values.
    anneal : list of float, optional
        Factors by which the penalty is multiplied in the first sweeps, one sweep each.
    max_distinct : int, optional
        Distinct poison rows; each is repeated p / max_distinct times.
    perturbations : int, optional
        Times that a quarter of the rows is drawn anew and climbed again, kept if better.
    kappa : float, default=0.0
        Adds kappa times the squared weights of one-hot columns to the function climbed.
    warm_start : {"none", "optp"}, default="none"
        Whether the first start is the result of `optp` with the same objective.
    """

    name = "coordinate"
    reference = "this project, coordinate_ascent.py"

    def __init__(
        self,
        *,
        initialization: str = "bflip",
        outer_objective: str = "validation",
        preset: Literal["fast", "standard", "strong"] = "standard",
        restarts: Annotated[int, Ge(1)] | None = None,
        sweeps: Annotated[int, Ge(1)] | None = None,
        tol: Annotated[float, Ge(0)] | None = None,
        levels: tuple[float, ...] | None = None,
        anneal: tuple[float, ...] | None = None,
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

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows that reach the highest objective."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name in Preset.__dataclass_fields__
            if (value := getattr(self, name)) is not None
        }
        settings = replace(PRESETS[self.preset], **given)
        W = registry.components("outer_objective")[self.outer_objective]().quadratic(problem)
        climb = _Climb(problem, W, settings, self.kappa)
        starts = self._starts(problem, settings)
        start = next(starts)
        best = climb(start, settings.anneal)
        for other in starts:
            best = max(best, climb(other, settings.anneal), key=lambda reached: reached.W)
        rng = problem.generator()
        for _ in range(settings.perturbations):
            best = max(best, climb(self._perturbed(problem, best, rng)), key=lambda r: r.W)
        initial, final = climb.objective(*start), climb.objective(best.rows, best.m)
        if final < initial:  # possible only where a surrogate stood in for the learner
            best, final = replace(best, rows=start[0], m=start[1]), initial
        reached = best.expanded()
        return PoisonSet(
            reached.X,
            reached.y,
            objective_initial=initial,
            objective_final=final,
            rounds=len(best.trace) - 1,
            trace=best.trace,
        )

    def _starts(
        self, problem: AttackProblem, settings: Preset
    ) -> Iterator[tuple[Sample, FloatArray]]:
        """Yield the starting rows of each restart, with their multiplicities."""
        p = problem.n_poison
        n_distinct = min(settings.max_distinct or p, p)
        m = np.full(n_distinct, float(p // n_distinct)) if p else np.empty(0)
        m[: p % n_distinct if p else 0] += 1
        initialization = registry.components("initialization")[self.initialization]()
        for restart in range(settings.restarts):
            if restart == 0 and self.warm_start == "optp":
                attack = OptP(
                    initialization=self.initialization, outer_objective=self.outer_objective
                )
                poison = attack.generate(problem)
                rows = Sample(poison.X, poison.y)
            else:
                rows = initialization.rows(replace(problem, entropy=problem.entropy + restart))
            yield Sample(rows.X[:n_distinct], rows.y[:n_distinct]), m

    def _perturbed(
        self, problem: AttackProblem, best: _Reached, rng: np.random.Generator
    ) -> tuple[Sample, FloatArray]:
        """Return the best rows with some of them drawn anew."""
        X, y = best.rows.X.copy(), best.rows.y.copy()
        where = rng.choice(len(y), int(np.ceil(REDRAWN * len(y))), replace=False)
        drawn = rng.integers(len(problem.train), size=len(where))
        initialization = registry.components("initialization")[self.initialization]()
        X[where] = problem.train.X[drawn]
        y[where] = initialization.responses(problem.train.y[drawn])
        return Sample(X, y), best.m


class _Climb:
    """The ascent from given rows, for one problem and objective."""

    def __init__(
        self,
        problem: AttackProblem,
        W: Quadratic,
        settings: Preset,
        kappa: float,
    ) -> None:
        self.problem, self.W, self.settings = problem, W, settings
        Z = with_intercept(problem.train.X)
        self.gram, self.moment = Z.T @ Z, Z.T @ problem.train.y
        self.moves = Moves.within(problem.space, settings.levels, columns_not_to_touch(problem))
        # What is climbed is quadratic: W's own penalty term as far as it is, and kappa's.
        rho = problem.model.l1_ratio()
        diagonal = np.full(problem.space.n_features, W.gamma * (1 - rho) / 2)
        diagonal[self.moves.group_of >= 0] += kappa
        diagonal[problem.space.binary] += kappa
        n_rows = len(problem.train) + problem.n_poison
        alpha = 0.0 if rho else working_alpha(problem.model, problem.train, n_rows)
        self.penalty = np.full(problem.space.n_features, alpha)
        self.climbed = replace(W, A=W.A + np.diag(np.append(diagonal, 0.0)), gamma=0.0)

    def __call__(
        self, start: tuple[Sample, FloatArray], anneal: tuple[float, ...] = ()
    ) -> _Reached:
        """Return where the ascent from `start` ends."""
        rows, m = start
        if not len(m):
            return _Reached(rows, m, -np.inf, ())
        if self.problem.model.l1_ratio() > 0:
            return self._adaptive(rows, m)
        everyone = np.arange(len(m))
        for factor in anneal:
            state = self._state(rows, m, factor * self.penalty)
            SWEEP(state, self.moves, everyone)
            rows = Sample(state.X, state.y)
        state = self._state(rows, m, self.penalty)
        trace = [state.W]
        visited = everyone
        for _ in range(self.settings.sweeps):
            changed = SWEEP(state, self.moves, visited)
            trace.append(state.W)
            converged = trace[-1] - trace[-2] <= self.settings.tol * abs(trace[-2])
            if converged and len(visited) == len(m):
                break
            # Late sweeps change few rows, mostly the same ones: follow those, then look at all.
            visited = everyone if converged else changed
        return _Reached(Sample(state.X, state.y), m, state.W, tuple(trace))

    def _adaptive(self, rows: Sample, m: FloatArray) -> _Reached:
        """Return the best rows on the way of the adaptive ridge."""
        model = self.problem.model
        n_rows = len(self.problem.train) + self.problem.n_poison
        alpha, rho = model.alpha_for(n_rows), model.l1_ratio()
        reached = _Reached(rows, m, -np.inf, ())
        learner = ElasticNetRetraining(self.problem.train, reached.expanded(), alpha, rho)
        trace = [self.W.value(learner.theta)]
        reached, without_gain = replace(reached, W=trace[0]), 0
        for k in range(min(ROUNDS, self.settings.sweeps)):
            weights = np.abs(learner.theta[:-1])
            state = self._state(rows, m, n_rows * alpha * (rho / (weights + SHRINK**k) + 1 - rho))
            SWEEP(state, self.moves, np.arange(len(m)))
            rows = Sample(state.X, state.y)
            now = _Reached(rows, m, 0.0, ())
            learner.retrain(now.expanded())
            trace.append(self.W.value(learner.theta))
            if trace[-1] > reached.W:
                reached, without_gain = replace(now, W=trace[-1]), 0
            else:
                without_gain += 1
            if without_gain == PATIENCE:
                break
        return replace(reached, trace=tuple(trace))

    def objective(self, rows: Sample, m: FloatArray) -> float:
        """Return W of the learner itself, trained on the clean rows and these."""
        model, n_rows = self.problem.model, len(self.problem.train) + self.problem.n_poison
        if model.l1_ratio() == 0 and self.penalty[0] != model.alpha_for(n_rows):  # a surrogate
            expanded = _Reached(rows, m, 0.0, ()).expanded()
            return trained_value(self.problem, expanded, self.W)
        return self.W.value(self._trained(rows, m))

    def _trained(self, rows: Sample, m: FloatArray) -> FloatArray:
        """Return theta of the learner, where no surrogate stands in for it."""
        model, train = self.problem.model, self.problem.train
        if model.l1_ratio() > 0:
            expanded = _Reached(rows, m, 0.0, ()).expanded()
            alpha = model.alpha_for(len(train) + len(expanded))
            return ElasticNetRetraining(train, expanded, alpha, model.l1_ratio()).theta
        Z = with_intercept(rows.X)
        H = self.gram + (Z * m[:, None]).T @ Z
        H[np.diag_indices(len(self.penalty))] += self.penalty
        theta: FloatArray = linalg.solve(
            H, self.moment + Z.T @ (m * rows.y), assume_a="pos", overwrite_a=True
        )
        return theta

    def _state(self, rows: Sample, m: FloatArray, penalty: FloatArray) -> State:
        return State.trained(self.gram, self.moment, rows, m, penalty, self.climbed)
