"""Rows of the tables that are no defense: the undefended learner, the oracle, and baselines."""

from __future__ import annotations

from poisonbench.models import LinearModel, Ridge

HEAVY = 100
"""Factor of the penalty in the reference row heavy-ridge."""


def heavy_ridge(model: LinearModel) -> Ridge:
    """Return ridge with 100 times the penalty of `model`, or of the default for other learners."""
    if isinstance(model, Ridge) and model.alpha is not None:
        return Ridge(alpha=HEAVY * model.alpha)
    lam = model.lam if isinstance(model, Ridge) else None
    return Ridge(HEAVY * (Ridge.DEFAULT_LAMBDA if lam is None else lam))


REFERENCE_ROWS = {
    "none": "No defense: the learner fitted to all rows, poison included.",
    "oracle": "The learner fitted to the clean rows only: what a perfect defense would reach.",
    "median": "The median of all responses, whatever the features: no defense should do worse.",
    "heavy-ridge": "Ridge with 100 times the learner's penalty (of other learners: 100 times the "
    "default), on all rows: what shrinking alone does.",
}
"""Names that stand beside the defenses; the pipeline makes these rows itself."""
