"""Exact coordinate ascent: a strong and fast attack.

Gradient attacks move through a relaxation of the legal rows, and lose much of their gain when
one-hot groups are made legal again.  This attack searches legal rows only, one feature or one-hot
group at a time, with the exact effect of each change on the retrained learner (see
``quadratic_sweep``).  Much of its strength comes from rare categories: the prediction for a test
row with a category that few clean rows have can be moved far beyond the box.  That is why tables
also show the error of clipped predictions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from poisonbench import registry
from poisonbench.attacks.base import Attack
from poisonbench.attacks.engines import climb
from poisonbench.attacks.engines.climb import Climb, Reached
from poisonbench.attacks.engines.functions import Quadratic
from poisonbench.attacks.engines.polish import GAIN, Learner, by_refits, real_valued
from poisonbench.attacks.engines.quadratic_sweep import TIE
from poisonbench.attacks.optp import OptP
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, FloatArray
from poisonbench.problem import AttackProblem, PoisonSet, Sample

SMALL = 2e5
"""Numeric values are refined if the number of rows, times the number of numeric columns, times the
squared number of columns is at most this."""

REFITS = 3000
"""For LASSO and elastic net, every move is judged by a refit if a sweep takes at most this many."""

POLISHES = 3
"""Maximum number of polishing rounds at the end."""

REDRAWN, L1_REDRAWN = 0.02, 0.25
"""Share of the distinct rows that a perturbation redraws: few, so that most of what has been found
is kept.  LASSO and elastic net can afford fewer perturbations, and need larger ones."""

L1_PERTURBATIONS = 25
"""Most perturbations of a preset for LASSO and elastic net, whose ascent takes ten times longer."""


@dataclass(frozen=True)
class Preset:
    """Values of the parameters that a config does not set."""

    restarts: int = 1
    sweeps: int = 50
    tol: float = 1e-2
    levels: tuple[float, ...] = (0.0, 1.0)
    anneal: tuple[float, ...] = ()
    max_distinct: int | None = None
    perturbations: int = 0


PRESETS = {
    "fast": Preset(sweeps=2, max_distinct=24),
    "standard": Preset(anneal=(4.0,)),
    "strong": Preset(restarts=4, anneal=(4.0,), perturbations=300),
}


class Coordinate(Attack):
    """Exact coordinate ascent over legal rows and responses in {0, 1}.

    The effect of a change is exact for ridge and full-rank OLS.  For LASSO and elastic net, the
    ascent uses an adaptive ridge with the same gradient, and for rank-deficient OLS a small ridge.
    ``objective_final`` is always that of the learner itself, trained on the poison rows that are
    returned.  If the minimiser of LASSO is not unique, it is the one that coordinate descent finds
    from zero, in the order of the columns; another solver may find another W.

    With few rows and columns, the last rounds are exact in two more ways: numeric columns may take
    any real value, which a line search finds in closed form, and not only `levels`; and for LASSO
    and elastic net, every single move is judged by a refit.

    Parameters
    ----------
    initialization : str, default="bflip"
        How the starting rows are made; numeric features are not rounded.
    outer_objective : str, default="validation"
        What the attack maximises.
    preset : {"fast", "standard", "strong"}, default="standard"
        Values of the parameters that are not given. In general: restarts 1, sweeps 50, tol 0.01,
        levels [0, 1], anneal [], max_distinct p, perturbations 0. Exceptions: `fast` has sweeps 2
        and max_distinct 24; `standard` has anneal [4]; `strong` has anneal [4], restarts 4 and
        perturbations 300, or 25 for LASSO and elastic net.
    restarts : int, optional
        Number of starts from different training rows; the one with the highest objective is kept.
    sweeps : int, optional
        Maximum number of sweeps over the rows, after the annealed ones; for LASSO and elastic net,
        of rounds.
    tol : float, optional
        The ascent stops when the relative gain of a sweep is below this.
    levels : list of float, optional
        Values in [0, 1] that numeric features may take, besides their starting values.
    anneal : list of float, optional
        Factors of the penalty in the first sweeps, one factor for each sweep.
    max_distinct : int, optional
        Maximum number of distinct rows; each is repeated about p / max_distinct times.
    perturbations : int, optional
        How often one row in fifty (for LASSO and elastic net, one in four) is redrawn and the
        ascent repeated; improvements are kept.
    kappa : float, default=0.0
        Factor of the sum of the squared weights of one-hot columns, which is added to the
        objective of the ascent.
    warm_start : {"none", "optp"}, default="none"
        Whether the first start is the result of `optp` for the same objective.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Coordinate
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> attack = Coordinate(outer_objective="training", preset="fast")
    >>> poison = attack.poison(X, 3 * X[:, 0] + 1, n_poison=4, random_state=0)
    >>> poison.X.ravel(), poison.y
    (array([10., 10., 10., 10.]), array([1., 1., 1., 1.]))
    """

    name = "coordinate"
    reference = "introduced in poisonbench; see engines/quadratic_sweep.py and engines/row_sweep.py"

    @classmethod
    def engine(cls) -> str | None:
        """Return the library that computes the sweeps; see the base class."""
        return f"{climb.engine().name} {climb.engine().version}"

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
            ``kappa`` is given with an objective that is not quadratic.
        """
        objective = registry.components("outer_objective")[self.outer_objective]
        if self.kappa and not objective.quadratic:
            raise ValueError(f"kappa is {self.kappa:g}, but its term can only be added to a "
                             f"quadratic objective; expected 0 with {self.outer_objective}"
                             )  # fmt: skip
        return None

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the poison rows that reach the highest objective."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name in Preset.__dataclass_fields__
            if (value := getattr(self, name)) is not None
        }
        preset = PRESETS[self.preset]
        if problem.model.l1_ratio() > 0:
            preset = replace(preset, perturbations=min(preset.perturbations, L1_PERTURBATIONS))
        settings = replace(preset, **given)
        W = registry.components("outer_objective")[self.outer_objective]().function(problem)
        ascent = Climb(
            problem,
            W,
            levels=settings.levels,
            anneal=settings.anneal,
            sweeps=settings.sweeps,
            tol=settings.tol,
            kappa=self.kappa,
        )
        m = _multiplicities(problem.n_poison, settings.max_distinct)
        starts = self._starts(problem, settings.restarts, len(m))
        start = next(starts)
        best = self._polished(ascent, ascent(start, m, refine=self.warm_start == "optp"), m)
        for other in starts:
            # Polish each result before comparing them, so that more starts never end lower.
            reached = self._polished(ascent, ascent(other, m), m)
            best = max(best, reached, key=lambda reached: reached.W)
        rng = problem.generator()
        for _ in range(settings.perturbations):
            perturbed = ascent(self._perturbed(problem, best.rows, rng), m, refine=True)
            gain = perturbed.W - best.W
            if gain > TIE * abs(best.W):
                best = replace(perturbed, trace=best.trace + perturbed.trace)
        if settings.perturbations:
            best = self._polished(ascent, best, m)
        # Compute W for the learner trained in the usual way, because the ascent may have used a
        # surrogate, or one of several minimisers of LASSO.
        initial, final = ascent.fresh(start, m), ascent.fresh(best.rows, m)
        if final < initial:
            # Possible with a surrogate, with kappa > 0, or if the functions climbed first led away
            # from a maximum of W.
            best, final = climb.Reached(start, initial, (*best.trace, initial)), initial
        poison = climb.expanded(best.rows, m)
        return PoisonSet(
            poison.X,
            poison.y,
            objective_initial=initial,
            objective_final=final,
            rounds=len(best.trace) - 1,
            trace=best.trace,
        )

    def _polished(self, ascent: Climb, best: Reached, m: FloatArray) -> Reached:
        """Return the rows after polishing, which only small problems can afford."""
        space, n_rows = ascent.problem.space, len(best.rows)
        d, climbed = space.n_features, ascent.stages[-1].climbed
        if not n_rows:
            return best
        if ascent.problem.model.l1_ratio() > 0:
            if 2 * n_rows * len(ascent.moves.column) > REFITS:
                return best
            rows, W = by_refits(
                lambda rows: ascent.objective(rows, m), best.rows, ascent.moves, POLISHES
            )
            return Reached(rows, W, (*best.trace, W)) if W > best.W else best
        small = 0 < n_rows * len(space.numeric) * d**2 <= SMALL
        if not (small and ascent.is_learner and isinstance(climbed, Quadratic)) or self.kappa:
            return best
        learner = Learner(ascent.gram, ascent.moment, ascent.penalty, climbed)
        for _ in range(POLISHES):
            rows = real_valued(learner, best.rows, m, space.numeric)
            reached = ascent(rows, m, refine=True)
            gain = reached.W - best.W
            if gain < 0:
                break
            enough = gain > GAIN * abs(best.W)
            best = replace(reached, trace=best.trace + reached.trace[1:])
            if not enough:
                break
        return best

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
                yield initialization.rows(problem, n_distinct, restart)

    def _perturbed(self, problem: AttackProblem, best: Sample, rng: np.random.Generator) -> Sample:
        """Return the best rows, with some of them redrawn."""
        X, y = best.X.copy(), best.y.copy()
        share = L1_REDRAWN if problem.model.l1_ratio() > 0 else REDRAWN
        where = rng.choice(len(y), int(np.ceil(share * len(y))), replace=False)
        drawn = rng.integers(len(problem.train), size=len(where))
        initialization = registry.components("initialization")[self.initialization]()
        X[where] = problem.train.X[drawn]
        y[where] = initialization.responses(problem.train.y[drawn])
        return Sample(X, y)


def _multiplicities(n_poison: int, max_distinct: int | None) -> FloatArray:
    """Return the number of copies of each distinct row; these differ by at most 1."""
    n_distinct = min(max_distinct or n_poison, n_poison)
    return np.bincount(np.arange(n_poison) % max(n_distinct, 1)).astype(np.float64)
