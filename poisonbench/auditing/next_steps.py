"""What can be done after an audit."""

from __future__ import annotations

import shlex
from pathlib import Path

from poisonbench.auditing.words import Answer

CONFIG = "config.yaml"
"""The name of the config that an audit makes."""


def next_steps(answer: Answer, out: Path) -> list[tuple[str, str]]:
    """Return what can be done next, each with the command for it."""
    lines = [
        (
            "The same results.csv again, in results/config",
            f"poisonbench run {shlex.quote(str(out / CONFIG))}",
        )
    ]
    best = answer.of.recommended
    if best is not None:
        attack = f"{{name: adaptive, defense: {best.name}}}"
        lines.append(
            (
                "Also an attacker who knows the recommended defense (much longer; --dry-run says "
                "how long)",
                f"cd {shlex.quote(str(out))} && poisonbench run . --add attack='{attack}'",
            )
        )
    return lines
