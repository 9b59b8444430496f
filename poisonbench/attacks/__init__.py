"""The attacks, one in each file, and the initializations and outer objectives.

All of them can be imported from here.  The registry finds them when they are needed, so a new file
does not have to be listed here.
"""

from typing import TYPE_CHECKING, Any

from poisonbench import registry
from poisonbench.attacks.base import Attack as Attack
from poisonbench.attacks.initialization import Initialization as Initialization
from poisonbench.attacks.objectives import OuterObjective as OuterObjective

if TYPE_CHECKING:  # type checkers and editors do not run __getattr__
    from poisonbench.attacks.adaptive import Adaptive as Adaptive
    from poisonbench.attacks.auto import Auto as Auto
    from poisonbench.attacks.bgd import BGD as BGD
    from poisonbench.attacks.coordinate import Coordinate as Coordinate
    from poisonbench.attacks.file import File as File
    from poisonbench.attacks.initialization import BFlip as BFlip
    from poisonbench.attacks.initialization import InvFlip as InvFlip
    from poisonbench.attacks.none import NoAttack as NoAttack
    from poisonbench.attacks.objectives import Clipped as Clipped
    from poisonbench.attacks.objectives import PredictionShift as PredictionShift
    from poisonbench.attacks.objectives import Training as Training
    from poisonbench.attacks.objectives import Validation as Validation
    from poisonbench.attacks.optp import OptP as OptP
    from poisonbench.attacks.sever import Sever as Sever
    from poisonbench.attacks.statp import StatP as StatP
    from poisonbench.attacks.subpopulation import Subpopulation as Subpopulation


def __getattr__(name: str) -> Any:
    return registry.exported(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *registry.exported(__name__, "__all__")})
