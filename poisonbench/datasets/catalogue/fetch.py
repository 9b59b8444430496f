"""Fetch data sets of the catalogue into the data folder, from their source or a mirror."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.files import checksum, written_whole
from poisonbench.data.sidecar import Sidecar, place
from poisonbench.datasets.catalogue.checks import check
from poisonbench.datasets.catalogue.download import download
from poisonbench.datasets.catalogue.entries import Entry, PublishedFile, entries
from poisonbench.datasets.catalogue.limits import LARGEST, FetchError, Limits, shown
from poisonbench.datasets.catalogue.lock import claimed
from poisonbench.datasets.catalogue.verify import verify

MIRROR_VARIABLE = "POISONBENCH_MIRROR"
"""Environment variable with the address of a web folder that has the catalogue's files."""


def fetch(
    entry: Entry,
    folder: Path,
    *,
    limits: Limits | None = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Put the file of a data set into the data folder, unless the right file is there.

    Parameters
    ----------
    entry : Entry
        The data set.
    folder : Path
        The data folder.
    limits : Limits, optional
        Limits of time and attempts.
    progress : bool
        Whether to show a progress bar on stderr.
    say : callable, optional
        Called with messages, a line each.

    Raises
    ------
    FetchError
        The data set cannot be fetched, or a wrong file is in its place.
    """
    if entry.file is None:
        say(f"{entry.name}: needs no file")
        return
    path = folder / entry.file
    if path.exists():
        found = verify(entry, folder)
        if found.wrong:
            raise FetchError(f"{path} is there but wrong: {'; '.join(found.wrong)}; "
                             "move it away to fetch it again")  # fmt: skip
        say(f"{entry.name}: {path} is there already")
        return
    if entry.redistribution != "allowed":
        say(f"{entry.name}: redistribution {entry.redistribution}.  {entry.terms}")
    mirror = mirror_address()
    work = _Work(entry, path, limits or Limits(), progress, say)
    try:
        if isinstance(entry.origin, PublishedFile):
            work.published(entry.origin, mirror)
        elif mirror:
            work.mirrored(mirror)
        else:
            say(f"{entry.name}: fetching {entry.origin}")
            work.through_scikit_learn()
    except (DatasetError, FetchError) as error:
        message = str(error)
        if mirror and shown(mirror) in message:
            message += f" (the mirror that {MIRROR_VARIABLE} names)"
        raise FetchError(message) from error
    except OSError as error:
        raise FetchError(f"{path}: cannot be written: {error.strerror or error}") from error
    say(f"{entry.name}: {path}")


def fetch_missing(names: Iterable[str], folder: Path, **options: object) -> None:
    """Fetch the named data sets that are in the catalogue and missing in the folder.

    Parameters
    ----------
    names : iterable of str
        Data sets, as a config names them.
    folder : Path
        The data folder.
    **options
        See :func:`fetch`.

    Raises
    ------
    FetchError
        Some data sets cannot be fetched; the others have been.
    """
    failures = []
    for name in dict.fromkeys(names):
        entry = entries().get(name)
        if entry and entry.file and not (folder / entry.file).exists():
            try:
                fetch(entry, folder, **options)  # type: ignore[arg-type]
            except FetchError as error:
                failures.append(f"{name}: {error}")
    if failures:
        raise FetchError("\n".join(failures))


def mirror_address() -> str:
    """Return the address of the mirror, empty if there is none.

    Raises
    ------
    FetchError
        The variable does not hold the address of a web folder.
    """
    address = os.environ.get(MIRROR_VARIABLE, "").strip().rstrip("/")
    try:
        parts = urlsplit(address)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        wrong = wrong or bool(parts.query or parts.fragment or set(address) & set(' \t\n<>"\\'))
    except ValueError:  # an invalid port or host
        wrong = True
    if address and wrong:
        raise FetchError(f"{MIRROR_VARIABLE} is '{shown(address)}', expected the address of a web "
                         "folder that has the data files, such as https://my.server/folder"
                         )  # fmt: skip
    return address


@dataclass(frozen=True)
class _Work:
    """The job of fetching one data set."""

    entry: Entry
    path: Path
    limits: Limits
    progress: bool
    say: Callable[[str], None]

    def published(self, origin: PublishedFile, mirror: str) -> None:
        """Download a published file; if its checksum is not known, record it."""

        def accept(part: Path) -> None:
            data = self._checked(part, beside=part)
            digest = checksum(part)
            # Record the address in the catalogue; that of a mirror may contain a password.
            pinned = Sidecar(sha256=digest, source=origin.url, target=self.entry.target)
            self._describe(pinned.text().encode())
            self.say(f"{self.entry.name}: {len(data.y)} rows, {data.space.n_features} features.  "
                     f"{self.entry.unverified}")  # fmt: skip
            self.say(f"{self.entry.name}: recorded now: SHA-256 {digest}")

        # A checksum recorded at an earlier fetch is valid until its sidecar is deleted.
        known = Sidecar.read(self.path)
        pinning = not (origin.sha256 or known)
        url = f"{mirror}/{quote(self.path.name)}" if mirror else origin.url
        sha256 = origin.sha256 or (known.sha256 if known else None)
        self._download(url, sha256, origin.size or LARGEST, accept if pinning else None)

    def mirrored(self, mirror: str) -> None:
        """Download a prepared file and its sidecar; the sidecar is put in place first."""
        url = f"{mirror}/{quote(self.path.name)}"
        with tempfile.TemporaryDirectory(prefix="poisonbench-") as scratch:
            described = Path(scratch, self.path.name)
            download(f"{url}.json", place(described), sha256=None, max_bytes=LARGEST,
                     limits=self.limits)  # fmt: skip
            try:
                sidecar = Sidecar.read(described)
            except DatasetError as error:
                raise FetchError(f"{shown(url)}.json: not what poisonbench writes beside a "
                                 "prepared file") from error  # fmt: skip

            def accept(part: Path) -> None:
                self._checked(part, beside=described)
                self._describe(place(described).read_bytes())

            self._download(url, sidecar.sha256 if sidecar else None, LARGEST, accept)

    def through_scikit_learn(self) -> None:
        """Download a data set that scikit-learn can read, and prepare it."""
        # Imported here, because scikit-learn and pandas take long to load.
        from poisonbench.datasets.catalogue.sources import fetch_and_prepare

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with claimed(self.path, self.limits.total, self.say):
            if self.path.exists():
                return
            with _scratch(self.path) as scratch:
                made = scratch / self.path.name
                fetch_and_prepare(self.entry, scratch / "raw.csv", made, self.limits,
                                  progress=self.progress)  # fmt: skip
                self._checked(made, beside=made)
                os.replace(place(made), place(self.path))
                os.replace(made, self.path)

    def _download(
        self, url: str, sha256: str | None, max_bytes: int, accept: Callable[[Path], None] | None
    ) -> None:
        download(url, self.path, sha256=sha256, max_bytes=max_bytes, limits=self.limits,
                 progress=self.progress, accept=accept, say=self.say)  # fmt: skip

    def _checked(self, file: Path, beside: Path) -> Dataset:
        """Return the data set in a file; raise DatasetError if the file is wrong."""
        found = check(self.entry, file, beside=beside)
        if found.wrong or found.data is None:
            raise DatasetError("; ".join(found.wrong))
        return found.data

    def _describe(self, content: bytes) -> None:
        """Write the sidecar, before the file itself, so that the file is never without it."""
        with written_whole(place(self.path)) as file:
            file.write(content)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Provide a temporary folder beside a claimed file; first delete what a killed process left."""
    scratch = path.with_name(f".{path.name}.preparing")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
