"""The defenses, one in each file, each a scikit-learn estimator.

Robust logistic regression (RoLR; Feng, Xu, Mannor and Yan 2014) is not included.  It drops rows of
large norm and maximises a trimmed sum of the correlations y_i w.x_i, where the responses are -1 or
1.  This finds the direction of w, which decides the class, but not its length, which regression
needs.  Its trimmed inner product, which does apply to linear regression, is in
:class:`ChenDefense`.

All defenses can be imported from here.  The registry finds them when they are needed, so a new file
does not have to be listed here.
"""

from typing import TYPE_CHECKING, Any

from poisonbench import registry
from poisonbench.defenses.base import Defense as Defense

if TYPE_CHECKING:  # type checkers and editors do not run __getattr__
    from poisonbench.defenses.certified_ridge import CertifiedRidge as CertifiedRidge
    from poisonbench.defenses.chen import ChenDefense as ChenDefense
    from poisonbench.defenses.crr import CRRDefense as CRRDefense
    from poisonbench.defenses.fast_lts import LTSRegressor as LTSRegressor
    from poisonbench.defenses.huber import HuberDefense as HuberDefense
    from poisonbench.defenses.itrim import ITRIMRegressor as ITRIMRegressor
    from poisonbench.defenses.low_rank import LowRankDefense as LowRankDefense
    from poisonbench.defenses.mm import MMRegressor as MMRegressor
    from poisonbench.defenses.nlid import NLIDDefense as NLIDDefense
    from poisonbench.defenses.proda import ProdaDefense as ProdaDefense
    from poisonbench.defenses.ransac import RANSACDefense as RANSACDefense
    from poisonbench.defenses.romp import RoMPDefense as RoMPDefense
    from poisonbench.defenses.roni import RONIDefense as RONIDefense
    from poisonbench.defenses.sanitizer import SanitizerDefense as SanitizerDefense
    from poisonbench.defenses.sever import SEVERDefense as SEVERDefense
    from poisonbench.defenses.sparse_lts import SparseLTSRegressor as SparseLTSRegressor
    from poisonbench.defenses.theil_sen import TheilSenDefense as TheilSenDefense
    from poisonbench.defenses.torrent import TORRENTDefense as TORRENTDefense
    from poisonbench.defenses.trim import TRIMRegressor as TRIMRegressor


def __getattr__(name: str) -> Any:
    return registry.exported(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *registry.exported(__name__, "__all__")})
