"""What rows are: data sets in memory, their splits, scaling and files."""

from poisonbench.data.base import Dataset, DatasetError

__all__ = ["Dataset", "DatasetError"]
