"""Limits of downloads: time, attempts, size and redirects; and how they fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LARGEST = 200_000_000
"""Size limit in bytes of a file whose size is not known beforehand."""


class FetchError(Exception):
    """A data set cannot be fetched; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """How long a download may take, and how often it is tried.

    Parameters
    ----------
    timeout : float
        Seconds without an answer, or without a byte, after which an attempt has failed.
    retries : int
        Number of further attempts after a failure.
    pause : float
        Seconds before the first further attempt; it doubles each time.
    total : float
        Seconds for the whole download, and for waiting for another process.
    """

    timeout: float = 30.0
    retries: int = 4
    pause: float = 1.0
    total: float = 1800.0


def check_redirect(here: str, there: str) -> None:
    """Refuse a redirect to another scheme, except from http to https on the same host.

    Parameters
    ----------
    here, there : str
        The address of the request, and that of the redirect.

    Raises
    ------
    FetchError
        The redirect is refused.
    """
    source, target = urlsplit(here), urlsplit(there)
    upgrade = (source.scheme, target.scheme) == ("http", "https")
    if source.scheme != target.scheme and not (upgrade and source.hostname == target.hostname):
        raise FetchError(f"{shown(here)}: redirects to another scheme ({shown(there)}), which is "
                         "refused")  # fmt: skip


def shown(url: str) -> str:
    """Return an address for messages, without user name and password."""
    return re.sub(r"(?<=//)[^/]*@", "", url)


SOCKS = (
    "the proxy is a SOCKS proxy, which needs another package (python -m pip install "
    "'requests[socks]'); or set HTTPS_PROXY to an HTTP proxy, or POISONBENCH_MIRROR to a mirror"
)
"""What to do if the proxy is not supported."""
