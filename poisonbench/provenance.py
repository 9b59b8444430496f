"""What ran: versions, machine, linear algebra.  Kept beside the numbers, never among them."""

from __future__ import annotations

import platform
import socket
from functools import cache
from importlib.metadata import version
from typing import Any

import threadpoolctl

import poisonbench

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "joblib")


@cache
def facts() -> dict[str, Any]:
    """Return the versions and the machine that this process computes with, as JSON values."""
    return {
        "poisonbench": poisonbench.__version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "blas": [
            {key: pool.get(key) for key in ("internal_api", "version", "architecture")}
            for pool in threadpoolctl.threadpool_info()
            if pool.get("user_api") == "blas"
        ],
    }
