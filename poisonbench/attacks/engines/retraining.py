"""The learner trained on D_tr and D_p, kept exact while poison rows change one at a time.

A gradient attack on a bilevel problem needs three things from the learner: its current theta, the
effect of a small change of one row (the hypergradient), and the best of several replacements of
one row (a line search with true retraining).  Let H be the Hessian of the learner's objective over
all N = n + p rows, r_c the residual of row c, W the outer objective and v = H^{-1} dW/dtheta the
adjoint, which takes one solve for all rows.  Then

    dW/dx_c = -(2/N) [ (v.z_c) w + r_c v_w ],      dW/dy_c = (2/N) (v.z_c).

This is Jagielski et al. 2018, Eqs. 7-14, with Sigma and mu of the training set that the learner
sees, and without a system of equations for every poison row.

After a change of one row, ridge and OLS are retrained by two rank-one updates of the inverse Gram
matrix, and LASSO and elastic net by an active-set search that starts from the current solution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy import linalg

from poisonbench.attacks.engines.functions import Function, moments, with_intercept
from poisonbench.attacks.engines.surrogate import working_alpha
from poisonbench.features import FloatArray
from poisonbench.models.base import LinearModel
from poisonbench.models.engines.active_set import ActiveSet, engine
from poisonbench.problem import Sample


class Retraining(ABC):
    """The learner on D_tr and the current poison rows.

    Parameters
    ----------
    train : Sample
        The clean rows D_tr.
    poison : Sample
        The poison rows D_p that the attack starts from.
    """

    theta: FloatArray

    def __init__(self, train: Sample, poison: Sample) -> None:
        self.n_rows = len(train) + len(poison)
        self.Z = with_intercept(poison.X)
        self.y = poison.y.copy()
        self._clean_gram, self._clean_moment = moments(train)
        self._refit()

    def hypergradient(self, c: int, gradient: FloatArray) -> tuple[FloatArray, float]:
        """Return dW/dx_c of shape (d,) and dW/dy_c for poison row `c`.

        Parameters
        ----------
        c : int
            Which poison row.
        gradient : ndarray of shape (d + 1,)
            dW/dtheta at the current theta.
        """
        v = self._adjoint(gradient)
        z = self.Z[c]
        pull = z @ v
        residual = z @ self.theta - self.y[c]
        scale = 2 / self.n_rows
        dx = -scale * (pull * self.theta[:-1] + residual * v[:-1])
        return dx, scale * float(pull)

    def _refit(self) -> None:
        """Train on the current rows from scratch."""
        gram = self._clean_gram + self.Z.T @ self.Z
        moment = self._clean_moment + self.Z.T @ self.y
        self._start(gram, moment)

    @abstractmethod
    def _start(self, gram: FloatArray, moment: FloatArray) -> None:
        """Set the solver's state and ``theta``, given Z'Z and Z'y of all rows."""

    @abstractmethod
    def _adjoint(self, gradient: FloatArray) -> FloatArray:
        """Return v = H^{-1} dW/dtheta; shape (d + 1,)."""

    @abstractmethod
    def replace(self, c: int, z: FloatArray, y: float) -> None:
        """Replace poison row `c` by (z, y) and retrain."""

    @abstractmethod
    def improve(self, c: int, Z: FloatArray, y: FloatArray, W: Function) -> bool:
        """Replace poison row `c` by the best of the candidates, if that raises W.

        Parameters
        ----------
        c : int
            Which poison row.
        Z, y : ndarray of shape (m, d + 1) and (m,)
            The candidates, with a column of ones.
        W : Function
            The outer objective; it is evaluated for the model retrained with each candidate.

        Returns
        -------
        bool
            Whether the row was replaced.
        """

    @staticmethod
    def _exchange(
        K: FloatArray,
        theta: FloatArray,
        out: tuple[FloatArray, float],
        Z: FloatArray,
        y: FloatArray,
    ) -> FloatArray:
        """Return theta after the row `out` leaves and each of (Z, y) enters; shape (m, d + 1).

        With K the inverse of H up to 2/N and h = z'Kz, removing a row (z, y) gives
        K + Kzz'K/(1-h) and theta + Kz (z.theta - y)/(1-h); adding one gives K - Kzz'K/(1+h) and
        theta + Kz (y - z.theta)/(1+h) (Sherman-Morrison).
        """
        z_out, y_out = out
        k_out = K @ z_out
        slack = 1 - z_out @ k_out
        theta = theta + k_out * ((z_out @ theta - y_out) / slack)
        k = Z @ K + np.outer(Z @ k_out, k_out / slack)
        h = np.einsum("ij,ij->i", k, Z)
        thetas: FloatArray = theta + k * ((y - Z @ theta) / (1 + h))[:, None]
        return thetas


class RidgeRetraining(Retraining):
    """Exact rank-one retraining for ridge, and for OLS where Z has full column rank.

    Parameters
    ----------
    train, poison : Sample
        As in the base class.
    alpha : float
        scikit-learn's penalty.

    Notes
    -----
    K = (Z'Z + alpha D)^{-1} is kept up to date, where D is the identity with 0 for the intercept.
    """

    REFIT_EVERY = 500
    """Replacements after which K is computed from scratch, since rounding errors add up."""

    def __init__(self, train: Sample, poison: Sample, alpha: float) -> None:
        self.alpha = alpha
        super().__init__(train, poison)

    def _start(self, gram: FloatArray, moment: FloatArray) -> None:
        diagonal = np.full(len(gram), self.alpha)
        diagonal[-1] = 0.0
        factor = linalg.cho_factor(gram + np.diag(diagonal))
        self.K = np.asfortranarray(linalg.cho_solve(factor, np.eye(len(gram))))
        self.theta = linalg.cho_solve(factor, moment)
        self._replacements = 0

    def _adjoint(self, gradient: FloatArray) -> FloatArray:
        v: FloatArray = (self.n_rows / 2) * (self.K @ gradient)
        return v

    def improve(self, c: int, Z: FloatArray, y: FloatArray, W: Function) -> bool:
        """Replace poison row `c` by the best of the candidates; see the base class."""
        values = W.values(self._exchange(self.K, self.theta, (self.Z[c], self.y[c]), Z, y))
        best = int(values.argmax())
        if values[best] <= W.value(self.theta):
            return False
        self.replace(c, Z[best], float(y[best]))
        return True

    def replace(self, c: int, z: FloatArray, y: float) -> None:
        """Replace poison row `c` by (z, y) and retrain."""
        z_out = self.Z[c]
        k = self.K @ z_out
        slack = 1 - z_out @ k
        self.theta = self.theta + k * ((z_out @ self.theta - self.y[c]) / slack)
        self._add_to_inverse(k, float(1 / slack))
        k = self.K @ z
        slack = 1 + z @ k
        self.theta = self.theta + k * ((y - z @ self.theta) / slack)
        self._add_to_inverse(k, float(-1 / slack))
        self.Z[c], self.y[c] = z, y
        self._replacements += 1
        if self._replacements >= self.REFIT_EVERY:
            self._refit()

    def _add_to_inverse(self, k: FloatArray, factor: float) -> None:
        """Add factor * kk' to K in place; a temporary matrix would cost more than the addition."""
        self.K = linalg.blas.dger(factor, k, k, a=self.K, overwrite_a=True)


Row = tuple[FloatArray, float]
"""A row z = (x, 1) of shape (d + 1,) and its response."""


class ElasticNetRetraining(Retraining):
    """Exact retraining for LASSO and elastic net by an active-set method on the Gram matrix.

    The intercept is a weight without a penalty, instead of centred columns: so replacing a row
    changes Z'Z by two terms zz', and the inverse of its active block by two rank-one updates.  The
    Hessian is that of the active set A, since a small change of a row changes only the weights that
    are not zero.  Candidates are ranked by W of the models that they would give if A and the signs
    did not change.  The first that raises W after true retraining replaces the row.

    Parameters
    ----------
    train, poison : Sample
        As in the base class.
    alpha, l1_ratio : float
        scikit-learn's penalty.
    """

    TRIES = 3
    """Candidates tried with true retraining before a row is left as it is."""

    GAIN = 1e-9
    """Least relative gain of W for which a row is replaced; rounding errors are smaller."""

    def __init__(self, train: Sample, poison: Sample, alpha: float, l1_ratio: float) -> None:
        n_rows, penalised = len(train) + len(poison), np.ones(train.X.shape[1] + 1)
        penalised[-1] = 0.0
        self.l1 = n_rows * alpha * l1_ratio * penalised
        self.l2 = n_rows * alpha * (1 - l1_ratio) * penalised
        super().__init__(train, poison)

    def _start(self, gram: FloatArray, moment: FloatArray) -> None:
        self._gram, self._moment = gram, moment
        self._state = ActiveSet.near(gram, self.l1, self.l2, np.zeros(len(moment)))
        engine().solve(gram, moment, self.l1, self.l2, self._state)
        self.theta = self._state.w

    def _adjoint(self, gradient: FloatArray) -> FloatArray:
        v, A = np.zeros_like(gradient), self._state.active
        v[A] = (self.n_rows / 2) * (self._state.inverse @ gradient[A])
        return v

    def replace(self, c: int, z: FloatArray, y: float) -> None:
        """Replace poison row `c` by (z, y) and retrain."""
        self._try(c, [(z, y)], self._without(c), lambda _: True)

    def improve(self, c: int, Z: FloatArray, y: FloatArray, W: Function) -> bool:
        """Replace poison row `c` by the best of the candidates; see the base class."""
        least = (1 + self.GAIN) * W.value(self.theta)
        state = self._without(c)
        values = W.values(self._predicted(c, Z, y, state))
        best = [i for i in np.argsort(-values, kind="stable")[: self.TRIES] if values[i] > least]
        rows = [(Z[i], float(y[i])) for i in best]
        return self._try(c, rows, state, lambda w: W.value(w) > least)

    def _without(self, c: int) -> ActiveSet:
        """Return the active set with the inverse that it has without poison row `c`."""
        state = self._state.copy()
        state.remove_row(self.Z[c], self.l1)
        return state

    def _try(
        self, c: int, rows: list[Row], state: ActiveSet, accept: Callable[[FloatArray], bool]
    ) -> bool:
        """Replace poison row `c` by the first of `rows` whose theta `accept` accepts, if any.

        The first search starts from `state`, the active set without row `c`, and changes it.  The
        rows are similar, so each later search starts from the solution of the one before.
        """
        z_out, y_out, near = self.Z[c], self.y[c], None
        for z, y in rows:
            touched, before = engine().exchange(self._gram, z, z_out)
            moment = self._moment + y * z - y_out * z_out
            state.add_row(z)
            if near is not None:
                state.remove_row(near, self.l1)
            near = z
            engine().solve(self._gram, moment, self.l1, self.l2, state)
            if accept(state.w):
                self._moment, self._state, self.theta = moment, state, state.w
                self.Z[c], self.y[c] = z, y
                return True
            self._gram[touched] = before
        return False

    def _predicted(self, c: int, Z: FloatArray, y: FloatArray, state: ActiveSet) -> FloatArray:
        """Return theta for each candidate for row `c`, as if A and the signs did not change."""
        z_out, w = self.Z[c], self.theta
        residual = z_out @ w - self.y[c]
        A = state.active
        Z_A = Z[:, A]
        theta_A = state.w[A] + residual * (state.inverse @ z_out[A])
        k = Z_A @ state.inverse
        h = np.einsum("ij,ij->i", k, Z_A)
        thetas = np.zeros((len(Z), len(w)))
        thetas[:, A] = theta_A + k * ((y - Z_A @ theta_A) / (1 + h))[:, None]
        return thetas


def retraining(model: LinearModel, train: Sample, poison: Sample) -> Retraining:
    """Return the exact retraining of `model`, or of the ridge that stands in for deficient OLS.

    Parameters
    ----------
    model : LinearModel
        The learner.
    train, poison : Sample
        D_tr and the poison rows to start from.
    """
    n_rows = len(train) + len(poison)
    if model.l1_ratio() > 0:
        return ElasticNetRetraining(train, poison, model.alpha_for(n_rows), model.l1_ratio())
    return RidgeRetraining(train, poison, working_alpha(model, train, n_rows))
