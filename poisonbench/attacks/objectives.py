"""Outer objectives: functions of the trained model that an attacker maximises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np

from poisonbench.attacks.engines.functions import (
    BEYOND,
    MARGIN,
    ClippedError,
    Function,
    Quadratic,
    with_intercept,
)
from poisonbench.problem import AttackProblem, Sample


class OuterObjective(ABC):
    """A function of the trained model that an attacker maximises."""

    name: ClassVar[str]
    reference: ClassVar[str] = "Jagielski et al. 2018, Sec. IV-A"

    needs_validation: ClassVar[bool] = False
    """Whether it needs validation rows."""

    quadratic: ClassVar[bool] = True
    """Whether it is quadratic in theta; otherwise it is a mean of row losses."""

    @abstractmethod
    def function(self, problem: AttackProblem) -> Function:
        """Return W for this problem."""


class Training(OuterObjective):
    """The learner's regularised loss on the clean training rows, W_tr.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Coordinate
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> y = X[:, 0] ** 2
    >>> attack = Coordinate(outer_objective="training")
    >>> poison = attack.poison(X, y, n_poison=2, X_val=X, y_val=y, random_state=0)
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "training"

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W_tr, with the lambda of the learner's fit on all n + p rows."""
        n_rows = len(problem.train) + problem.n_poison
        gamma = problem.model.lambda_for(n_rows)
        return Quadratic.mean_squared_error(problem.train, problem.model, gamma)


class Validation(OuterObjective):
    """The mean squared error on the attacker's validation rows, W_val.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Coordinate
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> y = X[:, 0] ** 2
    >>> attack = Coordinate(outer_objective="validation")
    >>> poison = attack.poison(X, y, n_poison=2, X_val=X, y_val=y, random_state=0)
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "validation"
    needs_validation = True

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W_val, without a penalty."""
        return Quadratic.mean_squared_error(problem.validation, problem.model)


class PredictionShift(OuterObjective):
    """The mean squared change of the predictions on the clean training rows, W'_tr.

    The gradient used here is that of W'_tr itself.  Eq. (15) of Jagielski et al. 2018, as printed,
    is not this gradient: the two agree only if y_c = f(x_c, theta_0), the clean model's prediction
    for the poison row, and can otherwise point in opposite directions.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Coordinate
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> y = X[:, 0] ** 2
    >>> attack = Coordinate(outer_objective="prediction-shift")
    >>> poison = attack.poison(X, y, n_poison=2, X_val=X, y_val=y, random_state=0)
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "prediction-shift"

    def function(self, problem: AttackProblem) -> Quadratic:
        """Return W'_tr, the squared distance from the predictions of the clean model."""
        predicted = problem.model.predict(problem.train.X)
        return Quadratic.mean_squared_error(Sample(problem.train.X, predicted), problem.model)


class Clipped(OuterObjective):
    """The mean squared error on the attacker's validation rows with predictions clipped to [0, 1].

    This is the error of a user who clips predictions to the known range of the response.  The
    squared error of a row is then at most 1, so an attack has to move many predictions instead of
    moving a few of them far.  W does not change with a prediction that is already clipped, and has
    poor local maxima.  So an ascent first moves the predictions on validation and training rows
    towards a point far outside the box, on the side away from the mean response.  Then it maximises
    the error with predictions clipped to a wider box, and finally W itself.

    Examples
    --------
    >>> import numpy as np
    >>> from poisonbench.attacks import Coordinate
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> y = X[:, 0] ** 2
    >>> attack = Coordinate(outer_objective="clipped")
    >>> poison = attack.poison(X, y, n_poison=2, X_val=X, y_val=y, random_state=0)
    >>> poison.objective_final > poison.objective_initial
    True
    """

    name = "clipped"
    reference = "introduced in poisonbench"
    needs_validation = True
    quadratic = False

    def function(self, problem: AttackProblem) -> ClippedError:
        """Return W_val with clipped predictions, without a penalty."""
        Z, y = with_intercept(problem.validation.X), problem.validation.y
        target = 1 + BEYOND if y.mean() < 0.5 else -BEYOND
        one, other = (
            Quadratic.mean_squared_error(Sample(X, np.full(len(X), target)), problem.model)
            for X in (problem.validation.X, problem.train.X)
        )
        nearness = replace(one, A=-(one.A + other.A) / 2, c=-(one.c + other.c) / 2, k=-one.k)
        return ClippedError(Z, y, (nearness, ClippedError(Z, y, margin=MARGIN)))
