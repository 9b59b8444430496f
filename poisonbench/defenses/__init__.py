"""Defenses, one a file, each a scikit-learn estimator."""

from poisonbench.defenses.base import Defense
from poisonbench.defenses.chen import ChenDefense
from poisonbench.defenses.huber import HuberDefense
from poisonbench.defenses.itrim import ITRIMRegressor
from poisonbench.defenses.ransac import RANSACDefense
from poisonbench.defenses.romp import RoMPDefense
from poisonbench.defenses.roni import RONIDefense
from poisonbench.defenses.theil_sen import TheilSenDefense
from poisonbench.defenses.trim import TRIMRegressor

__all__ = [
    "ChenDefense",
    "Defense",
    "HuberDefense",
    "ITRIMRegressor",
    "RANSACDefense",
    "RONIDefense",
    "RoMPDefense",
    "TRIMRegressor",
    "TheilSenDefense",
]
