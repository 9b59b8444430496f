"""The numeric modules do not import code for files, configs, tables and commands."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import poisonbench

PACKAGE = Path(poisonbench.__file__).resolve().parent
WINGS = ("attacks", "defenses", "models", "certificates")
FORBIDDEN = {"pandas", "pathlib", "typer", "yaml", "pydantic", "click", "tqdm"}

READS_FILES = {"attacks/file.py"}
"""The attack that is a file; it may have paths, and nothing else of these."""


def modules() -> list[str]:
    return sorted(
        str(path.relative_to(PACKAGE)) for wing in WINGS for path in (PACKAGE / wing).rglob("*.py")
    )


def imported(source: str) -> Iterator[str]:
    """Yield the top level of every import, wherever in the code it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_there_are_modules_in_every_wing() -> None:
    for wing in WINGS:
        assert sum(name.startswith(f"{wing}/") for name in modules()) > 1


@pytest.mark.parametrize("module", modules())
def test_a_numeric_module_imports_nothing_of_files_configs_tables_and_commands(module: str) -> None:
    allowed = {"pathlib"} if module in READS_FILES else set()
    found = {*imported((PACKAGE / module).read_text())} & FORBIDDEN - allowed
    assert not found, (
        f"{module} imports {', '.join(sorted(found))}: attacks, defenses, models and certificates "
        "work on arrays; give them arrays, and read files and configs elsewhere"
    )


@pytest.mark.parametrize(
    "source",
    ["import pandas as pd", "def f():\n    from pathlib import Path", "import yaml.loader",
     "if TYPE_CHECKING:\n    import pydantic"],
)  # fmt: skip
def test_an_import_is_seen_wherever_it_stands(source: str) -> None:
    assert {*imported(source)} & FORBIDDEN


@pytest.mark.parametrize("module", ["signals", "own_process"])
def test_a_worker_watches_its_parent_before_it_loads_slow_modules(module: str) -> None:
    """Otherwise, it would outlive a parent that is killed meanwhile, by several seconds."""
    code = (
        f"import sys, poisonbench.execution.{module}\n"
        "print({'numpy', 'pandas', 'scipy', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
