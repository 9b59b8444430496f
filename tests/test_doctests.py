"""The examples in docstrings run and print the output shown, and every component has one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest

import poisonbench
from poisonbench import registry
from poisonbench.datasets.catalogued import Catalogued

PACKAGE = Path(poisonbench.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
COMPONENTS = [
    pytest.param(cls, id=f"{kind}-{name}")
    for kind in registry.KINDS
    for name, cls in registry.components(kind).items()
    if not issubclass(cls, Catalogued)  # made from the catalogue, which has no examples
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).attempted
    assert not report, "".join(report)


@pytest.mark.rule("Described")
@pytest.mark.parametrize("cls", COMPONENTS)
def test_a_component_has_an_example(cls: Any) -> None:
    examples = doctest.DocTestParser().get_examples(cls.__doc__ or "")
    assert any(cls.__name__ in one.source or cls.name in one.source for one in examples), (
        f"{cls.__name__}: no example; its docstring should end with a section Examples that uses "
        "it, as the other classes of its kind have"
    )
