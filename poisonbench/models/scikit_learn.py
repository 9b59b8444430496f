"""Convert an estimator of scikit-learn to the learner with the same minimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn import linear_model
from sklearn.base import clone

from poisonbench.models.base import LinearModel
from poisonbench.models.elastic_net import ElasticNet
from poisonbench.models.lasso import Lasso
from poisonbench.models.ols import OLS
from poisonbench.models.ridge import Ridge

# Exact types only, because subclasses such as MultiTaskLasso minimise something else.
_COUNTERPARTS: dict[type, Callable[[Any], LinearModel]] = {
    linear_model.LinearRegression: lambda model: OLS(),
    linear_model.Ridge: lambda model: Ridge(alpha=model.alpha),
    linear_model.Lasso: lambda model: Lasso(alpha=model.alpha),
    linear_model.ElasticNet: lambda model: ElasticNet(alpha=model.alpha, rho=model.l1_ratio),
}


def learner_of(model: Any) -> LinearModel:
    """Return an unfitted learner with the same minimiser as `model`.

    Parameters
    ----------
    model : LinearModel or scikit-learn's LinearRegression, Ridge, Lasso or ElasticNet
        The estimator, fitted or not; what it has learned is not used.

    Returns
    -------
    LinearModel
        The learner.  scikit-learn's ``alpha`` is the same for every number of rows.

    Raises
    ------
    TypeError
        `model` is another estimator, or a class instead of an instance.
    ValueError
        `model` has no intercept or only positive weights, which no learner here has.

    Examples
    --------
    >>> from sklearn.linear_model import ElasticNet
    >>> learner_of(ElasticNet(alpha=0.01, l1_ratio=0.9))
    ElasticNet(alpha=0.01, rho=0.9)
    """
    if isinstance(model, LinearModel):
        learner: LinearModel = clone(model)
        return learner
    if type(model) not in _COUNTERPARTS:
        raise TypeError(
            f"model is {model!r}, expected a learner of poisonbench.models (OLS, Ridge, Lasso or "
            "ElasticNet), or scikit-learn's LinearRegression, Ridge, Lasso or ElasticNet"
        )
    for parameter, expected in (("fit_intercept", True), ("positive", False)):
        if getattr(model, parameter) is not expected:
            raise ValueError(f"model is {model!r}; expected {parameter}={expected}, as in all "
                             "learners that can be attacked")  # fmt: skip
    return _COUNTERPARTS[type(model)](model)
