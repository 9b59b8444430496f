"""Text that describes a plan, for ``validate`` and ``--dry-run``."""

from __future__ import annotations

from collections import Counter

from poisonbench.config.choices import labelled
from poisonbench.plan.groups import Plan


def counts(plan: Plan) -> str:
    """Return the size of a plan, in one line."""
    config = plan.config
    numbers = {
        "dataset": len(config.datasets),
        "split": len(config.splits),
        "model": len(config.models),
        "attack variant": len(config.attacks),
        "rate": len({row.labels.poisoning_rate for row in plan.rows}),
        "defense": len(config.defenses),
        "seed": len(config.seeds),
        "poison set": sum(group.n_poison > 0 for group in plan.groups),
        "cell": sum(len(group.tasks) for group in plan.groups),
    }
    return ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for noun, n in numbers.items())


def describe(plan: Plan) -> str:
    """Return the size of a plan, and a line for each variant and rate."""
    n_poison = {task.id: group.n_poison for group in plan.groups for task in group.tasks}
    lines: Counter[str] = Counter()
    for row in plan.rows:
        labels = row.labels
        axes = (labels.variables, labels.initialization, labels.outer_objective)
        words = [
            labelled(labels.dataset, labels.dataset_parameters),
            labels.split,
            labelled(labels.model, labels.model_parameters),
            labelled(labels.attack, labels.attack_parameters),
            *(axis for axis in axes if axis),
            f"at {labels.poisoning_rate:g} of {labels.rate_of} ({n_poison[row.cell]} poison rows)",
        ]
        lines[" ".join(words)] += 1
    return "\n".join([counts(plan), *(f"  {line}: {n} rows" for line, n in lines.items())])
