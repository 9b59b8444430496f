"""The learners: OLS, ridge, LASSO and elastic net in the paper's objective.

L(D, theta) = (1/N) sum_i (f(x_i) - y_i)^2 + lambda * Omega(w),  f(x) = w.x + b,

after Jagielski et al. 2018, Eq. 1.  Each learner is a scikit-learn estimator.  Its regularisation
strength, given in either convention, does not depend on the number of rows.
"""

from poisonbench.models.base import LinearModel
from poisonbench.models.elastic_net import ElasticNet
from poisonbench.models.lasso import Lasso
from poisonbench.models.ols import OLS
from poisonbench.models.ridge import Ridge

__all__ = ["OLS", "ElasticNet", "Lasso", "LinearModel", "Ridge"]
