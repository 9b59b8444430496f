"""What an attack is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from poisonbench import registry
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, IntArray
from poisonbench.problem import AttackProblem, PoisonSet

AXES = ("variables", "initialization", "outer_objective")
"""The words by which the field tells variants of one attack apart."""


class Attack(ABC):
    """A way to choose p poison rows.

    A subclass has a ``name`` and a ``reference``, assigns its parameters in ``__init__``, and
    implements :meth:`generate`.  An attack that has a parameter ``initialization`` or
    ``outer_objective`` takes it from the config's word of that name, unless its own mapping sets
    it; these and ``variables`` are the :data:`AXES` by which tables tell its variants apart.
    """

    name: ClassVar[str]
    reference: ClassVar[str]

    fixed_axes: ClassVar[Mapping[str, str]] = {}
    """Axes that the attack's definition fixes, for the tables."""

    takes_rate: ClassVar[bool] = True
    """Whether the poisoning rate sets the number of rows; else the attack brings its own."""

    engine: ClassVar[str | None] = None
    """What it is computed with, library and version, where that depends on what is installed."""

    @classmethod
    def axes(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return which :data:`AXES` vary this attack when it has these other parameters."""
        return tuple(axis for axis in AXES if registry.accepts(cls, axis))

    @classmethod
    def needs_validation(cls, parameters: Mapping[str, Any]) -> bool:
        """Return whether it cannot run with these parameters without validation rows.

        So it is with an outer objective that needs them, and with an attack that leaves its
        objective open: it tries them all and chooses on validation rows.
        """
        if registry.accepts(cls, "outer_objective") and "outer_objective" not in parameters:
            return True
        objective = parameters.get("outer_objective", cls.fixed_axes.get("outer_objective"))
        known = registry.components("outer_objective")
        return objective in known and bool(known[objective].needs_validation)

    def own_rows(
        self, space: FeatureSpace, target: str, scaling: Scaling | None = None
    ) -> int | None:
        """Return how many rows the attack brings by itself, or None if the rate decides.

        Parameters
        ----------
        space : FeatureSpace
            The columns of the data set to be attacked.
        target : str
            Name of its response.
        scaling : Scaling or None
            How the box relates to the data's own units; None where that differs by seed.

        Raises
        ------
        ValueError
            What the attack needs is missing or unusable; raised before any computation.
        """
        return None

    def rows_seen(self) -> IntArray | None:
        """Return which rows of the data set its own rows were made with, where that is known.

        None of them may be a test row.
        """
        return None

    @abstractmethod
    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return ``problem.n_poison`` legal rows.

        Parameters
        ----------
        problem : AttackProblem
            What the attacker knows and may do.

        Returns
        -------
        PoisonSet
            The rows, which the harness checks before use.
        """
