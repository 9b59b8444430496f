"""The learner that a defense trains."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from poisonbench.models import Ridge


def learner(estimator: Any) -> Any:
    """Return an unfitted copy of `estimator`, or the default learner for None.

    Raises
    ------
    TypeError
        `estimator` is not a scikit-learn estimator.
    """
    if estimator is None:
        return Ridge()
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(
            f"estimator is {estimator!r}, expected a scikit-learn regressor, as in "
            "estimator=Ridge(alpha=0.1), or None"
        )
    return clone(estimator)
