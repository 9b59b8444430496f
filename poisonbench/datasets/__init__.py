"""The data sets that a config can name, one loader a file."""

from poisonbench.datasets.base import DatasetLoader

__all__ = ["DatasetLoader"]
