"""The versions, machine and linear algebra library of a process, stored apart from the results."""

from __future__ import annotations

import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import threadpoolctl

from poisonbench.version import __version__

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "joblib", "numba")


@cache
def facts() -> dict[str, Any]:
    """Return the versions and the machine of this process, as JSON values."""
    return {
        "poisonbench": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "blas": [
            {key: pool.get(key) for key in ("internal_api", "version", "architecture")}
            for pool in threadpoolctl.threadpool_info()
            if pool.get("user_api") == "blas"
        ],
    }


def _version(name: str) -> str | None:
    """Return the version of a distribution; None for an extra that is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
