"""Fit models again to the poisoned training sets of an output folder, for figures of them.

An output folder keeps poison sets but no fitted models, so a figure of a model needs the data.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.base import clone

from poisonbench import pipeline
from poisonbench.config import load
from poisonbench.defenses.trim import TRIMRegressor
from poisonbench.models import LinearModel
from poisonbench.output import store
from poisonbench.output.index import group_label
from poisonbench.output.stored_plan import config_of
from poisonbench.output.training_set_figures import FittedTrainingSet, TrimRound
from poisonbench.pipeline import Stage
from poisonbench.plan.groups import Group, Plan, Task
from poisonbench.plan.make import make_plan
from poisonbench.reference_rows import REFERENCE_ROWS

MOST_ROUNDS = 4
"""Largest number of rounds of TRIM that a figure shows."""


def plan_of(folder: Path, data_dir: Path | None) -> Plan:
    """Return the plan of an output folder, made again from its ``plan.json``.

    Raises
    ------
    StoreError
        The folder has no readable ``plan.json``.
    ConfigError
        The data are missing, or the config names a file that is not found from the current folder.
    """
    return make_plan(load(config_of(folder), sweep=True), data_dir)


def fitted_training_sets(
    folder: Path, plan: Plan, results: pd.DataFrame
) -> list[FittedTrainingSet]:
    """Return, for each data set and learner, the training set of the strongest attack.

    Parameters
    ----------
    folder : Path
        The output folder.
    plan : Plan
        Its plan.
    results : pandas.DataFrame
        Its rows, as in :class:`poisonbench.output.reading.Tables`.
    """
    groups = {group.poison_file: group for group in plan.groups if group.n_poison}
    undefended = results[(results["defense"] == "none") & (results["n_poison"] > 0)]
    found = []
    for _, rows in undefended.groupby(["dataset_label", "model_label", "split"], sort=False):
        most = rows[rows["n_poison"] == rows["n_poison"].max()]
        strongest = most.groupby("attack_label")["test_mse"].median().idxmax()
        file = most[most["attack_label"] == strongest].sort_values("seed")["poison_file"].iloc[0]
        group = groups.get(file)
        made = None if group is None else store.read_poison(folder, group)
        task = None if group is None else _defense(group)
        if group is None or made is None or task is None:
            continue
        stage = pipeline.stage(group, plan.datasets[group.data], made)
        found.append(_fitted(stage, task, plan.datasets[group.data].name))
    return found


def _defense(group: Group) -> Task | None:
    """Return the defense to show: TRIM if the group has it, else the first that it has."""
    tasks = [task for task in group.tasks if task.defense.name not in REFERENCE_ROWS]
    return next((task for task in tasks if task.defense.name == "trim"), next(iter(tasks), None))


def _fitted(stage: Stage, task: Task, dataset: str) -> FittedTrainingSet:
    group, rows = stage.group, stage.rows
    undefended = stage.undefended[task.select_on]
    reached = pipeline.repeated(stage, task).middle
    title = group_label(dataset, group.seed, group.model.label, group.attack.title, group.n_poison)
    one_feature = rows.X.shape[1] == 1
    return FittedTrainingSet(
        title=title,
        defense=task.defense.label,
        names=stage.setting.space.names,
        target=stage.setting.target,
        X=rows.X,
        y=rows.y,
        is_poison=stage.is_poison,
        clean=stage.clean.predict(rows.X),
        poisoned=undefended.predict(rows.X),
        defended=reached.model.predict(rows.X),
        kept=reached.kept,
        trim=tuple(_trim_rounds(stage, undefended)) if one_feature else (),
    )


def _trim_rounds(stage: Stage, learner: LinearModel) -> list[TrimRound]:
    """Return some rounds of TRIM from one random start, including the last one."""
    rounds: list[TrimRound] = []
    for most in range(1, TRIMRegressor().max_iter + 1):
        trim = TRIMRegressor(
            clone(learner),
            n_poison=stage.group.n_poison,
            start="random",
            max_iter=most,
            random_state=stage.group.seed,
        ).fit(stage.rows.X, stage.rows.y)
        if rounds and trim.n_iter_ < most:
            break
        rounds.append(TrimRound(most, trim.support_, trim.predict(stage.rows.X)))
    return rounds if len(rounds) <= MOST_ROUNDS else [*rounds[: MOST_ROUNDS - 1], rounds[-1]]
