"""Write prepared columns, in their own units, to a CSV file, and describe it in a sidecar."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench.data.files import written_whole
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.features import FloatArray
from poisonbench.preparation.cells import EXACT
from poisonbench.preparation.encoding import Encoded

BATCH_ROWS = 5_000


def write(encoded: Encoded, path: Path, source: str, preparation: dict[str, Any]) -> Sidecar:
    """Write the prepared file and its sidecar, each whole or not at all.

    Every number is written with the fewest digits that give the same float when read.

    Parameters
    ----------
    encoded : Encoded
        The columns.
    path : Path
        The CSV file; the sidecar is written beside it, and appears before it.
    source : str
        Where the data come from.
    preparation : dict
        The record of the preparation.

    Returns
    -------
    Sidecar
        The content of the sidecar.
    """
    digest = hashlib.sha256()
    with written_whole(path) as file:
        for text in _texts(encoded):
            block = text.encode()
            file.write(block)
            digest.update(block)
        sidecar = Sidecar(
            sha256=digest.hexdigest(),
            source=source,
            target=encoded.target.name,
            groups={group.name: group.description for group in encoded.groups},
            preparation=preparation,
        )
        with written_whole(place(path)) as beside:
            beside.write(sidecar.text().encode())
    return sidecar


def _texts(encoded: Encoded) -> Iterator[str]:
    """Yield the text of the header line, then of a batch of rows at a time."""
    header = io.StringIO(newline="")
    csv.writer(header, lineterminator="\n").writerow(encoded.names)
    yield header.getvalue()
    numerics = (encoded.target, *encoded.numerics)
    for start in range(0, encoded.n_rows, BATCH_ROWS):
        rows = slice(start, start + BATCH_ROWS)
        columns = [_numbers(numeric.values[rows]) for numeric in numerics]
        columns += [ones.tolist() for group in encoded.groups for ones in group.indicators(rows)]
        yield "".join(f"{','.join(map(str, row))}\n" for row in zip(*columns, strict=True))


def _numbers(values: FloatArray) -> list[float] | list[int]:
    """Return the numbers as integers if all are whole, so that 3.0 is written as 3."""
    whole = (values % 1 == 0).all() and (np.abs(values) <= EXACT).all()
    written: list[float] | list[int] = (values.astype(np.int64) if whole else values).tolist()
    return written
