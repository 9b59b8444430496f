"""Data-poisoning attacks on linear regression, and the defenses against them.

In Python, :func:`run` runs a config and :func:`load_results` reads the results of a run;
:func:`audit` says how far bad rows can move a model of your own data;
:func:`suspicious_rows` lists the rows of your own data that a robust regression disagrees with.
:mod:`poisonbench.attacks`, :mod:`poisonbench.defenses` and :mod:`poisonbench.models` contain the
components, for use on your own data.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from poisonbench.version import __version__

if TYPE_CHECKING:
    from poisonbench.api import RunError, load_results, run
    from poisonbench.auditing.audit import Audit
    from poisonbench.auditing.frames import audit
    from poisonbench.defending.api import suspicious_rows
    from poisonbench.output.tables import Results

__all__ = [
    "Audit",
    "Results",
    "RunError",
    "__version__",
    "audit",
    "load_results",
    "run",
    "suspicious_rows",
]

_ELSEWHERE = {
    "Audit": "poisonbench.auditing.audit",
    "audit": "poisonbench.auditing.frames",
    "suspicious_rows": "poisonbench.defending.api",
}
"""The modules of the names that :mod:`poisonbench.api` does not have."""


def __getattr__(name: str) -> Any:
    """Import the slow modules behind the public names only when one of the names is used."""
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "poisonbench.api")), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
