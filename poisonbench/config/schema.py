"""The JSON Schema of a config file, for editors and for programs that write configs.

It describes what :func:`poisonbench.config.load` accepts, as far as a schema can: it cannot check
whether files exist, or whether keys agree with each other.
"""

from __future__ import annotations

from typing import Any

from poisonbench import registry
from poisonbench.config import choices, fields
from poisonbench.config.keys import KEYS
from poisonbench.config.quantities import (
    CEILING,
    RATE,
    RATE_OF,
    REPETITIONS,
    SEED,
    SEED_COUNT,
    SPLIT_FILE,
    SPLIT_SIZES,
)
from poisonbench.registry import Parameter

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DESCRIPTIONS = {
    "dataset": "The data.",
    "model": "The learner; ridge by default.",
    "attack": "How the poison rows are chosen.",
    "initialization": "How an optimisation attack starts; bflip by default.",
    "outer_objective": "What an attack maximises; validation by default.",
    "defense": "The learner's defense; none by default.",
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a config file."""
    definitions: dict[str, Any] = {}
    properties = {
        kind: {"description": text, **_grid(_choice(kind, definitions))}
        for kind, text in _DESCRIPTIONS.items()
    }
    rate = {"anyOf": [_value(RATE), _mapping((RATE, RATE_OF))]}
    properties["poisoning_rate"] = {"description": RATE.description, **_grid(rate)}
    properties["rate_of"] = _property(RATE_OF)
    seeds = [_value(SEED_COUNT), _list(_value(SEED)), _mapping((SEED, SEED_COUNT))]
    properties["seeds"] = {
        "description": "A number k for seeds 0 to k - 1; a list; or a range. 5 by default.",
        "anyOf": seeds,
    }
    sizes = [{"const": "thirds"}, _mapping(SPLIT_SIZES), _mapping((SPLIT_FILE,))]
    properties["split"] = {
        "description": "The sizes of the training, validation and test parts; thirds by default.",
        **_grid({"anyOf": sizes}),
    }
    for parameter in (CEILING, REPETITIONS):  # one value, not a list
        properties[parameter.name] = {
            "description": parameter.description,
            **_value(parameter),
            "default": parameter.default,
        }
    properties["sweep"] = _sweep()
    without_rate = [
        name for name, cls in registry.components("attack").items() if not cls.takes_rate
    ]
    return {
        "$schema": DIALECT,
        "title": "poisonbench config",
        "description": "A data-poisoning experiment on linear regression.",
        "type": "object",
        "properties": properties,
        "allOf": [
            {"anyOf": [{"required": [word]}, _swept(word)]} for word in ("dataset", "attack")
        ],
        "additionalProperties": False,
        "anyOf": [
            {"required": ["poisoning_rate"]},
            {"required": ["sweep"]},  # without rates, it takes the paper's
            {"required": ["attack"], "properties": {"attack": _grid(_named(without_rate))}},
        ],
        "$defs": definitions,
    }


def _sweep() -> dict[str, Any]:
    """Return the schema of the block for ``poisonbench sweep``."""
    words = "|".join(KEYS)
    combination = {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {rf"^({words})(\.[^.]+)*$": {}},
        "additionalProperties": False,
    }
    return {
        "description": "What poisonbench sweep varies: lists of values by dotted keys, such as "
        "model.alpha, and combinations to leave out.",
        "type": "object",
        "minProperties": 1,
        "properties": {"exclude": {"anyOf": [combination, _list(combination)]}},
        "patternProperties": {
            rf"^({words})(\.[^.]+)*$": {"not": {"anyOf": [{"type": "null"}, {"const": []}]}}
        },
        "additionalProperties": False,
    }


def _swept(word: str) -> dict[str, Any]:
    """Return the schema of a config whose sweep block has a key."""
    return {"required": ["sweep"], "properties": {"sweep": {"required": [word]}}}


def _choice(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one choice; add its components to the definitions."""
    short = []
    long = []
    for name in choices.names(kind):
        parameters = choices.parameters(kind, name)
        if not any(parameter.required for parameter in parameters):
            short.append(name)
        key = f"{kind}-{name}"
        definitions[key] = {
            "title": name,
            "description": choices.summary(kind, name),
            **_mapping(parameters, name),
        }
        long.append({"$ref": f"#/$defs/{key}"})
    return {"anyOf": [{"enum": short}, *long]}


def _mapping(parameters: tuple[Parameter, ...], name: str | None = None) -> dict[str, Any]:
    """Return the schema of a mapping with these keys, and ``name`` if it has one."""
    properties = {parameter.name: _property(parameter) for parameter in parameters}
    required = [parameter.name for parameter in parameters if parameter.required]
    if name is not None:
        properties = {"name": {"const": name}, **properties}
        required = ["name", *required]
    mapping = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    if {"lambda", "alpha"} <= set(properties):
        clashes = [{"required": ["alpha", other]} for other in ("lambda", "select_on")]
        mapping["not"] = {"anyOf": clashes}
    return mapping


def _property(parameter: Parameter) -> dict[str, Any]:
    grid = {"description": parameter.description, **_grid(_value(parameter))}
    if parameter.required or (parameter.default is None and not fields.is_optional(parameter)):
        return grid
    default = parameter.default
    return {**grid, "default": list(default) if isinstance(default, tuple) else default}


def _value(parameter: Parameter) -> dict[str, Any]:
    """Return the schema of one value, with definitions inserted."""
    schema = fields.json_schema(parameter.annotation)
    definitions = schema.get("$defs", {})
    options = [
        definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        for option in schema.get("anyOf", [schema])
    ]
    return options[0] if len(options) == 1 else {"anyOf": options}


def _grid(one: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one value or a list of them."""
    options = one["anyOf"] if set(one) == {"anyOf"} else [one]
    return {"anyOf": [*options, _list(one)]}


def _list(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": one, "minItems": 1}


def _named(names: list[str]) -> dict[str, Any]:
    """Return the schema of a choice of one of these names."""
    mapping = {"type": "object", "properties": {"name": {"enum": names}}, "required": ["name"]}
    return {"anyOf": [{"enum": names}, mapping]}
