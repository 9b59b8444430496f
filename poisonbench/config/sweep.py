"""The axes of a sweep: the ``sweep:`` block of a config, and lists on the command line.

An axis is a dotted key with a list of values.  It is equivalent to a list at that place of the
config, where lists make a grid anyway.  Only ``exclude``, which leaves combinations out, is
particular to the block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poisonbench.config import fields
from poisonbench.config.choices import Choice
from poisonbench.config.keys import KEYS, long_form
from poisonbench.config.quantities import Rate, SplitChoice
from poisonbench.config.reader import Reader
from poisonbench.config.source import Source, assignment
from poisonbench.config.strict_yaml import ConfigError, KeyPath, parse

PAPER_RATES = (0, 0.04, 0.08, 0.12, 0.16, 0.2)
"""The poisoning rates of the paper's curves, which are the default of a sweep."""

BLOCK: KeyPath = ("sweep",)

Thing = Choice | SplitChoice | Rate | int
"""A point on one axis of the grid."""


@dataclass(frozen=True)
class Exclusion:
    """Combinations that are left out of the grid.

    Parameters
    ----------
    written : mapping
        The entry of ``exclude``, as JSON values.
    members : mapping of str to list
        For each key in the entry, the values of the config that it refers to.
    """

    written: Mapping[str, Any]
    members: Mapping[str, list[Thing]] = field(compare=False)

    def holds(self, point: Mapping[str, Thing]) -> bool:
        """Whether a point of the grid is excluded."""
        return all(point[word] in things for word, things in self.members.items())


def apply(source: Source, overrides: Sequence[str], rates: str | None) -> bool:
    """Insert the axes of a sweep into a config.

    Values on the command line replace the block's axis for the same key.

    Parameters
    ----------
    source : Source
        The config, which is modified.
    overrides : sequence of str
        Arguments ``key=value`` or ``key=value,value,...``.
    rates : str or None
        Poisoning rates, ``0,0.1``.

    Returns
    -------
    bool
        Whether poisoning rates were given, by the block or the command line.

    Raises
    ------
    ConfigError
        The config has no place with the name of an axis, an override is inside the block, or rates
        are given twice.
    """
    given = [".".join(assignment(argument)[0]) for argument in overrides]
    axes = {key: values for key, values in block(source).items() if key != "exclude"}
    for_rates = [key for key in (*given, *axes) if key.partition(".")[0] == "poisoning_rate"]
    if rates is not None:
        twice = [key for key in given if key in for_rates]
        if twice:
            raise ConfigError(f"command line: --rates {rates}: given together with "
                              f"{twice[0]}=...; expected one of the two")  # fmt: skip
        axes = {key: values for key, values in axes.items() if key not in for_rates}
    # An axis inside a key that the command line replaces applies to the new value.
    late = [key for key in axes if any(key.startswith(f"{other}.") for other in given)]
    for key in axes:
        if key not in late and key not in given:
            _apply_axis(source, key, axes[key])
    for argument in overrides:
        keys, text = assignment(argument)
        if keys[0] == "sweep" and keys[1:] != ["exclude"]:
            axis = ".".join(keys[1:]) or "model.alpha"
            raise ConfigError(f"command line: {argument}: cannot add to the sweep block; expected "
                              f"the axis itself, such as {axis}=0,0.1")  # fmt: skip
        source.put(keys, _listed(text, f"command line: {argument}"), argument, long_form)
    for key in late:
        _apply_axis(source, key, axes[key])
    if rates is not None:
        _apply_rates(source, rates)
    return rates is not None or bool(for_rates)


def block(source: Source) -> dict[str, Any]:
    """Return the ``sweep:`` block of a config; empty if it has none.

    Raises
    ------
    ConfigError
        The block is not a mapping of axes and ``exclude``.
    """
    if "sweep" not in source.data:
        return {}
    found, reader = source.data["sweep"], Reader(source)
    if not isinstance(found, dict) or not found:
        raise source.error(
            BLOCK,
            f"{fields.show(found)} is not valid; expected axes, such as "
            "{poisoning_rate: [0, 0.1], model.alpha: [0.1, 1]}",
        )
    for key, value in found.items():
        if key == "exclude":
            entries = value if isinstance(value, list) else [value]
            if not entries or not all(isinstance(entry, dict) and entry for entry in entries):
                reader.complain((*BLOCK, key), "expected a list of combinations, such as "
                                "[{model.alpha: 1, poisoning_rate: 0.2}]")  # fmt: skip
        elif key.partition(".")[0] not in KEYS:
            reader.unknown((*BLOCK, key), [*KEYS, "exclude"])
        elif value is None or value == []:
            reader.complain((*BLOCK, key), "no values; expected a list of values")
    reader.check()
    return found


def exclusions(reader: Reader, things: Mapping[str, Sequence[Thing]]) -> tuple[Exclusion, ...]:
    """Read the ``exclude`` entries of the block.

    Parameters
    ----------
    reader : Reader
        Collects errors, such as an entry that excludes no combination.
    things : mapping of str to sequence
        For each axis, such as the data sets, splits and models: its values in the grid.
    """
    entries = reader.source.data.get("sweep", {}).get("exclude", [])
    listed = isinstance(entries, list)
    found = []
    for index, entry in enumerate(entries if listed else [entries]):
        path = (*BLOCK, "exclude", index) if listed else (*BLOCK, "exclude")
        members: dict[str, list[Thing]] = {}
        for key, wanted in entry.items():
            word = _OWNERS.get(key.partition(".")[0], key.partition(".")[0])
            if word not in things:
                reader.unknown((*path, key), KEYS)
                continue
            meant = _meant(reader, (*path, key), wanted, things[word])
            members[word] = [thing for thing in members.get(word, meant) if thing in meant]
        found.append(Exclusion(entry, members))
    return tuple(found)


_OWNERS = {"initialization": "attack", "outer_objective": "attack", "rate_of": "poisoning_rate"}
"""Keys that qualify another key."""


def _meant(reader: Reader, path: KeyPath, wanted: Any, things: Sequence[Thing]) -> list[Thing]:
    """Return the things whose value at the dotted key, the last part of `path`, is `wanted`."""
    key = str(path[-1])
    values = [(thing, _value(thing, key)) for thing in things]
    found = [thing for thing, value in values if _fits(value, wanted)]
    # It is no error in the file if the command line removed a value from the grid.
    if not found and not reader.source.from_command_line((key.partition(".")[0],)):
        present = [fields.show(value) for _, value in values if value is not None]
        known = fields.one_of(list(dict.fromkeys(present))) or (
            "another key, because nothing in the grid has this one"
        )
        reader.complain(path, f"{fields.show(wanted)} excludes no combination; expected {known}")
    return found


def _value(thing: Thing, key: str) -> Any:
    """Return the value of a thing at a dotted key; None if there is none."""
    word, *steps = key.split(".")
    if isinstance(thing, int):
        return None if steps else thing
    if isinstance(thing, Rate):
        return thing.of if word == "rate_of" or steps == ["rate_of"] else thing.value
    value: Any = thing.resolved()
    if word in _OWNERS:
        steps = [word]
    elif steps and steps[0].isdecimal():
        if thing.where[1:2] != (int(steps.pop(0)),):
            return None
    elif isinstance(thing, Choice) and not steps and len(value) == 1:
        return thing.name
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _fits(value: Any, wanted: Any) -> bool:
    """Return whether a value is the wanted one, or one of the wanted ones."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(wanted, list) and not isinstance(value, list):
        return any(_fits(value, one) for one in wanted)
    if isinstance(value, Mapping):
        if isinstance(wanted, Mapping):
            return all(_fits(value.get(key), one) for key, one in wanted.items())
        return bool(value.get("name") == wanted)
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _apply_axis(source: Source, key: str, values: Any) -> None:
    place = source.line((*BLOCK, key)) or 0
    source.put(key.split("."), values, place, long_form, origin=(*BLOCK, key))


def _apply_rates(source: Source, rates: str) -> None:
    argument = f"--rates {rates}"
    values = _listed(rates, f"command line: {argument}")
    known = source.data.get("poisoning_rate")
    if isinstance(known, list) and any(isinstance(one, dict) and "rate_of" in one for one in known):
        raise ConfigError(
            f"command line: {argument}: in the config, each poisoning rate has its own rate_of; "
            "expected poisoning_rate='[{rate: ..., rate_of: ...}]'"
        )
    # A mapping keeps its rate_of.
    keys = ["poisoning_rate", "rate"] if isinstance(known, dict) else ["poisoning_rate"]
    source.put(keys, values if isinstance(values, list) else [values], argument, long_form)


def _listed(text: str, where: str) -> Any:
    """Return the value of an argument: a list for ``a,b``, else its value in YAML."""
    values, _ = parse(f"[{text}]", where) if "," in text else (None, None)
    if isinstance(values, list) and len(values) > 1:
        return values
    value, _ = parse(text, where)
    return value
