"""Defenses, one a file, each a scikit-learn estimator."""

from poisonbench.defenses.base import Defense
from poisonbench.defenses.trim import TRIMRegressor

__all__ = ["Defense", "TRIMRegressor"]
