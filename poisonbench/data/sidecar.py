"""The sidecar of a data file: a JSON file that says where the data come from.

``mine.csv.json`` belongs to ``mine.csv``.  It is optional; with it, ``poisonbench datasets verify``
notices changes of the data file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from poisonbench.data.base import DatasetError

FORMAT = "poisonbench data 1"
"""Identifies a JSON file as a sidecar, and the version of its format."""


@dataclass(frozen=True)
class Sidecar:
    """The content of a sidecar.

    Parameters
    ----------
    sha256 : str
        Checksum of the data file when it was made or fetched, 64 hex digits.
    source : str
        Where it comes from.
    target : str
        Name of the response.
    scaling : mapping of str to (float, float)
        Offset and span of each column that was scaled, including the response: in its own unit a
        value is offset + span * value.  Only earlier versions wrote scaled files.
    groups : mapping of str to dict
        For each one-hot group: its categories, the one without a column, and the rare ones that
        were merged.
    preparation : mapping
        What was done with the columns of the raw file, and with missing values.
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
        """Return the sidecar of the data file `data`; None if it has none.

        Raises
        ------
        DatasetError
            The sidecar is damaged.
        """
        path = place(data)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            right_format = content.pop("format") == FORMAT
            scaling = {name: (float(offset), float(span))
                       for name, (offset, span) in content.pop("scaling").items()}  # fmt: skip
            sidecar = cls(scaling=scaling, **content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(f"{path}: not a description of {data.name} ({error}); delete it, or "
                               "prepare or fetch the data again") from error  # fmt: skip
        if not right_format:
            raise DatasetError(f"{path}: not of the format '{FORMAT}'; delete it, or prepare or "
                               "fetch the data again")  # fmt: skip
        return sidecar


def place(data: Path) -> Path:
    """Return the path of the sidecar of a data file."""
    return data.with_name(f"{data.name}.json")
