"""The paths of files in an output folder, and JSON files that carry their own checksum."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_SEAL = re.compile(rb',(?:\n "sha256": "([0-9a-f]{64})"\n|"sha256":"([0-9a-f]{64})")\}\n\Z')


class StoreError(Exception):
    """The output folder cannot be used; the message says why and what to do."""


def place(out: Path, kind: str, id_: str) -> Path:
    """Return the path of a cell's or group's JSON file in the subfolder `kind`."""
    return out / kind / id_[:2] / f"{id_}.json"


def sealed(content: dict[str, Any], *, compact: bool = False) -> bytes:
    """Return a non-empty JSON object as text whose last entry is its own checksum.

    Parameters
    ----------
    content : dict
        JSON values; numbers must be finite.
    compact : bool, default=False
        Whether to write it on one line.
    """
    text = json.dumps(
        content,
        indent=None if compact else 1,
        separators=(",", ":") if compact else None,
        sort_keys=not compact,
        allow_nan=False,
    )
    body = text.removesuffix("}").rstrip("\n").encode()
    seal = f'"sha256":"{_digest(body)}"' if compact else f'\n "sha256": "{_digest(body)}"\n'
    return b"%b,%b}\n" % (body, seal.encode())


def is_whole(text: bytes) -> bool:
    """Return whether a string is unchanged since :func:`sealed` made it."""
    seal = _SEAL.search(text[-100:])
    if seal is None:
        return False
    body = text[: len(text[:-100]) + seal.start()]
    return _digest(body).encode() == (seal[1] or seal[2])


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a sealed JSON file, or None if it is missing or damaged."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not is_whole(text):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # only a forged file gets here
        return None
    content.pop("sha256")
    return dict(content)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
