"""Download one file: resume, limit, check; the file appears only when it is complete.

pooch checks the checksum and puts the file in its place.  The download itself uses requests, which
supports proxies (``HTTPS_PROXY``, ``NO_PROXY``) and certificates.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pooch
import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from poisonbench.data.base import DatasetError
from poisonbench.data.files import checksum
from poisonbench.datasets.catalogue.limits import SOCKS, FetchError, Limits, check_redirect, shown
from poisonbench.datasets.catalogue.lock import claimed
from poisonbench.version import __version__

__all__ = ["FetchError", "Limits", "download"]

CHUNK = 1 << 16
"""Bytes read at a time."""

MAX_REDIRECTS = 5


class _PassingError(Exception):
    """A failure that the next attempt may avoid."""


class _UnfinishedError(FetchError):
    """There is no time left, but the next download can use what has arrived."""


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None,
    max_bytes: int,
    limits: Limits | None = None,
    progress: bool = False,
    accept: Callable[[Path], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Download a file, unless it exists.

    An interrupted attempt leaves ``NAME.part``, and the next attempt, in this run or another,
    continues from there.  Without a checksum, every attempt starts over, because it could not be
    checked that the pieces fit together.  Without a checksum, an answer of unknown length is also
    refused, because a truncated file would go unnoticed.  If several processes want the same file,
    one downloads it and the others wait.

    Parameters
    ----------
    url : str
        Its address, http or https.  Redirects to another scheme are refused.
    path : Path
        Where to put it; the folder is created if necessary.
    sha256 : str or None
        Its checksum.
    max_bytes : int
        Size limit; a larger file is refused.
    limits : Limits, optional
        Limits of time and attempts.
    progress : bool
        Whether to show a progress bar on stderr.
    accept : callable, optional
        Called with the complete download before it is put in its place; raises DatasetError to
        refuse it.
    say : callable, optional
        Called with messages, a line each.

    Raises
    ------
    FetchError
        The file could not be downloaded, or is not the right one; `path` does not exist then.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise FetchError(f"{shown(url)}: expected an address that begins with https:// or http://")
    pooch.get_logger().setLevel(logging.WARNING)
    limits = limits or Limits()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with claimed(path, limits.total, say) as part, _session(scheme) as session:
            if path.exists():
                return
            downloader = _Downloader(session, part, sha256, max_bytes, limits, progress, accept)
            known = f"sha256:{sha256}" if sha256 else None
            try:
                # Download before calling pooch, which if killed would leave a temporary file.
                downloader.download(url)
                # Copy, do not move: the part is the lock that other processes wait for.
                pooch.retrieve(url, known, path.name, path.parent,
                               downloader=lambda _, out, __: shutil.copy(part, out))  # fmt: skip
            finally:
                if not downloader.unfinished:
                    os.truncate(part, 0)
    except ValueError as error:  # raised by pooch for a wrong checksum
        raise FetchError(f"{shown(url)}: {error}") from error
    except OSError as error:
        part = path.with_name(f"{path.name}.part")
        kept = f"; what has arrived is kept in {part}" if part.is_file() else ""
        raise FetchError(f"{path}: cannot be written: {error.strerror or error}{kept}") from error


@contextmanager
def _session(scheme: str) -> Iterator[requests.Session]:
    """Open a session for https, and for http only if the address has that scheme."""
    with requests.Session() as session:
        session.adapters.clear()
        for spoken in {scheme, "https"}:
            session.mount(f"{spoken}://", HTTPAdapter())
        session.headers["User-Agent"] = f"poisonbench/{__version__}"
        # No compression, so that a small answer cannot expand to a large one.
        session.headers["Accept-Encoding"] = "identity"
        yield session


@dataclass
class _Downloader:
    """The download to the part file, in several attempts if necessary."""

    session: requests.Session
    part: Path
    sha256: str | None
    max_bytes: int
    limits: Limits
    progress: bool
    accept: Callable[[Path], None] | None
    unfinished: bool = False  # whether the part is worth keeping

    def download(self, url: str) -> None:
        """Download `url` to the part file, and check it."""
        deadline = time.monotonic() + self.limits.total
        self.unfinished = self.resumable
        for attempt in range(self.limits.retries + 1):
            if attempt:
                pause = self.limits.pause * 2 ** (attempt - 1)
                time.sleep(max(min(pause, deadline - time.monotonic()), 0))
            try:
                self._attempt(url, deadline)
                break
            except _PassingError as error:
                problem = str(error)
                if time.monotonic() > deadline:
                    raise self._too_late(url) from error
            except _UnfinishedError:
                raise
            except FetchError:
                self.unfinished = False
                raise
        else:
            raise FetchError(f"{shown(url)}: {problem}; {self.limits.retries + 1} attempts"
                             f"{self._left()}")  # fmt: skip
        self.unfinished = False
        if self.sha256 and checksum(self.part) != self.sha256:
            self._check_no_page(url)
        elif self.accept:
            try:
                self.accept(self.part)
            except DatasetError as error:
                self._check_no_page(url)
                raise FetchError(f"{shown(url)} is not the data: {error}") from error

    @property
    def resumable(self) -> bool:
        """Whether pieces of several attempts may be joined: if a checksum can prove it right."""
        return self.sha256 is not None

    def _check_no_page(self, url: str) -> None:
        """Raise FetchError if the server sent a web page, such as a login page."""
        with self.part.open("rb") as file:
            start = file.read(256).lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            raise FetchError(f"{shown(url)} is not the data: the server sent a web page in its "
                             "place; look at it in a browser")  # fmt: skip

    def _too_late(self, url: str) -> FetchError:
        return _UnfinishedError(f"{shown(url)}: not done in {self.limits.total:g} s{self._left()}")

    def _left(self) -> str:
        size = self.part.stat().st_size
        if not size or not self.resumable:
            return ""
        return f"; {size} bytes are kept in {self.part}; run the same command again to resume"

    def _attempt(self, url: str, deadline: float) -> None:
        """Download the rest of the file."""
        start = self.part.stat().st_size if self.resumable else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            # Follow redirects here: requests would read the body of each, whatever its size.
            place = url
            for _ in range(MAX_REDIRECTS + 1):
                with self.session.get(
                    place,
                    headers=headers,
                    stream=True,
                    timeout=self.limits.timeout,
                    allow_redirects=False,
                ) as response:
                    if not response.is_redirect:
                        start = self._check(url, response, start)
                        self._receive(response, start, deadline)
                        return
                    following = urljoin(place, response.headers["Location"])
                check_redirect(place, following)
                place = following
            raise FetchError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects")
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _PassingError(f"no answer for {self.limits.timeout:g} s") from error
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise _PassingError(f"the connection failed or was cut ({_cause(error)})") from error
        except requests.RequestException as error:
            what = SOCKS if "SOCKS" in str(error) else error
            raise FetchError(f"{shown(url)}: {what}") from error

    def _check(self, url: str, response: requests.Response, start: int) -> int:
        """Return the byte at which the response begins in the file, after checking its status."""
        status = response.status_code
        partial = status == requests.codes.partial
        if status == requests.codes.requested_range_not_satisfiable or (
            partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        ):
            os.truncate(self.part, 0)
            raise _PassingError("the server cannot resume the download")
        if status >= 500 or status in (requests.codes.too_many, requests.codes.request_timeout):
            raise _PassingError(f"the server answered {status} {response.reason}")
        if status != requests.codes.ok and not partial:
            raise FetchError(f"{shown(url)}: the server answered {status} {response.reason}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{shown(url)}: the server sends it compressed, which is refused")
        return start if partial else 0

    def _receive(self, response: requests.Response, start: int, deadline: float) -> None:
        """Write the body of a response to the part file, from byte `start`."""
        length = response.headers.get("Content-Length", "")
        expected = start + int(length) if length.isdigit() else None
        if expected and expected > self.max_bytes:
            raise self._too_large(response.url, expected)
        if expected is None and not self.resumable and not response.raw.chunked:
            raise FetchError(f"{shown(response.url)}: the server does not say how long the file "
                             "is, and its checksum is not known, so a truncated file would go "
                             "unnoticed; put it there by hand")  # fmt: skip
        size = start
        with (
            self.part.open("r+b") as file,
            tqdm(
                desc=self.part.stem,
                total=expected,
                initial=start,
                unit="B",
                unit_scale=True,
                disable=not self.progress,
                file=sys.stderr,
                mininterval=0.2 if sys.stderr.isatty() else 10,
            ) as bar,
        ):
            file.truncate(start)
            file.seek(start)
            # read1 returns what has arrived; on a slow line, a full chunk takes long.
            while block := response.raw.read1(CHUNK):
                size += len(block)
                if size > self.max_bytes:
                    raise self._too_large(response.url, size)
                if time.monotonic() > deadline:
                    file.flush()
                    raise self._too_late(response.url)
                file.write(block)
                bar.update(len(block))

    def _too_large(self, url: str, size: int) -> FetchError:
        return FetchError(f"{shown(url)}: {size} bytes or more, where {self.max_bytes} are the "
                          "limit")  # fmt: skip


def _cause(error: BaseException) -> str:
    """Return the innermost cause of a failed connection."""
    while inner := next((a for a in error.args if isinstance(a, BaseException)), None):
        error = inner
    return " ".join(str(getattr(error, "reason", None) or error).split())
