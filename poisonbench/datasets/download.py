"""Download of one file: resumed where it broke off, bounded, checked, placed whole or not at all.

pooch checks the checksum and moves the file to its place; what it leaves to a downloader is done
here with requests, which knows proxies (``HTTPS_PROXY``, ``NO_PROXY``) and certificates.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import pooch
import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

import poisonbench
from poisonbench.data.base import DatasetError

CHUNK = 1 << 16
"""Bytes read at a time."""

MAX_REDIRECTS = 5


class FetchError(Exception):
    """A data set cannot be fetched; the message says why and what to do."""


class _PassingError(Exception):
    """What may go better at the next attempt."""


@dataclass(frozen=True)
class Limits:
    """How long a download may take, and how often it is tried.

    Parameters
    ----------
    timeout : float
        Seconds without an answer, or without a byte, after which an attempt has failed.
    retries : int
        Further attempts after one that failed.
    pause : float
        Seconds before the first of them; it doubles each time.
    total : float
        Seconds that the whole download may take.
    """

    timeout: float = 30.0
    retries: int = 4
    pause: float = 1.0
    total: float = 1800.0


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None,
    max_bytes: int,
    limits: Limits | None = None,
    progress: bool = False,
    accept: Callable[[Path], None] | None = None,
) -> None:
    """Download a file, unless it is there.

    An attempt that broke off leaves ``NAME.part``, and the next one goes on from there, now or in
    another run; without a checksum it starts over, for nothing would tell whether the pieces fit.
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
        Raises a DatasetError if the downloaded file is not what was wanted.

    Raises
    ------
    FetchError
        It could not be downloaded, or is not the file wanted.  Nothing is at `path` then.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise FetchError(f"{url}: expected an address that begins with https:// or http://")
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(path) as part, _session(scheme) as session:
            if path.exists():
                return
            downloader = _Downloader(
                session, part, sha256 is not None, max_bytes, limits or Limits(), progress, accept
            )
            known = f"sha256:{sha256}" if sha256 else None
            try:
                pooch.retrieve(url, known, path.name, path.parent, downloader=downloader)
            finally:
                if not downloader.unfinished:
                    os.truncate(part, 0)
    except ValueError as error:  # of pooch: the checksum
        raise FetchError(f"{url}: {error}") from error
    except OSError as error:
        raise FetchError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def _claimed(path: Path) -> Iterator[Path]:
    """Give the file of an unfinished download of `path`, once nobody else is at it."""
    part = path.with_name(f"{path.name}.part")
    while True:
        with part.open("ab") as file:
            with suppress(OSError):  # a file system without locks: the checksum has to do
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held the lock may have moved or deleted what was opened here.
            if not _is_at(part, file):
                continue
            try:
                yield part
            finally:
                if _is_at(part, file) and not part.stat().st_size:
                    part.unlink()
            return


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is still the one at `path`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


@contextmanager
def _session(scheme: str) -> Iterator[requests.Session]:
    """Open a session that speaks one scheme only, so that no redirect can lead to another."""
    with requests.Session() as session:
        session.adapters.clear()
        session.mount(f"{scheme}://", HTTPAdapter())
        session.headers["User-Agent"] = f"poisonbench/{poisonbench.__version__}"
        # Nothing is unpacked, so nothing small can become large.
        session.headers["Accept-Encoding"] = "identity"
        yield session


@dataclass
class _Downloader:
    """A downloader as pooch calls it."""

    session: requests.Session
    part: Path
    resumable: bool
    max_bytes: int
    limits: Limits
    progress: bool
    accept: Callable[[Path], None] | None
    unfinished: bool = False  # whether the part is worth keeping

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Download `url` to the file that pooch made."""
        deadline = time.monotonic() + self.limits.total
        self.unfinished = self.resumable
        for attempt in range(self.limits.retries + 1):
            if attempt:
                time.sleep(self.limits.pause * 2 ** (attempt - 1))
            try:
                self._attempt(url, deadline)
                break
            except _PassingError as error:
                problem = str(error)
            except FetchError:
                self.unfinished = False
                raise
        else:
            raise FetchError(f"{url}: {problem}; {self.limits.retries + 1} attempts{self._left()}")
        self.unfinished = False
        if self.accept:
            try:
                self.accept(self.part)
            except DatasetError as error:
                raise FetchError(f"{url} is not the data: {error}") from error
        # Copied, not moved: until the file is in its place the part keeps others waiting.
        shutil.copy(self.part, output_file)

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
                if urlsplit(following).scheme != urlsplit(url).scheme:
                    raise FetchError(f"{url}: redirects to another scheme, which is refused; "
                                     "give the final address as the mirror")  # fmt: skip
                place = following
            raise FetchError(f"{url}: more than {MAX_REDIRECTS} redirects")
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _PassingError(f"no answer for {self.limits.timeout:g} s") from error
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise _PassingError(f"the connection failed or was cut ({_cause(error)})") from error
        except requests.RequestException as error:
            raise FetchError(f"{url}: {error}") from error

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
            raise FetchError(f"{url}: the server answered {status} {response.reason}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{url}: the server sends it packed, which is refused")
        return start if partial else 0

    def _receive(self, response: requests.Response, start: int, deadline: float) -> None:
        """Append the body of a response to the part that is there."""
        length = response.headers.get("Content-Length", "")
        expected = start + int(length) if length.isdigit() else None
        if expected and expected > self.max_bytes:
            raise self._too_large(response.url, expected)
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
                    raise FetchError(f"{response.url}: not done in {self.limits.total:g} s")
                file.write(block)
                bar.update(len(block))

    def _too_large(self, url: str, size: int) -> FetchError:
        return FetchError(f"{url}: {size} bytes or more, where {self.max_bytes} are the limit")


def _cause(error: BaseException) -> str:
    """Return the innermost reason that a library gives for a failed connection."""
    while inner := next((a for a in error.args if isinstance(a, BaseException)), None):
        error = inner
    return " ".join(str(getattr(error, "reason", None) or error).split())
