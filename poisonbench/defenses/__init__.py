"""Defenses, one a file, each a scikit-learn estimator.

Not among them is robust logistic regression (RoLR; Feng, Xu, Mannor and Yan 2014): it drops rows
of large norm and maximises a trimmed sum of the correlations y_i w.x_i, for responses that are
-1 or 1, and what it finds is the direction of w, which decides a class, not its length, which a
regression needs.  The part of it that has a counterpart in linear regression, the trimmed inner
product, is in :class:`ChenDefense`.
"""

from poisonbench.defenses.base import Defense
from poisonbench.defenses.chen import ChenDefense
from poisonbench.defenses.crr import CRRDefense
from poisonbench.defenses.fast_lts import LTSRegressor
from poisonbench.defenses.huber import HuberDefense
from poisonbench.defenses.itrim import ITRIMRegressor
from poisonbench.defenses.low_rank import LowRankDefense
from poisonbench.defenses.mm import MMRegressor
from poisonbench.defenses.nlid import NLIDDefense
from poisonbench.defenses.proda import ProdaDefense
from poisonbench.defenses.ransac import RANSACDefense
from poisonbench.defenses.romp import RoMPDefense
from poisonbench.defenses.roni import RONIDefense
from poisonbench.defenses.sanitizer import SanitizerDefense
from poisonbench.defenses.sever import SEVERDefense
from poisonbench.defenses.sparse_lts import SparseLTSRegressor
from poisonbench.defenses.theil_sen import TheilSenDefense
from poisonbench.defenses.torrent import TORRENTDefense
from poisonbench.defenses.trim import TRIMRegressor

__all__ = [
    "CRRDefense",
    "ChenDefense",
    "Defense",
    "HuberDefense",
    "ITRIMRegressor",
    "LTSRegressor",
    "LowRankDefense",
    "MMRegressor",
    "NLIDDefense",
    "ProdaDefense",
    "RANSACDefense",
    "RONIDefense",
    "RoMPDefense",
    "SEVERDefense",
    "SanitizerDefense",
    "SparseLTSRegressor",
    "TORRENTDefense",
    "TRIMRegressor",
    "TheilSenDefense",
]
