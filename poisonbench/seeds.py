"""Named streams of random numbers.

A stream depends on its purpose and not on the order in which code runs: the split of seed 3 is the
same for one attack or ten, in one process or eight.  So adding an attack, a rate or a defense to an
experiment does not change the other results, and comparisons are paired.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def entropy(seed: int, role: str, *keys: object) -> int:
    """Return the 64-bit entropy of the stream ``role`` of ``seed``.

    Parameters
    ----------
    seed : int
        The experiment's seed.
    role : str
        The purpose of the stream: ``"split"``, ``"attack"``, ``"defense"``, ...
    *keys : object
        Anything else that the stream depends on; JSON values.

    Returns
    -------
    int
        The first 64 bits of the SHA-256 of the canonical JSON of the arguments.
    """
    text = json.dumps([seed, role, *keys], sort_keys=True, separators=(",", ":"))
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)


def generator(seed: int, role: str, *keys: object) -> np.random.Generator:
    """Return a fresh generator of the stream ``role`` of ``seed``; see :func:`entropy`."""
    return np.random.default_rng(np.random.SeedSequence(entropy(seed, role, *keys)))


def random_state(seed: int, role: str, *keys: object) -> int:
    """Return the stream as an integer ``random_state`` for scikit-learn."""
    return entropy(seed, role, *keys) % 2**32
