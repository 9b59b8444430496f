"""RANSAC around the learner (Fischler and Bolles 1981), its sample size chosen on held-out rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from sklearn.linear_model import RANSACRegressor

from poisonbench.defenses._estimate import learner
from poisonbench.defenses._validation import folds, trimmed_mean
from poisonbench.defenses.base import Defense
from poisonbench.features import BoolArray, FloatArray

SHARES = (0.025, 0.05, 0.1, 0.2, 0.5)
"""Sample sizes to choose from, as shares of the rows."""

TUNING_TRIALS = 20


class RANSACDefense(Defense):
    """RANSAC: of many fits to few random rows, the one that most rows agree with, refitted.

    It assumes that some sample of the rows is free of poison and that a model fitted to so few
    rows is near the truth: samples must be small for the first and large for the second.  A
    clean sample of m rows has probability (1 - p/N)^m.  It needs no count of poison rows.

    It costs `max_trials` small fits of the learner, and as many again to choose `min_samples`.

    Parameters
    ----------
    estimator : estimator, optional
        The learner, unfitted; :class:`poisonbench.models.Ridge` if None.
    min_samples : float or "cv", default="cv"
        Share of the rows in a sample.  "cv" chooses by the mean of the smaller three quarters of
        the squared errors on held-out rows, among .025, .05, .1, .2 and .5.
    residual_threshold : float, optional
        Largest absolute residual of a row that agrees; the median absolute deviation of the
        responses if None.
    max_trials : int, default=100
        Most samples drawn.
    n_folds : int, default=3
        Folds to choose by.
    random_state : int, RandomState or None, default=None
        Draws the samples and shuffles the rows into folds.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (d,) and float
        The model.
    estimator_ : estimator
        The learner fitted to the rows kept.
    support_ : ndarray of bool of shape (N,)
        The rows kept: those that agree with the best sample.
    min_samples_ : float
        The share used.
    n_trials_ : int
        Samples drawn.
    errors_ : dict of float to float
        For each share compared, the trimmed mean of its held-out squared errors.

    References
    ----------
    Fischler and Bolles, "Random sample consensus", 1981; a defense in Jagielski et al. 2018,
    Sec. VI; computed by scikit-learn's ``RANSACRegressor``.
    """

    name = "ransac"
    reference = "Fischler and Bolles 1981"

    def __init__(
        self,
        estimator: Any = None,
        *,
        min_samples: Annotated[float, Gt(0), Le(1)] | Literal["cv"] = "cv",
        residual_threshold: Annotated[float, Gt(0)] | None = None,
        max_trials: Annotated[int, Ge(1)] = 100,
        n_folds: Annotated[int, Ge(2)] = 3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.min_samples = min_samples
        self.residual_threshold = residual_threshold
        self.max_trials = max_trials
        self.n_folds = n_folds
        self.random_state = random_state

    def _fit_rows(
        self, X: FloatArray, y: FloatArray, rng: np.random.RandomState
    ) -> BoolArray | None:
        seed = rng.randint(2**31)
        if self.min_samples == "cv":
            self.errors_ = self._held_out_errors(X, y, seed)
            self.min_samples_ = min(self.errors_, key=lambda share: self.errors_[share])
        else:
            self.errors_, self.min_samples_ = {}, float(self.min_samples)
        consensus = self._ransac(y, self.min_samples_, self.max_trials, seed)
        try:
            consensus.fit(X, y)
        except ValueError as error:
            raise ValueError(
                f"RANSACDefense: no sample of {consensus.min_samples} rows has rows that agree "
                f"within {consensus.residual_threshold:.3g}; expected a larger residual_threshold "
                f"or other min_samples"
            ) from error
        self.n_trials_ = consensus.n_trials_
        self._adopt(consensus.estimator_, X)
        return np.asarray(consensus.inlier_mask_)

    def _held_out_errors(self, X: FloatArray, y: FloatArray, seed: int) -> dict[float, float]:
        errors = np.full((len(y), len(SHARES)), np.inf)
        trials = min(self.max_trials, TUNING_TRIALS)
        for training, held_out in folds(len(y), self.n_folds):
            for column, share in enumerate(SHARES):
                consensus = self._ransac(y[training], share, trials, seed)
                try:
                    consensus.fit(X[training], y[training])
                except ValueError:  # no consensus: this share loses
                    continue
                predicted = np.ravel(consensus.predict(X[held_out]))
                errors[held_out, column] = (y[held_out] - predicted) ** 2
        return dict(zip(SHARES, trimmed_mean(errors).tolist(), strict=True))

    def _ransac(self, y: FloatArray, share: float, trials: int, seed: int) -> RANSACRegressor:
        threshold = self.residual_threshold
        if threshold is None:
            deviation = np.abs(y - np.median(y))
            # Where most responses are equal the median is 0, and only exact fits would agree.
            threshold = float(np.median(deviation)) or float(deviation.mean())
            threshold = max(threshold, 1e-9 * float(np.abs(y).max()), np.finfo(float).tiny)
        return RANSACRegressor(
            learner(self.estimator),
            min_samples=max(1, int(np.ceil(share * len(y)))),
            residual_threshold=threshold,
            max_trials=trials,
            random_state=seed,
        )
