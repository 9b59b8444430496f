"""Writing prepared columns: a CSV file of digits, and the sidecar that undoes the scaling.

Every cell of a column has the same width, so a batch of rows is one matrix of characters, filled
column by column; formatting number by number would take most of the time of a preparation.
"""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poisonbench.data.files import written_whole
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.features import FloatArray
from poisonbench.preparation.encoding import Encoded

DECIMALS = 15
"""Digits after the point: as many as tell any two numbers in [0.5, 1] apart that a float does."""

BATCH_ROWS = 5_000

Characters = npt.NDArray[np.uint8]


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
            groups={
                group.name: {
                    "categories": group.labels,
                    "without a column": group.labels[0],
                    "merged": group.merged,
                }
                for group in encoded.groups
            },
            preparation=preparation,
        )
        with written_whole(place(path)) as beside:
            beside.write(sidecar.text().encode())
    return sidecar


def _text(encoded: Encoded, rows: slice) -> Characters:
    """Return rows as characters, shape (rows, width of a line)."""
    blocks: list[Characters] = []
    for numeric in (encoded.target, *encoded.numerics):
        scaled = (numeric.values[rows] - numeric.offset) / numeric.span
        blocks += [_decimal(scaled), _column(len(scaled), ",")]
    for group in encoded.groups:
        codes = group.codes[rows, None]
        for k in range(1, len(group.labels)):
            ones: Characters = np.where(codes == k, np.uint8(ord("1")), np.uint8(ord("0")))
            blocks += [ones, _column(len(codes), ",")]
    blocks[-1] = _column(len(blocks[0]), "\n")
    return np.concatenate(blocks, axis=1)


def _column(n_rows: int, character: str) -> Characters:
    return np.full((n_rows, 1), ord(character), dtype=np.uint8)


def _decimal(values: FloatArray) -> Characters:
    """Return numbers in [0, 1] as decimals, shape (rows, DECIMALS + 2)."""
    digits = np.empty((len(values), DECIMALS + 2), dtype=np.uint8)
    left = np.rint(values * 10.0**DECIMALS).astype(np.int64)
    for place_ in range(DECIMALS + 1, -1, -1):
        if place_ == 1:
            digits[:, 1] = ord(".")
            continue
        left, digit = np.divmod(left, 10)
        digits[:, place_] = digit + ord("0")
    return digits
