"""Writing prepared columns: a CSV file of digits, and the sidecar that undoes the scaling.

A batch of rows is one matrix of characters, filled column by column, from which the places that no
character took are left out; formatting cell by cell would take most of the time of a preparation.
"""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from poisonbench.data.files import written_whole
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.preparation.decimals import FILLER, Characters, decimals
from poisonbench.preparation.encoding import Encoded

BATCH_ROWS = 5_000


def write(encoded: Encoded, path: Path, source: str, preparation: dict[str, Any]) -> Sidecar:
    """Write the prepared file and its sidecar, each whole or not at all.

    Parameters
    ----------
    encoded : Encoded
        The columns.
    path : Path
        The CSV file; the sidecar goes beside it, before it.
    source : str
        Where the data come from.
    preparation : dict
        What to record of the preparation.

    Returns
    -------
    Sidecar
        What the sidecar says.
    """
    digest = hashlib.sha256()
    with written_whole(path) as file:
        header = io.StringIO(newline="")
        csv.writer(header, lineterminator="\n").writerow(encoded.names)
        blocks = [header.getvalue().encode()]
        for start in range(0, encoded.n_rows, BATCH_ROWS):
            blocks.append(_text(encoded, slice(start, start + BATCH_ROWS)).tobytes())
            for block in blocks:
                file.write(block)
                digest.update(block)
            blocks = []
        numerics = [encoded.target, *encoded.numerics]
        sidecar = Sidecar(
            sha256=digest.hexdigest(),
            source=source,
            target=encoded.target.name,
            scaling={numeric.name: (numeric.offset, numeric.span) for numeric in numerics},
            groups={group.name: group.description for group in encoded.groups},
            preparation=preparation,
        )
        with written_whole(place(path)) as beside:
            beside.write(sidecar.text().encode())
    return sidecar


def _text(encoded: Encoded, rows: slice) -> Characters:
    """Return rows as characters, shape (characters,)."""
    blocks: list[Characters] = []
    for numeric in (encoded.target, *encoded.numerics):
        scaled = (numeric.values[rows] - numeric.offset) / numeric.span
        blocks += [decimals(scaled), _column(len(scaled), ",")]
    for group in encoded.groups:
        for ones in group.indicators(rows):
            blocks += [ones[:, None] + np.uint8(ord("0")), _column(len(ones), ",")]
    blocks[-1] = _column(len(blocks[0]), "\n")
    text: Characters = np.concatenate(blocks, axis=1).ravel()
    written: Characters = text[text != FILLER]
    return written


def _column(n_rows: int, character: str) -> Characters:
    return np.full((n_rows, 1), ord(character), dtype=np.uint8)
