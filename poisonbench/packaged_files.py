"""Files that ship with the package but lie at the top of its repository: configs, published values.

In a wheel they lie in the package's folder ``packaged``; in a clone, where the package is used in
place, they lie where they are kept.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_PLACES = {
    "configs": _PACKAGE.parent / "configs",
    "published": _PACKAGE.parent / "results" / "reference" / "published",
}


def folder(kind: str) -> Path:
    """Return the folder of one kind of files.

    Parameters
    ----------
    kind : {"configs", "published"}
        The kind.
    """
    packaged = _PACKAGE / "packaged" / kind
    return packaged if packaged.is_dir() else _PLACES[kind]
