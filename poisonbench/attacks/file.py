"""Poison rows from a file, which are checked like those of any attack."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poisonbench.attacks.base import Attack
from poisonbench.data.base import DatasetError
from poisonbench.data.npz import read_arrays
from poisonbench.data.scaling import Scaling
from poisonbench.data.table import read_rows
from poisonbench.features import FeatureSpace, FloatArray, IntArray
from poisonbench.problem import AttackProblem, PoisonSet

SHOWN = 3
"""How many kinds of illegal values a message lists."""


class File(Attack):
    """Poison rows from a file, which determines the number of rows.

    An ``.npz`` file has the arrays ``X`` and ``y``, scaled to the box [0, 1].  If it also has
    ``feature_names``, its columns may be in any order.  The files in ``poison/`` of an output
    folder have this form.  If the file has arrays ``train`` and ``validation``, the indices of the
    rows that it was made with, none of these may be a test row; use ``split: {indices: FILE}`` to
    take the file's own split.  Any other file is read as CSV, with the column names of the data
    set, including the response, in the data's own units.

    Parameters
    ----------
    path : Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from poisonbench.attacks import File
    >>> rows = pd.DataFrame({"size": [50.0, 90.0, 120.0], "price": [100.0, 180.0, 240.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "poison.csv"
    ...     pd.DataFrame({"size": [120.0], "price": [100.0]}).to_csv(path, index=False)
    ...     poison = File(path=path).poison(rows[["size"]], rows["price"])
    >>> poison.X
        size
    0  120.0
    """

    name = "file"
    reference = "your own file"
    takes_rate = False

    def __init__(self, *, path: Path) -> None:
        self.path = path

    def own_rows(self, space: FeatureSpace, target: str, scaling: Scaling | None = None) -> int:
        """Return the number of rows in the file."""
        X, y = self._read(space, target)
        if not len(y):
            raise DatasetError(f"{self.path}: no rows, expected at least one")
        if self._is_npz():
            wrong = space.violations(X) + FeatureSpace((target,)).violations(y[:, None])
        elif scaling is not None:
            X, y = scaling.transform(X), scaling.transform_response(y)
            wrong = space.violations(X) + FeatureSpace((target,)).violations(y[:, None])
        else:  # the bounds differ between seeds, so only the one-hot groups can be checked
            X[:, space.numeric] = 0.0
            wrong = space.violations(X)
        if wrong:
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise DatasetError(f"{self.path}: {'; '.join(wrong[:SHOWN])}{more} (rows count from 0)")
        return len(y)

    def rows_seen(self) -> IntArray | None:
        """Return the training and validation rows that an ``.npz`` file lists, if it does."""
        if not self._is_npz():
            return None
        arrays = read_arrays(Path(self.path), (), optional=("train", "validation"))
        found = [rows.ravel() for rows in arrays.values() if np.issubdtype(rows.dtype, np.integer)]
        return np.concatenate(found).astype(np.intp) if found else None

    def generate(self, problem: AttackProblem) -> PoisonSet:
        """Return the rows of the file, in the box."""
        X, y = self._read(problem.space, problem.target)
        if not self._is_npz():
            X, y = problem.scaling.transform(X), problem.scaling.transform_response(y)
        return PoisonSet(X, y)

    def _is_npz(self) -> bool:
        if Path(self.path).suffix.lower() == ".npz":
            return True
        try:
            with Path(self.path).open("rb") as file:
                return file.read(4) == b"PK\x03\x04"  # an npz file is a zip file, whatever its name
        except OSError:
            return False

    def _read(self, space: FeatureSpace, target: str) -> tuple[FloatArray, FloatArray]:
        """Return rows and responses in the file's units, with columns in the data set's order."""
        path = Path(self.path)
        if not self._is_npz():
            return read_rows(path, space.names, target)
        arrays = read_arrays(path, ("X", "y"), optional=("feature_names",))
        X, y = arrays["X"], arrays["y"]
        for array, axes in (("X", 2), ("y", 1)):
            values = arrays[array]
            if values.ndim != axes or not (
                np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)
            ):
                raise DatasetError(f"{path}: array '{array}' has shape {values.shape} and type "
                                   f"{values.dtype}, expected a {axes}-dimensional array of "
                                   "numbers")  # fmt: skip
        if len(X) != len(y) or X.shape[1] != space.n_features:
            raise DatasetError(f"{path}: X has shape {X.shape} and y has shape {y.shape}, expected "
                               f"(p, {space.n_features}) and (p,)")  # fmt: skip
        if "feature_names" in arrays:
            names = [str(name) for name in arrays["feature_names"].ravel()]
            if sorted(names) != sorted(space.names):
                odd = next((name for name in names if name not in space.names), names[0])
                raise DatasetError(f"{path}: its feature_names are not the data set's columns "
                                   f"(for example, '{odd}')")  # fmt: skip
            X = X[:, [names.index(name) for name in space.names]]
        return X.astype(np.float64), y.astype(np.float64)
