"""Fetching a data set of the catalogue to the data folder, from its source or from a mirror."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from poisonbench.data.base import DatasetError
from poisonbench.data.catalogue import Entry, PublishedFile, entries
from poisonbench.data.catalogued import checksum
from poisonbench.data.csv import read_dataset
from poisonbench.data.files import written_whole
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.datasets.download import FetchError, Limits, download
from poisonbench.datasets.verify import verify

MIRROR_VARIABLE = "POISONBENCH_MIRROR"
"""Environment variable: address of a web folder that has the files under their catalogue names."""

LARGEST = 200_000_000
"""Bytes of the largest file that is fetched without knowing its size."""


def fetch(
    entry: Entry,
    folder: Path,
    *,
    limits: Limits | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Put the file of a data set into the data folder, unless a right one is there.

    Parameters
    ----------
    entry : Entry
        The data set.
    folder : Path
        The data folder.
    limits : Limits, optional
        How long it may take.
    progress : bool
        Whether to show a progress bar on stderr.
    say : callable, optional
        Takes a line of news.

    Raises
    ------
    FetchError
        It cannot be fetched, or another file is in its place.
    """
    if entry.file is None:
        say(f"{entry.name}: needs no file")
        return
    path = folder / entry.file
    if path.exists():
        found = verify(entry, folder)
        if found.wrong:
            raise FetchError(f"{path} is there but wrong: {'; '.join(found.wrong)}; "
                             "move it away to fetch it anew")  # fmt: skip
        say(f"{entry.name}: {path} is there already")
        return
    if entry.redistribution != "allowed":
        say(f"{entry.name}: redistribution {entry.redistribution}.  {entry.terms}")
    limits = limits or Limits()
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    try:
        if isinstance(entry.origin, PublishedFile):
            url = f"{mirror}/{quote(entry.file)}" if mirror else entry.origin.url
            _published(entry, entry.origin, url, path, limits, progress)
        elif mirror:
            _mirrored(entry, mirror, path, limits, progress)
        else:
            say(f"{entry.name}: fetching {entry.origin} through scikit-learn")
            _through_scikit_learn(entry, path, limits)
    except DatasetError as error:
        raise FetchError(str(error)) from error
    say(f"{entry.name}: {path}")


def fetch_missing(names: Iterable[str], folder: Path, **options: object) -> None:
    """Fetch those of the data sets named that are of the catalogue and not there.

    Parameters
    ----------
    names : iterable of str
        Data sets, as a config names them.
    folder : Path
        The data folder.
    **options
        As of :func:`fetch`.

    Raises
    ------
    FetchError
        One of them cannot be fetched.
    """
    for name in dict.fromkeys(names):
        entry = entries().get(name)
        if entry and entry.file and not (folder / entry.file).exists():
            fetch(entry, folder, **options)  # type: ignore[arg-type]


def _published(
    entry: Entry, origin: PublishedFile, url: str, path: Path, limits: Limits, progress: bool
) -> None:
    """Download a file; where its checksum was not known, record it."""

    def accept(part: Path) -> None:
        read_dataset(part, entry.target, entry.scaling)
        # The address in the catalogue, not that of a mirror, which may hold a password.
        pinned = Sidecar(sha256=checksum(part), source=origin.url, target=entry.target)
        _write(place(path), pinned.text().encode())

    # What was pinned at an earlier fetch holds, until its sidecar is deleted.
    known = Sidecar.read(path) if place(path).is_file() else None
    download(
        url,
        path,
        sha256=origin.sha256 or (known.sha256 if known else None),
        max_bytes=origin.size or LARGEST,
        limits=limits,
        progress=progress,
        accept=None if origin.sha256 or known else accept,
    )


def _mirrored(entry: Entry, mirror: str, path: Path, limits: Limits, progress: bool) -> None:
    """Download a prepared file, checked by its sidecar, which comes first."""
    url = f"{mirror}/{quote(path.name)}"
    with _scratch(path) as scratch:
        beside = place(scratch / path.name)
        download(f"{url}.json", beside, sha256=None, max_bytes=LARGEST, limits=limits)
        sidecar = Sidecar.read(scratch / path.name)
        if sidecar is None or sidecar.target != entry.target:
            raise FetchError(f"{url}.json: describes other data than {entry.name}")
        text = beside.read_bytes()
        download(
            url,
            path,
            sha256=sidecar.sha256,
            max_bytes=LARGEST,
            limits=limits,
            progress=progress,
        )
        _write(place(path), text)


def _through_scikit_learn(entry: Entry, path: Path, limits: Limits) -> None:
    # Imported here: scikit-learn and pandas take longer to load than a file to arrive.
    from poisonbench.datasets.sources import fetch_and_prepare

    with _scratch(path) as scratch:
        fetch_and_prepare(entry, scratch / "raw.csv", path, limits)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` for the time of the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            yield Path(scratch)
    except OSError as error:
        raise FetchError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as file:
        file.write(content)
