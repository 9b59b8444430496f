"""Components and their parameters, found in code and never listed by hand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Annotated, Any, get_args

import pytest
from annotated_types import Gt

from poisonbench import registry
from poisonbench.attacks import Attack
from poisonbench.attacks.optp import OptP
from poisonbench.models import ElasticNet

EVERY = pytest.mark.parametrize(
    ("kind", "cls"),
    [
        pytest.param(kind, cls, id=f"{kind}-{name}")
        for kind in registry.KINDS
        for name, cls in registry.components(kind).items()
    ],
)


rule = pytest.mark.rule


class Plugin(Attack):
    """An attack of another distribution.

    It has a second paragraph.

    Parameters
    ----------
    lam, size : float
        Two of a kind, whose meaning
        takes two lines.

        And a paragraph.
    path : Path, optional
        A third.

    Notes
    -----
    other : not a parameter
        At all.
    """

    name = "plugin"
    reference = "this test"

    def __init__(
        self, lam: float = 1.0, *, size: Annotated[float, Gt(0)], path: str = "", n_poison: int = 0
    ) -> None:
        del lam, size, path, n_poison

    def generate(self, problem: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Classes that another distribution offers as attacks."""
    offered: list[Any] = []

    def entry_points(group: str) -> list[Any]:
        assert group in {package for package, _ in registry.KINDS.values()}
        return [SimpleNamespace(load=lambda cls=cls: cls) for cls in offered]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry.components.cache_clear()
    yield offered
    registry.components.cache_clear()


@rule("Described")
@EVERY
def test_a_component_is_documented(kind: str, cls: Any) -> None:
    del kind
    assert registry.summary(cls).endswith("."), "the docstring should begin with a sentence"
    assert cls.reference.strip()
    assert "name" in vars(cls)
    for parameter in registry.parameters(cls):
        assert parameter.description.endswith("."), f"{parameter.name} is not described"
        assert parameter.annotation is not Any, f"{parameter.name} has no type"


@rule("Described")
@EVERY
def test_its_docstring_describes_no_other_parameter(kind: str, cls: Any) -> None:
    del kind
    described = registry._described_parameters(cls)
    assert set(described) <= set(inspect.signature(cls).parameters)


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("dataset", {"diabetes", "synthetic", "csv"}),
        ("model", {"ols", "ridge", "lasso", "elastic-net"}),
        ("attack", {"optp", "bgd", "statp", "file", "none"}),
        ("initialization", {"invflip", "bflip"}),
        ("outer_objective", {"training", "validation", "prediction-shift"}),
        ("defense", {"trim", "huber", "ransac", "roni", "chen"}),
    ],
)
def test_what_is_built_in(kind: str, some: set[str]) -> None:
    found = registry.components(kind)
    assert some <= set(found)
    assert list(found) == sorted(found)
    assert all(cls.name == name for name, cls in found.items())
    assert all(not inspect.isabstract(cls) for cls in found.values())


def test_parameters_come_from_the_signature_and_the_docstring() -> None:
    lam, size, path = registry.parameters(Plugin)  # n_poison is the pipeline's
    assert (lam.name, lam.argument, lam.default, lam.required) == ("lambda", "lam", 1.0, False)
    assert (size.name, size.required) == ("size", True)
    assert get_args(size.annotation) == (float, Gt(0))
    assert lam.description == size.description
    assert size.description == "Two of a kind, whose meaning takes two lines. And a paragraph."
    assert path.description == "A third."


def test_parameters_of_the_built_in() -> None:
    names = [parameter.name for parameter in registry.parameters(OptP)]
    assert names == ["variables", "initialization", "outer_objective", "iterations", "tol",
                     "best_of"]  # fmt: skip
    assert [p.name for p in registry.parameters(ElasticNet)] == ["lambda", "alpha", "rho"]


def test_accepts() -> None:
    assert registry.accepts(OptP, "tol")
    assert not registry.accepts(OptP, "self")
    assert not registry.accepts(OptP, "size")


def test_summary() -> None:
    assert registry.summary(Plugin) == "An attack of another distribution."
    assert registry.summary(type("Bare", (), {})) == ""


def test_another_distribution_adds_a_component(entries: list[Any]) -> None:
    built_in = set(registry.components("attack"))
    registry.components.cache_clear()
    entries.append(Plugin)
    assert set(registry.components("attack")) == built_in | {"plugin"}
    assert registry.components("attack")["plugin"] is Plugin
    assert "plugin" not in registry.components("defense")  # offered there, but not one


def test_a_class_without_a_name_of_its_own_is_no_component(entries: list[Any]) -> None:
    entries.append(type("Helper", (OptP,), {"__doc__": "Shares code."}))
    assert registry.components("attack")["optp"] is OptP


def test_two_components_of_one_name_are_refused(entries: list[Any]) -> None:
    entries.append(type("Other", (Attack,), {"name": "optp"}))
    with pytest.raises(TypeError, match=r"two attack components are named 'optp': poisonbench.*"):
        registry.components("attack")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optpp", "optp"),
        ("stapt", "statp"),
        ("OptP", "optp"),
        ("zzz", None),
        ("optp", "optp"),
        ("val", "validation"),
        ("", None),
    ],
)
def test_nearest(word: str, expected: str | None) -> None:
    assert registry.nearest(word, ["bgd", "optp", "statp", "validation"]) == expected


def test_a_part_of_a_name_is_recognised_if_only_one_name_has_it() -> None:
    names = ["Wohnfläche in m²", "verkauft am", "Kaufpreis (€)"]
    assert registry.nearest("Preis", names) == "Kaufpreis (€)"
    assert registry.nearest("auf", names) is None
    assert registry.nearest("am", names) is None
