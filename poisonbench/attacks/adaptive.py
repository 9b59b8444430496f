"""Adaptive: poison tuned to the defense that is used against it.

A defense has to be judged by the worst attack of somebody who knows it (Tramèr, Carlini, Brendel &
Madry, "On Adaptive Attacks to Adversarial Example Defenses", NeurIPS 2020).  A robust regression
rejects rows with large residuals.  So the attacker uses poison with moderate residuals, delta times
the residual scale, all of which move the fit in the same direction.  Let theta_0 be the weights of
the defended fit f_0 to the clean rows, sigma the scale of its residuals, Z_p the poison rows, each
with a 1, and s_c = +-1 their signs.  Poison with responses

    y_c = f_0(x_c) + delta s_c sigma   moves the fit by   theta - theta_0 = delta sigma K Z_p' s.

This is exact if the defense is a ridge fit, and K the inverse of its Gram matrix, including poison
and penalty.  We use one K for all candidates: that of poison distributed like the clean rows.  The
shift changes the predictions on the m validation rows Z_v by a mean square of

    (delta sigma)^2 s' Z_p K A K Z_p' s,   A = Z_v'Z_v / m,

which is a convex quadratic form in the signed rows s_c z_c.  We maximise it like power iteration,
by alternating two steps: compute the direction t = K A K Z_p' s, then choose the rows with the
largest |t.z| and the signs of t.z.  No iteration decreases the form.  Further candidates are:
copies of fewer rows; rows moved to the corners of the box; rows at the ends of single features;
small categories.

The real defense may not have a K, and how large a delta it tolerates is not known beforehand.  So
every candidate is tried on the defense itself, with different values of delta, and the one with the
largest error on the attacker's validation rows is kept.  Fast versions of the other attacks are
also candidates, so on these rows `adaptive` is never weaker than they are.  At full strength,
another attack may still do more damage to a defense that breaks down anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from scipy import linalg

from poisonbench.attacks.base import Attack
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.attacks.engines.defender import defender
from poisonbench.attacks.engines.functions import with_intercept
from poisonbench.attacks.engines.surrogate import columns_not_to_touch, quadratic_penalty
from poisonbench.attacks.sever import Sever
from poisonbench.attacks.statp import StatP
from poisonbench.attacks.subpopulation import Subpopulation
from poisonbench.features import FeatureSpace, FloatArray, IntArray
from poisonbench.problem import AttackProblem, PoisonSet

logger = logging.getLogger(__name__)

DELTAS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, np.inf)
"""Values of delta in the first trials; if delta is infinite, the responses are 0 or 1."""

COPIES = (1, 2, 4)
"""Possible numbers of copies of each row in a candidate."""

TURNS = 5
"""Number of alternating steps; the form hardly grows after a few."""

CATEGORY_PENALTY = 1 / 12
"""Penalty on one-hot columns, as a share of the rows, in the K of a defense that shrinks them."""

LEAST_SCALE = 1e-2
"""Smallest sigma, in box units, for clean fits with almost no residuals, as with n < d."""

UNAWARE_TRIALS = 4
"""Candidates tried in each of the four attacks on trimming; fewer than their default."""

FINALISTS, SPREAD = 3, 0.3
"""Number of best candidates that are tried with other deltas, and the standard deviation of the
logarithm of the factor that these are multiplied by."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable, divided by its median absolute deviation."""


@dataclass(frozen=True)
class _Pull:
    """p rows, and the sign of the residual of each; shapes (p, d) and (p,)."""

    X: FloatArray
    signs: FloatArray


@dataclass(frozen=True)
class _Trial:
    """The error of the defense when the rows of a pull have residuals of delta sigma."""

    error: float
    poison: PoisonSet
    pull: _Pull
    delta: float


class Adaptive(Attack):
    """Poison tuned to one defense, by trying out candidates that the defense may not reject.

    The attacker can run the defense with its default parameters, and with the true p if the defense
    uses it, but does not know its random numbers.  The attack costs one fit of the defense to the
    clean rows, ``candidates + refinements + 6`` fits to n + p rows, and six runs of other attacks.
    A candidate on which the defense fails is ignored.

    Parameters
    ----------
    defense : str, default="mm"
        The defense to attack.  The other defenses in the config get the same poison.
    candidates : int, default=40
        Number of random candidates, in addition to those of other attacks.
    refinements : int, default=20
        Number of further trials of the best candidates with smaller and larger deltas.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Adaptive
    >>> X = np.linspace(0, 10, 40)[:, None]
    >>> y = 3 * X[:, 0] + 1
    >>> attack = Adaptive(defense="trim", candidates=2, refinements=1)
    >>> poison = attack.poison(X, y, n_poison=4, X_val=X, y_val=y, random_state=0)
    >>> poison.X.shape, poison.y.shape
    ((4, 1), (4,))
    """

    name = "adaptive"
    reference = "Tramèr et al. 2020, On Adaptive Attacks; the candidates are new in poisonbench"
    fixed_axes: ClassVar[Mapping[str, str]] = {"outer_objective": "validation"}

    def __init__(
        self,
        *,
        defense: str = "mm",
        candidates: Annotated[int, Ge(1)] = 40,
        refinements: Annotated[int, Ge(0)] = 20,
    ) -> None:
        self.defense = defense
        self.candidates = candidates
        self.refinements = refinements

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the candidate with the largest validation error of the defense."""
        train, p = problem.train, problem.n_poison
        if not p:
            return PoisonSet(train.X[:0].copy(), train.y[:0].copy())
        rng = problem.generator()
        defend = defender(problem, self.defense, int(rng.integers(2**31)))
        clean = defend(train.X, train.y)
        predicted = clean(train.X)
        scale = max(MAD_TO_SD * float(np.median(np.abs(train.y - predicted))), LEAST_SCALE)

        def error(poison: PoisonSet) -> float:
            try:
                fitted = defend(np.vstack([train.X, poison.X]), np.append(train.y, poison.y))
            except ValueError as failure:  # such as RANSAC without a consensus
                logger.info("%s fails: %s", self.defense, failure)
                return -np.inf
            residuals = fitted(problem.validation.X) - problem.validation.y
            left = float(np.mean(residuals**2))
            logger.info("%s: validation error %.4g", self.defense, left)
            return left

        def tried(pull: _Pull, delta: float) -> _Trial:
            y = np.clip(clean(pull.X) + delta * scale * pull.signs, 0.0, 1.0)
            poison = PoisonSet(pull.X, y)
            return _Trial(error(poison), poison, pull, delta)

        unaware = max(((error(poison), poison) for poison in _unaware(problem)), key=itemgetter(0))
        pulls = _pulls(problem, rng)
        best: list[_Trial] = []  # with many rows, keeping all trials would take too much memory
        for k in range(self.candidates + self.refinements):
            if k < self.candidates:
                trial = tried(next(pulls), rng.choice(DELTAS))
            else:
                former = best[rng.integers(len(best))]
                factor = np.exp(SPREAD * rng.standard_normal())
                trial = tried(former.pull, factor * min(former.delta, DELTAS[-2]))
            best = sorted([*best, trial], key=lambda trial: -trial.error)[:FINALISTS]
        return best[0].poison if best[0].error > unaware[0] else unaware[1]


def _unaware(problem: AttackProblem) -> Iterator[PoisonSet]:
    """Yield the poison of attacks that do not know the defense."""
    yield Coordinate(preset="fast").generate(problem)
    yield StatP().generate(problem)
    yield Sever(candidates=UNAWARE_TRIALS).generate(problem)
    for shift in (0.2, 0.4, 0.9):
        yield Subpopulation(shift=shift, candidates=UNAWARE_TRIALS).generate(problem)


def _pulls(problem: AttackProblem, rng: np.random.Generator) -> Iterator[_Pull]:
    """Yield candidates forever: in turn maximisers for each K, ends of features, and categories."""
    form, movable, categories = _Form(problem), _movable(problem), _categories(problem)
    while True:
        for K in form.inverses:
            yield form.pull(K, movable, rng)
        if problem.space.numeric.size:
            yield _end(problem, movable, rng)
        if categories:
            rows = categories[rng.integers(len(categories))]
            signs = np.full(problem.n_poison, rng.choice([-1.0, 1.0]))
            yield _Pull(problem.train.X[np.resize(rows, problem.n_poison)], signs)


class _Form:
    """The quadratic form of the module's docstring.

    Parameters
    ----------
    problem : AttackProblem
        Everything that the attacker knows.

    Attributes
    ----------
    Z, A : ndarray of shape (n, d + 1) and (d + 1, d + 1)
        The clean rows, each with a 1, and A of the module's docstring.
    inverses : tuple of ndarray of shape (d + 1, d + 1)
        K with the learner's own penalty, and K with an additional penalty on one-hot columns.
    """

    def __init__(self, problem: AttackProblem) -> None:
        self.problem = problem
        n_rows = len(problem.train) + problem.n_poison
        self.Z = with_intercept(problem.train.X)
        Z_v = with_intercept(problem.validation.X)
        self.A = Z_v.T @ Z_v / len(Z_v)
        gram = self.Z.T @ self.Z * (n_rows / len(self.Z))
        own = np.append(quadratic_penalty(problem), 0.0)
        shrunk = own.copy()
        shrunk[_one_hot(problem.space)] += CATEGORY_PENALTY * n_rows
        self.inverses = tuple(
            linalg.inv(gram + np.diag(penalty), check_finite=False) for penalty in (own, shrunk)
        )

    def pull(self, K: FloatArray, movable: IntArray, rng: np.random.Generator) -> _Pull:
        """Return rows and signs that nearly maximise the form, from a random start.

        With probability 1/2, the `movable` columns are then moved to the ends of the box.
        """
        p = self.problem.n_poison
        n_distinct = max(1, p // int(rng.choice(COPIES)))
        t = K @ (rng.standard_normal(len(K)) * np.sqrt(self.A.diagonal()))
        for _ in range(TURNS):
            score = self.Z @ t
            rows = np.resize(np.argsort(-np.abs(score), kind="stable")[:n_distinct], p)
            signs = np.where(score[rows] < 0, -1.0, 1.0)
            t = K @ (self.A @ (K @ (self.Z[rows].T @ signs)))
        X = self.problem.train.X[rows]
        if rng.random() < 0.5:
            X[:, movable] = (t[movable] > 0) == (signs > 0)[:, None]
        return _Pull(X, signs)


def _end(problem: AttackProblem, movable: IntArray, rng: np.random.Generator) -> _Pull:
    """Return rows that are extreme in a feature, or in a random combination, with equal signs."""
    X, p, columns = problem.train.X, problem.n_poison, problem.space.numeric
    direction = np.zeros(problem.space.n_features)
    if rng.random() < 0.5:
        direction[rng.choice(columns)] = rng.choice([-1.0, 1.0])
    else:
        spread = X[:, columns].std(axis=0)
        direction[columns] = rng.standard_normal(len(columns)) / np.where(spread > 0, spread, 1.0)
    n_distinct = max(1, p // int(rng.choice(COPIES)))
    rows = np.resize(np.argsort(-(X @ direction), kind="stable")[:n_distinct], p)
    chosen = X[rows]
    if rng.random() < 0.5:
        pushed = np.intersect1d(movable, np.flatnonzero(direction))
        chosen[:, pushed] = direction[pushed] > 0
    return _Pull(chosen, np.full(p, rng.choice([-1.0, 1.0])))


def _movable(problem: AttackProblem) -> IntArray:
    """Return the numeric columns that may be moved to an end of the box."""
    columns = problem.space.numeric
    movable: IntArray = columns[~columns_not_to_touch(problem)[columns]]
    return movable


def _categories(problem: AttackProblem) -> list[IntArray]:
    """Return the training rows of each category that has at most p of them."""
    X = problem.train.X
    rows = [np.flatnonzero(X[:, column] == 1) for column in _one_hot(problem.space)]
    return [found for found in rows if 0 < len(found) <= problem.n_poison]


def _one_hot(space: FeatureSpace) -> IntArray:
    """Return the one-hot columns."""
    columns: IntArray = np.setdiff1d(np.arange(space.n_features), space.numeric)
    return columns
