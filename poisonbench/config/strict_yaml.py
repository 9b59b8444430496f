"""Strict YAML 1.2: mistakes that YAML parsers usually accept are errors, with their line.

Numbers and other plain values follow the core schema, as people expect in a config: ``1e-3`` is a
number, but ``12:30``, ``1_000``, ``yes`` and dates are strings.  Duplicate keys, keys that are not
strings, tags, several documents and aliases that contain themselves are errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
"""Place of a value in a config: keys and list indices, outermost first."""

MAX_NODES = 100_000
"""Largest number of values in a config, with aliases expanded; a file with more is a mistake or an
attack."""

_CORE_SCHEMA = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
"""For each tag that a plain scalar may have, its pattern and the characters it starts with."""

_TAG = "tag:yaml.org,2002:"

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
"""NUL, which cannot be in a path, and single surrogates, which cannot be encoded in UTF-8."""


class ConfigError(Exception):
    """One or several errors in a config.

    Parameters
    ----------
    *messages : str
        What is wrong, where, and what was expected; one line each.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class _Loader(yaml.SafeLoader):
    """A loader that resolves plain values by the core schema only."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (a class attribute of PyYAML)


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes every string that YAML 1.1 or 1.2 would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # In a plain scalar, characters such as U+0085 would be read as line ends.
        style = None if data.isprintable() else '"'
        return self.represent_scalar(_TAG + "str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


for _name, (_pattern, _first) in _CORE_SCHEMA.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def parse(text: str, where: str) -> tuple[Any, dict[KeyPath, int]]:
    """Return the only document in `text`, and the line of each of its parts."""
    try:
        node = _node(_Loader(text), where)
        if node is None:
            return None, {}
        converter = _Converter(where)
        return converter.convert(node, (), ()), converter.lines
    except yaml.MarkedYAMLError as error:
        problem = " ".join(str(error.problem).split())
        if r"'\t'" in problem:
            problem = "a tab where YAML allows only spaces; indent with spaces"
        elif error.context == "expected a single document in the stream":
            problem = "a second document begins here; expected one document in a file"
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{_at(where, mark)}: not valid YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deeply") from None


def _node(loader: _Loader, where: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = loader.get_single_node()
    except (ValueError, OverflowError) as error:  # PyYAML does not catch these for an escape
        place = _at(where, loader.get_mark())
        raise ConfigError(f"{place}: not valid YAML: an escape sequence stands for no character "
                          f"({error})") from None  # fmt: skip
    return node


def dump(data: Mapping[str, Any]) -> str:
    """Return `data` as YAML that :func:`parse` reads back to the same values."""
    text: str = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    return text


def _at(where: str, mark: yaml.Mark | None) -> str:
    """Return ``where:line``; an override has no lines."""
    if mark is None or where.startswith("command line: "):
        return where
    return f"{where}:{mark.line + 1}"


class _Converter:
    """Converts YAML nodes to plain data, and records their lines."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: dict[KeyPath, int] = {}
        self.count = 0

    def convert(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        """Return the value of `node` at `path`, inside the nodes `above`."""
        self.count += 1
        if self.count > MAX_NODES:
            raise ConfigError(f"{self.where}: more than {MAX_NODES} values; "
                              "expected a config, not data")  # fmt: skip
        if any(node is outer for outer in above):
            raise self._error(node, "an alias refers to something that contains it")
        # The place of a value is that of its key, which may be a line above.
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        above = (*above, node)
        if node.tag == _TAG + "seq":
            return [self.convert(item, (*path, i), above) for i, item in enumerate(node.value)]
        if node.tag == _TAG + "map":
            return self._mapping(node, path, above)
        raise self._error(node, f"the tag '{node.tag}' is not supported; expected plain values")

    def _mapping(
        self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "str":
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or map"
                raise self._error(key_node, f"the key {shown} is not a string; expected a string, "
                                            "in quotes if need be")  # fmt: skip
            key = self._text(key_node)
            if key == "<<" and key_node.style is None:
                raise self._error(key_node, "merge keys (<<) are not part of YAML 1.2; write the "
                                            "keys out")  # fmt: skip
            if key in data:
                first = self.lines[(*path, key)]
                raise self._error(key_node, f"duplicate key '{key}', first given on line {first}")
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            data[key] = self.convert(value_node, (*path, key), above)
        return data

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return self._text(node)
        pattern = _CORE_SCHEMA.get(kind, ("(?!)", []))[0]
        if not re.fullmatch(pattern, text):
            raise self._error(node, f"'{text}' does not fit the tag '{node.tag}'")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "float":
            return float(re.sub(r"\.(inf|nan)$", r"\1", text, flags=re.I))
        try:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        except ValueError:  # Python refuses integers of thousands of digits
            raise self._error(node, f"a number with {len(text)} digits is too long") from None

    def _text(self, node: yaml.Node) -> str:
        """Return a string, provided that it can be used in file names and written to files."""
        text: str = node.value
        if bad := _NO_TEXT.search(text):
            raise self._error(node, f"a string contains the character U+{ord(bad[0]):04X}, which "
                                    "is not allowed in names and files")  # fmt: skip
        return text

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(f"{_at(self.where, node.start_mark)}: {message}")
