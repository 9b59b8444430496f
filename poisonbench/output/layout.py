"""Where things lie in an output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class StoreError(Exception):
    """The output folder cannot be used; the message says why and what to do."""


def place(out: Path, kind: str, id_: str) -> Path:
    """Return where what is kept of a cell or a group lies, of one kind."""
    return out / kind / id_[:2] / f"{id_}.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file of the folder holds, or None where it is not there or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None
