"""The components that a config can name, discovered from the code.

A component is a public class with a ``name``.  It is defined in a public module of its kind's
package, or it is listed in such a module's tuple ``COMPONENTS``, or another distribution provides
it through the package's entry-point group.  Its parameters are those of ``__init__``: the
annotations give types and bounds, and the numpydoc section "Parameters" gives descriptions.  So a
new attack or defense is one new file with one class, because the config, the schema, ``poisonbench
list`` and the contract tests all use this registry.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, get_type_hints

KINDS = {
    "dataset": ("poisonbench.datasets", "DatasetLoader"),
    "model": ("poisonbench.models", "LinearModel"),
    "attack": ("poisonbench.attacks", "Attack"),
    "initialization": ("poisonbench.attacks", "Initialization"),
    "outer_objective": ("poisonbench.attacks", "OuterObjective"),
    "defense": ("poisonbench.defenses", "Defense"),
}
"""For each kind of component: the package whose modules define it, and its base class."""

INJECTED = frozenset(
    {
        "self",
        "estimator",
        "one_hot_groups",
        "n_poison",
        "contamination",
        "random_state",
        "data_dir",
        "n_jobs",
    }
)
"""Parameters of ``__init__`` that a config cannot set, because the pipeline sets them or because
they do not change any result."""

KEYWORDS = {"lam": "lambda", "score_by": "score"}
"""Names in a config of parameters that cannot have the same name in Python, because it is a keyword
or a method of scikit-learn's estimators."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component, as a config knows it.

    Parameters
    ----------
    name : str
        Its name in a config.
    argument : str
        Its name in ``__init__``.
    annotation : Any
        Its type, with bounds as ``typing.Annotated`` metadata.
    default : Any
        Its default; ``inspect.Parameter.empty`` if it is required.
    description : str
        Its description in the section "Parameters" of the docstring.
    """

    name: str
    argument: str
    annotation: Any
    default: Any
    description: str

    @property
    def required(self) -> bool:
        """Whether a config must set it."""
        return self.default is inspect.Parameter.empty


@cache
def components(kind: str) -> dict[str, Any]:
    """Return the components of `kind` by name, sorted.

    Parameters
    ----------
    kind : str
        A key of :data:`KINDS`.

    Raises
    ------
    TypeError
        Two components have the same name, or a class looks like a component but does not inherit
        from the base class of its kind.
    """
    package_name, base_name = KINDS[kind]
    package = importlib.import_module(package_name)
    base = getattr(package, base_name)
    modules = [
        importlib.import_module(f"{package_name}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    ]
    classes: list[Any] = [
        cls
        for module in modules
        for cls in (*vars(module).values(), *vars(module).get("COMPONENTS", ()))
        if inspect.isclass(cls) and cls.__module__ == module.__name__
    ]
    classes += [entry.load() for entry in entry_points(group=package_name)]
    found: dict[str, Any] = {}
    for cls in classes:
        _check_derived(cls, package_name)
        if not issubclass(cls, base) or "name" not in vars(cls):
            continue
        if cls.name in found:
            raise TypeError(f"two {kind} components are named '{cls.name}': "
                            f"{found[cls.name].__module__} and {cls.__module__}")  # fmt: skip
        found[cls.name] = cls
    return dict(sorted(found.items()))


def _check_derived(cls: Any, package_name: str) -> None:
    """Raise an error if a class looks like a component but would be ignored.

    Raises
    ------
    TypeError
        The class has a ``name`` and a ``reference``, but none of its package's base classes.
    """
    if not cls.__module__.startswith(f"{package_name}."):
        return
    if not all(isinstance(vars(cls).get(word), str) for word in ("name", "reference")):
        return
    package = importlib.import_module(package_name)
    bases = [base for place, base in KINDS.values() if place == package_name]
    if not issubclass(cls, tuple(getattr(package, base) for base in bases)):
        raise TypeError(
            f"{cls.__module__}: {cls.__name__} has a name and a reference, but is not a subclass "
            f"of {' or '.join(bases)}; expected class {cls.__name__}({bases[0]})"
        )


def exported(package: str, name: str) -> Any:
    """Return the component called `name` in a package, for the package's ``__getattr__``.

    With this, every component can be imported from its package and is in ``__all__`` without being
    listed anywhere, and the package imports no component before one is used.

    Parameters
    ----------
    package : str
        One of the packages of :data:`KINDS`.
    name : str
        The name of a class, or ``"__all__"``.

    Returns
    -------
    type or list of str
        The class, or the names of all classes and of their base classes.

    Raises
    ------
    AttributeError
        The package has no such class.
    """
    bases = {kind: base for kind, (place, base) in KINDS.items() if place == package}
    # Python also asks here for modules before it looks for their files; their names are lower case.
    if name == "__all__" or name[:1].isupper():
        classes = {
            cls.__name__: cls
            for kind in bases
            for cls in components(kind).values()
            if cls.__module__.startswith(f"{package}.")  # not another distribution's
        }
        if name == "__all__":
            return sorted({*bases.values(), *classes})
        if name in classes:
            return classes[name]
    raise AttributeError(f"module '{package}' has no attribute '{name}'")


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the name in `valid` of which `word` is probably a misspelling, or None."""
    by_lower_case = {name.lower(): name for name in valid}  # because papers write OptP and TRIM
    matches = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.6)
    if not matches and word:  # an abbreviation, such as val for validation
        matches = [name for name in by_lower_case if name.startswith(word.lower())]
    if not matches and len(word) > 2:  # a part, such as price for Price (USD)
        matches = [name for name in by_lower_case if word.lower() in name]
    return by_lower_case[matches[0]] if len(matches) == 1 else None


@cache
def parameters(cls: Any) -> tuple[Parameter, ...]:
    """Return the parameters that a config may set for the component `cls`, in order."""
    signature = inspect.signature(cls)
    hints = get_type_hints(cls.__init__, include_extras=True)
    described = _described_parameters(cls)
    return tuple(
        Parameter(
            name=KEYWORDS.get(argument, argument),
            argument=argument,
            annotation=hints[argument],
            default=parameter.default,
            description=described.get(argument, ""),
        )
        for argument, parameter in signature.parameters.items()
        if argument not in INJECTED
    )


def accepts(cls: Any, argument: str) -> bool:
    """Whether ``__init__`` of `cls` takes `argument`."""
    return argument in inspect.signature(cls).parameters


def summary(cls: Any) -> str:
    """Return the first sentence of the component's docstring."""
    return (inspect.getdoc(cls) or "").split("\n", 1)[0]


def _described_parameters(cls: Any) -> dict[str, str]:
    """Return the descriptions in the numpydoc section "Parameters" of `cls`, each as one line."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.M | re.S)
    described: dict[str, str] = {}
    if section:
        for entry in re.finditer(r"^(\w[\w, ]*?) ?:[^\n]*\n((?:[ \t]+[^\n]*\n?|\n)*)",
                                 section[1] + "\n", re.M):  # fmt: skip
            for name in entry[1].split(","):
                described[name.strip()] = " ".join(entry[2].split())
    return described
