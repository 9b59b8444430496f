"""Read the values of a config, expand lists into grids, and collect errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from poisonbench.config import fields
from poisonbench.config.source import Source
from poisonbench.config.strict_yaml import ConfigError, KeyPath
from poisonbench.registry import Parameter

_Item = TypeVar("_Item")


@dataclass
class Reader:
    """Reader of one source; it continues after an error, so that all are reported together.

    Parameters
    ----------
    source : Source
        The config as plain data.
    messages : list of str
        The errors so far.
    """

    source: Source
    messages: list[str] = field(default_factory=list)

    def complain(self, path: KeyPath, message: str) -> None:
        """Record an error in the value at `path`."""
        message = self.source.error(path, message + self._list_hint(path)).messages[0]
        if message not in self.messages:
            self.messages.append(message)

    def _list_hint(self, path: KeyPath) -> str:
        """Return how to write a list if an argument looks as if it was meant to be one."""
        if not self.source.from_command_line(path):
            return ""
        try:
            value = self.source.part(path)
        except (KeyError, IndexError, TypeError):
            return ""
        parts = value.split(",") if isinstance(value, str) else []
        if len(parts) < 2 or not all(part.strip() for part in parts):
            return ""
        key = ".".join(map(str, path))
        return f"; a list is written {key}='[{', '.join(part.strip() for part in parts)}]'"

    def check(self) -> None:
        """Raise the recorded errors, if there are any.

        Raises
        ------
        ConfigError
            With all messages so far.
        """
        if self.messages:
            raise ConfigError(*self.messages)

    def entries(self, path: KeyPath, value: Any) -> list[tuple[KeyPath, Any]]:
        """Return the entries of a list, or `value` itself, each with its path."""
        if not isinstance(value, list):
            return [(path, value)]
        if not value:
            self.complain(path, "an empty list; expected at least one entry")
        return [((*path, index), entry) for index, entry in enumerate(value)]

    def distinct(
        self, items: Iterable[tuple[KeyPath, _Item]], text: Callable[[_Item], str]
    ) -> list[_Item]:
        """Return the items without repetitions, which are recorded as errors.

        A repetition would count the same cell of the grid twice.

        Parameters
        ----------
        items : iterable of (tuple, item)
            Items with their places.
        text : callable
            Returns the text of an item.
        """
        seen: list[_Item] = []
        for path, item in items:
            if item in seen:
                self.complain(path, f"{text(item)} is listed twice; expected distinct entries")
            else:
                seen.append(item)
        return seen

    def values(self, path: KeyPath, value: Any, parameter: Parameter) -> list[Any]:
        """Return the valid values of one parameter, several if it is given a list of them.

        Parameters
        ----------
        path : tuple
            Place of the value.
        value : Any
            One value, or a list of them; for a parameter whose value is a list, a list of lists.
        parameter : Parameter
            The parameter.
        """
        single = not isinstance(value, list) or (
            fields.is_list(parameter) and not any(isinstance(item, list) for item in value)
        )
        found: list[tuple[KeyPath, Any]] = []
        for place, item in [(path, value)] if single else self.entries(path, value):
            try:
                valid = fields.check(parameter, item)
            except ValueError as error:
                self.complain(place, str(error))
                continue
            found.append((place, self._file(place, valid) if isinstance(valid, Path) else valid))
        return self.distinct(found, fields.show)

    def mapping(
        self,
        path: KeyPath,
        given: Mapping[str, Any],
        parameters: Sequence[Parameter],
        owner: str = "",
        refused: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return every combination of the values in a mapping.

        Parameters
        ----------
        path : tuple
            Place of the mapping.
        given : mapping
            The mapping.
        parameters : sequence of Parameter
            The keys that it may have.
        owner : str, optional
            The component that it describes, for messages.
        refused : mapping of str to str, optional
            Keys that are refused with a message of their own, each with that message.

        Returns
        -------
        list of dict
            The values given, without defaults.
        """
        known = {parameter.name: parameter for parameter in parameters}
        options: dict[str, list[Any]] = {}
        for key, value in given.items():
            if key in known:
                options[key] = self.values((*path, key), value, known[key])
            elif refused and key in refused:
                self.complain((*path, key), refused[key])
            else:
                self.unknown((*path, key), list(known), owner)
        for parameter in parameters:
            if parameter.required and parameter.name not in given:
                self.complain(
                    (*path, parameter.name),
                    f"missing; expected {fields.type_in_words(parameter)}",
                )
        return [dict(zip(options, values, strict=True)) for values in product(*options.values())]

    def unknown(self, path: KeyPath, known: Sequence[str], owner: str = "") -> None:
        """Record a key that is not in `known`, the keys of the component `owner` if given."""
        problem = f"not a parameter of '{owner}'" if owner else "unknown key"
        expected = fields.one_of(known) or "no parameters"
        self.complain(path, f"{problem}{fields.hint(path[-1], known)} expected {expected}")

    def file(self, text: str) -> Path:
        """Return the path of a file that this config names."""
        return self.source.base / os.path.expanduser(text)

    def _file(self, path: KeyPath, written: Path) -> str:
        """Return a file's path relative to the config; record an error if there is no file."""
        text = os.path.expanduser(written)
        folder = self.source.base
        if self.source.from_command_line(path) and not os.path.isabs(text):
            # From here on, every path is relative to the config, wherever it was given.
            text = os.path.relpath(Path(text).absolute(), folder.resolve())
        else:
            text = str(written)
        target = self.file(text)
        if os.path.isdir(target):  # unlike Path.is_dir, also of names too long for a file
            self.complain(path, f"{written} is a folder; expected a file")
        elif not os.path.isfile(target):
            self.complain(path, f"no file {written} (looked for {target.resolve()})")
        return text
