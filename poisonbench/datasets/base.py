"""The base class of data set loaders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from poisonbench.data.base import Dataset


class DatasetLoader(ABC):
    """A source of data: ``__init__`` only stores parameters, :meth:`load` does the work."""

    name: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def load(self) -> Dataset:
        """Return the data set.

        Raises
        ------
        DatasetError
            The data cannot be read, or no regression can be run on them.
        """
