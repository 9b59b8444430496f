"""Download of one file: resumed where it broke off, bounded, checked, placed whole or not at all.

pooch checks the checksum and moves the file to its place; what it leaves to a downloader is done
here with requests, which knows proxies (``HTTPS_PROXY``, ``NO_PROXY``) and certificates.
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

import poisonbench
from poisonbench.data.base import DatasetError
from poisonbench.data.files import checksum
from poisonbench.datasets.catalogue.limits import SOCKS, FetchError, Limits, check_redirect, shown
from poisonbench.datasets.catalogue.lock import claimed

__all__ = ["FetchError", "Limits", "download"]

CHUNK = 1 << 16
"""Bytes read at a time."""

MAX_REDIRECTS = 5


class _PassingError(Exception):
    """What may go better at the next attempt."""


class _UnfinishedError(FetchError):
    """There is no time for another attempt, but what was downloaded can be used by the next."""


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
    """Download a file, unless it is there.

    An attempt that broke off leaves ``NAME.part``, and the next one goes on from there, now or in
    another run; without a checksum it starts over, for nothing would tell whether the pieces fit,
    and an answer that does not say how long the file is is refused, for it could be cut unseen.
    Of several processes that want the same file one downloads it and the others wait.

    Parameters
    ----------
    url : str
        Its address, http or https.  Redirects to another scheme are refused.
    path : Path
        Its place; the folder is made if need be.
    sha256 : str or None
        Its checksum.
    max_bytes : int
        A larger file is refused.
    limits : Limits, optional
        How long it may take.
    progress : bool
        Whether to show a progress bar on stderr.
    accept : callable, optional
        Raises a DatasetError if the downloaded file is not what was wanted; what it writes is there
        before the file is.
    say : callable, optional
        Takes a line of news.

    Raises
    ------
    FetchError
        It could not be downloaded, or is not the file wanted.  Nothing is at `path` then.
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
                # Before pooch has its turn: a kill would leave the file that it copies to.
                downloader.download(url)
                # Copied, not moved: until the file is in its place the part keeps others waiting.
                pooch.retrieve(url, known, path.name, path.parent,
                               downloader=lambda _, out, __: shutil.copy(part, out))  # fmt: skip
            finally:
                if not downloader.unfinished:
                    os.truncate(part, 0)
    except ValueError as error:  # of pooch: the checksum
        raise FetchError(f"{shown(url)}: {error}") from error
    except OSError as error:
        part = path.with_name(f"{path.name}.part")
        kept = f"; what came is kept in {part}" if part.is_file() else ""
        raise FetchError(f"{path}: cannot be written: {error.strerror or error}{kept}") from error


@contextmanager
def _session(scheme: str) -> Iterator[requests.Session]:
    """Open a session that speaks https, and http only to what was asked for by it."""
    with requests.Session() as session:
        session.adapters.clear()
        for spoken in {scheme, "https"}:
            session.mount(f"{spoken}://", HTTPAdapter())
        session.headers["User-Agent"] = f"poisonbench/{poisonbench.__version__}"
        # Nothing is unpacked, so nothing small can become large.
        session.headers["Accept-Encoding"] = "identity"
        yield session


@dataclass
class _Downloader:
    """Downloads to the part, in as many attempts as it takes."""

    session: requests.Session
    part: Path
    sha256: str | None
    max_bytes: int
    limits: Limits
    progress: bool
    accept: Callable[[Path], None] | None
    unfinished: bool = False  # whether the part is worth keeping

    def download(self, url: str) -> None:
        """Make the part the file that `url` is the address of."""
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
        """Whether pieces of several attempts can be told to be the file."""
        return self.sha256 is not None

    def _check_no_page(self, url: str) -> None:
        """Complain of a server that answers everything with a page, such as one to log in."""
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
        return f"; {size} bytes are kept in {self.part}, and the same command goes on from there"

    def _attempt(self, url: str, deadline: float) -> None:
        """Download what is missing."""
        start = self.part.stat().st_size if self.resumable else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            # Redirects are followed here: requests would read the body of each, whatever its size.
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
        """Return at which byte of the file a response begins, provided that it is one."""
        status = response.status_code
        partial = status == requests.codes.partial
        if status == requests.codes.requested_range_not_satisfiable or (
            partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        ):
            os.truncate(self.part, 0)
            raise _PassingError("the server does not go on from what was kept")
        if status >= 500 or status in (requests.codes.too_many, requests.codes.request_timeout):
            raise _PassingError(f"the server answered {status} {response.reason}")
        if status != requests.codes.ok and not partial:
            raise FetchError(f"{shown(url)}: the server answered {status} {response.reason}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{shown(url)}: the server sends it packed, which is refused")
        return start if partial else 0

    def _receive(self, response: requests.Response, start: int, deadline: float) -> None:
        """Append the body of a response to the part that is there."""
        length = response.headers.get("Content-Length", "")
        expected = start + int(length) if length.isdigit() else None
        if expected and expected > self.max_bytes:
            raise self._too_large(response.url, expected)
        if expected is None and not self.resumable and not response.raw.chunked:
            raise FetchError(f"{shown(response.url)}: the server does not say how long the file "
                             "is, and no checksum is known of it: nothing would tell it from one "
                             "that was cut; put it there by hand")  # fmt: skip
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
            # Whatever has arrived: a whole chunk may never be full on a slow line.
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
    """Return the innermost reason that a library gives for a failed connection."""
    while inner := next((a for a in error.args if isinstance(a, BaseException)), None):
        error = inner
    return " ".join(str(getattr(error, "reason", None) or error).split())
