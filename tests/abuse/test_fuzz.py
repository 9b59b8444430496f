"""A sample of what ``fuzz.py`` does, and each kind that it, or others before it, found."""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from pathlib import Path

import pytest

from poisonbench.config import ConfigError, load

PATH = Path(__file__).with_name("fuzz.py")
_spec = importlib.util.spec_from_file_location("fuzz", PATH)
assert _spec is not None
assert _spec.loader is not None
fuzz = importlib.util.module_from_spec(_spec)
sys.modules["fuzz"] = fuzz
_spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("kind", sorted(fuzz.FEEDS))
@pytest.mark.parametrize("cases", [60, pytest.param(3_000, marks=pytest.mark.slow)])
def test_every_damaged_file_is_read_or_refused(kind: str, cases: int) -> None:
    assert list(fuzz.findings(kind, seed=0, first=0, cases=cases)) == []


@pytest.mark.parametrize("text", [
    "dataset: diabetes\nattack: statp\npoisoning_rate: 0.1\nsplit: {{indices: {}}}\n",
    "dataset: {{name: csv, target: y, path: {}}}\nattack: none\n",
])  # fmt: skip
def test_a_name_too_long_for_a_file_is_no_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text.format("a" * 300 + ".npz"))
    with pytest.raises(ConfigError, match="no file aaa"):
        load(path)


def test_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(content: bytes, folder: Path, rng: random.Random) -> None:
        if rng.random() < 0.5:
            end = time.process_time() + 60
            while time.process_time() < end:
                pass
        raise ValueError("a fault")

    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    monkeypatch.setitem(fuzz.FEEDS, "csv", (feed, ("a text",), ("",)))
    found = list(fuzz.findings("csv", seed=0, first=0, cases=12))
    assert len(found) == 12
    assert {finding.what.split(":")[0] for finding in found} == {"TooSlow", "ValueError"}
    assert list(fuzz.findings("csv", seed=0, first=7, cases=1)) == [found[7]]
