"""Where things lie in an output folder, and how its JSON files tell that they are whole."""

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
    """Return where what is kept of a cell or a group lies, of one kind."""
    return out / kind / id_[:2] / f"{id_}.json"


def sealed(content: dict[str, Any], *, compact: bool = False) -> bytes:
    """Return a JSON object, not an empty one, as text that ends with its own checksum.

    Parameters
    ----------
    content : dict
        JSON values; numbers are finite.
    compact : bool, default=False
        Whether it stands on one line.
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
    """Return whether a text is as :func:`sealed` made it, to the last bit."""
    seal = _SEAL.search(text[-100:])
    if seal is None:
        return False
    body = text[: len(text[:-100]) + seal.start()]
    return _digest(body).encode() == (seal[1] or seal[2])


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a sealed JSON file holds, or None where it is not there or not whole."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not is_whole(text):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # nobody but a forger makes these
        return None
    content.pop("sha256")
    return dict(content)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
