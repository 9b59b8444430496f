"""Compiled modules: what one calls stands in its own file, since Numba's cache watches no other."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import poisonbench

PACKAGE = Path(poisonbench.__file__).resolve().parent
HELPER = "poisonbench.models.engines.machine_code"


def imported(source: str) -> Iterator[str]:
    """Yield every module that is imported, or that something is imported from."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def compiled_modules() -> dict[str, set[str]]:
    """Return what each compiled module imports, by the modules' names."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        imports = {*imported(path.read_text(encoding="utf-8"))}
        if HELPER in imports:
            name = ".".join(("poisonbench", *path.relative_to(PACKAGE).with_suffix("").parts))
            found[name] = imports
    return found


def test_no_compiled_module_calls_another() -> None:
    modules = compiled_modules()
    assert len(modules) > 1
    for name, imports in modules.items():
        others = imports & modules.keys() - {name}
        assert not others, (
            f"{name} imports {', '.join(sorted(others))}: when that file changes, Numba goes on "
            "using the old machine code; put what both call in one file"
        )


def test_only_the_helper_imports_numba() -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    decorated = {path.stem for path, text in pages.items() if "from numba import" in text}
    assert decorated == {"machine_code"}


@pytest.mark.parametrize("name", sorted(compiled_modules()))
def test_every_argument_of_a_compiled_function_has_a_type(name: str) -> None:
    path = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            for argument in node.args.args:
                written = argument.annotation and ast.unparse(argument.annotation)
                assert written not in (None, "Any"), f"{name}.{node.name}: {argument.arg}"


def test_division_by_zero_and_calls_from_python() -> None:
    machine_code = pytest.importorskip(HELPER, reason="needs the extra 'fast'")

    @machine_code.part()
    def half(x: float, zero: float) -> float:
        return x / zero

    def quotient(x: float, zero: float) -> float:
        return half(x, zero) * 2.0

    made = machine_code.compiled(quotient)
    assert made(1.0, 0.0) == np.inf
    assert made(1.0, 4.0) == quotient(1.0, 4.0) == 0.5
    assert inspect.isfunction(half)
