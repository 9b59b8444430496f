"""Read a config into the experiment that it describes.

``load`` reads a file into a :class:`Config` in which all defaults are filled in, all lists expanded
and all parameters set.  It refuses impossible combinations with the file and line of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poisonbench import registry
from poisonbench.config import choices, fields
from poisonbench.config import sweep as sweeps
from poisonbench.config.choices import Choice
from poisonbench.config.keys import DEFAULTS, KEYS, long_form
from poisonbench.config.quantities import (
    RATE,
    Rate,
    SplitChoice,
    read_ceiling,
    read_rates,
    read_repetitions,
    read_seeds,
    read_splits,
)
from poisonbench.config.reader import Reader
from poisonbench.config.source import Source, check_given_once, from_mapping
from poisonbench.config.source import load as load_source
from poisonbench.config.strict_yaml import ConfigError, KeyPath
from poisonbench.config.sweep import Exclusion, Thing


@dataclass(frozen=True)
class Config:
    """An experiment: the grid of everything that it varies.

    Parameters
    ----------
    path : Path
        The file.
    datasets, models, attacks, defenses : tuple of Choice
        The components, distinct.
    rates : tuple of Rate
        The poisoning rates, distinct.
    seeds : tuple of int
        The seeds, distinct.
    splits : tuple of SplitChoice
        The splits, distinct.
    source : Source
        The file, with the line of each part.
    exclude : tuple of Exclusion
        Combinations that a sweep leaves out of the grid.
    ceiling : bool
        Whether to compute the ceilings of every row.
    repetitions : int
        Number of fits of each defense that draws random numbers.
    notes : tuple of str
        Remarks on how the config was read, for the user.
    """

    path: Path
    datasets: tuple[Choice, ...]
    models: tuple[Choice, ...]
    attacks: tuple[Choice, ...]
    defenses: tuple[Choice, ...]
    rates: tuple[Rate, ...]
    seeds: tuple[int, ...]
    splits: tuple[SplitChoice, ...]
    source: Source = field(repr=False, compare=False)
    exclude: tuple[Exclusion, ...] = ()
    ceiling: bool = True
    repetitions: int = 1
    notes: tuple[str, ...] = field(default=(), compare=False)

    def resolved(self) -> dict[str, Any]:
        """Return a config with everything explicit, as JSON values.

        In the same folder as this one, it resolves to the same experiment.
        """
        resolved: dict[str, Any] = {
            "dataset": _entries([choice.resolved() for choice in self.datasets]),
            "model": _entries([choice.resolved() for choice in self.models]),
            "attack": _entries([choice.resolved() for choice in self.attacks]),
        }
        rates = [rate for rate in self.rates if rate.value is not None]
        if rates and len({rate.of for rate in rates}) == 1:
            resolved["poisoning_rate"] = _entries([rate.value for rate in rates])
            resolved["rate_of"] = rates[0].of
        elif rates:
            resolved["poisoning_rate"] = [
                {"rate": rate.value, "rate_of": rate.of} for rate in rates
            ]
        resolved["defense"] = _entries([choice.resolved() for choice in self.defenses])
        resolved["seeds"] = list(self.seeds)
        resolved["split"] = _entries([split.resolved() for split in self.splits])
        resolved["ceiling"] = "on" if self.ceiling else "off"
        resolved["repetitions"] = self.repetitions
        if self.exclude:
            resolved["sweep"] = {"exclude": [entry.written for entry in self.exclude]}
        plain: dict[str, Any] = _plain(resolved)
        return plain

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return an error about the value at `path`, with its file and line.

        Parameters
        ----------
        path : tuple
            Keys and list indices, such as ``choice.where`` or ``("poisoning_rate",)``.
        message : str
            What is wrong, and what was expected.
        """
        return self.source.error(path, message)


def load(
    config: Path | Mapping[str, Any] | Source,
    overrides: Sequence[str] = (),
    *,
    sweep: bool | None = False,
    rates: str | None = None,
) -> Config:
    """Read a config.

    Parameters
    ----------
    config : Path, mapping or Source
        The file, or its content.  A source is modified by the overrides.
    overrides : sequence of str
        Arguments ``key=value`` of the command line.
    sweep : bool or None, default=False
        Whether to read it as a sweep: with the axes of its ``sweep:`` block, lists
        ``key=value,value`` in `overrides`, and the paper's poisoning rates if none are given.
        None means yes if it has such a block.  With False, the block is ignored.
    rates : str, optional
        The poisoning rates of a sweep, ``0,0.1``.

    Returns
    -------
    Config
        The experiment.

    Raises
    ------
    ConfigError
        The config is not valid; the exception has a message for each error that was found.
    """
    check_given_once(overrides)
    if isinstance(config, Source):
        source = config
    elif isinstance(config, Path):
        source = load_source(config, (), long_form)
    else:
        source = from_mapping(config)
    has_block = bool(sweeps.block(source))
    sweep = has_block if sweep is None else sweep
    if sweep:
        rates_given = sweeps.apply(source, overrides, rates)
    else:
        for argument in overrides:
            source.override(argument, long_form)
        has_block = bool(sweeps.block(source))
    notes = []
    if has_block and not sweep:
        place = source.where(sweeps.BLOCK)
        notes.append(f"{place}: the sweep block is ignored; it is for poisonbench sweep")
    reader = Reader(source)
    data: dict[str, Any] = {**DEFAULTS, **source.data}
    _check_keys(reader, data)
    words = {
        word: [choice.name for choice in choices.read(reader, word, data[word])]
        for word in ("initialization", "outer_objective")
    }
    chosen = {
        kind: tuple(choices.read(reader, kind, data[kind], words)) if kind in data else ()
        for kind in ("dataset", "model", "attack", "defense")
    }
    found = read_rates(reader, data)
    if sweep and not rates_given and _takers(chosen["attack"]):
        found, note = _rates_of_a_sweep(reader, data, found)
        notes += note
    seeds = read_seeds(reader, data["seeds"])
    splits = read_splits(reader, data["split"])
    ceiling = read_ceiling(reader, data["ceiling"])
    repetitions = read_repetitions(reader, data["repetitions"])
    reader.check()
    # The next checks compare keys with each other, so each key must be valid by itself.
    _check_axes_used(reader, chosen["attack"])
    _check_rate_given(reader, chosen["attack"], found)
    _check_validation_rows(reader, chosen["attack"], splits)
    exclude: tuple[Exclusion, ...] = ()
    if sweep:
        things: dict[str, Sequence[Thing]] = {
            **chosen,
            "poisoning_rate": found,
            "seeds": seeds,
            "split": splits,
        }
        exclude = sweeps.exclusions(reader, things)
    reader.check()
    return Config(
        path=source.path,
        datasets=chosen["dataset"],
        models=chosen["model"],
        attacks=chosen["attack"],
        defenses=chosen["defense"],
        rates=found or (Rate(None, "clean"),),
        seeds=seeds,
        splits=splits,
        source=source,
        exclude=exclude,
        ceiling=ceiling,
        repetitions=repetitions,
        notes=tuple(notes),
    )


def _rates_of_a_sweep(
    reader: Reader, data: dict[str, Any], found: tuple[Rate, ...]
) -> tuple[tuple[Rate, ...], list[str]]:
    """Return the config's rates if they are a list, else the paper's; and notes for the user."""
    given = data.get("poisoning_rate")
    values = given.get("rate") if isinstance(given, dict) else given
    if isinstance(values, list):
        return found, []
    rates = list(sweeps.PAPER_RATES)
    if isinstance(given, dict):  # keep its rate_of
        found = read_rates(reader, {**data, "poisoning_rate": {**given, "rate": rates}})
    else:
        found = read_rates(reader, {**data, "poisoning_rate": rates})
    if given is None:
        return found, []
    place = reader.source.where(("poisoning_rate",))
    shown = ", ".join(f"{rate:g}" for rate in rates)
    return found, [
        f"{place}: the single poisoning_rate {fields.show(values)} is replaced by the paper's "
        f"rates, {shown}; to keep it, use --rates {values}"
    ]


def _takers(attacks: Sequence[Choice]) -> list[str]:
    """Return the attacks that need a poisoning rate."""
    known = registry.components("attack")
    return [choice.name for choice in attacks if known[choice.name].takes_rate]


def _check_keys(reader: Reader, data: Mapping[str, Any]) -> None:
    for key in data:
        if key in (*KEYS, *sweeps.BLOCK):
            continue
        owners = [
            kind
            for kind in ("model", "attack", "dataset", "defense")
            if any(
                parameter.name == key
                for name in choices.names(kind)
                for parameter in choices.parameters(kind, name)
            )
        ]
        if owners:
            kind = owners[0]
            reader.complain((key,), f"not a key of its own but a parameter of the {kind}; "
                                    f"expected {kind}: {{name: ..., {key}: ...}}")  # fmt: skip
        else:
            reader.unknown((key,), [*KEYS, *map(str, sweeps.BLOCK)])
    for key in ("dataset", "attack"):
        if key not in data:
            known = fields.one_of(choices.names(key))
            swept = "" if key not in data.get("sweep", {}) else (
                "; the sweep block has it, but only poisonbench sweep uses that")  # fmt: skip
            reader.complain((key,), f"missing; expected {known}{swept}")


def _check_axes_used(reader: Reader, attacks: Sequence[Choice]) -> None:
    """Report a top-level initialization or outer objective that no attack uses."""
    for word in ("initialization", "outer_objective"):
        if word not in reader.source.data:
            continue
        source = reader.source
        if source.from_command_line(("attack",)) and not source.from_command_line((word,)):
            continue  # it was meant for attacks in the file that the command line replaces
        users = [choice for choice in attacks if word in choice.parameters]
        if any(word not in reader.source.part(choice.where) for choice in users):
            continue
        if users:
            reason = "every attack that uses it sets its own"
        else:
            reason = f"no attack here uses it; it is for {fields.one_of(choices.takers(word))}"
            if any(choice.name in choices.takers(word) for choice in attacks):
                reason = "best_of tries them all"
            for choice in attacks:
                fixed = registry.components("attack")[choice.name].fixed_axes
                if word in fixed:
                    reason += f", and {choice.name} always has {fixed[word]}"
        reader.complain((word,), f"not used: {reason}; expected no {word}")


def _check_rate_given(reader: Reader, attacks: Sequence[Choice], rates: Sequence[Rate]) -> None:
    """Report attacks that lack a poisoning rate, and a ``rate_of`` without a rate."""
    takers = _takers(attacks)
    if not rates and takers:
        reader.complain(("poisoning_rate",), f"missing, but {takers[0]} needs it; expected "
                        f"{fields.type_in_words(RATE)}")  # fmt: skip
    elif not rates and "rate_of" in reader.source.data:
        reader.complain(("rate_of",), "not used: there is no poisoning_rate")


def _check_validation_rows(
    reader: Reader, attacks: Sequence[Choice], splits: Sequence[SplitChoice]
) -> None:
    """Report attacks that need validation rows if a split has none."""
    without = [split for split in splits if split.indices is None and split.validation == 0]
    for choice in attacks:
        cls = registry.components("attack")[choice.name]
        if without and cls.needs_validation(choice.parameters):
            objective = choice.parameters.get("outer_objective")
            why = f" with outer_objective {objective}" if objective else ""
            reader.complain((*without[0].where, "validation"),
                            f"0 rows, but {choice.name}{why} needs validation rows; expected at "
                            "least 1, or an outer_objective that needs none")  # fmt: skip


def _entries(items: list[Any]) -> Any:
    """Return the list, or a single entry without the list."""
    return items[0] if len(items) == 1 else items


def _plain(value: Any) -> Any:
    """Return `value` as JSON values, with lists in place of tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
