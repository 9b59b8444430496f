"""The file beside a data file that says where it comes from and how it was made.

``mine.csv.json`` belongs to ``mine.csv``.  A data file needs none; with one, a change of the file
is noticed by ``poisonbench datasets verify``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from poisonbench.data.base import DatasetError

FORMAT = "poisonbench data 1"
"""Marks a JSON file as one of these; another number means another content."""


@dataclass(frozen=True)
class Sidecar:
    """What is known of a data file.

    Parameters
    ----------
    sha256 : str
        Checksum of the data file when it was made or fetched, 64 hex digits.
    source : str
        Where it comes from.
    target : str
        Name of the response.
    scaling : mapping of str to (float, float)
        For each column that was scaled, the response included, its offset and span: its own unit
        is offset + span * value.  Files prepared by earlier versions are scaled; none is today.
    groups : mapping of str to dict
        For each one-hot group its categories, the one without a column, and the rare ones that
        were merged.
    preparation : mapping
        What happened to the columns of the raw file, and to missing values.
    """

    sha256: str
    source: str
    target: str
    scaling: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the content of the file."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, data: Path) -> Self | None:
        """Return what lies beside the data file `data`; None if nothing does.

        Raises
        ------
        DatasetError
            It is damaged.
        """
        path = place(data)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = content.pop("format") == FORMAT
            scaling = {name: (float(offset), float(span))
                       for name, (offset, span) in content.pop("scaling").items()}  # fmt: skip
            sidecar = cls(scaling=scaling, **content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"{path}: not a description of {data.name} ({error}); delete it, or "
                               "prepare or fetch the data again") from error  # fmt: skip
        if not known:
            raise DatasetError(f"{path}: not of the format '{FORMAT}'; delete it, or prepare or "
                               "fetch the data again")  # fmt: skip
        return sidecar


def place(data: Path) -> Path:
    """Return where the sidecar of a data file lies."""
    return data.with_name(f"{data.name}.json")
