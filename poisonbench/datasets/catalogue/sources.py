"""Fetch data sets that scikit-learn can read, write them to a raw CSV file, and prepare them.

The downloads are kept in scikit-learn's own folder (``SCIKIT_LEARN_DATA``); what is there is not
downloaded again.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
from sklearn import datasets

from poisonbench.datasets.catalogue.download import download
from poisonbench.datasets.catalogue.entries import Entry, OpenML, ScikitLearn
from poisonbench.datasets.catalogue.limits import LARGEST, FetchError, Limits
from poisonbench.datasets.catalogue.openml import OpenMLReader
from poisonbench.preparation import Choices, Prepared, prepare


def fetch_and_prepare(
    entry: Entry, raw: Path, out: Path, limits: Limits, *, progress: bool = False
) -> Prepared:
    """Fetch a data set, read it with scikit-learn and prepare it.

    Parameters
    ----------
    entry : Entry
        The data set, from OpenML or scikit-learn.
    raw : Path
        The file for the table as it was fetched; its folder is used for temporary files.
    out : Path
        The prepared file.
    limits : Limits
        Limits of time and attempts.
    progress : bool
        Whether to show a progress bar on stderr.

    Raises
    ------
    FetchError
        The data set cannot be fetched.
    DatasetError
        The data set cannot be prepared.
    """
    frame = _frame(entry, raw.parent, limits, progress)
    frame.to_csv(raw, index=False)
    listed = entry.origin.categorical if isinstance(entry.origin, OpenML) else ()
    unwanted = entry.origin.drop if isinstance(entry.origin, OpenML) else ()
    # The source says which columns are categories, whatever their values look like.
    kinds = {str(name): kind for name, kind in frame.dtypes.items() if name not in unwanted}
    nominal = {name for name, kind in kinds.items()
               if isinstance(kind, pd.CategoricalDtype) or name in listed}  # fmt: skip
    choices = Choices(
        target=entry.target,
        categorical=tuple(name for name in kinds if name in nominal and name != entry.target),
        numeric=tuple(name for name, kind in kinds.items()
                      if name not in nominal and pd.api.types.is_numeric_dtype(kind)),
        drop=tuple(name for name in unwanted if name in frame),
        rare=0.0,
    )  # fmt: skip
    # In the raw file only empty cells are missing; None and NA are categories.
    return prepare(raw, out, choices, source=str(entry.origin), missing_words={""},
                   encoding="utf-8", delimiter=",", decimal=".")  # fmt: skip


def _frame(entry: Entry, scratch: Path, limits: Limits, progress: bool) -> pd.DataFrame:
    """Return the data set as a table that includes the response."""
    try:
        home = Path(datasets.get_data_home())
    except OSError as error:
        raise FetchError(f"{error.filename}: the downloads for scikit-learn cannot be kept there "
                         f"({error.strerror}); name another folder by SCIKIT_LEARN_DATA"
                         ) from error  # fmt: skip
    try:
        with warnings.catch_warnings():
            # Of a second attempt to read a file: it succeeds, or ends in an error.
            warnings.simplefilter("ignore")
            if isinstance(entry.origin, OpenML):
                reader = OpenMLReader(home, scratch, limits, progress)
                return reader.read(entry.origin, entry.target)
            assert isinstance(entry.origin, ScikitLearn)
            return _california(entry.origin, home, limits, progress)
    except FetchError:
        raise
    except Exception as error:  # a damaged file may raise anything in the parsers
        raise FetchError(f"{entry.origin}: cannot be read by scikit-learn "
                         f"({type(error).__name__}: {error}); its files, which may be damaged, are "
                         f"in {home}") from error  # fmt: skip


def _california(origin: ScikitLearn, home: Path, limits: Limits, progress: bool) -> pd.DataFrame:
    """Return the houses of California."""
    try:
        bunch = datasets.fetch_california_housing(as_frame=True, download_if_missing=False)
    except OSError:  # scikit-learn does not have them
        # Downloaded here, because scikit-learn would do it without limits; it uses an archive that
        # is there already.
        download(origin.url, home / origin.archive, sha256=origin.sha256, max_bytes=LARGEST,
                 limits=limits, progress=progress)  # fmt: skip
        bunch = datasets.fetch_california_housing(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame
