"""A sample of what ``kill.py`` does."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("kill", Path(__file__).with_name("kill.py"))
assert _spec is not None
assert _spec.loader is not None
kill = importlib.util.module_from_spec(_spec)
sys.modules["kill"] = kill
_spec.loader.exec_module(kill)


@pytest.mark.slow
def test_whatever_is_killed_the_result_files_are_the_same() -> None:
    found = list(kill.findings(int(os.environ.get("KILLS", "10")), seed=0))
    assert len(found) >= 10
    assert [text for text in found if text] == []
