"""The folders of files that come with the package: a paper's configs and published values.

The repository keeps them outside the package, in ``configs`` and ``results``.  A wheel contains
copies in the package's folder ``packaged``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_PLACES = {
    "configs": _PACKAGE.parent / "configs",
    "published": _PACKAGE.parent / "results" / "reference" / "published",
}


def folder(kind: str) -> Path:
    """Return the folder with the files of one kind.

    Parameters
    ----------
    kind : {"configs", "published"}
        The kind of files.
    """
    packaged = _PACKAGE / "packaged" / kind
    return packaged if packaged.is_dir() else _PLACES[kind]
