"""The text of ``poisonbench list``: every component that a config can name."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from poisonbench import registry
from poisonbench.config import choices, fields
from poisonbench.reference_rows import REFERENCE_ROWS
from poisonbench.registry import Parameter

WIDTH = 96

MOST_NAMES = 12
"""How many names of each kind the help of a command shows."""


def overview(kinds: list[str]) -> str:
    """Return every component of these kinds: name, summary, parameters, reference."""
    return "\n\n".join(
        "\n".join([choices.PLURALS[kind], *(_entry(kind, name) for name in choices.names(kind))])
        for kind in kinds
    )


def names_by_kind() -> str:
    """Return the names of all components by kind; of a long list, the first few."""
    lines = []
    for kind, plural in choices.PLURALS.items():
        names = choices.names(kind)
        text = ", ".join(names[:MOST_NAMES])
        if len(names) > MOST_NAMES:
            text += f" and {len(names) - MOST_NAMES} more (poisonbench list {plural})"
        lines.append(
            textwrap.fill(
                text,
                WIDTH,
                initial_indent=f"  {plural + ':':<18}",
                subsequent_indent=" " * 20,
                break_on_hyphens=False,
            )
        )
    return "\n".join(["Available:", *lines])


def find(word: str) -> str:
    """Return the components of a kind, or the description of one component.

    Parameters
    ----------
    word : str
        A kind, in singular or plural, or the name of a component.

    Raises
    ------
    ValueError
        `word` is neither.
    """
    kinds = _kinds_by_word()
    if word.replace("-", " ").replace("_", " ") in kinds:
        return overview([kinds[word.replace("-", " ").replace("_", " ")]])
    found = [_description(kind, word) for kind in choices.PLURALS if word in choices.names(kind)]
    if found:
        return "\n\n".join(found)
    every = [name for kind in choices.PLURALS for name in choices.names(kind)]
    hint = fields.hint(word, [*every, *kinds])
    expected = fields.one_of(list(choices.PLURALS.values()))
    raise ValueError(f"nothing is named '{word}'{hint} expected {expected}, or a component's name")


def _kinds_by_word() -> dict[str, str]:
    """Return the kind that each accepted word stands for."""
    words = {plural: kind for kind, plural in choices.PLURALS.items()}
    words |= {kind.replace("_", " "): kind for kind in choices.PLURALS}
    return words | {"objective": "outer_objective", "objectives": "outer_objective"}


def _entry(kind: str, name: str) -> str:
    lines = [f"  {name:<18}{choices.summary(kind, name)}"]
    parameters = choices.parameters(kind, name)
    if parameters:
        lines.append(_indented(", ".join(map(_with_default, parameters)), "parameters: "))
    if reference := _reference(kind, name):
        lines.append(_indented(reference, "reference: "))
    if engine := _engine(kind, name):
        lines.append(_indented(engine, "runs with: "))
    return "\n".join(lines)


def _description(kind: str, name: str) -> str:
    """Return the full description of one component."""
    lines = [f"{name} ({kind.replace('_', ' ')})", "", _documentation(kind, name)]
    parameters = choices.parameters(kind, name)
    if parameters:
        lines += ["", "Parameters"]
    for parameter in parameters:
        default = "required" if parameter.required else f"default {_default(parameter)}"
        lines.append(f"  {parameter.name}: {fields.type_in_words(parameter)}; {default}")
        if parameter.description:
            lines.append(textwrap.fill(parameter.description, WIDTH, initial_indent=" " * 6,
                                       subsequent_indent=" " * 6))  # fmt: skip
    if reference := _reference(kind, name):
        lines += ["", f"Reference: {reference}"]
    if engine := _engine(kind, name):
        lines += ["", f"Runs with: {engine}"]
    return "\n".join(lines)


def _reference(kind: str, name: str) -> str:
    """Return a component's reference; empty for the reference rows of a table."""
    return str(getattr(registry.components(kind).get(name), "reference", ""))


def _engine(kind: str, name: str) -> str:
    """Return what a component computes with, if that depends on what is installed."""
    return getattr(registry.components(kind).get(name), "engine", None) or ""


def _with_default(parameter: Parameter) -> str:
    if parameter.required:
        return f"{parameter.name} (required)"
    return f"{parameter.name}={_default(parameter)}"


def _default(parameter: Parameter) -> str:
    if parameter.default is None and not fields.is_optional(parameter):
        return "not given"
    default: Any = parameter.default
    return default if isinstance(default, str) else fields.show(default)


def _indented(text: str, head: str) -> str:
    """Return `text` under an entry of the list, wrapped at spaces only."""
    return textwrap.fill(
        head + text,
        WIDTH,
        initial_indent=" " * 20,
        subsequent_indent=" " * 22,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _documentation(kind: str, name: str) -> str:
    """Return the docstring of a component up to its numpydoc sections."""
    cls = registry.components(kind).get(name)
    lines = (inspect.getdoc(cls or type(REFERENCE_ROWS[name])) or "").split("\n")
    for number, line in enumerate(lines):
        if line and set(line) == {"-"}:
            return "\n".join(lines[: number - 1]).strip()
    return "\n".join(lines).strip()
