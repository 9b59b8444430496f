"""Data-poisoning attacks on linear regression, and the defenses against them.

The package as a library: :func:`run` runs a config, :func:`load_results` reads what a run wrote;
:mod:`poisonbench.attacks`, :mod:`poisonbench.defenses` and :mod:`poisonbench.models` have the
components, to use on data of your own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poisonbench.api import RunError, load_results, run
    from poisonbench.output.tables import Results

__version__ = "0.1.0"

__all__ = ["Results", "RunError", "load_results", "run"]


def __getattr__(name: str) -> Any:
    """Import what it takes to run a config only where somebody asks for it."""
    if name in __all__:
        return getattr(import_module("poisonbench.api"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
