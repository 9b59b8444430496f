"""Read a data set of OpenML with scikit-learn, from files that are downloaded here.

scikit-learn downloads with ``urllib.request.urlopen``, which limits neither the size of an answer
nor the time that it takes in all, and whose opener can only be replaced for the whole process.
Therefore the four files of a data set are downloaded by :func:`download`, under its limits, and put
where ``fetch_openml`` looks for what it has downloaded before; it then needs no network.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
from sklearn import datasets

from poisonbench.data.base import DatasetError
from poisonbench.data.files import written_whole
from poisonbench.datasets.catalogue.download import download
from poisonbench.datasets.catalogue.entries import OpenML
from poisonbench.datasets.catalogue.limits import LARGEST, FetchError, Limits, shown

API = "https://www.openml.org/api/v1/json/data"
"""Address of OpenML's descriptions of data sets."""


@dataclass(frozen=True)
class OpenMLReader:
    """Reads data sets of OpenML.

    Parameters
    ----------
    home : Path
        scikit-learn's folder for downloads.  What is there is used, and new files are put there.
    scratch : Path
        A folder for temporary files.
    limits : Limits
        Limits of time and attempts, for each file.
    progress : bool
        Whether to show a progress bar on stderr for the file with the rows.
    """

    home: Path
    scratch: Path
    limits: Limits
    progress: bool

    def read(self, origin: OpenML, target: str) -> pd.DataFrame:
        """Return a data set as a table that includes the response.

        Parameters
        ----------
        origin : OpenML
            The data set.
        target : str
            Name of the response.

        Raises
        ------
        FetchError
            A file cannot be downloaded.
        """
        addresses = [f"{API}/{kind}{origin.id}" for kind in ("", "features/", "qualities/")]
        documents = {url: self._content(url, _is_json) for url in addresses}
        answer = json.loads(documents[addresses[0]])
        try:
            description = answer["data_set_description"]
            url, md5 = description["url"], description["md5_checksum"]
        except (KeyError, TypeError):
            raise FetchError(f"{addresses[0]}: not the description of a data set") from None
        rows = self.scratch / "rows.arff"
        rows.write_bytes(
            self._content(
                url, lambda content: hashlib.md5(content).hexdigest() == md5, self.progress
            )
        )
        # If scikit-learn cannot read the rows, it fetches them again; let it fetch this file.
        description["url"] = rows.absolute().as_uri()
        documents[addresses[0]] = json.dumps(answer).encode()
        for address, content in documents.items():
            place = _place(self.scratch, address)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(gzip.compress(content))
        frame: pd.DataFrame = datasets.fetch_openml(
            data_id=origin.id,
            target_column=target,
            data_home=self.scratch,
            as_frame=True,
            parser="liac-arff",  # the other parser fails on categories named by numbers
        ).frame
        return frame

    def _content(
        self, url: str, is_right: Callable[[bytes], bool], progress: bool = False
    ) -> bytes:
        """Return the file of an address: the one kept from an earlier download, or a new one."""
        kept = _place(self.home, url)
        try:
            content = gzip.decompress(kept.read_bytes())
        except (OSError, EOFError, zlib.error):  # not there, or damaged
            pass
        else:
            if is_right(content):
                return content

        def accept(part: Path) -> None:
            if not is_right(part.read_bytes()):
                raise DatasetError("it is damaged: not JSON, or not of the MD5 in its description")

        fetched = self.scratch / kept.stem
        download(url, fetched, sha256=None, max_bytes=LARGEST, limits=self.limits,
                 progress=progress, accept=accept)  # fmt: skip
        content = fetched.read_bytes()
        fetched.unlink()
        try:
            with written_whole(kept) as file:
                file.write(gzip.compress(content))
        except OSError as error:
            raise FetchError(f"{kept}: cannot be written: {error.strerror or error}") from error
        return content


def _place(home: Path, url: str) -> Path:
    """Return where scikit-learn, with this folder for downloads, keeps the file of an address."""
    parts = urlsplit(url).path.strip("/").split("/")
    if ".." in parts:
        raise FetchError(f"{shown(url)}: expected an address without '..'")
    return Path(home, "openml", "openml.org", *parts[:-1], f"{parts[-1]}.gz")


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
