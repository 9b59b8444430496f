"""The choices of a config: components of the registry, with all their parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict
from typing_extensions import TypedDict

from poisonbench import registry
from poisonbench.attacks.base import AXES
from poisonbench.config import fields
from poisonbench.config.reader import Reader
from poisonbench.config.strict_yaml import KeyPath
from poisonbench.reference_rows import REFERENCE_ROWS
from poisonbench.registry import Parameter

PLURALS = {
    "dataset": "datasets",
    "model": "models",
    "attack": "attacks",
    "initialization": "initializations",
    "outer_objective": "outer objectives",
    "defense": "defenses",
}
"""The kinds of components, in the plural."""


class AssumedRate(TypedDict):
    """A poisoning rate that a defense assumes."""

    __pydantic_config__ = ConfigDict(extra="forbid", **fields.STRICT)  # type: ignore[misc]
    rate: Annotated[float, Ge(0), Lt(1)]


class AssumedCount(TypedDict):
    """A number of poison rows that a defense assumes."""

    __pydantic_config__ = ConfigDict(extra="forbid", **fields.STRICT)  # type: ignore[misc]
    count: Annotated[int, Ge(0)]


def labelled(name: str, given: str) -> str:
    """Return a component's name with the parameters given: ``trim(restarts=1,start=random)``."""
    return f"{name}({given})" if given else name


@dataclass(frozen=True)
class Choice:
    """One component with all its parameters.

    Parameters
    ----------
    kind : str
        The key of the config, one of ``registry.KINDS``.
    name : str
        The component's name.
    parameters : mapping
        Every parameter that applies, defaults included, under its config name; JSON values,
        with tuples for lists.  Paths are texts, relative to the config file's folder.
    given : mapping of str to str
        The parameters that differ from their defaults, as text, sorted by name; without an
        attack's axes, which have their own columns in tables.
    files : mapping of str to Path
        The parameters that are paths, resolved.
    where : tuple
        Its place in the config, for messages.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any]
    given: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    where: KeyPath = field(default=(), compare=False)

    @property
    def label(self) -> str:
        """The name, with the parameters given: ``trim(restarts=1,start=random)``."""
        return labelled(self.name, self.parameters_text())

    @property
    def axes(self) -> dict[str, Any]:
        """An attack's axes, given or fixed; None if one does not apply."""
        fixed = registry.components(self.kind)[self.name].fixed_axes
        return {axis: self.parameters.get(axis, fixed.get(axis)) for axis in AXES}

    @property
    def title(self) -> str:
        """An attack's label with its axes, as in the tables: ``optp xy bflip validation``."""
        return " ".join([self.label, *filter(None, self.axes.values())])

    def parameters_text(self, but: tuple[str, ...] = ()) -> str:
        """Return the parameters given, except those in `but`: ``restarts=1,start=random``."""
        return ",".join(f"{key}={text}" for key, text in self.given.items() if key not in but)

    def build(self, **injected: Any) -> Any:
        """Return the component, made with its parameters and the `injected` arguments.

        A strength that is yet to be selected (``lambda: cv``) is left out, and so are parameters
        that only the pipeline uses (``select_on``, ``n_poison``).
        """
        values = {**self.parameters, **self.files}
        if values.get("lambda") == "cv":
            del values["lambda"]
        cls = registry.components(self.kind)[self.name]
        arguments = {
            parameter.argument: values[parameter.name]
            for parameter in registry.parameters(cls)
            if parameter.name in values
        }
        return cls(**{**arguments, **injected})

    def resolved(self) -> dict[str, Any]:
        """Return the long form of a config."""
        return {"name": self.name, **self.parameters}


def names(kind: str) -> list[str]:
    """Return the names that a config may give for `kind`."""
    reference = list(REFERENCE_ROWS) if kind == "defense" else []
    return reference + list(registry.components(kind))


@cache
def parameters(kind: str, name: str) -> tuple[Parameter, ...]:
    """Return the parameters that a config may set for a component, in order.

    They are those of ``__init__``, and those that only the pipeline uses: how a learner's strength
    is selected, and which number of poison rows a defense assumes.
    """
    if kind in AXES or name not in registry.components(kind):
        return ()
    cls = registry.components(kind)[name]
    found = [_with_names(parameter) for parameter in registry.parameters(cls)]
    if kind == "model":
        found = [_STRENGTH.get(parameter.name, parameter) for parameter in found]
        if any(parameter.name == "lambda" for parameter in found):
            found.append(_SELECT_ON)
    if kind == "defense" and registry.accepts(cls, "n_poison"):
        estimates = registry.accepts(cls, "contamination")
        found.append(_N_POISON if estimates else _N_POISON_GIVEN)
    if kind == "attack" and cls.takes_rate:
        found.append(_knowledge())
    return tuple(found)


def read(
    reader: Reader, kind: str, value: Any, axes: Mapping[str, list[str]] | None = None
) -> list[Choice]:
    """Read one key of a config.

    Parameters
    ----------
    reader : Reader
        Collects errors.
    kind : str
        The key.
    value : Any
        Its value: a name, a mapping with ``name``, or a list of these.
    axes : mapping of str to list of str, optional
        For attacks, the values of the top-level keys that are axes.

    Returns
    -------
    list of Choice
        The valid choices, in order, with parameter grids expanded.
    """
    found: list[Choice] = []
    for path, entry in reader.entries((kind,), value):
        given = dict(entry) if isinstance(entry, dict) else {"name": entry}
        name_path = (*path, "name") if isinstance(entry, dict) else path
        if "name" not in given:
            reader.complain(name_path, f"missing; expected {fields.one_of(names(kind))}")
            continue
        name = given.pop("name")
        if not isinstance(name, str) or name not in names(kind):
            known = names(kind)
            reader.complain(
                name_path,
                f"{fields.show(name)} is not the name of one of the {PLURALS[kind]}"
                f"{fields.hint(name, known)} expected {fields.one_of(known)}",
            )
            continue
        for values in reader.mapping(
            path, given, parameters(kind, name), name, _refused(kind, name)
        ):
            if kind == "model":
                _check_strength(reader, path, values)
            variants = [values]
            if kind == "attack":
                variants = _variants(reader, path, name, values, axes or {})
            found.extend(_choice(reader, kind, name, variant, path) for variant in variants)
    return reader.distinct([(choice.where, choice) for choice in found], lambda one: one.label)


def summary(kind: str, name: str) -> str:
    """Return one sentence that describes a component."""
    known = registry.components(kind)
    return registry.summary(known[name] if name in known else type(REFERENCE_ROWS[name]))


def takers(axis: str) -> list[str]:
    """Return the attacks that have `axis` as a parameter."""
    return [name for name, cls in registry.components("attack").items()
            if registry.accepts(cls, axis)]  # fmt: skip


def _with_names(parameter: Parameter) -> Parameter:
    """Return the parameter; if it names components, with their names as its type."""
    if parameter.name not in registry.KINDS:
        return parameter
    names: Any = Literal[tuple(registry.components(parameter.name))]
    kinds = {str: names, str | None: names | None}
    return replace(parameter, annotation=kinds.get(parameter.annotation, parameter.annotation))


def _refused(kind: str, name: str) -> dict[str, str]:
    """Return keys that a component does not accept, each with the reason."""
    if kind == "defense":
        return {"n_poison": f"{name} does not use the number of poison rows; expected no n_poison"}
    if kind != "attack":
        return {}
    fixed = registry.components(kind)[name].fixed_axes
    return {
        axis: (
            f"{name} always has {axis} {fixed[axis]}"
            if axis in fixed
            else f"{name} has no {axis.replace('_', ' ')}"
        )
        + f"; expected it only with {fields.one_of(takers(axis))}"
        for axis in AXES
    }


def _check_strength(reader: Reader, path: KeyPath, values: Mapping[str, Any]) -> None:
    """Report parameters of a learner that contradict each other."""
    if "alpha" in values and "lambda" in values:
        # The error is reported for the later one: what the command line adds to the file.
        late = "lambda" if reader.source.from_command_line((*path, "lambda")) else "alpha"
        early = "alpha" if late == "lambda" else "lambda"
        reader.complain(
            (*path, late),
            f"given together with {early}; expected either lambda (the paper's) or alpha "
            "(scikit-learn's)",
        )
    elif "select_on" in values and values.get("alpha", values.get("lambda", "cv")) != "cv":
        reader.complain(
            (*path, "select_on"),
            "not used, because the strength is given; expected select_on only with lambda: cv",
        )


def _variants(
    reader: Reader, path: KeyPath, name: str, values: dict[str, Any], words: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """Return an attack's parameters with every combination of the axes that apply to it."""
    cls = registry.components("attack")[name]
    known = {parameter.name: parameter for parameter in parameters("attack", name)}
    others = {key: parameter.default for key, parameter in known.items() if key not in AXES}
    applying = cls.axes({**others, **values})
    for axis in AXES:
        if axis in values and axis not in applying:
            reader.complain(
                (*path, axis),
                f"does not apply to {name} with {_set_apart(values)}; expected no {axis} here",
            )
    options: dict[str, list[Any]] = {}
    for axis in applying:
        default = known[axis].default
        options[axis] = [values[axis]] if axis in values else words.get(axis, [default])
    return [
        {**values, **dict(zip(options, combination, strict=True))}
        for combination in product(*options.values())
    ]


def _set_apart(values: Mapping[str, Any]) -> str:
    """Return the parameters of an attack that are not axes, for a message."""
    others = [f"{key}: {fields.show(value)}" for key, value in values.items() if key not in AXES]
    return ", ".join(others) or "its defaults"


def _choice(
    reader: Reader, kind: str, name: str, values: Mapping[str, Any], path: KeyPath
) -> Choice:
    """Return the choice with these values, defaults filled in."""
    complete: dict[str, Any] = {}
    given: dict[str, str] = {}
    files: dict[str, Path] = {}
    for parameter in parameters(kind, name):
        key = parameter.name
        axis = kind == "attack" and key in AXES
        if key not in values and (axis or parameter.required or not _applies(key, values)):
            continue
        if key == KNOWLEDGE and values.get(key) is None:  # the default: everything is known
            continue
        value = complete[key] = values.get(key, parameter.default)
        if not axis and (parameter.required or value != parameter.default):
            given[key] = _short(value)
        if fields.is_path(parameter) and value is not None:
            files[key] = reader.file(value)
    return Choice(kind, name, complete, dict(sorted(given.items())), files, path)


def _applies(key: str, values: Mapping[str, Any]) -> bool:
    """Return whether a learner's default applies, given the strength in `values`."""
    if key in ("lambda", "alpha"):
        return key == "lambda" and "alpha" not in values
    return key != "select_on" or values.get("alpha", values.get("lambda", "cv")) == "cv"


def _short(value: Any) -> str:
    """Return `value` as text for a label; not shortened, because labels must be distinct."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{_short(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _knowledge() -> Parameter:
    """Return the parameter for an attacker who does not know the training set or the learner."""
    learners: Any = Literal[tuple(registry.components("model"))]
    data = TypedDict("data", {"surrogate": Literal["data"]})  # noqa: UP013
    model = TypedDict(  # noqa: UP013
        "model",
        {"surrogate": Literal["model", "both"], "model": learners},
    )
    forms: list[Any] = [data, model]
    for form in forms:
        form.__pydantic_config__ = ConfigDict(extra="forbid", **fields.STRICT)
    return Parameter(
        KNOWLEDGE,
        KNOWLEDGE,
        data | model | None,
        None,
        "What the attacker uses because it does not know the training set or the learner.  With "
        "surrogate: data, it uses a disjoint sample of the same size as the training set, taken "
        "from rows that are in no part of the split.  With surrogate: model, it uses another "
        "learner, named by model, whose strength is selected by cross-validation.  With surrogate: "
        "both, it uses both.  If not given, it knows the training set and the learner.",
    )


KNOWLEDGE = "knowledge"
"""The parameter of an attack for an attacker who does not know everything."""

_STRENGTH = {
    "lambda": Parameter(
        "lambda",
        "lam",
        Annotated[float, Gt(0)] | Literal["cv"],
        "cv",
        "The paper's lambda, the same for every number of rows; cv selects it once for each split "
        "by cross-validation.",
    ),
    "alpha": Parameter(
        "alpha",
        "alpha",
        Annotated[float, Gt(0)],
        None,
        "scikit-learn's alpha, the same for every number of rows; an alternative to lambda.",
    ),
}

_SELECT_ON = Parameter(
    "select_on",
    "select_on",
    Literal["clean", "poisoned"],
    "clean",
    "The rows on which lambda: cv selects lambda.  clean: the clean training rows, so that the "
    "attacker and the learner use the same lambda.  poisoned: for the learner, lambda is selected "
    "again on the poisoned rows that it gets.",
)

_N_POISON = Parameter(
    "n_poison",
    "n_poison",
    Literal["oracle", "estimated"] | AssumedRate | AssumedCount,
    "oracle",
    "The number of poison rows that the defense assumes: the true number (oracle), an estimate "
    "from the rows (estimated), or a given rate or count.  The estimate is often too small where "
    "the clean rows fit badly, and it can be 0, so that nothing is removed; a note says so.",
)

_N_POISON_GIVEN = replace(
    _N_POISON,
    annotation=Literal["oracle"] | AssumedRate | AssumedCount,
    description="The number of poison rows that the defense assumes: the true number (oracle), or "
    "a given rate or count.  This defense cannot estimate the number.",
)
"""The parameter for a defense that cannot estimate the number; those that can have
``contamination``."""
