"""The cost of attacks, defenses and learners: time as a multiple of a ridge fit, and memory.

``costs.csv`` has a line for each component and learner.  The time of a component on n clean rows, d
columns and p poison rows is

    fits (n / 300)^a (d / 50)^b (p / 60)^c

times the time of scikit-learn's ``Ridge.fit`` on the n clean rows, which accounts for the speed of
the machine.  Its memory on N = n + p rows, as a number of values of 8 bytes, is

    per_row N + per_value N d + per_pair d^2.

``tests/benchmarks/costs.py`` measures and writes the table.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from poisonbench import registry
from poisonbench.attacks.coordinate import REFITS, SMALL
from poisonbench.config import choices

TABLE = Path(__file__).with_name("costs.csv")

REPETITIONS = ("iterations", "restarts", "perturbations", "candidates", "trials", "max_trials",
               "max_subsets")  # fmt: skip
"""Parameters to which the time of a component is proportional."""

MOST_VALUES = 2 * 10**6
"""Number of values in the largest design that is fitted to measure the speed of the machine."""

FITS, FIT_SECONDS = 20, 0.1
"""The speed of the machine is measured with this number of ridge fits, or fewer if they take longer
than this time."""


class Shape(NamedTuple):
    """The size of a training set: clean rows n, columns d, poison rows p."""

    n: int
    d: int
    p: int


REFERENCE = Shape(300, 50, 60)
"""The size at which the time of a component is ``fits`` ridge fits."""

LARGEST = Shape(6400, 300, 1280)
"""The largest size for which the table was measured or checked; beyond it, it is a guess."""


@dataclass(frozen=True)
class Cost:
    """A line of the table.

    Parameters
    ----------
    kind : str
        ``attack``, ``defense``, ``model`` (a fit of the learner), ``selection`` (of its strength),
        ``ceiling``, ``group`` (preparing the data), or ``cell`` (measuring errors, and the rest).
    name : str
        The component.
    parameters : mapping of str to str
        The parameters for which the line is valid, as text; the others have their defaults.
    model : str
        The learner that it is used with.
    fits : float
        Its time at :data:`REFERENCE`, in ridge fits.
    exponents : Shape
        The exponents a, b and c.
    per_row, per_value, per_pair : float
        The coefficients of its memory.
    """

    kind: str
    name: str
    parameters: Mapping[str, str]
    model: str
    fits: float
    exponents: tuple[float, float, float]
    per_row: float
    per_value: float
    per_pair: float

    def ridge_fits(self, shape: Shape) -> float:
        """Return the time as a multiple of that of a ridge fit to the clean rows."""
        sizes = zip(shape, REFERENCE, self.exponents, strict=True)
        return float(self.fits * prod((max(size, 1) / of) ** power for size, of, power in sizes))

    def memory(self, shape: Shape) -> float:
        """Return the largest number of bytes that are allocated at a time."""
        N, d = shape.n + shape.p, shape.d
        return 8 * (self.per_row * N + self.per_value * N * d + self.per_pair * d**2)


@cache
def table() -> tuple[Cost, ...]:
    """Return the lines of the table."""
    lines = []
    with TABLE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            pairs = (pair.split("=", 1) for pair in line["parameters"].split(";") if pair)
            lines.append(
                Cost(
                    line["kind"],
                    line["name"],
                    dict(pairs),
                    line["model"],
                    float(line["fits"]),
                    (float(line["n"]), float(line["d"]), float(line["p"])),
                    float(line["per_row"]),
                    float(line["per_value"]),
                    float(line["per_pair"]),
                )
            )
    return tuple(lines)


@cache
def _lines(kind: str, model: str) -> tuple[Cost, ...]:
    # The other learners are not in the table; elastic net is fitted as LASSO is.
    model = "lasso" if model in ("lasso", "elastic-net") else "ridge"
    return tuple(line for line in table() if (line.kind, line.model) == (kind, model))


def is_small(model: str, shape: Shape) -> bool:
    """Return whether `coordinate` refines its rows fully, which takes most of its time."""
    _, d, p = shape
    return 2 * p * d <= REFITS if model in ("lasso", "elastic-net") else p * d**3 <= 2 * SMALL


def cost(kind: str, name: str, parameters: Mapping[str, Any], model: str, shape: Shape) -> Cost:
    """Return the line of the table for a component.

    If the table does not have the component, as for a plug-in, it is the line with the median
    number of fits among those of the same kind.

    Parameters
    ----------
    kind, name, model : str
        As in :class:`Cost`.
    parameters : mapping
        All parameters of the component.
    shape : Shape
        The size.
    """
    given = {**parameters, "small": is_small(model, shape)}
    lines = _lines(kind, model)
    named = [
        line
        for line in lines
        if line.name == name
        and all(str(given.get(key)) == value for key, value in line.parameters.items())
    ]
    if named:
        return max(named, key=lambda line: len(line.parameters))
    middle = median_low(line.fits for line in lines)
    return next(line for line in lines if line.fits == middle)


def ridge_fits(
    kind: str, name: str, parameters: Mapping[str, Any], model: str, shape: Shape
) -> float:
    """Return the time of a component as a multiple of that of a ridge fit to the clean rows."""
    found = cost(kind, name, parameters, model, shape)
    times = found.ridge_fits(shape)
    if kind not in registry.KINDS:
        return times
    defaults = {parameter.name: parameter.default for parameter in choices.parameters(kind, name)}
    for key in REPETITIONS:
        given, usual = parameters.get(key), defaults.get(key)
        if isinstance(given, int) and isinstance(usual, int) and key not in found.parameters:
            times *= given / usual
    if kind == "attack" and parameters.get("defense") in registry.components("defense"):
        # The attack fits this defense many times.
        tried, usual = (
            cost("defense", defense, {}, model, shape).ridge_fits(shape)
            for defense in (parameters["defense"], defaults["defense"])
        )
        times *= tried / usual
    return times


@cache
def ridge_seconds(n: int, d: int) -> float:
    """Return the CPU time of ``Ridge.fit`` on n rows and d columns on this machine.

    It is measured on random rows in a fraction of a second; if n is large, on fewer than n rows.
    """
    measured = min(n, max(MOST_VALUES // d, 2))
    rng = np.random.default_rng(0)
    X, y = rng.random((measured, d)), rng.random(measured)
    found: list[float] = []
    with threadpool_limits(1):
        while len(found) < FITS and sum(found) < FIT_SECONDS:
            start = time.process_time()
            Ridge(alpha=0.1).fit(X, y)
            found.append(time.process_time() - start)
    return min(found) * n / measured
