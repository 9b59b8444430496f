"""A user's own data: a CSV file of numbers, with one-hot groups in columns ``Group:value``."""

from __future__ import annotations

from pathlib import Path

from poisonbench.data.base import Dataset, ScalingMode
from poisonbench.data.csv import read_dataset
from poisonbench.datasets.base import DatasetLoader


class Csv(DatasetLoader):
    """A CSV file: one header line, one column of responses, every other column a feature.

    Columns named ``Group:value`` that contain only 0 and 1 are one-hot groups.  A row may have no 1
    in a group, or several, if a row of the file does.  The name of the data set in tables is the
    file's name without its extension.  ``poisonbench datasets prepare`` makes such a file.

    Parameters
    ----------
    path : Path
        The file, UTF-8 text.
    target : str
        Name of the column that holds the response.
    scaling : {"train", "full", "none"}, default="train"
        Rows whose minima and maxima define the box [0, 1]: the training rows, or all rows.  With
        none the file must be scaled already: a value outside [0, 1] is an error.
    delimiter : str, optional
        The character between cells; comma, semicolon, tab and pipe are detected if not given.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from poisonbench.datasets.csv import Csv
    >>> rows = pd.DataFrame({"size": [50, 90], "sale:new": [1, 0], "price": [100, 150]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "houses.csv"
    ...     rows.to_csv(path, index=False)
    ...     data = Csv(path=path, target="price").load()
    >>> data.space.names, data.space.groups[0].name, data.y
    (('size', 'sale:new'), 'sale', array([100., 150.]))
    """

    name = "csv"
    reference = "your own file"

    def __init__(
        self,
        *,
        path: Path,
        target: str,
        scaling: ScalingMode = "train",
        delimiter: str | None = None,
    ) -> None:
        self.path = path
        self.target = target
        self.scaling = scaling
        self.delimiter = delimiter

    def load(self) -> Dataset:
        """Return the rows of the file."""
        return read_dataset(Path(self.path), self.target, self.scaling, delimiter=self.delimiter)
