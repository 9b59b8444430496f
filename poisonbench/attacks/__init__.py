"""Attacks, one a file; initializations and outer objectives beside them."""

from poisonbench.attacks.base import Attack
from poisonbench.attacks.initialization import Initialization
from poisonbench.attacks.objectives import OuterObjective

__all__ = ["Attack", "Initialization", "OuterObjective"]
