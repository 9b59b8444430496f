"""The diabetes data of Efron, Hastie, Johnstone and Tibshirani, which scikit-learn ships."""

from __future__ import annotations

from typing import Literal

import numpy as np

from poisonbench.data.base import Dataset
from poisonbench.data.groups import one_hot_groups
from poisonbench.datasets.base import DatasetLoader
from poisonbench.features import FeatureSpace


class Diabetes(DatasetLoader):
    """Disease progression of 442 patients one year after ten baseline measurements.

    They come with scikit-learn.  ``sex`` becomes the one-hot group ``sex:1``, ``sex:2``, so there
    are 11 columns; the values are in the measurements' own units.

    Parameters
    ----------
    scaling : {"train", "full"}, default="train"
        Rows whose minima and maxima define the box: the training rows, or all rows.

    Examples
    --------
    >>> from poisonbench.datasets.diabetes import Diabetes
    >>> data = Diabetes().load()
    >>> data.X.shape, data.target
    ((442, 11), 'progression')
    >>> data.space.groups
    (OneHotGroup(name='sex', columns=(1, 2), all_zero=False, one_of_k=True),)
    """

    name = "diabetes"
    reference = "Efron et al. 2004, Least angle regression, Annals of Statistics 32(2)"

    def __init__(self, *, scaling: Literal["train", "full"] = "train") -> None:
        self.scaling = scaling

    def load(self) -> Dataset:
        """Return the 442 rows."""
        from sklearn.datasets import load_diabetes  # takes a while, and few configs need it

        bunch = load_diabetes(scaled=False)
        sex = bunch.feature_names.index("sex")
        one_hot = bunch.data[:, [sex]] == [1, 2]
        X = np.column_stack([bunch.data[:, :sex], one_hot, bunch.data[:, sex + 1 :]])
        before, after = bunch.feature_names[:sex], bunch.feature_names[sex + 1 :]
        names = (*before, "sex:1", "sex:2", *after)
        space = FeatureSpace(names, one_hot_groups(names, X))
        y = bunch.target.astype(np.float64)
        return Dataset(self.name, X, y, space, "progression", self.scaling).validated()
