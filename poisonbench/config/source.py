"""A config as plain data, with the place where each part was written.

The file is strict YAML; ``key=value`` arguments of the command line override it.  Every value keeps
its line in the file, or the argument that it came from, for later error messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poisonbench.config.strict_yaml import ConfigError, KeyPath, parse

LongForm = Callable[[str, Any], dict[str, Any]]
"""Maps a key of the config and its short form (None if absent) to the long form, a mapping."""


@dataclass
class Source:
    """A config as plain data, and where each part of it was written.

    Parameters
    ----------
    path : Path
        The file, as the user named it.
    data : dict
        Its content, with overrides applied.
    places : dict of tuple to (int or str)
        For each path of keys, its line in the file, or the override that set it.
    folder : Path, optional
        The folder that relative paths are relative to; that of the file if not given.
    """

    path: Path
    data: dict[str, Any]
    places: dict[KeyPath, int | str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def base(self) -> Path:
        """The folder that relative paths are relative to."""
        return self.path.parent if self.folder is None else self.folder

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the innermost part of `path` that is in the file, if any."""
        place = self._place(path)
        return place if isinstance(place, int) else None

    def where(self, path: KeyPath) -> str:
        """Return the place of `path` for a message: ``file:line`` or the override."""
        place = self._place(path)
        if isinstance(place, str):
            return f"command line: {place}"
        return f"{self.path}:{place}" if place else str(self.path)

    def from_command_line(self, path: KeyPath) -> bool:
        """Whether an override gave the value at `path`."""
        return isinstance(self._place(path), str)

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return an error with the place, the key and `message`."""
        return ConfigError(": ".join(filter(None, [self.where(path), dotted(path), message])))

    def part(self, path: KeyPath) -> Any:
        """Return the value at `path`."""
        part: Any = self.data
        for step in path:
            part = part[step]
        return part

    def override(self, argument: str, long_form: LongForm) -> None:
        """Apply one ``key=value`` of the command line.

        Parameters
        ----------
        argument : str
            ``key.key=value``; a number among the keys is a list index, and the value is YAML.
        long_form : callable
            See :meth:`put`.

        Raises
        ------
        ConfigError
            The argument is malformed, or the config has no such place.
        """
        keys, text = assignment(argument)
        value, _ = parse(text, f"command line: {argument}")
        self.put(keys, value, argument, long_form)

    def put(
        self,
        keys: Sequence[str],
        value: Any,
        place: int | str,
        long_form: LongForm,
        origin: KeyPath | None = None,
    ) -> None:
        """Set the value at the place given by `keys`; null on the command line removes the key.

        Parameters
        ----------
        keys : sequence of str
            Keys; a number is a list index.
        value : Any
            The value, plain data.
        place : int or str
            Where it was written: a line of the file, or an argument.
        long_form : callable
            Returns the mapping that a short form stands for, so that a key can be added to it.
        origin : tuple, optional
            Place of the value in the file, if it has one, for the lines of its parts.

        Raises
        ------
        ConfigError
            The config has no such place.
        """
        container: Any = self.data
        path: KeyPath = ()
        for depth, name in enumerate(keys):
            step: str | int = name
            if isinstance(container, list):
                where = f"command line: {place}" if isinstance(place, str) else (
                    f"{self.path}:{place}: sweep")  # fmt: skip
                step = _index(container, name, keys[:depth], keys[depth:], where)
            path = (*path, step)
            if depth == len(keys) - 1:
                if value is None and isinstance(place, str) and isinstance(container, dict):
                    container.pop(step, None)  # as if it were not in the file
                    self._forget(path)
                    return
                container[step] = value
                self._forget(path)
                self.places[path] = place
                if origin is not None:
                    self._copy_places(origin, path)
                return
            if isinstance(container, dict):
                container.setdefault(step, None)
            if not isinstance(container[step], dict | list):
                # Only at the top level may a list contain short forms of the key above it.
                word_level = depth == 0 or (depth == 1 and isinstance(step, int))
                short = container[step]
                container[step] = long_form(keys[0], short) if word_level else {}
                if not word_level:
                    self.places[path] = place  # the value in the file is replaced
            self.places.setdefault(path, place)
            container = container[step]

    def _place(self, path: KeyPath) -> int | str | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return None

    def _forget(self, path: KeyPath) -> None:
        """Remove the places below `path`, whose value was replaced."""
        for known in [known for known in self.places if known[: len(path)] == path]:
            del self.places[known]

    def _copy_places(self, origin: KeyPath, path: KeyPath) -> None:
        """Copy the places of the parts of `origin` to the parts of `path`."""
        for known, place in list(self.places.items()):
            if known[: len(origin)] == origin:
                self.places[(*path, *known[len(origin) :])] = place


def load(path: Path, overrides: Sequence[str], long_form: LongForm) -> Source:
    """Read a config file and apply overrides to it.

    Parameters
    ----------
    path : Path
        The file.
    overrides : sequence of str
        Arguments ``key=value``, applied in order.
    long_form : callable
        See :meth:`Source.put`.

    Returns
    -------
    Source
        The data and its places.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or an override is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; expected a config in YAML") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; expected a config file in YAML, or, for an output "
                          "folder, --add and the values to add") from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not valid UTF-8; expected a text file in "
                          "UTF-8") from None  # fmt: skip
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    data, places = parse(text, str(path))
    if not isinstance(data, dict):
        found = "the file is empty" if data is None else "not a mapping"
        raise ConfigError(f"{path}: {found}; expected lines such as 'dataset: diabetes'")
    source = Source(path, data, dict(places))
    for argument in overrides:
        source.override(argument, long_form)
    return source


def from_mapping(mapping: Mapping[str, Any]) -> Source:
    """Return a config that a program gives in place of a file.

    Its relative paths are relative to the current folder.

    Parameters
    ----------
    mapping : mapping
        The content of a config file; tuples, paths, and NumPy's numbers and arrays are accepted
        too.

    Raises
    ------
    ConfigError
        `mapping` is not a mapping.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"config: {mapping!r} is neither the path of a file nor a mapping; "
                          "expected a config such as {'dataset': 'diabetes', 'attack': 'optp', "
                          "'poisoning_rate': 0.1}")  # fmt: skip
    return Source(Path("config"), _plain(mapping))


def _plain(value: Any) -> Any:
    """Return `value` as a YAML file would give it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value  # a NumPy array or number


def assignment(argument: str) -> tuple[list[str], str]:
    """Return the keys and the text of the value of ``key.key=value``.

    Raises
    ------
    ConfigError
        The argument is malformed.
    """
    key, equals, text = argument.partition("=")
    keys = key.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"command line: {argument}: not an override; expected key=value or "
                          "key.key=value, such as seeds=3 or model.alpha=0.1")  # fmt: skip
    return keys, text


def check_given_once(overrides: Sequence[str]) -> None:
    """Refuse an argument that would silently overwrite an earlier one.

    Raises
    ------
    ConfigError
        A key is given twice, or after one of the keys inside it; or an argument is malformed.
    """
    known: dict[tuple[str, ...], str] = {}
    for argument in overrides:
        keys = tuple(assignment(argument)[0])
        for other, before in known.items():
            if other == keys:
                raise ConfigError(f"command line: {argument}: {'.'.join(keys)} is given twice, "
                                  f"first as {before}; expected one of the two")  # fmt: skip
            if other[: len(keys)] == keys:
                raise ConfigError(f"command line: {argument}: would overwrite the earlier "
                                  f"{before}; expected the other order")  # fmt: skip
        known[keys] = argument


def dotted(path: KeyPath) -> str:
    """Return `path` as a user writes it: ``attack.0.variables``."""
    return ".".join(str(step) for step in path)


def _index(
    values: list[Any], name: str, before: Sequence[str], after: Sequence[str], where: str
) -> int:
    """Return `name` as an index into `values`."""
    if name.isascii() and name.isdecimal() and int(name) < len(values):
        return int(name)
    word = ".".join(before)
    rest = ".".join(after[1:] if name.lstrip("-").isdecimal() else after)
    example = ".".join(filter(None, [word, "0", rest]))
    raise ConfigError(
        f"{where}: {word} is a list of length {len(values)}, and '{name}' is not one of its "
        f"indices; expected 0 to {len(values) - 1}, such as {example}=..."
    )
