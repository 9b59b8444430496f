"""Robust errors and the worst bad rows, against a plain computation with scikit-learn."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from poisonbench import pipeline
from poisonbench.auditing.refits import trimmed_errors, worst_rows
from poisonbench.config import load
from poisonbench.config.source import Source
from poisonbench.output import store
from poisonbench.plan.make import make_plan


def test_a_robust_error_leaves_out_the_largest_squared_errors():
    config = {
        "dataset": {"name": "synthetic", "n": 90, "d": 6},
        "model": {"name": "ridge", "alpha": 0.1},
        "attack": "statp",
        "poisoning_rate": [0.0, 0.1],
        "defense": "none",
        "split": {"train": 40, "validation": 40, "test": 10},
        "seeds": 1,
    }
    plan = make_plan(load(config))
    group = next(group for group in plan.groups if not group.n_poison)
    dataset = plan.datasets[group.data]
    setting = pipeline.stage(group, dataset).setting
    model = Ridge(0.1).fit(setting.train.X, setting.train.y)
    errors = setting.validation.y - model.predict(setting.validation.X)
    squares = np.sort(errors**2)
    for share, kept in ((0.0, 40), (0.25, 30), (0.3, 28)):
        found = trimmed_errors(group, dataset, share)
        assert found == {"none": pytest.approx(squares[:kept].mean())}


def test_the_first_row_is_the_one_without_which_the_validation_error_falls_most(made):
    plan = make_plan(load(Source(made.out / "config.yaml", made.audit.config)))
    rates = {row.cell: row.labels.poisoning_rate for row in plan.rows}
    group = next(
        group for group in plan.groups
        if group.attack.name == "coordinate" and rates[group.tasks[0].id] == 0.12
    )  # fmt: skip
    poisoned = store.read_poison(made.out, group)
    assert poisoned is not None
    setting = pipeline.stage(group, plan.datasets[group.data], poisoned).setting
    points = np.column_stack([poisoned.poison.X, poisoned.poison.y])
    alpha = float(made.audit.results.query("attack == 'coordinate' and defense == 'none'")
                  .query("poisoning_rate == 0.12 and seed == 0")["alpha"].iloc[0])  # fmt: skip
    left = []
    for point in (distinct := np.unique(points, axis=0)):
        kept = points[(points != point).any(axis=1)]
        model = Ridge(alpha).fit(
            np.vstack([setting.train.X, kept[:, :-1]]), np.append(setting.train.y, kept[:, -1])
        )
        errors = setting.validation.y - model.predict(setting.validation.X)
        left.append(float(np.mean(errors**2)))
    assert len(left) > 1
    best = distinct[int(np.argmin(left))]
    shown = worst_rows(plan, made.out, group.attack.title, 0.12, None)
    assert shown is not None
    assert setting.unit is not None
    price = setting.unit.offset + setting.unit.span * best[-1]
    assert float(re.sub(",", "", shown.rows[0][0])) == pytest.approx(price, abs=0.51)
    assert shown.counts[0] == int((points == best).all(axis=1).sum())
    column = plan.datasets[group.data].space.names.index("size")
    size = setting.scaling.inverse(best[None, :-1])[0, column]
    assert float(shown.rows[0][shown.names.index("size")]) == pytest.approx(size, rel=1e-3)
