"""The base class of attacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from poisonbench import registry
from poisonbench.attacks import own_data
from poisonbench.data.scaling import Scaling
from poisonbench.features import FeatureSpace, IntArray
from poisonbench.parameters import check_parameters
from poisonbench.problem import AttackProblem, PoisonSet

AXES = ("variables", "initialization", "outer_objective")
"""The choices that distinguish the variants of one attack."""


class Attack(ABC):
    """A way to choose p poison rows.

    To attack your own data, call :meth:`poison`.

    A subclass has a ``name`` and a ``reference``, stores its parameters in ``__init__``, and
    implements :meth:`generate`, which an experiment calls.  If it has a parameter
    ``initialization`` or ``outer_objective``, the config's top-level key of that name sets it,
    unless the attack's own mapping does.  These and ``variables`` are the :data:`AXES`, which have
    their own columns in tables.
    """

    name: ClassVar[str]
    reference: ClassVar[str]

    fixed_axes: ClassVar[Mapping[str, str]] = {}
    """Axes that are fixed by the definition of the attack, for the tables."""

    takes_rate: ClassVar[bool] = True
    """Whether the poisoning rate sets the number of rows; if not, the attack brings its own."""

    @classmethod
    def engine(cls) -> str | None:
        """Return the library and version that computes it, if that depends on what is installed."""
        return None

    @classmethod
    def axes(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the :data:`AXES` that apply to the attack, given its other parameters."""
        return tuple(axis for axis in AXES if registry.accepts(cls, axis))

    @classmethod
    def needs_validation(cls, parameters: Mapping[str, Any]) -> bool:
        """Return whether the attack needs validation rows, given its parameters.

        It does if its outer objective needs them.  It also does if no objective is set: then it
        tries all of them, and chooses on validation rows.
        """
        if registry.accepts(cls, "outer_objective") and "outer_objective" not in parameters:
            return True
        objective = parameters.get("outer_objective", cls.fixed_axes.get("outer_objective"))
        known = registry.components("outer_objective")
        return objective in known and bool(known[objective].needs_validation)

    def own_rows(
        self, space: FeatureSpace, target: str, scaling: Scaling | None = None
    ) -> int | None:
        """Return the number of rows that the attack brings, or None if the rate determines it.

        Parameters
        ----------
        space : FeatureSpace
            The columns of the data set.
        target : str
            Name of its response.
        scaling : Scaling or None
            The map between the data's own units and the box; None if it differs between seeds.

        Raises
        ------
        ValueError
            Something that the attack needs is missing or unusable.  This is called before any
            computation, so that such errors are found early.
        """
        return None

    def rows_seen(self) -> IntArray | None:
        """Return the rows of the data set that were used to make the attack's own rows.

        These must not be test rows.  None if they are not known.
        """
        return None

    @abstractmethod
    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return ``problem.n_poison`` legal rows.

        Parameters
        ----------
        problem : AttackProblem
            Everything that the attacker knows, and the number of poison rows.

        Returns
        -------
        PoisonSet
            The rows; the pipeline checks them before use.
        """

    def poison(
        self,
        X: Any,
        y: Any,
        *,
        model: Any = None,
        n_poison: int | None = None,
        X_val: Any = None,
        y_val: Any = None,
        groups: Sequence[Sequence[int | str]] | None = None,
        box: own_data.Box | None = None,
        y_box: own_data.Box | None = None,
        random_state: int | None = None,
    ) -> PoisonSet:
        """Return poison rows for your own data, in the data's own units.

        The rows are scaled to the box [0, 1], the attack runs there, and the poison rows are scaled
        back.  So the attack is on the learner behind ``MinMaxScaler``, and the learner's strength
        refers to features and responses in the box, as in a config.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)
            The clean training rows, which must be numbers; categories are one-hot columns.
        y : array-like or Series of shape (n,)
            Their responses.
        model : LinearModel or scikit-learn estimator, optional
            The learner: one of :mod:`poisonbench.models`, or scikit-learn's ``LinearRegression``,
            ``Ridge``, ``Lasso`` or ``ElasticNet``; ``Ridge()`` of :mod:`poisonbench.models` if
            None.  It is not changed, and does not have to be fitted.
        n_poison : int, optional
            Number of poison rows p; required unless the attack brings its own rows.
        X_val, y_val : array-like of shape (m, d) and (m,), optional
            The attacker's validation rows.
        groups : sequence of sequence of int or str, optional
            The columns of each one-hot group, by index or name.  If None, the groups are the
            columns of a data frame that are named ``Group:value`` and contain only 0 and 1.
        box : tuple of (low, high), optional
            Smallest and largest values that numeric features may have: two numbers, or two arrays
            of shape (d,).  If None, those of the training rows.
        y_box : tuple of (float, float), optional
            The same for the response.
        random_state : int, optional
            Seed of the attack's random numbers; with None, they differ between calls.

        Returns
        -------
        PoisonSet
            Legal rows in the data's units: ``X`` of shape (p, d) and ``y`` of shape (p,), as a
            data frame and a series if `X` and `y` are such.  Its objectives refer to the box.

        Raises
        ------
        ValueError
            The rows cannot be used, some lie outside the given box, a parameter of the attack is
            out of range, or the attack needs validation rows and has none.
        TypeError
            The learner is not one that can be attacked.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.linear_model import Ridge
        >>> from poisonbench.attacks import StatP
        >>> X = np.random.default_rng(0).uniform(20, 60, size=(50, 2))
        >>> poison = StatP().poison(X, X.sum(axis=1), model=Ridge(0.1), n_poison=5, box=(0, 80))
        >>> np.unique(poison.X)
        array([ 0., 80.])
        """
        data = own_data.read(X, y, X_val, y_val, groups, box, y_box)
        self._check(data)
        own = self.own_rows(data.space, data.target, data.scaling)
        if own is not None and n_poison not in (None, own):
            raise ValueError(f"n_poison is {n_poison}, but {self.name} brings {own} rows of its "
                             "own; expected None")  # fmt: skip
        problem = own_data.problem_of(data, model, n_poison if own is None else own, random_state)
        made = self.generate(problem)
        if wrong := made.violations(problem.n_poison, problem.space):
            raise ValueError(f"{self.name} made rows that are not legal: {'; '.join(wrong)}")
        poison = data.in_own_units(made)
        return replace(poison, X=own_data.like(poison.X, X), y=own_data.like(poison.y, y))

    def _check(self, data: own_data.OwnData) -> None:
        """Raise ValueError if a parameter is out of range, or validation rows are missing."""
        check_parameters(self)
        cls = type(self)
        parameters = {one.name: getattr(self, one.argument) for one in registry.parameters(cls)}
        for word in ("initialization", "outer_objective", "defense"):
            known = registry.components(word)
            if parameters.get(word) is not None and parameters[word] not in known:
                near = registry.nearest(str(parameters[word]), known)
                hint = f"; did you mean '{near}'?" if near else ""
                raise ValueError(f"{cls.__name__}: {word} is {parameters[word]!r}, expected "
                                 f"{', '.join(known)}{hint}")  # fmt: skip
        axes = cls.axes(parameters)
        if "outer_objective" not in axes:
            parameters.pop("outer_objective", None)
        if not len(data.validation) and cls.needs_validation(parameters):
            objective = parameters.get("outer_objective")
            without = [name for name, one in registry.components("outer_objective").items()
                       if not one.needs_validation]  # fmt: skip
            other = f", or outer_objective {' or '.join(without)}" if objective else ""
            which = f" with outer_objective {objective}" if objective else ""
            raise ValueError(
                f"{cls.__name__}{which} needs the attacker's validation rows; expected X_val and "
                f"y_val{other}"
            )
