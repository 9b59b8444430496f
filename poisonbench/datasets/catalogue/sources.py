"""Fetch data sets through scikit-learn, write them to a raw CSV file, and prepare them.

scikit-learn keeps its downloads in its own folder (``SCIKIT_LEARN_DATA``), and needs no network for
what is there.
"""

from __future__ import annotations

import urllib.request
import warnings
from pathlib import Path
from urllib.error import URLError

import pandas as pd
from sklearn import datasets

from poisonbench.datasets.catalogue.bounded_urllib import bounded_urllib
from poisonbench.datasets.catalogue.entries import Entry, OpenML
from poisonbench.datasets.catalogue.limits import LARGEST, SOCKS, FetchError, Limits
from poisonbench.preparation import Choices, Prepared, prepare


def fetch_and_prepare(
    entry: Entry, raw: Path, out: Path, limits: Limits, *, progress: bool = False
) -> Prepared:
    """Fetch a data set through scikit-learn and prepare it.

    Parameters
    ----------
    entry : Entry
        The data set, from OpenML or scikit-learn.
    raw : Path
        The file for the table as it was fetched.
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
    frame = _frame(entry, limits, progress)
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


def _frame(entry: Entry, limits: Limits, progress: bool) -> pd.DataFrame:
    """Return the data set as a table that includes the response."""
    n_retries = max(limits.retries, 1)
    try:
        home = datasets.get_data_home()
    except OSError as error:
        raise FetchError(f"{error.filename}: scikit-learn cannot keep its downloads there "
                         f"({error.strerror}); name another folder by SCIKIT_LEARN_DATA"
                         ) from error  # fmt: skip
    try:
        with (
            bounded_urllib(entry.name, limits, LARGEST, progress=progress),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # warnings of retries: they succeed, or end in an error
            if isinstance(entry.origin, OpenML):
                bunch = datasets.fetch_openml(
                    data_id=entry.origin.id,
                    target_column=entry.target,
                    as_frame=True,
                    parser="liac-arff",  # the other parser fails on categories named by numbers
                    n_retries=n_retries,
                    delay=limits.pause,
                )
            else:
                bunch = datasets.fetch_california_housing(
                    as_frame=True, n_retries=n_retries, delay=limits.pause
                )
    except FetchError:
        raise
    except Exception as error:  # a damaged file may raise anything in the parsers
        what = f"cannot be fetched by scikit-learn ({type(error).__name__}: {error})"
        if urllib.request.getproxies().get("https", "").startswith("socks"):
            what += f"; {SOCKS}"
        elif not isinstance(error, URLError | TimeoutError):
            what += f"; its downloads, which may be damaged, are in {home}"
        raise FetchError(f"{entry.origin}: {what}") from error
    frame: pd.DataFrame = bunch.frame
    return frame
