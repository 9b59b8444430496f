"""Limits for a library's own downloads: size, time, compression and redirects; and a progress bar.

scikit-learn downloads with ``urllib.request.urlopen``, without any limits.  urllib allows replacing
the opener behind ``urlopen``, and our opener applies the limits of our own downloads.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from typing import IO
from urllib.request import BaseHandler, HTTPRedirectHandler, Request

from tqdm import tqdm

from poisonbench.datasets.catalogue.limits import FetchError, Limits, check_redirect


@contextmanager
def bounded_urllib(
    name: str, limits: Limits, max_bytes: int, *, progress: bool = False
) -> Iterator[None]:
    """Limit the downloads of ``urllib.request.urlopen`` during the block, in all threads.

    Parameters
    ----------
    name : str
        Label of the progress bar.
    limits : Limits
        Limits of time, for all downloads together.
    max_bytes : int
        Size limit of each download.
    progress : bool
        Whether to show a progress bar on stderr.

    Raises
    ------
    FetchError
        Raised by the call that exceeds a limit.
    """
    with tqdm(
        desc=name,
        unit="B",
        unit_scale=True,
        disable=not progress,
        file=sys.stderr,
        mininterval=0.2 if sys.stderr.isatty() else 10,
    ) as bar:
        bounds = _Bounds(limits, max_bytes, bar.update)
        urllib.request.install_opener(urllib.request.build_opener(bounds, _Redirects))
        try:
            yield
        finally:
            # Back to urllib's default opener, which it creates when needed.
            urllib.request.install_opener(None)


class _Redirects(HTTPRedirectHandler):
    """Redirect handler with the rules of our own downloads."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        try:
            check_redirect(req.full_url, newurl)
        except FetchError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Bounds(BaseHandler):
    """Handler that limits every request before it is sent, and every response before it is read."""

    def __init__(self, limits: Limits, max_bytes: int, advance: Callable[[int], object]) -> None:
        self.limits = limits
        self.max_bytes = max_bytes
        self.advance = advance
        self.deadline = time.monotonic() + limits.total

    def http_request(self, request: Request) -> Request:
        # No compression, so that a small answer cannot expand to a large one.
        request.remove_header("Accept-encoding")
        request.timeout = self.limits.timeout
        return request

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        url = request.full_url
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise FetchError(f"{url}: the server sends it compressed, which is refused")
        read, size = response.read, 0

        def bounded(amt: int | None = None) -> bytes:
            nonlocal size
            left = self.max_bytes - size + 1
            block = read(left if amt is None or amt < 0 else min(amt, left))
            size += len(block)
            self.advance(len(block))
            if size > self.max_bytes:
                raise self._too_large(url)
            if time.monotonic() > self.deadline:
                raise FetchError(f"{url}: not done in {self.limits.total:g} s")
            return block

        response.read = bounded  # type: ignore[method-assign]
        return response

    https_request = http_request
    https_response = http_response

    def _too_large(self, url: str) -> FetchError:
        return FetchError(f"{url}: more than {self.max_bytes} bytes, which are the limit")
