"""Adaptive: poison chosen against the very defense that will meet it.

A defense is as good as the worst that somebody who knows it can do (Tramèr, Carlini, Brendel &
Madry, "On Adaptive Attacks to Adversarial Example Defenses", NeurIPS 2020).  What robust
regression leaves to an attacker is poison that it has no reason to reject: residuals of a few
scales, all pulling the same way, on rows that have a say.  With f_0 the defended fit to the clean
rows, sigma the scale of its residuals, and signs s_c,

    y_c = f_0(x_c) + delta s_c sigma,   theta - theta_0 = delta sigma K Z_p' s,

exactly so where the defense is a ridge fit and K the inverse of its Gram matrix, poison and
penalty included.  K is taken here for poison that is like the clean rows, whatever rows are chosen.
Then the validation error of that shift, (delta sigma)^2 s' Z_p K A K Z_p' s with A = Z_v'Z_v / m,
is convex in each row times its sign.  So it is climbed by turns, as power iteration climbs a
quadratic form: from rows and signs the direction t = K A K Z_p' s, and from t the rows with the
largest |t.z|, with signs of t.z; no turn lowers it.  Copies of few rows, rows pushed to the corners
of the box, the ends of single features and small categories are tried beside where that leads.

K is not the defense's, which need not have one, and nobody knows beforehand how large a delta it
lets pass: so every set is put before the defense itself, with one delta after the other, and the
error that it is left with on the attacker's validation rows decides.  Quick forms of attacks that
know nothing of defenses are among the sets tried.  So it is no weaker on those rows than they are;
in full, such an attack can still be the stronger one on a defense that it breaks anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from scipy import linalg
from sklearn.base import clone

from poisonbench import registry
from poisonbench.attacks.base import Attack
from poisonbench.attacks.coordinate import Coordinate
from poisonbench.attacks.engines.functions import with_intercept
from poisonbench.attacks.engines.surrogate import columns_not_to_touch, quadratic_penalty
from poisonbench.attacks.sever import Sever
from poisonbench.attacks.statp import StatP
from poisonbench.attacks.subpopulation import Subpopulation
from poisonbench.features import FeatureSpace, FloatArray, IntArray
from poisonbench.problem import AttackProblem, PoisonSet

logger = logging.getLogger(__name__)

DELTAS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, np.inf)
"""Pulls to begin with, in scales of the clean residuals; without end, responses are 0 or 1."""

COPIES = (1, 2, 4)
"""Copies of each row that a set may have."""

TURNS = 5
"""Turns of rows and directions; the form hardly grows after a few."""

CATEGORY_PENALTY = 1 / 12
"""Penalty on one-hot columns, as a share of the rows, where a defense is taken to shrink them."""

LEAST_SCALE = 1e-2
"""Of the range of responses: where the clean fit has hardly any residuals, as with n < d."""

UNAWARE_TRIALS = 4
"""Candidates of the attacks on trimming, fewer than they try by default: they are four."""

FINALISTS, SPREAD = 3, 0.3
"""Best sets, which are tried with other deltas, and the standard deviation of the logarithm of what
these are multiplied by."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


@dataclass(frozen=True)
class _Pull:
    """p rows, and which way the response of each is to pull; shapes (p, d) and (p,)."""

    X: FloatArray
    signs: FloatArray


@dataclass(frozen=True)
class _Trial:
    """What a defense is left with where the rows of a pull have a residual of delta scales."""

    error: float
    poison: PoisonSet
    pull: _Pull
    delta: float


class Adaptive(Attack):
    """Poison tuned to one defense, by trying on it what it could have no reason to reject.

    The attacker has the defense, with its defaults and, where it asks, the true p; not its random
    numbers.  It costs one fit of the defense to the clean rows, ``candidates + refinements + 6``
    fits to n + p rows, and six sets of attacks that know nothing of the defense.  A set on which
    the defense fails is left aside.

    Parameters
    ----------
    defense : str, default="mm"
        The defense to break.  Other defenses in the config meet the same poison.
    candidates : int, default=40
        Sets tried, of rows and pulls drawn at random, beside those of other attacks.
    refinements : int, default=20
        Further trials of the best of them, with weaker and stronger pulls.

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
    reference = "Tramèr et al. 2020, On Adaptive Attacks; the sets tried are this project's"
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
        """Return the set that leaves the defense with the largest validation error."""
        train, p = problem.train, problem.n_poison
        if not p:
            return PoisonSet(train.X[:0].copy(), train.y[:0].copy())
        rng = problem.generator()
        defend = _defender(problem, self.defense, int(rng.integers(2**31)))
        clean = defend(train.X, train.y)
        predicted = clean(train.X)
        scale = max(MAD_TO_SD * float(np.median(np.abs(train.y - predicted))), LEAST_SCALE)

        def error(poison: PoisonSet) -> float:
            try:
                fitted = defend(np.vstack([train.X, poison.X]), np.append(train.y, poison.y))
            except ValueError as failure:  # no consensus, say
                logger.info("%s fails: %s", self.defense, failure)
                return -np.inf
            residuals = fitted(problem.validation.X) - problem.validation.y
            left = float(np.mean(residuals**2))
            logger.info("%s is left with a validation error of %.4g", self.defense, left)
            return left

        def tried(pull: _Pull, delta: float) -> _Trial:
            y = np.clip(clean(pull.X) + delta * scale * pull.signs, 0.0, 1.0)
            poison = PoisonSet(pull.X, y)
            return _Trial(error(poison), poison, pull, delta)

        unaware = max(((error(poison), poison) for poison in _unaware(problem)), key=itemgetter(0))
        pulls = _pulls(problem, rng)
        best: list[_Trial] = []  # all of them would take too much memory where rows are many
        for k in range(self.candidates + self.refinements):
            if k < self.candidates:
                trial = tried(next(pulls), rng.choice(DELTAS))
            else:
                former = best[rng.integers(len(best))]
                factor = np.exp(SPREAD * rng.standard_normal())
                trial = tried(former.pull, factor * min(former.delta, DELTAS[-2]))
            best = sorted([*best, trial], key=lambda trial: -trial.error)[:FINALISTS]
        return best[0].poison if best[0].error > unaware[0] else unaware[1]


def _defender(
    problem: AttackProblem, name: str, random_state: int
) -> Callable[[FloatArray, FloatArray], Callable[[FloatArray], FloatArray]]:
    """Return a function that fits the defense to rows and returns its predictions."""
    cls = registry.components("defense")[name]

    def fit(X: FloatArray, y: FloatArray) -> Callable[[FloatArray], FloatArray]:
        n_poison = len(y) - len(problem.train)
        told = cls.told(clone(problem.model), problem.space, n_poison, random_state)
        predict: Callable[[FloatArray], FloatArray] = cls(**told).fit(X, y).predict
        return predict

    return fit


def _unaware(problem: AttackProblem) -> Iterator[PoisonSet]:
    """Yield what attacks do that know nothing of the defense."""
    yield Coordinate(preset="fast").generate(problem)
    yield StatP().generate(problem)
    yield Sever(candidates=UNAWARE_TRIALS).generate(problem)
    for shift in (0.2, 0.4, 0.9):
        yield Subpopulation(shift=shift, candidates=UNAWARE_TRIALS).generate(problem)


def _pulls(problem: AttackProblem, rng: np.random.Generator) -> Iterator[_Pull]:
    """Yield sets without end: directions of each penalty, ends of features, categories, again."""
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
    """The validation error of a shift, as a quadratic form of rows and signs.

    Parameters
    ----------
    problem : AttackProblem
        What the attacker knows.

    Attributes
    ----------
    Z, A : ndarray of shape (n, d + 1) and (d + 1, d + 1)
        The clean rows, each with a 1, and A of the module's docstring.
    inverses : tuple of ndarray of shape (d + 1, d + 1)
        K with the learner's own penalty, and with one-hot columns shrunk as well.
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
        """Return rows and signs that are best for the direction that they make, or nearly.

        Half of the time the `movable` columns are then pushed to the ends of the box.
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
    """Return rows at the end of a feature, or of a combination of all, pulled one way."""
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
    """Return the numeric columns that may be pushed to an end of the box."""
    columns = problem.space.numeric
    movable: IntArray = columns[~columns_not_to_touch(problem)[columns]]
    return movable


def _categories(problem: AttackProblem) -> list[IntArray]:
    """Return the training rows of each category that has no more of them than the poison."""
    X = problem.train.X
    rows = [np.flatnonzero(X[:, column] == 1) for column in _one_hot(problem.space)]
    return [found for found in rows if 0 < len(found) <= problem.n_poison]


def _one_hot(space: FeatureSpace) -> IntArray:
    """Return the columns that stand for categories."""
    columns: IntArray = np.setdiff1d(np.arange(space.n_features), space.numeric)
    return columns
