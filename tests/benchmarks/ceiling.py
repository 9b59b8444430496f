"""How close the attacks come to their proved ceilings; see README.md in this folder.

This runs a config with `poisonbench run`, which resumes an interrupted run, and prints medians over
the seeds.  With --certificate it writes a stored ceiling with all that its proof needs, for
check_ceiling.py.  With --penalties it prints the ceilings on the test error of ridge for several
penalties, beside what p rows can do to a constant, and the penalty that `certified-ridge` chooses.
With --tightness it prints how close the ceiling is to the worst model that the theorem allows, and
with --parts, for attacks on W_tr, the shares of the ceilings on W_tr with a part of its penalty.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import linalg
from sklearn.linear_model import Ridge as SklearnRidge
from threadpoolctl import threadpool_limits

from poisonbench import pipeline
from poisonbench.certificates.ceiling import ceiling
from poisonbench.certificates.cell_ceilings import LOSSES, CeilingTask
from poisonbench.certificates.poisoning import Loss, Poisoning
from poisonbench.cli.messages import user_errors
from poisonbench.config import load
from poisonbench.defenses import CertifiedRidge
from poisonbench.features import FloatArray
from poisonbench.models import Ridge
from poisonbench.plan.make import make_plan

KEY = ["dataset", "model", "outer_objective", "poisoning_rate"]


def config(options: argparse.Namespace) -> dict[str, Any]:
    """Return the experiment."""
    strong = [
        {"name": "coordinate", "preset": options.preset, "outer_objective": objective}
        for objective in options.objectives
    ]
    return {
        "dataset": options.datasets,
        "model": options.models,
        "attack": strong,
        "poisoning_rate": options.rates,
        "split": options.split,
        "seeds": options.seeds,
    }


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return medians over seeds of what was reached, what is possible, and the share."""
    results = results[results["n_poison"] > 0]
    grouped = results.groupby(KEY, sort=False)
    table = grouped[
        ["objective_final", "objective_ceiling", "ceiling_share", "test_mse", "test_mse_ceiling"]
    ].median()
    table.insert(3, "share_min", grouped["ceiling_share"].min())
    table.insert(4, "share_max", grouped["ceiling_share"].max())
    table["seeds"] = grouped["seed"].count()
    return table.reset_index()


def cost(group: Any, dataset: Any, name: str) -> list[Any]:
    """Return the CPU time of a ceiling in multiples of Ridge.fit, in this process."""
    setting = pipeline.prepare(group, dataset)
    clean = pipeline.learner(group.model, setting.train, setting, group.seed)
    problem, loss = CeilingTask(name, setting, clean, group.n_poison).problem_and_loss()
    fit = SklearnRidge(alpha=0.1).fit
    fits = [timed(lambda: fit(setting.train.X, setting.train.y)) for _ in range(25)]
    seconds = [timed(lambda: ceiling(problem, loss)) for _ in range(5)]
    n, d = setting.train.X.shape
    return [dataset.name, n, d, group.n_poison, group.model.label, name,
            float(np.median(seconds) / np.median(fits))]  # fmt: skip


PENALTIES = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
"""The values of scikit-learn's alpha in the table of --penalties."""


def promises(group: Any, dataset: Any) -> list[dict[str, Any]]:
    """Return bounds on the test error after any p rows, for ridge and for the median response.

    No attacker and no defender knows the test rows; these are the promises that could be made to
    somebody who does.  `certified-ridge` gets the clean training rows only.
    """
    setting, p = pipeline.prepare(group, dataset), group.n_poison
    train, test = setting.train, setting.test
    group_columns = [entry.columns for entry in setting.space.groups]
    own = CertifiedRidge(n_poison=p, one_hot_groups=group_columns, box="unit")
    own.fit(train.X, train.y)

    def error(predicted: Any) -> float:
        return float(np.mean((predicted - test.y) ** 2))

    lines = []
    for alpha in (*PENALTIES, own.alpha_):
        clean = Ridge(alpha=alpha).fit(train.X, train.y)
        bound = ceiling(*CeilingTask("test", setting, clean, p).problem_and_loss()).bound
        lines.append({"model": f"ridge {alpha:g}", "alpha": alpha,
                      "clean": error(clean.predict(test.X)), "certified": bound})  # fmt: skip
    lines[-1] |= {"model": own.name, "own ceiling": own.held_out_ceiling_}
    # The error of a constant is convex, so the worst median is one of the extreme ones: those with
    # all p responses at 0, or all at 1.
    worst = [np.median(np.append(train.y, np.full(p, end))) for end in (0.0, 1.0)]
    lines.append({"model": "median", "clean": error(np.median(train.y)),
                  "certified": max(map(error, worst))})  # fmt: skip
    return [{"dataset": dataset.name, "rate": p / len(train), **line} for line in lines]


def worst_allowed(problem: Poisoning, loss: Loss, clean: FloatArray) -> float:
    """Return the loss of a bad model that inequality (1) allows, up to the solver's tolerance.

    The loss is quadratic.  The models that satisfy (1) for every reference form a convex set, on
    which the maximum of a linear function is the ceiling on it, reached at ``peak``.  So the loss
    is linearised at a model, and the model is replaced by the maximum, as long as the loss grows;
    it cannot fall.
    The first models lie on either side of the clean one, in the two directions in which the loss
    grows fastest.
    """
    V = linalg.eigh(loss.hessian, problem.hessian)[1]
    best = 0.0
    for direction in (V[:, -1], -V[:, -1], V[:, -2], -V[:, -2]):
        theta, value = clean + direction, 0.0
        for _ in range(20):
            slope = loss.hessian @ theta - loss.vector
            linear = Loss.prediction(slope / np.linalg.norm(slope), 1.0)
            theta, before = ceiling(problem, linear).peak, value
            value = loss.value(theta)
            if value < before * (1 + 1e-4):
                break
        best = max(best, value)
    return best


def tightness(group: Any, dataset: Any, name: str) -> dict[str, Any]:
    """Return the excess that (1) allows, as a share of the excess of the ceiling."""
    setting = pipeline.prepare(group, dataset)
    clean = pipeline.learner(group.model, setting.train, setting, group.seed)
    problem, loss = CeilingTask(name, setting, clean, group.n_poison).problem_and_loss()
    theta = np.append(clean.coef_, clean.intercept_)
    start, bound = loss.value(theta), ceiling(problem, loss).bound
    share = (worst_allowed(problem, loss, theta) - start) / (bound - start)
    rate = group.n_poison / len(setting.train)
    return {"dataset": dataset.name, "model": group.model.label, "rate": rate, "objective": name,
            "allowed": share}  # fmt: skip


PARTS = (0.0, 0.5, 0.7, 0.8, 1.0)
"""The shares of the penalty in W_tr for --parts."""


def parts(group: Any, dataset: Any) -> dict[str, Any]:
    """Return how close an attack comes to the ceilings on W_tr with a part of its penalty."""
    setting = pipeline.prepare(group, dataset)
    clean = pipeline.learner(group.model, setting.train, setting, group.seed)
    problem, loss = CeilingTask("training", setting, clean, group.n_poison).problem_and_loss()
    poison = pipeline.attack(group, setting, clean, dataset).poison
    rows, _ = pipeline.poisoned_rows(setting, poison, group.seed)
    before, after = (
        np.append(model.coef_, model.intercept_)
        for model in (clean, deepcopy(clean).fit(rows.X, rows.y))
    )
    shares: dict[str, Any] = {
        "dataset": dataset.name, "model": group.model.label,
        "rate": group.n_poison / len(setting.train),
    }  # fmt: skip
    for part in PARTS:
        partly = replace(loss, l1=part * loss.l1, l2=part * loss.l2)
        start, bound = partly.value(before), ceiling(problem, partly).bound
        shares[f"{part:g}"] = (partly.value(after) - start) / (bound - start)
    return shares


def timed(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def write_certificate(group: Any, dataset: Any, name: str, path: Path) -> None:
    """Write the ceiling of a group with its problem and its loss."""
    setting = pipeline.prepare(group, dataset)
    clean = pipeline.learner(group.model, setting.train, setting, group.seed)
    problem, loss = CeilingTask(name, setting, clean, group.n_poison).problem_and_loss()
    found = ceiling(problem, loss)
    choices = problem.space.choices
    width = max((len(entry.columns) for entry in choices), default=0)
    groups = [[*entry.columns, *[-1] * (width - len(entry.columns))] for entry in choices]
    np.savez(
        path,
        gram=problem.gram, moment=problem.moment, n_rows=problem.n_rows, n_poison=problem.n_poison,
        l1=problem.l1, l2=problem.l2,
        free=problem.legal.free, groups=np.array(groups, dtype=int).reshape(len(choices), width),
        all_zero=problem.legal.all_zero,
        matrix=loss.matrix, vector=loss.vector, constant=loss.constant,
        loss_l1=loss.l1, loss_l2=loss.l2,
        multiplier=found.multiplier, reference=found.reference, peak=found.peak, bound=found.bound,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--datasets", nargs="*", type=yaml.safe_load, default=["house", "health"])
    add("--data-dir", type=Path)
    add("--models", nargs="*", type=yaml.safe_load, default=[{"name": "ridge", "alpha": 0.1}])
    add("--rates", nargs="*", type=float, default=[0.04, 0.2])
    add("--objectives", nargs="*", default=["training", "validation"])
    add("--seeds", type=yaml.safe_load, default={"start": 500, "count": 10})
    add("--split", type=yaml.safe_load, default={"train": 300, "validation": 250, "test": 500})
    add("--preset", default="strong")
    add("--jobs", default="1")
    add("--output", type=Path, default=Path("results/ceiling"))
    add("--certificate", type=Path, help="write a certificate there, of the first group")
    add("--objective", default="validation", choices=list(LOSSES), help="of the certificate")
    add("--penalties", action="store_true", help="print the table of penalties only")
    add("--tightness", action="store_true", help="print the worst that the theorem allows only")
    add("--parts", action="store_true", help="print shares for parts of the penalty only")
    add("--costs", action="store_true", help="measure the costs too")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "config.yaml"
    path.write_text(yaml.safe_dump(config(options)))
    where = ["--data-dir", str(options.data_dir)] if options.data_dir else []
    with user_errors():
        plan = make_plan(load(path), options.data_dir)
    groups = [group for group in plan.groups if group.n_poison]
    with threadpool_limits(1):
        if options.certificate:
            first = groups[0]
            write_certificate(first, plan.datasets[first.data], options.objective,
                              options.certificate)  # fmt: skip
            return
        if options.penalties:
            splits = {(group.data, group.seed, group.n_poison): group for group in groups}
            table = pd.DataFrame(
                [line for group in splits.values()
                 for line in promises(group, plan.datasets[group.data])]
            )  # fmt: skip
            medians = table.groupby(["dataset", "rate", "model"], sort=False).median()
            print(medians.to_string(float_format="{:.4f}".format))
            return
        if options.tightness:
            splits = {
                (group.data, group.model.label, group.seed, group.n_poison): group
                for group in groups
            }
            table = pd.DataFrame(
                [tightness(group, plan.datasets[group.data], name)
                 for group in splits.values() for name in options.objectives]
            )  # fmt: skip
            shares = table.groupby(["dataset", "model", "objective", "rate"], sort=False)["allowed"]
            print(shares.agg(["median", "min"]).to_string(float_format="{:.4f}".format))
            return
        if options.parts:
            table = pd.DataFrame(
                [parts(group, plan.datasets[group.data]) for group in groups
                 if group.attack.parameters["outer_objective"] == "training"]
            )  # fmt: skip
            medians = table.groupby(["dataset", "model", "rate"], sort=False).median()
            print(medians.to_string(float_format="{:.3f}".format))
            return
        subprocess.run(
            [sys.executable, "-m", "poisonbench", "run", path, "--quiet", *where,
             "--jobs", options.jobs, "--output", options.output / "run"],
            check=True,
        )  # fmt: skip
        results = pd.read_csv(options.output / "run" / "results.csv")
        print(summary(results).to_string(index=False, float_format="{:.4g}".format))
        if options.costs:
            firsts = {(group.data, group.model.label, group.n_poison): group for group in groups}
            rows = [
                cost(group, plan.datasets[group.data], name)
                for group in firsts.values()
                for name in ("training", "validation")
            ]
            columns = ["dataset", "n", "d", "p", "model", "objective", "ridge_fits"]
            table = pd.DataFrame(rows, columns=columns)
            print(table.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
