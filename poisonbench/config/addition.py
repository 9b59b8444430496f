"""Add values to the lists of a stored config, so that its grid grows.

The arguments are first read as replacements of the lists that they name, so that a wrong one is
refused as in any config.  Then each list gets those values that it does not have yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from poisonbench.config import fields
from poisonbench.config.experiment import Config, load
from poisonbench.config.source import Source, assignment
from poisonbench.config.strict_yaml import ConfigError

LISTS = ("dataset", "split", "model", "attack", "poisoning_rate", "defense", "seeds")
"""The keys whose values make up the grid, and to which values can be added."""


def added(stored: Source, words: Sequence[str], rates: str | None = None) -> Config:
    """Return the experiment of a stored config with the values of the arguments added.

    Values that the config has already are ignored, so the same arguments may be given again.

    Parameters
    ----------
    stored : Source
        The config of an output folder; it is not modified.
    words : sequence of str
        Arguments ``key=value`` or ``key=value,value,...`` with keys of :data:`LISTS`.
    rates : str, optional
        Poisoning rates, ``0,0.1``.

    Raises
    ------
    ConfigError
        An argument is not valid or names no list, or the stored config is not valid here.
    """
    origins = {_list_of(word): word for word in words}
    if rates is not None:
        origins["poisoning_rate"] = f"--rates {rates}"
    before = load(deepcopy(stored), sweep=True)
    given = load(deepcopy(stored), words, sweep=True, rates=rates)
    grid = replace(stored, data=before.resolved(), places={})
    if rates_before := _values(before, "poisoning_rate"):
        grid.data["poisoning_rate"] = rates_before  # a list, because a sweep replaces a single rate
    grid.data.pop("rate_of", None)  # each rate has its own
    for key, origin in origins.items():
        old, new = _values(before, key), _values(given, key)
        values = grid.data[key] = old + [value for value in new if value not in old]
        grid.places |= {(key, index): origin for index in range(len(old), len(values))}
    return load(grid, sweep=True)


def _list_of(word: str) -> str:
    """Return the key of an argument; raise ConfigError if it is not the key of a list."""
    keys, text = assignment(word)
    key = keys[0]
    if key not in LISTS:
        raise ConfigError(f"command line: {word}: nothing can be added to '{key}'"
                          f"{fields.hint(key, LISTS)} expected {fields.one_of(LISTS)}")  # fmt: skip
    if len(keys) > 1:
        raise ConfigError(
            f"command line: {word}: not a complete {key}; expected "
            f"{key}='{{name: ..., {'.'.join(keys[1:])}: {text}}}'"
        )
    return key


def _values(config: Config, key: str) -> list[Any]:
    """Return the values of a list, as they may be written in a config."""
    if key == "poisoning_rate":
        return [{"rate": rate.value, "rate_of": rate.of}
                for rate in config.rates if rate.value is not None]  # fmt: skip
    values = config.resolved()[key]
    return values if isinstance(values, list) else [values]
