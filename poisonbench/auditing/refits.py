"""What the result files do not have: robust errors without poison, and the worst poison rows.

Both need the fitted models, which are fitted again here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from poisonbench import metrics, pipeline
from poisonbench.data.base import Dataset
from poisonbench.data.sidecar import Sidecar
from poisonbench.defenses.engines.core import core_size
from poisonbench.features import FeatureSpace, FloatArray, IntArray
from poisonbench.output import store
from poisonbench.plan.groups import Group, Plan

SHOWN_ROWS = 3
"""Number of poison rows that are shown."""

SHOWN_COLUMNS = 12
"""Number of columns that are shown of them."""

MOST_TESTED = 60
"""Number of different poison rows that are left out in turn, to find those that do most."""

DATE = "in days since 1970"
"""The end of the text with which the preparation records a date."""


def trimmed_errors(group: Group, dataset: Dataset, share: float) -> dict[str, float]:
    """Return the error without poison of each defense, over the validation rows that fit best.

    A file that nobody has checked may contain poison, which then is in the validation rows too.  A
    defense that follows it has a small error on these rows.  So the largest errors are left out,
    as many as there may be poison rows.

    Parameters
    ----------
    group : Group
        A group without poison.
    dataset : Dataset
        Its data.
    share : float
        Share of the validation rows that is left out.

    Returns
    -------
    dict of str to float
        By the defense's label, the mean of the smallest squared errors, in squared box units.
    """
    with threadpool_limits(1):
        stage = pipeline.stage(group, dataset)
        rows = stage.setting.validation
        kept = core_size(1 - share, len(rows))
        found = {}
        for task in group.tasks:
            model = pipeline.defended(stage, task).model
            squares = np.sort((rows.y - model.predict(rows.X)) ** 2)
            found[task.defense.label] = float(squares[:kept].mean())
    return found


@dataclass(frozen=True)
class WorstRows:
    """The poison rows that do most of the damage, in the file's own columns and units.

    Parameters
    ----------
    names : tuple of str
        The columns; the response is the first.
    usual : tuple of str
        The typical clean training row: medians, and the most frequent categories.
    rows : tuple of tuple of str
        The rows, the one that does most first.
    counts : tuple of int
        How often each occurs among the poison rows.
    n_poison, n_clean : int
        Numbers of rows.
    attack : str
        The attack.
    seed : int
        The split.
    """

    names: tuple[str, ...]
    usual: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    counts: tuple[int, ...]
    n_poison: int
    n_clean: int
    attack: str
    seed: int


def worst_rows(
    plan: Plan, folder: Path, attack: str, rate: float, sidecar: Sidecar | None
) -> WorstRows | None:
    """Return the poison rows of an attack without which the learner's error would fall most.

    The error is that on the attacker's validation rows; the test rows choose nothing here.

    Parameters
    ----------
    plan : Plan
        The plan.
    folder : Path
        The output folder.
    attack : str
        The title of the attack.
    rate : float
        The poisoning rate.
    sidecar : Sidecar or None
        The record of the preparation, if there is one.
    """
    rates = {row.cell: row.labels.poisoning_rate for row in plan.rows}
    groups = [
        group
        for group in plan.groups
        if group.attack.title == attack and rates.get(group.tasks[0].id) == rate
    ]
    made = store.read_poison(folder, groups[0]) if groups else None
    if made is None:
        return None
    group = groups[0]
    stage = pipeline.stage(group, plan.datasets[group.data], made)
    setting, poison = stage.setting, made.poison
    points = np.column_stack([poison.X, poison.y])
    distinct, inverse, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    tested = np.argsort(-counts, kind="stable")[:MOST_TESTED]
    effects = _effects(stage, points, inverse, tested)
    order = tested[np.argsort(effects, kind="stable")][:SHOWN_ROWS]
    dataset = plan.datasets[group.data]
    decoder = _Decoder(setting.space, dataset.space.names, setting.target, sidecar)
    scaling = setting.scaling
    unit = setting.unit
    offset, span = (0.0, 1.0) if unit is None else (unit.offset, unit.span)
    own_X, own_y = scaling.inverse(distinct[order, :-1]), offset + span * distinct[order, -1]
    clean_X, clean_y = scaling.inverse(setting.train.X), offset + span * setting.train.y
    change = np.abs(
        (stage.undefended[group.tasks[0].select_on].coef_ - stage.clean.coef_)
        * (distinct[order, :-1] - np.median(setting.train.X, axis=0))
    ).max(axis=0)
    names = decoder.names(change)
    return WorstRows(
        names=names,
        usual=decoder.usual(clean_X, clean_y, names),
        rows=tuple(decoder.row(x, y, names) for x, y in zip(own_X, own_y, strict=True)),
        counts=tuple(int(counts[k]) for k in order),
        n_poison=group.n_poison,
        n_clean=len(setting.train),
        attack=group.attack.title,
        seed=group.seed,
    )


def _effects(stage: Any, points: FloatArray, inverse: IntArray, tested: IntArray) -> FloatArray:
    """Return the learner's validation error without each of the poison rows in turn."""
    setting = stage.setting
    learner = stage.undefended[stage.group.tasks[0].select_on]
    errors = []
    with threadpool_limits(1):
        for k in tested:
            kept = points[inverse != k]
            X = np.vstack([setting.train.X, kept[:, :-1]])
            y = np.concatenate([setting.train.y, kept[:, -1]])
            model = clone(learner).fit(X, y)
            predicted = model.predict(setting.validation.X)
            errors.append(metrics.mean_squared_error(setting.validation.y, predicted))
    return np.array(errors)


class _Decoder:
    """Translates rows of the prepared file back to columns of the raw file.

    Parameters
    ----------
    space : FeatureSpace
        The columns.
    columns : tuple of str
        Their names.
    target : str
        The response.
    sidecar : Sidecar or None
        The record of the preparation.
    """

    def __init__(
        self, space: FeatureSpace, columns: tuple[str, ...], target: str, sidecar: Sidecar | None
    ) -> None:
        self.columns, self.target = columns, target
        self.groups = {group.name: group for group in space.choices}
        grouped = {j for group in space.choices for j in group.columns}
        self.single = {columns[j]: j for j in range(len(columns)) if j not in grouped}
        recorded: Mapping[str, Any] = {} if sidecar is None else sidecar.groups
        self.base = {name: (recorded.get(name) or {}).get("without a column") for name in
                     self.groups}  # fmt: skip
        fates: Mapping[str, str] = {} if sidecar is None else sidecar.preparation.get("columns", {})
        self.dates = {name for name, fate in fates.items() if str(fate).endswith(DATE)}

    def names(self, change: FloatArray) -> tuple[str, ...]:
        """Return the response, and the columns by which the predictions change most."""
        of = {name: float(change[j]) for name, j in self.single.items()}
        of |= {name: float(change[list(group.columns)].max()) for name, group in
               self.groups.items()}  # fmt: skip
        order = sorted(of, key=lambda name: -of[name])
        return (self.target, *order[:SHOWN_COLUMNS])

    def row(self, x: FloatArray, y: float, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the cells of a row."""
        return tuple(self._cells(x, y, names))

    def usual(self, X: FloatArray, y: FloatArray, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the cells of the typical row."""
        typical = np.median(X, axis=0)
        for group in self.groups.values():
            columns = list(group.columns)
            block = X[:, columns]
            shares = np.append(block.mean(axis=0), (block.sum(axis=1) == 0).mean())
            typical[columns] = 0.0
            if int(np.argmax(shares)) < len(columns):
                typical[columns[int(np.argmax(shares))]] = 1.0
        return tuple(self._cells(typical, float(np.median(y)), names))

    def _cells(self, x: FloatArray, y: float, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            if name in self.groups:
                yield self._category(name, x)
            elif name in self.single:
                value = float(x[self.single[name]])
                yield _date(value) if name in self.dates else number(value)
            else:
                yield number(float(y))

    def _category(self, name: str, x: FloatArray) -> str:
        ones = [j for j in self.groups[name].columns if x[j] > 0.5]
        if ones:
            return self.columns[ones[0]].partition(":")[2]
        return str(self.base[name]) if self.base[name] is not None else "none of them"


def _date(days: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(round(days), "D"))


def number(value: float) -> str:
    """Return a number with four significant digits, and with all digits of a large one."""
    value = 0.0 if abs(value) < 1e-12 else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
