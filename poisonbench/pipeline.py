"""One poison set and the defenses against it: the paper's experiment, from top to bottom.

    data -> split -> learner -> attack -> checked poison set -> poisoned training set
         -> defense -> errors

Each stage uses only the results of earlier stages, and is given only what the attacker or the
defender may know.  The attacker gets the training rows, validation rows of its own and the learner,
but no test rows.  The defender gets the shuffled rows of the poisoned training set, but is not told
which of them are poison.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256

import numpy as np
from sklearn.base import clone

from poisonbench import metrics, registry, seeds
from poisonbench.cache import OwnCleanError, SelectedStrength, cached
from poisonbench.certificates.ceiling import Ceiling
from poisonbench.certificates.cell_ceilings import Ceilings, CeilingTask, ceilings
from poisonbench.certificates.theorem2 import Certificate, certificate
from poisonbench.config import Choice
from poisonbench.data.base import Dataset
from poisonbench.data.scaling import Scaling
from poisonbench.data.split import rows_of, spare_rows
from poisonbench.defenses.base import Defense
from poisonbench.features import BoolArray, FeatureSpace, FloatArray
from poisonbench.models import LinearModel
from poisonbench.plan.groups import Group, Task
from poisonbench.problem import AttackProblem, Poisoned, PoisonSet, Sample, Setting
from poisonbench.records import Measured, Predictions, Timings
from poisonbench.reference_rows import REFERENCE_ROWS, Defended


class PoisonError(ValueError):
    """An attack did not return p legal poison rows."""


@dataclass(frozen=True)
class Repeated:
    """The fits of a defense to the same rows, which differ in its random numbers only.

    Parameters
    ----------
    middle : Defended
        The fit with the median test error; of an even number, the lower of the two in the middle,
        so that it is always one of the fits.
    test_mse : tuple of float
        The test errors of all fits, in increasing order.
    """

    middle: Defended
    test_mse: tuple[float, ...]

    @property
    def median(self) -> float:
        """The test error of the fit in the middle."""
        return self.test_mse[(len(self.test_mse) - 1) // 2]


@dataclass(frozen=True)
class Stage:
    """The state of an experiment before the defenses.

    Parameters
    ----------
    group : Group
        The group to compute.
    setting : Setting
        The data.
    clean : LinearModel
        The learner trained on the clean rows, which the attacker knows.
    made : Poisoned
        The checked poison set.
    rows : Sample
        The shuffled poisoned training set, which the defender gets.
    is_poison : ndarray of bool of shape (n + p,)
        Which of its rows are poison, which the defender is not told.
    undefended : mapping of str to LinearModel
        The learner trained on all its rows; the key says on which rows its strength was selected.
    ceilings : Ceilings
        Bounds on the effect of any poison of this size; neither the attacker nor the defender
        knows them.
    """

    group: Group
    setting: Setting
    clean: LinearModel
    made: Poisoned
    rows: Sample
    is_poison: BoolArray
    undefended: Mapping[str, LinearModel]
    ceilings: Ceilings = field(default_factory=Ceilings)


def stage(group: Group, dataset: Dataset, made: Poisoned | None = None) -> Stage:
    """Run the experiment up to the defenses.

    Parameters
    ----------
    group : Group
        The group to compute.
    dataset : Dataset
        Its data.
    made : Poisoned, optional
        The poison set, if it has been made before.
    """
    setting = prepare(group, dataset)
    clean = learner(group.model, setting.train, setting, group.seed)
    made = made or attack(group, setting, clean, dataset)
    check(made.poison, group.n_poison, setting.space)
    rows, is_poison = poisoned_rows(setting, made.poison, group.seed)
    undefended = {
        select_on: learner(group.model, rows, setting, group.seed)
        if select_on == "poisoned"
        else (clone(clean).fit(rows.X, rows.y) if group.n_poison else clean)
        for select_on in {task.select_on for task in group.tasks}
    }
    return Stage(group, setting, clean, made, rows, is_poison, undefended)


def prepare(group: Group, dataset: Dataset) -> Setting:
    """Split the data, and scale them to the box."""
    split = rows_of(group.split, dataset, group.seed)
    scaling = Scaling.fit(dataset, split.train)
    train, validation, test = (
        read_only(scaling.transform(dataset.X[rows]), scaling.transform_response(dataset.y[rows]))
        for rows in (split.train, split.validation, split.test)
    )
    return Setting(
        train,
        validation,
        test,
        split,
        dataset.space,
        dataset.target,
        scaling,
        dataset.content,
        scaling.own_unit(dataset),
    )


def read_only(X: FloatArray, y: FloatArray) -> Sample:
    """Return the rows with both arrays read-only, so that no attack or defense can alter them."""
    X.flags.writeable = y.flags.writeable = False
    return Sample(X, y)


def learner(choice: Choice, rows: Sample, setting: Setting, seed: int) -> LinearModel:
    """Return the learner with its strength fixed, fitted on `rows`.

    With ``lambda: cv``, the strength is selected on these rows.
    """
    model: LinearModel = choice.build()
    if choice.parameters.get("lambda") == "cv":
        folds = seeds.random_state(seed, "folds", setting.content)
        # The selection depends only on these rows and folds, so all attacks and rates share it.
        content = sha256(np.ascontiguousarray(rows.X).data)
        content.update(np.ascontiguousarray(rows.y).data)
        key = SelectedStrength(repr(model), folds, content.hexdigest())
        selected = cached(key, lambda: model.select_lambda(rows.X, rows.y, random_state=folds))
        model = model.with_strength(lam=selected)
    return model.fit(rows.X, rows.y)


def attack(group: Group, setting: Setting, model: LinearModel, dataset: Dataset) -> Poisoned:
    """Run the group's attack on what its attacker knows."""
    train, model = known_to_attacker(group, setting, model, dataset)
    problem = AttackProblem(
        train=train,
        validation=setting.validation,
        model=deepcopy(model),  # a copy, because an attack may refit it
        space=setting.space,
        target=setting.target,
        scaling=setting.scaling,
        n_poison=group.n_poison,
        entropy=seeds.entropy(group.seed, "attack", setting.content),
    )
    start = time.perf_counter()
    chosen = group.attack.build()
    poison = chosen.generate(problem)
    return Poisoned(poison, time.perf_counter() - start, chosen.engine())


def known_to_attacker(
    group: Group, setting: Setting, model: LinearModel, dataset: Dataset
) -> tuple[Sample, LinearModel]:
    """Return the rows and the learner that the attacker has: the true ones, or surrogates.

    Parameters
    ----------
    group : Group
        The group; its attack's parameter ``knowledge`` says what the attacker does not know.
    setting : Setting
        The data of the group.
    model : LinearModel
        The learner, fitted on the clean training rows.
    dataset : Dataset
        The data set, from which a disjoint sample is drawn.

    Returns
    -------
    train : Sample
        The training rows, or equally many rows that are in no part of the split, clipped to the
        box.
    model : LinearModel
        A learner fitted on them.
    """
    knowledge = group.attack.parameters.get("knowledge")
    if not knowledge:
        return setting.train, model
    train, choice = setting.train, group.model
    if knowledge["surrogate"] in ("data", "both"):
        stream = seeds.generator(group.seed, "surrogate", setting.content)
        rows = spare_rows(setting.split, len(dataset.y), len(train), stream)
        X = setting.scaling.transform(dataset.X[rows])
        y = setting.scaling.transform_response(dataset.y[rows])
        # The training rows define the box, so other rows can lie slightly outside, where poison
        # rows may not lie.
        train = read_only(np.clip(X, 0.0, 1.0), np.clip(y, 0.0, 1.0))
    if knowledge["surrogate"] in ("model", "both"):
        has_strength = registry.accepts(registry.components("model")[knowledge["model"]], "lam")
        choice = Choice("model", knowledge["model"], {"lambda": "cv"} if has_strength else {})
    return train, learner(choice, train, setting, group.seed)


def check(poison: PoisonSet, n_poison: int, space: FeatureSpace) -> None:
    """Raise PoisonError unless the poison set consists of `n_poison` legal rows; repair nothing.

    Raises
    ------
    PoisonError
        The number of rows is wrong, a value is not finite or lies outside the box, or a one-hot
        group is not legal.
    """
    found = poison.violations(n_poison, space)
    if found:
        raise PoisonError(f"the poison set is not legal: {'; '.join(found)}")


def poisoned_rows(setting: Setting, poison: PoisonSet, seed: int) -> tuple[Sample, BoolArray]:
    """Return the shuffled poisoned training set, and which of its rows are poison."""
    n, y = len(setting.train), np.append(setting.train.y, poison.y)
    order = seeds.generator(seed, "shuffle", setting.content).permutation(len(y))
    place = np.empty_like(order)
    place[order] = np.arange(len(y))
    X = np.empty((len(y), setting.space.n_features))
    X[place[:n]], X[place[n:]] = setting.train.X, poison.X  # avoids a second copy of large data
    return read_only(X, y[order]), order >= n


def defended(stage: Stage, task: Task, repetition: int = 0) -> Defended:
    """Train the defense or reference row of a task on the poisoned training set.

    Parameters
    ----------
    stage : Stage
        The state before the defenses.
    task : Task
        The defense.
    repetition : int, default=0
        Which of its independent streams of random numbers it gets.
    """
    undefended, rows, setting = stage.undefended[task.select_on], stage.rows, stage.setting
    reference = REFERENCE_ROWS.get(task.defense.name)
    if reference is not None:
        return reference.train(stage.clean, undefended, rows, stage.is_poison)
    cls = registry.components("defense")[task.defense.name]
    # The first fit is the same, however many repetitions there are.
    keys = (task.defense.name, setting.content, *([repetition] if repetition else []))
    state = seeds.random_state(stage.group.seed, "defense", *keys)
    arguments = cls.init_arguments(clone(undefended), setting.space, task.n_poison_assumed, state)
    start = time.perf_counter()
    model = task.defense.build(**arguments).fit(rows.X, rows.y)
    seconds = time.perf_counter() - start
    return Defended(model, getattr(model, "support_", None), undefended, len(rows), seconds)


def repeated(stage: Stage, task: Task) -> Repeated:
    """Train the defense of a task as often as the task says, each time with other random numbers.

    The test rows say which of the fits is reported.  This does not help the defender: the fit in
    the middle is as good as a fit usually is, not the best of them.
    """
    test = stage.setting.test
    fits = [defended(stage, task, repetition) for repetition in range(task.repetitions)]
    errors = [metrics.mean_squared_error(test.y, fit.model.predict(test.X)) for fit in fits]
    order = np.argsort(errors, kind="stable")
    return Repeated(fits[order[(len(fits) - 1) // 2]], tuple(errors[k] for k in order))


def with_ceilings(stage: Stage, ceiling_of: Callable[[CeilingTask], Ceiling]) -> Stage:
    """Return the stage with bounds on how bad poison of this size can make the undefended learner.

    Parameters
    ----------
    stage : Stage
        The state before the defenses.
    ceiling_of : callable
        Returns the ceiling for a task, which may have been computed before.
    """
    group, variant = stage.group, stage.made.poison.variant
    if not (group.ceiling and group.n_poison):
        return stage
    objective = variant.get("outer_objective", group.attack.axes["outer_objective"])
    surrogate = objective is not None and bool(group.attack.parameters.get("knowledge"))
    found = ceilings(
        None if surrogate else objective, stage.setting, stage.clean, group.n_poison, ceiling_of
    )
    if surrogate:
        note = f"{objective}: no ceiling: the objective is that of the attacker's surrogate"
        found = replace(found, note="; ".join(filter(None, [note, found.note])))
    return replace(stage, ceilings=found)


def own_clean_mse(stage: Stage, task: Task) -> float | None:
    """Return the test MSE of a task's defense trained on the clean rows; None if it fails on them.

    This is the result of the same defense at poisoning rate 0.  It is computed here so that no
    cell depends on another one, but each process computes it only once for all attacks and rates.
    """
    setting, seed = stage.setting, stage.group.seed
    task = replace(task, n_poison_assumed=task.n_poison_assumed_clean, select_on="clean")

    def compute() -> float | None:
        nothing = PoisonSet(setting.train.X[:0], setting.train.y[:0])
        rows, is_poison = poisoned_rows(setting, nothing, seed)
        without = replace(stage, rows=rows, is_poison=is_poison, undefended={"clean": stage.clean})
        try:
            return repeated(without, task).median
        except ValueError:  # there are too few rows for the number of poison rows that it assumes
            return None

    key = OwnCleanError(
        repr(task.defense.resolved()),
        task.n_poison_assumed,
        task.repetitions,
        repr(stage.clean),
        seed,
        stage.group.data,
        sha256(setting.split.train.tobytes() + setting.split.test.tobytes()).hexdigest(),
    )
    return cached(key, compute)


def bounds(stage: Stage, task: Task, reached: Defended) -> dict[str, float | None]:
    """Return the columns for Theorem 2: its bounds for a trimming defense, and what they bound."""
    found = None
    model, kept = reached.model, reached.kept
    if hasattr(model, "n_poison_") and kept is not None and hasattr(model, "coef_"):
        rows, undefended = stage.rows, stage.undefended[task.select_on]
        train, clean = stage.setting.train, stage.clean
        if task.select_on != "clean":  # theta* must have the strength that the defense used
            clean = clone(undefended).fit(train.X, train.y)
        found = certificate(
            (rows.y - model.predict(rows.X)) ** 2,
            kept,
            stage.is_poison,
            undefended.lambda_for(int(kept.sum())) * undefended.penalty(model.coef_),
            clean.objective(train.X, train.y),
        )
    return {entry.name: getattr(found, entry.name, None) for entry in fields(Certificate)}


def predictions_on_test_rows(stage: Stage, reached: Defended) -> Predictions:
    """Return the predictions of a cell's model on the test rows, and the clean learner's."""
    setting, unit = stage.setting, stage.setting.unit
    offset, span = (0.0, 1.0) if unit is None else (unit.offset, unit.span)
    y, predicted, clean = (
        tuple((offset + span * values).tolist())
        for values in (
            setting.test.y,
            reached.model.predict(setting.test.X),
            stage.clean.predict(setting.test.X),
        )
    )
    rows = tuple(setting.split.test.tolist())
    return Predictions("box units" if unit is None else unit.name, rows, y, predicted, clean)


def measure(stage: Stage, task: Task, fits: Repeated | None = None) -> tuple[Measured, Timings]:
    """Return the measurements and timings of a task, training its models unless they are given."""
    group, setting, poison = stage.group, stage.setting, stage.made.poison
    test, validation = setting.test, setting.validation
    n, p = len(setting.train), group.n_poison
    fits = fits or repeated(stage, task)
    reached = fits.middle
    model = reached.model
    several = task.repetitions > 1
    least, largest = fits.test_mse[0], fits.test_mse[-1]
    # The number that the defense used: what it was told, or its own estimate.
    assumed = getattr(model, "n_poison_", task.n_poison_assumed)
    undefended = stage.undefended[task.select_on]
    errors = metrics.errors(test.y, model.predict(test.X))
    mse_clean = metrics.mean_squared_error(test.y, stage.clean.predict(test.X))
    mse_none = metrics.mean_squared_error(test.y, undefended.predict(test.X))
    own_clean = own_clean_mse(stage, task) if p else errors["test_mse"]
    measured = Measured(
        lambda_=reached.learner.lambda_for(reached.n_rows),
        alpha=reached.learner.alpha_for(reached.n_rows),
        n_clean=n,
        n_poison=p,
        rate_clean=p / n,
        rate_total=p / (n + p),
        n_features=setting.space.n_features,
        n_validation=len(validation),
        n_test=len(test),
        n_poison_assumed=None if assumed is None else int(assumed),
        repetitions=task.repetitions,
        test_mse_least=least if several else None,
        test_mse_largest=largest if several else None,
        spread=largest / least if several and least else None,
        test_mse_clean=mse_clean,
        ratio_to_clean=errors["test_mse"] / mse_clean if mse_clean else None,
        ratio_to_none=errors["test_mse"] / mse_none if mse_none else None,
        ratio_to_own_clean=errors["test_mse"] / own_clean if own_clean else None,
        test_rmse_unscaled=(
            None if setting.unit is None else float(np.sqrt(errors["test_mse"])) * setting.unit.span
        ),
        response_unit=None if setting.unit is None else setting.unit.name,
        val_mse=(
            metrics.mean_squared_error(validation.y, model.predict(validation.X))
            if len(validation)
            else None
        ),
        objective_initial=poison.objective_initial,
        objective_final=poison.objective_final,
        objective_ceiling=stage.ceilings.objective,
        ceiling_share=stage.ceilings.share(poison.objective_final),
        # The ceiling is not proved for a strength that is selected again on the poisoned rows.
        test_mse_ceiling=stage.ceilings.test_mse if task.select_on == "clean" else None,
        ceiling_note=stage.ceilings.note,
        chosen_variant=" ".join(poison.variant.values()) or None,
        defense_note=model.note_ if isinstance(model, Defense) else None,
        poison_file=group.poison_file,
        **errors,
        **metrics.removal(reached.kept, stage.is_poison),
        **bounds(stage, task, reached),
    )
    return measured, Timings(stage.made.seconds, reached.seconds, poison.rounds)
