"""Adaptive: poison tuned to the defense that is used against it.

A defense has to be judged by the strongest attack of somebody who knows it (Tramèr, Carlini,
Brendel & Madry, "On Adaptive Attacks to Adversarial Example Defenses", NeurIPS 2020).  A robust
regression rejects rows with large residuals, or gives them little weight.  So the poison rows here
have residuals of moderate size, and all of them push the fit in the same direction.

Let f_0 be the defense's fit to the clean rows, theta_0 its weights and intercept, and sigma the
scale of its residuals there.  A poison row x_c gets a response above f_0 (s_c = 1) or below it
(s_c = -1), at a distance of delta sigma:

    y_c = f_0(x_c) + delta s_c sigma.

Let Z_p be the matrix of the poison rows, each with a 1 for the intercept.  If the defense were a
ridge fit to all rows, they would shift it by exactly

    theta - theta_0 = delta sigma K Z_p' s,

where K is the inverse of the Gram matrix of all rows, poison and penalty included.  For all
candidates we use the K of poison rows that are distributed like the clean ones.  The shift changes
the predictions on the m validation rows Z_v by a mean square of

    (delta sigma)^2 s' Z_p K A K Z_p' s,   A = Z_v'Z_v / m,

a convex quadratic form in the signed rows s_c z_c.  It is maximised in a manner like power
iteration.  Starting from a random direction t, two steps alternate: take the training rows with the
largest |t.z| as poison, with s_c the sign of t.z; compute t = K A K Z_p' s anew.  The form never
decreases.  There are four kinds of candidates:

1. these rows, all distinct or several copies of fewer rows;
2. the same with numeric features moved to the ends of the box, in the direction of t;
3. rows at the end of one numeric feature, or of a random combination of them;
4. copies of the rows of a rare category.

A real defense is no such ridge fit, and the largest delta that it tolerates is not known in
advance.  So each candidate is tried on the defense itself with a delta drawn at random, and the
best ones are tried again with deltas near theirs.  The one with the largest error on the attacker's
validation rows is kept.  Quick versions of attacks that do not know the defense are candidates too,
so on these rows `adaptive` is at least as strong as they are.  At full strength such an attack may
still do more damage, to a defense that breaks down anyway.
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
"""Values of delta in a candidate's first trial; if it is infinite, the responses are 0 or 1."""

COPIES = (1, 2, 4)
"""How many copies of each distinct row a candidate may have."""

TURNS = 5
"""How often the two steps alternate; after a few times the quadratic form hardly grows."""

CATEGORY_PENALTY = 1 / 12
"""Penalty on each one-hot column, divided by the number of rows, in the second K that is used: that
of a defense with a heavy penalty on categories, such as `mm`."""

LEAST_SCALE = 1e-2
"""Least sigma, in units of the box; a clean fit with n < d may have residuals of almost 0."""

UNAWARE_TRIALS = 4
"""Value of ``candidates`` of `sever` and `subpopulation` here, less than their default."""

FINALISTS, SPREAD = 3, 0.3
"""How many of the best candidates are tried with further deltas, and how far these are from theirs:
the standard deviation of the logarithm of the factor between them."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable, divided by its median absolute deviation."""


@dataclass(frozen=True)
class _Pull:
    """A candidate before delta is chosen: p rows, and the sign s_c of the residual of each.

    Parameters
    ----------
    X, signs : ndarray of shape (p, d) and (p,)
        The rows, and 1.0 or -1.0 for each.
    """

    X: FloatArray
    signs: FloatArray


@dataclass(frozen=True)
class _Trial:
    """What came of trying a candidate on the defense.

    Parameters
    ----------
    error : float
        Mean squared error of the defended fit on the validation rows; minus infinity if it failed.
    poison : PoisonSet
        The candidate's rows, with the responses that delta gives them.
    pull : _Pull
        The candidate.
    delta : float
        Size of the residuals of the poison rows, in units of sigma.
    """

    error: float
    poison: PoisonSet
    pull: _Pull
    delta: float


class Adaptive(Attack):
    """Poison tuned to one defense, by trying sets of rows on it that it may not reject.

    The attacker can run the defense, with its default parameters and with the true p if it needs
    p, but does not know which random numbers it will draw.  The attack costs one fit of the defense
    to the clean rows, ``candidates + refinements + 6`` fits to n + p rows, and six runs of other
    attacks.  A candidate that makes the defense fail with an error is dropped.

    Parameters
    ----------
    defense : str, default="mm"
        The defense to attack.  If the config has other defenses, they meet the same poison.
    candidates : int, default=40
        Number of random candidates, in addition to the poison of other attacks.
    refinements : int, default=20
        Number of further trials, in which the best candidates get smaller or larger residuals.

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
        """Return the poison that leaves the defense with the largest validation error."""
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
    """Yield candidates without end, of each kind in turn; see the module's docstring."""
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
    """The quadratic form that candidates maximise; see the module's docstring.

    Parameters
    ----------
    problem : AttackProblem
        Everything that the attacker knows.

    Attributes
    ----------
    Z : ndarray of shape (n, d + 1)
        The clean rows, each with a 1.
    A : ndarray of shape (d + 1, d + 1)
        Z_v'Z_v / m.
    inverses : tuple of ndarray of shape (d + 1, d + 1)
        Two K: with the learner's own penalty, and with an additional penalty on one-hot columns.
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
        """Return rows and signs where the climb of the form from a random direction ends.

        With probability 1/2, the `movable` columns are then moved to the ends of the box.

        Parameters
        ----------
        K : ndarray of shape (d + 1, d + 1)
            One of ``inverses``.
        movable : ndarray of int
            Numeric columns that may take any value.
        rng : Generator
            Of the attacker.
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
    """Return the training rows at the end of a numeric feature, or of a random combination of them.

    All have the same sign.  With probability 1/2, those features are then moved to the ends of the
    box.
    """
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
    """Return the numeric columns that may be moved to an end of the box; see `surrogate`."""
    columns = problem.space.numeric
    movable: IntArray = columns[~columns_not_to_touch(problem)[columns]]
    return movable


def _categories(problem: AttackProblem) -> list[IntArray]:
    """Return, for each category with 1 to p training rows, the indices of these rows."""
    X = problem.train.X
    rows = [np.flatnonzero(X[:, column] == 1) for column in _one_hot(problem.space)]
    return [found for found in rows if 0 < len(found) <= problem.n_poison]


def _one_hot(space: FeatureSpace) -> IntArray:
    """Return the one-hot columns."""
    columns: IntArray = np.setdiff1d(np.arange(space.n_features), space.numeric)
    return columns
