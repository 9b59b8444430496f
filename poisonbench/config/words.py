"""The words of a config, and what they stand for."""

from __future__ import annotations

from typing import Any

DEFAULTS = {
    "model": "ridge",
    "initialization": "bflip",
    "outer_objective": "validation",
    "rate_of": "clean",
    "defense": "none",
    "seeds": 5,
    "split": "thirds",
    "ceiling": "on",
}
"""What the words stand for that a config leaves out; the others are required."""

KEYS = (
    "dataset",
    "model",
    "attack",
    "initialization",
    "outer_objective",
    "poisoning_rate",
    "rate_of",
    "defense",
    "seeds",
    "split",
    "ceiling",
)
"""The words of an experiment; a config may have a block ``sweep`` beside them."""


def long_form(word: str, short: Any) -> dict[str, Any]:
    """Return the mapping that the short form of a word stands for."""
    short = DEFAULTS.get(word) if short is None else short
    key = {"poisoning_rate": "rate", "seeds": "count"}.get(word, "name")
    if short is None or word in ("split", "rate_of", "ceiling"):
        return {}
    return {key: short}
