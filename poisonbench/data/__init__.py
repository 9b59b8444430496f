"""Data sets: loaders, one a file; scaling to the box; splits."""

from poisonbench.data.base import Dataset, DatasetError, DatasetLoader

__all__ = ["Dataset", "DatasetError", "DatasetLoader"]
