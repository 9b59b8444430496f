"""What a defense is: a scikit-learn regressor that expects some of its rows to be poison."""

from __future__ import annotations

from typing import ClassVar

from sklearn.base import BaseEstimator, RegressorMixin


class Defense(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the defenses; a subclass has a ``name`` and a ``reference``.

    The pipeline passes what it knows to the parameters of these names, where ``__init__`` has
    them: ``estimator`` (the learner, unfitted), ``n_poison`` (the number of poison rows to
    assume) or ``contamination="auto"`` (estimate it), and ``random_state``.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
