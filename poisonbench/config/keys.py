"""The top-level keys of a config, their defaults, and their short forms."""

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
    "repetitions": 1,
}
"""The defaults of optional keys; the others are required."""

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
    "repetitions",
)
"""The top-level keys of a config, apart from the block ``sweep``."""


def long_form(word: str, short: Any) -> dict[str, Any]:
    """Return the long form, a mapping, of a key's short form."""
    short = DEFAULTS.get(word) if short is None else short
    key = {"poisoning_rate": "rate", "seeds": "count"}.get(word, "name")
    if short is None or word in ("split", "rate_of", "ceiling", "repetitions"):
        return {}
    return {key: short}
