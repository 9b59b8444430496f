"""The small frozen objects that are passed between the stages of an experiment.

They limit what a stage can know: an :class:`AttackProblem` contains no test rows, and a defense
gets only the shuffled rows of a :class:`Sample`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from poisonbench.features import BOX_TOLERANCE, FeatureSpace, FloatArray

if TYPE_CHECKING:
    from poisonbench.data.base import ResponseUnit
    from poisonbench.data.scaling import Scaling
    from poisonbench.data.split import Split
    from poisonbench.models.base import LinearModel


@dataclass(frozen=True)
class Sample:
    """Rows and responses in the box: ``X`` of shape (rows, d) and ``y`` of shape (rows,)."""

    X: FloatArray
    y: FloatArray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class AttackProblem:
    """Everything that an attacker knows, and the number of poison rows that it may add.

    Parameters
    ----------
    train : Sample
        The n clean training rows D_tr, or a surrogate sample in their place.
    validation : Sample
        The attacker's validation rows D_val; may be empty.
    model : LinearModel
        The learner, or a surrogate learner in its place, fitted on ``train``, with its
        regularisation strength fixed.
    space : FeatureSpace
        Which rows are legal.
    target : str
        Name of the response.
    scaling : Scaling
        The map between the data's own units and the box.
    n_poison : int
        The budget p, the number of poison rows.
    entropy : int
        Seed of the attacker's random numbers.

    Raises
    ------
    ValueError
        Training rows lie outside the box, for which the attacks are not made.
    """

    train: Sample
    validation: Sample
    model: LinearModel
    space: FeatureSpace
    target: str
    scaling: Scaling
    n_poison: int
    entropy: int

    def __post_init__(self) -> None:
        X, y = self.train.X, self.train.y
        for what, values in (("X", X), ("y", y)):
            low, high = values.min(initial=0.0), values.max(initial=1.0)
            if not (low >= -BOX_TOLERANCE and high <= 1 + BOX_TOLERANCE):  # NaN compares false
                raise ValueError(f"{what} of the training rows ranges from {low:.6g} to "
                                 f"{high:.6g}, expected values in the box [0, 1]; scale them with "
                                 "Scaling.fit and transform")  # fmt: skip

    def generator(self, restart: int = 0) -> np.random.Generator:
        """Return a fresh generator, in the same state at every call with this `restart`."""
        return np.random.default_rng(np.random.SeedSequence(self.entropy + restart))


@dataclass(frozen=True)
class PoisonSet:
    """The poison rows that an attack returns, and how it found them.

    Parameters
    ----------
    X, y : ndarray of shape (p, d) and (p,)
        The poison rows, in the box.
    objective_initial, objective_final : float or None
        The outer objective W at the initialization and at the end, if the attack has one.
    rounds : int
        Rounds of the attack's outer loop.
    variant : dict of str to str
        For an attack that tries several variants, the axes of the variant that it kept.
    trace : tuple of float
        W at the start and after each round; if the attack climbed several times, of the climb that
        it kept.  If the attack uses a surrogate of the learner, W is that of the surrogate.
    """

    X: FloatArray
    y: FloatArray
    objective_initial: float | None = None
    objective_final: float | None = None
    rounds: int = 0
    variant: dict[str, str] = field(default_factory=dict)
    trace: tuple[float, ...] = ()

    def violations(self, n_poison: int, space: FeatureSpace) -> list[str]:
        """Say why this is not a set of `n_poison` legal rows.

        Parameters
        ----------
        n_poison : int
            The number of rows that it should have.
        space : FeatureSpace
            Which rows are legal.

        Returns
        -------
        list of str
            One sentence for each kind of violation: another number of rows, a value that is not
            finite or outside the box, an illegal one-hot group; empty if there is none.
        """
        found = space.violations(self.X)
        if self.y.shape != (len(self.X),):
            found.append(f"the responses have shape {self.y.shape}, expected ({len(self.X)},)")
        else:
            found += FeatureSpace(("the response",)).violations(self.y[:, None])
        if len(self.X) != n_poison:
            found.insert(0, f"it has {len(self.X)} rows, expected {n_poison}")
        return found


@dataclass(frozen=True)
class Setting:
    """The training, validation and test rows of a split, scaled to the box.

    Parameters
    ----------
    train, validation, test : Sample
        The clean rows of each part.
    split : Split
        Their row indices in the data set.
    space : FeatureSpace
        Which rows are legal.
    target : str
        Name of the response.
    scaling : Scaling
        The map between the data's own units and the box.
    content : str
        Hash of the data set's content; random streams depend on it and on the seed.
    unit : ResponseUnit or None
        How the box relates to the response's own unit; None if that is not known.
    """

    train: Sample
    validation: Sample
    test: Sample
    split: Split
    space: FeatureSpace
    target: str
    scaling: Scaling
    content: str
    unit: ResponseUnit | None


@dataclass(frozen=True)
class Poisoned:
    """A poison set, the seconds that it took, and the library that computed it, if that varies."""

    poison: PoisonSet
    seconds: float
    engine: str | None = None
