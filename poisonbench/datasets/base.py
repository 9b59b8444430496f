"""What a loader of a data set is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from poisonbench.data.base import Dataset


class DatasetLoader(ABC):
    """A source of data; parameters are assigned in ``__init__``, work is done in :meth:`load`."""

    name: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def load(self) -> Dataset:
        """Return the data set.

        Raises
        ------
        DatasetError
            It cannot be read, or no regression can be run on it.
        """
