"""One parameter of a config: the check of its value, and its type in words.

Both come from the parameter's annotation.  pydantic checks values against it strictly: the string
``'0.1'`` is not a number, ``true`` is not 1, and a float may be written as ``5`` but cannot be
infinite.  The type in words is made from the JSON Schema of the annotation, so that messages,
``poisonbench list`` and the schema always agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from poisonbench.registry import Parameter, nearest

STRICT = ConfigDict(strict=True, allow_inf_nan=False)

_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=STRICT)


@cache
def json_schema(annotation: Any) -> dict[str, Any]:
    """Return the JSON Schema of one value of this type; do not modify it."""
    return _adapter(annotation).json_schema()


def is_path(parameter: Parameter) -> bool:
    """Whether the parameter is the path of a file."""
    return any(option.get("format") == "path" for option in _options(parameter))


def is_list(parameter: Parameter) -> bool:
    """Whether one value of the parameter is itself a list."""
    return any(option.get("type") == "array" for option in _options(parameter))


def is_optional(parameter: Parameter) -> bool:
    """Whether null is a value of the parameter."""
    return any(option.get("type") == "null" for option in _options(parameter))


def check(parameter: Parameter, value: Any) -> Any:
    """Return `value` converted to the parameter's type.

    Raises
    ------
    ValueError
        `value` is not of that type; the message says what was expected.
    """
    try:
        # In JSON mode, strict checks accept a list as a tuple and a string as a path.
        return _adapter(parameter.annotation).validate_json(json.dumps(value))
    except ValidationError as error:
        kinds = {detail["type"] for detail in error.errors()}
        raise ValueError(_complaint(parameter, value, kinds)) from None


def type_in_words(parameter: Parameter) -> str:
    """Return the type of the parameter's values in words, such as ``a number > 0 or 'cv'``."""
    schema = json_schema(parameter.annotation)
    return _describe(schema, parameter.name, schema.get("$defs", {}))


def show(value: Any) -> str:
    """Return `value` as it is written in a config, shortened if it is long."""
    if isinstance(value, str):
        text = f"'{value}'" if value.isprintable() else repr(value)
    elif isinstance(value, bool) or value is None:
        text = json.dumps(value)
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, Sequence):
        text = "[" + ", ".join(map(show, value)) + "]"
    elif isinstance(value, PurePath):
        text = str(value)
    else:
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def one_of(names: Sequence[str]) -> str:
    """Return names as alternatives: ``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def hint(word: Any, names: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` if a name is similar to `word`, else ``";"``."""
    near = nearest(word, names) if isinstance(word, str) else None
    return f"; did you mean '{near}'?" if near else ";"


def _options(parameter: Parameter) -> list[dict[str, Any]]:
    schema = json_schema(parameter.annotation)
    options: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return options


def _complaint(parameter: Parameter, value: Any, kinds: set[str]) -> str:
    texts = [option for option in _options(parameter) if option.get("type") == "string"]
    words = [
        word
        for option in texts
        for word in option.get("enum", [option["const"]] if "const" in option else [])
    ]
    if kinds & _BOUNDS:
        problem = "out of range"
    elif "finite_number" in kinds:
        problem = "not a finite number"
    elif isinstance(value, str) and not texts:
        problem = "a string"
    else:
        problem = "not valid"
    expected = type_in_words(parameter)
    return f"{show(value)} is {problem}{hint(value, words)} expected {expected}"


def _describe(schema: Mapping[str, Any], name: str, definitions: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(_describe(option, name, definitions) for option in schema["anyOf"])
    if "enum" in schema:
        return one_of([str(word) for word in schema["enum"]])
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "")
    if kind in ("integer", "number"):
        return _describe_number(schema, "an integer" if kind == "integer" else "a number", name)
    if kind == "array":
        return f"a list (each {_describe(schema.get('items', {}), 'item', definitions)})"
    if kind == "object":
        parts = [
            f"{key}: {_describe(part, key, definitions)}"
            for key, part in schema.get("properties", {}).items()
        ]
        return "{" + ", ".join(parts) + "}"
    words = {"string": "a string", "boolean": "true or false", "null": "null"}
    return "the path of a file" if schema.get("format") == "path" else words.get(kind, "a value")


def _describe_number(schema: Mapping[str, Any], noun: str, name: str) -> str:
    low = [(key, sign) for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"))
           if key in schema]  # fmt: skip
    high = [(key, sign) for key, sign in (("maximum", "<="), ("exclusiveMaximum", "<"))
            if key in schema]  # fmt: skip
    if low and high:
        (least, at_least), (most, at_most) = low[0], high[0]
        left = f"{schema[least]} {at_least.replace('>', '<')}"
        return f"{noun} with {left} {name} {at_most} {schema[most]}"
    return " ".join([noun, *(f"{sign} {schema[key]}" for key, sign in low + high)])
