"""What passes between the stages: an attacker's problem lies in the box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from poisonbench.problem import AttackProblem, Sample


@pytest.mark.parametrize(("part", "value"), [("X", 1.5), ("X", -0.1), ("y", 2.0), ("y", np.nan)])
def test_training_rows_outside_the_box_are_refused(
    make_problem: Callable[[], AttackProblem], part: str, value: float
) -> None:
    problem = make_problem()
    arrays = {"X": problem.train.X.copy(), "y": problem.train.y.copy()}
    arrays[part][3] = value
    with pytest.raises(ValueError, match=f"{part} of the training rows ranges from"):
        replace(problem, train=Sample(**arrays))
