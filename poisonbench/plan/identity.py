"""Identities: hashes of everything that changes a result, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from poisonbench.config import Choice
from poisonbench.data.files import checksum

RESULT_VERSION = 5
"""Part of every identity; it is increased whenever the same config would give other numbers."""


def digest(*parts: Any) -> str:
    """Return the SHA-256 of JSON values in canonical form, 64 hex digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def attack_key(attack: Choice) -> str:
    """Return the attack's identity, in which hashes of its files stand in place of their paths."""
    contents = {name: checksum(path) for name, path in attack.files.items()}
    return digest({**attack.resolved(), **contents})
