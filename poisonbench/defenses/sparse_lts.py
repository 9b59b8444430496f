"""Sparse least trimmed squares (Alfons, Croux and Gelper 2013).

    minimise (1/h) sum_{i in I} r_i^2 + lambda ||w||_1 over theta and over sets I of h rows,

by concentration steps with the LASSO, for each lambda of a grid; then a LASSO fit to all rows
that lie within 2.5 scales, whose BIC chooses lambda.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from poisonbench.defenses._concentration import Run, best_run
from poisonbench.defenses._core import Core, left_out_residuals, starts
from poisonbench.defenses._fits import fits
from poisonbench.defenses.base import Defense
from poisonbench.defenses.fast_lts import lts_scale
from poisonbench.features import FloatArray
from poisonbench.models import Lasso

GRID = np.logspace(0, -3, 7)
"""Strengths to choose from, relative to the one that leaves no feature."""
