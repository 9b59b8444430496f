"""The Python code in the README runs as it is printed, and prints the output below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def section(page: str, title: str) -> str:
    """Return a section of a page of the repository, without the next ones."""
    path = REPOSITORY / page
    if not path.is_file():
        pytest.skip(f"no file {path}: not a checkout")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", path.read_text("utf-8"), re.M | re.S)
    assert found, f"{page} has no section '{title}'"
    return found[1]


def test_the_library_section_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = section("README.md", "As a library")
    blocks = re.findall(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", text, re.M | re.S)
    assert sum(bool(printed) for _, printed in blocks) == 3
    names: dict[str, Any] = {}
    for code, printed in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, names)
        lines = [line.rstrip() for line in output.getvalue().splitlines()]
        assert lines == printed.splitlines(), code
    assert not list(tmp_path.iterdir())
