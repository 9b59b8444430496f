"""A data set read from a CSV file of numbers, with one-hot groups in columns ``Group:value``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poisonbench.data.base import Dataset, DatasetError, ScalingMode, listing
from poisonbench.data.files import checksum
from poisonbench.data.groups import one_hot_groups
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.data.table import Table, read_table
from poisonbench.features import FeatureSpace, FloatArray


def read_dataset(
    path: Path,
    target: str,
    scaling: ScalingMode,
    *,
    name: str | None = None,
    delimiter: str | None = None,
    beside: Path | None = None,
) -> Dataset:
    """Read a data set from a CSV file of numbers.

    Parameters
    ----------
    path : Path
        The file.  If it was prepared by an earlier version of poisonbench, its values are scaled;
        they are converted back to their own units with the sidecar beside it, unless `scaling` is
        ``"none"``.  A file that was changed after its preparation is refused.
    target : str
        The column that holds the response.
    scaling : {"train", "full", "none"}
        The rows whose minima and maxima define the box: the training rows, all rows, or none.
    name : str, optional
        Name of the data set in tables; the file's name without its extension if not given.
    delimiter : str, optional
        The character between cells; detected if not given.
    beside : Path, optional
        The file whose sidecar describes it; `path` if not given.

    Raises
    ------
    DatasetError
        The file cannot be read, or no regression can be run on it.
    """
    sidecar = Sidecar.read(beside or path)
    table = read_table(path, delimiter)
    if sidecar and checksum(path) != sidecar.sha256:
        raise DatasetError(f"{path} is not the file that {place(beside or path).name} describes: "
                           f"its SHA-256 is not the one recorded there, {sidecar.sha256}; "
                           "prepare or fetch it again, or delete that description")  # fmt: skip
    response = table.column(target)
    values = table.values
    if sidecar and sidecar.scaling and scaling != "none":
        values = _in_own_units(table, sidecar)
    X = np.ascontiguousarray(np.delete(values, response, axis=1))
    y = values[:, response].copy()
    names = table.names[:response] + table.names[response + 1 :]
    space = FeatureSpace(names, one_hot_groups(names, X))
    dataset = Dataset(name or path.stem, X, y, space, target, scaling)
    return dataset.validated(str(path), lambda row: f"line {table.line(row)}")


def _in_own_units(table: Table, sidecar: Sidecar) -> FloatArray:
    """Return the values of a table, with the scaling that its sidecar records undone."""
    unknown = [name for name in sidecar.scaling if name not in table.names]
    if unknown:
        raise DatasetError(f"{place(table.path)}: describes {listing(unknown)}, which "
                           f"{table.path.name} does not have; delete it, or prepare the data "
                           "again")  # fmt: skip
    offset, span = np.zeros(len(table.names)), np.ones(len(table.names))
    for name, (low, width) in sidecar.scaling.items():
        offset[table.names.index(name)], span[table.names.index(name)] = low, width
    values: FloatArray = offset + span * table.values
    return values
