"""The plan of an output folder as a config: to run it again, to add to it, or to draw its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poisonbench.config.source import Source
from poisonbench.output.layout import StoreError


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the content of ``plan.json``: config, hashes of contents, version of the results.

    Raises
    ------
    StoreError
        The folder has no ``plan.json``, or it is damaged.
    """
    path = folder / "plan.json"
    if not folder.is_dir():
        what = f"{folder} is a file" if folder.exists() else f"{folder}: no folder"
        raise StoreError(f"{what}; expected the output folder of poisonbench run or sweep")
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        dict(plan["config"])
    except FileNotFoundError:
        raise StoreError(f"{folder}: no plan.json; expected the output folder of poisonbench run "
                         "or sweep") from None  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: not the plan of a run ({error})") from None
    return plan


def config_of(folder: Path) -> Source:
    """Return the config that an output folder was computed from, to be loaded as a sweep.

    Its relative paths are relative to the current folder, because the folder of the config file is
    not stored.

    Raises
    ------
    StoreError
        As for :func:`read_plan`.
    """
    config = dict(read_plan(folder)["config"])
    rates = config.get("poisoning_rate")
    if rates is not None and not isinstance(rates, list):
        config["poisoning_rate"] = [rates]  # a sweep replaces a single rate by the paper's
    return Source(folder / "plan.json", config, folder=Path())
