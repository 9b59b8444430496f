"""The text that ``poisonbench list``, ``explain`` and ``info`` print."""

from __future__ import annotations

import inspect
import os
import textwrap
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib

from poisonbench import registry
from poisonbench.config import choices, fields
from poisonbench.datasets.catalogue.entries import data_folder
from poisonbench.execution import provenance
from poisonbench.plan.identity import RESULT_VERSION
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


def explanation(name: str) -> str:
    """Return the idea behind the components of this name, followed by the text of :func:`find`.

    Parameters
    ----------
    name : str
        The name of a component.

    Raises
    ------
    ValueError
        No component has this name.
    """
    found = [kind for kind in choices.PLURALS if name in choices.names(kind)]
    if not found:
        return find(name)
    texts = []
    for kind in found:
        cls = registry.components(kind).get(name)
        module = inspect.getmodule(cls) if cls is not None else None
        own = kind not in ("dataset", "initialization", "outer_objective")
        idea = inspect.getdoc(module) if module and own else None
        texts.append("\n\n".join(filter(None, [idea, _description(kind, name)])))
    return "\n\n".join(texts)


def installation(data_dir: Path | None = None) -> str:
    """Return the text of ``poisonbench info``: versions, extras, machine and data folder.

    Parameters
    ----------
    data_dir : Path, optional
        The data folder that the user has given.
    """
    facts = provenance.facts()
    pools = [f"{pool['internal_api']} {pool['version']} ({pool['architecture']})"
             for pool in facts["blas"]]  # fmt: skip
    pages, size = (os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_PAGE_SIZE"))
    packages = {package for package, _ in registry.KINDS.values()}
    plug_ins = [f"{entry.name} ({entry.value})" for package in sorted(packages)
                for entry in entry_points(group=package)]  # fmt: skip
    known = ("matplotlib", "distributed", "numba", "clarabel")
    extras = [name for name in known if find_spec(name)]
    lines = {
        "poisonbench": f"{facts['poisonbench']} (version {RESULT_VERSION} of the results)",
        "installed in": str(Path(__file__).parents[1]),
        "python": f"{facts['python']}, {facts['platform']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()
                               if version),
        "linear algebra": ", ".join(pools) or "unknown",
        "extras": ", ".join(extras) or "none",
        "plug-ins": ", ".join(plug_ins) or "none",
        "processors": f"{joblib.cpu_count()} available",
        "memory": f"{pages * size / 1e9:.1f} GB",
        "data folder": str(data_folder(data_dir).absolute()),
        "mirror": "set" if os.environ.get("POISONBENCH_MIRROR") else "none",
    }  # fmt: skip
    return "\n".join(f"{name + ':':<16}{text}" for name, text in lines.items())


def _kinds_by_word() -> dict[str, str]:
    """Return the kind of component that each accepted word stands for."""
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
    """Return the library that a component computes with, if that depends on the installation."""
    return (registry.components("attack")[name].engine() or "") if kind == "attack" else ""


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
