"""What a download may do: how long it may take, where it may be sent, and how it fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LARGEST = 200_000_000
"""Bytes of the largest file that is fetched without knowing its size."""


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
        Further attempts after one that failed.
    pause : float
        Seconds before the first of them; it doubles each time.
    total : float
        Seconds that the whole download may take, and that another process is waited for.
    """

    timeout: float = 30.0
    retries: int = 4
    pause: float = 1.0
    total: float = 1800.0


def check_redirect(here: str, there: str) -> None:
    """Refuse a redirect to another scheme, but from http to https on the same host.

    Parameters
    ----------
    here, there : str
        The address that was asked, and the one that it sends to.

    Raises
    ------
    FetchError
        It is refused.
    """
    source, target = urlsplit(here), urlsplit(there)
    upgrade = (source.scheme, target.scheme) == ("http", "https")
    if source.scheme != target.scheme and not (upgrade and source.hostname == target.hostname):
        raise FetchError(f"{shown(here)}: redirects to another scheme ({shown(there)}), which is "
                         "refused")  # fmt: skip


def shown(url: str) -> str:
    """Return an address as messages show it: without name and password."""
    return re.sub(r"(?<=//)[^/]*@", "", url)


SOCKS = (
    "the proxy is a SOCKS proxy, which needs another package (python -m pip install "
    "'requests[socks]'), and does not serve what comes through scikit-learn; set HTTPS_PROXY to an "
    "HTTP proxy, or POISONBENCH_MIRROR to a mirror"
)
"""What to do where a library cannot speak to a proxy."""
