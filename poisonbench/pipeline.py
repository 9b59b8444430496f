"""One poison set and the defenses that meet it: the paper's experiment, from top to bottom.

    data -> split -> learner -> attack -> checked poison set -> poisoned training set
         -> defense -> errors

No stage looks back, and each is given only what its party may know: the attacker has the
training rows, validation rows of its own and the learner, and no test rows; the defender has the
shuffled rows of the poisoned training set, and not which of them are poison.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from poisonbench import metrics, registry, seeds
from poisonbench.config import Choice
from poisonbench.data.base import Dataset
from poisonbench.data.scaling import Scaling
from poisonbench.data.split import SplitCounts, draw
from poisonbench.features import BoolArray, FeatureSpace, FloatArray
from poisonbench.models import LinearModel
from poisonbench.plan import Group, Task
from poisonbench.problem import AttackProblem, PoisonSet, Sample, Split
from poisonbench.records import Measured, Timings

STRENGTHS = ("lam", "alpha")
"""Names of the learners' parameters that hold the regularisation strength."""


class PoisonError(ValueError):
    """An attack returned rows that are not p legal poison rows."""


@dataclass(frozen=True)
class Setting:
    """What a group's data amount to: the parts of the split, in the box.

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
        How the box relates to the data's own units.
    streams : tuple
        What the group's random streams depend on, beside the seed.
    """

    train: Sample
    validation: Sample
    test: Sample
    split: Split
    space: FeatureSpace
    target: str
    scaling: Scaling
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Poisoned:
    """A poison set and what making it took."""

    poison: PoisonSet
    seconds: float


@dataclass(frozen=True)
class Stage:
    """Everything up to the defenses.

    Parameters
    ----------
    group : Group
        What is being done.
    setting : Setting
        The data.
    clean : LinearModel
        The learner trained on the clean rows; the attacker knows it.
    made : Poisoned
        The poison set, checked.
    rows : Sample
        The poisoned training set, shuffled: what the defender gets.
    is_poison : ndarray of bool of shape (n + p,)
        Which of its rows are poison: what the defender does not get.
    undefended : LinearModel
        The learner trained on all of it.
    """

    group: Group
    setting: Setting
    clean: LinearModel
    made: Poisoned
    rows: Sample
    is_poison: BoolArray
    undefended: LinearModel


def prepare(group: Group, dataset: Dataset) -> Setting:
    """Split the data and scale them to the box."""
    streams = (dataset.fingerprint,)
    split = group.split
    if isinstance(split, SplitCounts):
        stream = seeds.generator(group.seed, "split", *streams)
        split = draw(len(dataset.y), split, stream)
    scaling = Scaling.fit(dataset, split.train)
    train, validation, test = (
        read_only(scaling.transform(dataset.X[rows]), scaling.transform_response(dataset.y[rows]))
        for rows in (split.train, split.validation, split.test)
    )
    return Setting(train, validation, test, split, dataset.space, dataset.target, scaling, streams)


def read_only(X: FloatArray, y: FloatArray) -> Sample:
    """Return rows that nobody can change who is given them for a while."""
    X.flags.writeable = y.flags.writeable = False
    return Sample(X, y)


def learner(choice: Choice, rows: Sample, setting: Setting, seed: int) -> LinearModel:
    """Return the learner with its strength fixed, fitted on `rows`.

    With ``lambda: cv`` the strength is selected on these rows.
    """
    model: LinearModel = choice.build()
    if choice.parameters.get("lambda") == "cv":
        others = {
            name: value for name, value in model.get_params().items() if name not in STRENGTHS
        }
        folds = seeds.random_state(seed, "folds", *setting.streams)
        lam = model.select_lambda(rows.X, rows.y, random_state=folds, **others)
        model = model.with_strength(lam=lam)
    return model.fit(rows.X, rows.y)


def attack(group: Group, setting: Setting, model: LinearModel) -> Poisoned:
    """Run the group's attack."""
    problem = AttackProblem(
        train=setting.train,
        validation=setting.validation,
        model=deepcopy(model),  # an attack may well refit it
        space=setting.space,
        target=setting.target,
        scaling=setting.scaling,
        n_poison=group.n_poison,
        entropy=seeds.entropy(group.seed, "attack", *setting.streams),
    )
    start = time.perf_counter()
    poison = group.attack.build().generate(problem)
    return Poisoned(poison, time.perf_counter() - start)


def check(poison: PoisonSet, n_poison: int, space: FeatureSpace) -> None:
    """Refuse a poison set that is not `n_poison` legal rows; nothing is repaired.

    Raises
    ------
    PoisonError
        The number of rows is another, a value is not finite or lies outside the box, or a
        one-hot group is not legal.
    """
    found = space.violations(poison.X)
    if poison.y.shape != (len(poison.X),):
        found.append(f"the responses have shape {poison.y.shape}, expected ({len(poison.X)},)")
    else:
        response = FeatureSpace(("the response",))
        found += response.violations(poison.y[:, None])
    if len(poison.X) != n_poison:
        found.insert(0, f"it has {len(poison.X)} rows, expected {n_poison}")
    if found:
        raise PoisonError(f"the poison set is not legal: {'; '.join(found)}")


def poisoned_rows(setting: Setting, poison: PoisonSet, seed: int) -> tuple[Sample, BoolArray]:
    """Return the shuffled training set that the defender gets, and which of its rows are poison."""
    X = np.vstack([setting.train.X, poison.X])
    y = np.append(setting.train.y, poison.y)
    order = seeds.generator(seed, "shuffle", *setting.streams).permutation(len(y))
    return read_only(X[order], y[order]), order >= len(setting.train)


def defend(
    task: Task, rows: Sample, model: LinearModel, setting: Setting, seed: int
) -> tuple[Any, float]:
    """Return the group's learner as the defense trains it on the poisoned rows, and the seconds."""
    cls = registry.components("defense")[task.defense.name]
    known: dict[str, Any] = {
        "estimator": clone(model),
        "random_state": seeds.random_state(seed, "defense", task.defense.name, *setting.streams),
    }
    if task.n_poison_assumed == "auto":
        known["contamination"] = "auto"
    else:
        known["n_poison"] = task.n_poison_assumed
    given = {name: value for name, value in known.items() if registry.accepts(cls, name)}
    start = time.perf_counter()
    defended = task.defense.build(**given).fit(rows.X, rows.y)
    return defended, time.perf_counter() - start


def stage(group: Group, dataset: Dataset, made: Poisoned | None = None) -> Stage:
    """Return everything up to the defenses.

    Parameters
    ----------
    group : Group
        What to do.
    dataset : Dataset
        Its data.
    made : Poisoned, optional
        The poison set, where it has been made before.
    """
    setting = prepare(group, dataset)
    clean = learner(group.model, setting.train, setting, group.seed)
    made = made or attack(group, setting, clean)
    check(made.poison, group.n_poison, setting.space)
    rows, is_poison = poisoned_rows(setting, made.poison, group.seed)
    if not group.n_poison:
        undefended = clean
    elif group.model.parameters.get("select_on") == "poisoned":
        undefended = learner(group.model, rows, setting, group.seed)
    else:
        undefended = clone(clean).fit(rows.X, rows.y)
    return Stage(group, setting, clean, made, rows, is_poison, undefended)


def measure(stage: Stage, task: Task) -> tuple[Measured, Timings]:
    """Run one defense and return its row."""
    group, setting, made = stage.group, stage.setting, stage.made
    test, validation, poison = setting.test, setting.validation, made.poison
    seconds, kept = 0.0, None
    if task.defense.name == "none":
        model: Any = stage.undefended
        kept = np.ones(len(stage.rows), dtype=bool)
    elif task.defense.name == "oracle":
        model = stage.clean
        kept = ~stage.is_poison
    else:
        model, seconds = defend(task, stage.rows, stage.undefended, setting, group.seed)
        kept = getattr(model, "support_", None)
    assumed = task.n_poison_assumed
    if assumed == "auto":
        assumed = model.n_poison_
    n, p = len(setting.train), group.n_poison
    errors = metrics.errors(test.y, model.predict(test.X))
    mse_clean = float(np.mean((stage.clean.predict(test.X) - test.y) ** 2))
    mse_none = float(np.mean((stage.undefended.predict(test.X) - test.y) ** 2))
    measured = Measured(
        lambda_=stage.undefended.lambda_for(n + p),
        alpha=stage.undefended.alpha_for(n + p),
        n_clean=n,
        n_poison=p,
        rate_clean=p / n,
        rate_total=p / (n + p),
        n_features=setting.space.n_features,
        n_validation=len(validation),
        n_test=len(test),
        n_poison_assumed=None if assumed is None else int(assumed),
        n_poison_source=_source(task),
        test_mse_clean=mse_clean,
        ratio_to_clean=errors["test_mse"] / mse_clean if mse_clean else None,
        ratio_to_none=errors["test_mse"] / mse_none if mse_none else None,
        test_rmse_unscaled=float(np.sqrt(errors["test_mse"])) * setting.scaling.y_span,
        val_mse=(
            float(np.mean((model.predict(validation.X) - validation.y) ** 2))
            if len(validation)
            else None
        ),
        objective_initial=poison.objective_initial,
        objective_final=poison.objective_final,
        chosen_variant=" ".join(poison.variant.values()) or None,
        poison_file=group.poison_file,
        **errors,
        **metrics.removal(kept, stage.is_poison),
    )
    return measured, Timings(made.seconds, seconds, poison.rounds)


def _source(task: Task) -> str | None:
    """Return how the defense learnt the number of poison rows."""
    if task.n_poison_assumed is None:
        return None
    source = task.defense.parameters.get("n_poison", "oracle")
    return source if isinstance(source, str) else next(iter(source))
