"""Data sets in memory: their rows, splits, scaling and files."""

from poisonbench.data.base import Dataset, DatasetError

__all__ = ["Dataset", "DatasetError"]
