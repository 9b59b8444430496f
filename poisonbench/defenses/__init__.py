"""Defenses, one a file, each a scikit-learn estimator."""

from poisonbench.defenses.base import Defense
from poisonbench.defenses.chen import ChenDefense
from poisonbench.defenses.fast_lts import LTSRegressor
from poisonbench.defenses.huber import HuberDefense
from poisonbench.defenses.mm import MMRegressor
from poisonbench.defenses.ransac import RANSACDefense
from poisonbench.defenses.roni import RONIDefense
from poisonbench.defenses.sparse_lts import SparseLTSRegressor
from poisonbench.defenses.trim import TRIMRegressor

__all__ = [
    "ChenDefense",
    "Defense",
    "HuberDefense",
    "LTSRegressor",
    "MMRegressor",
    "RANSACDefense",
    "RONIDefense",
    "SparseLTSRegressor",
    "TRIMRegressor",
]
