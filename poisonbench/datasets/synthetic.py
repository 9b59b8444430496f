"""Synthetic data with a known linear truth.

Latent Gaussians with AR(1) correlation, z_j = c z_{j-1} + sqrt(1 - c^2) e_j, are mapped to
uniform features x_j = Phi(z_j).  The response is an affine function of the informative features
and of the category effects, with weights whose absolute values sum to 1 and an intercept that
makes its range [0, 1], plus Gaussian noise.
"""

from __future__ import annotations

import string
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from scipy.special import ndtr

from poisonbench import seeds
from poisonbench.data.base import Dataset, DatasetError
from poisonbench.data.groups import one_hot_groups
from poisonbench.datasets.base import DatasetLoader
from poisonbench.features import FeatureSpace, FloatArray

Categories = Annotated[int, Ge(2), Le(26)]


class Synthetic(DatasetLoader):
    """Linear data in the box, of any size, with correlated columns and one-hot groups.

    The first columns are the informative ones, and every group has an effect.  The true weights
    depend on the seed and on the numbers of columns and categories, not on the number of rows.

    Parameters
    ----------
    n : int, default=1000
        Number of rows.
    d : int, default=10
        Number of numeric columns.
    informative : int, default=5
        Number of numeric columns with a weight other than 0.
    noise : float, default=0.05
        Standard deviation of the noise; without it the range of the response is [0, 1].
    correlation : float, default=0.0
        Correlation of the latent Gaussians of neighbouring columns, in (-1, 1).
    groups : tuple of int, default=()
        Number of categories of each one-hot group, from 2 to 26.
    seed : int, default=0
        Seed of the data; independent of the seeds of the experiment.
    scaling : {"train", "full"}, default="train"
        Rows whose minima and maxima define the box: the training rows, or all rows.

    Examples
    --------
    >>> from poisonbench.datasets.synthetic import Synthetic
    >>> data = Synthetic(n=100, d=6, groups=(3,)).load()
    >>> data.X.shape
    (100, 9)
    >>> data.space.names
    ('x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'g0:a', 'g0:b', 'g0:c')
    """

    name = "synthetic"
    reference = "introduced in poisonbench"

    def __init__(
        self,
        *,
        n: Annotated[int, Ge(2)] = 1000,
        d: Annotated[int, Ge(0)] = 10,
        informative: Annotated[int, Ge(0)] = 5,
        noise: Annotated[float, Ge(0)] = 0.05,
        correlation: Annotated[float, Gt(-1), Lt(1)] = 0.0,
        groups: tuple[Categories, ...] = (),
        seed: Annotated[int, Ge(0)] = 0,
        scaling: Literal["train", "full"] = "train",
    ) -> None:
        self.n = n
        self.d = d
        self.informative = informative
        self.noise = noise
        self.correlation = correlation
        self.groups = groups
        self.seed = seed
        self.scaling = scaling

    def load(self) -> Dataset:
        """Return the rows; the same ones at every call."""
        self._check()
        names = [f"x{j}" for j in range(self.d)]
        for g, k in enumerate(self.groups):
            names += [f"g{g}:{letter}" for letter in string.ascii_lowercase[:k]]
        X = np.column_stack([self._numeric_columns(), *self._one_hot_columns()])
        weights, intercept = self._truth()
        y = X @ weights + intercept + self.noise * self._stream("noise").standard_normal(self.n)
        space = FeatureSpace(tuple(names), one_hot_groups(names, X))
        return Dataset(self.name, X, y, space, "y", self.scaling).validated()

    def _check(self) -> None:
        if self.informative > self.d:
            raise DatasetError(f"{self.name}: informative is {self.informative}, expected at most "
                               f"d = {self.d}")  # fmt: skip
        if self.d == 0 and not self.groups:
            raise DatasetError(f"{self.name}: d is 0 and there are no groups, expected at least "
                               "one feature")  # fmt: skip
        if self.n < max(self.groups, default=0):
            raise DatasetError(f"{self.name}: n is {self.n}, expected at least as many rows as the "
                               f"{max(self.groups)} categories of the largest group")  # fmt: skip

    def _stream(self, role: str, *keys: int) -> np.random.Generator:
        return seeds.generator(self.seed, "synthetic", role, *keys)

    def _numeric_columns(self) -> FloatArray:
        """Return the uniform features; shape (n, d)."""
        z: FloatArray = self._stream("features").standard_normal((self.n, self.d))
        for j in range(1, self.d):
            z[:, j] *= np.sqrt(1 - self.correlation**2)
            z[:, j] += self.correlation * z[:, j - 1]
        uniform: FloatArray = ndtr(z)
        return uniform

    def _one_hot_columns(self) -> list[FloatArray]:
        """Return one block of shape (n, k) for each group; every category occurs equally often."""
        categories = [
            self._stream("group", g).permutation(self.n) % k for g, k in enumerate(self.groups)
        ]
        return [np.eye(k)[chosen] for k, chosen in zip(self.groups, categories, strict=True)]

    def _truth(self) -> tuple[FloatArray, float]:
        """Return the weights of all columns and the intercept."""
        stream = self._stream("truth")
        shares = stream.uniform(0.5, 1.0, self.informative + len(self.groups))
        shares /= shares.sum()
        numeric = np.zeros(self.d)
        numeric[: self.informative] = shares[: self.informative]
        numeric *= stream.choice([-1.0, 1.0], self.d)
        effects = [
            share * stream.permutation(np.linspace(0.0, 1.0, k))
            for share, k in zip(shares[self.informative :], self.groups, strict=True)
        ]
        return np.concatenate([numeric, *effects]), float(-numeric[numeric < 0].sum())
