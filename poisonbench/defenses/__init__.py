"""Defenses, one a file, each a scikit-learn estimator."""

from poisonbench.defenses.base import Defense

__all__ = ["Defense"]
